import { createHash, createHmac, scrypt, timingSafeEqual, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { UsageError } from "../errors.ts";
import { listOf, objectOf, optional, textOf, wrong, type Shape } from "../json-shape.ts";

/** Hashes of Digest. MD5 is for old clients that have nothing else, inside TLS only. @see RFC 7616 3.3 */
export type DigestAlgorithm = "SHA-256" | "MD5";

/** A name and a password. */
export interface Password {
  readonly username: string;
  readonly password: string;
}

/** What is kept of a password. The digest values are as good as the password at this realm: keep them as secret. */
export interface PasswordRecord {
  readonly name: string;
  readonly salt: string;
  /** scrypt, in hex. */
  readonly hash: string;
  /** H(name:realm:password), in hex, for Digest. */
  readonly digest: Readonly<Partial<Record<DigestAlgorithm, string>>>;
}

/** The parameters of a challenge or of an answer to one, names lower-case. */
export type AuthParameters = Readonly<Record<string, string>>;

/** One challenge of a WWW-Authenticate header. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: AuthParameters;
}

const nodeHash: Readonly<Record<DigestAlgorithm, string>> = { "SHA-256": "sha256", MD5: "md5" };
const derive = promisify<string, Uint8Array, number, { N: number; r: number; p: number }, Buffer>(scrypt);

/** 16 MiB and about 50 ms: an enrolment can wait that long, a guesser cannot. */
const cost = { N: 16_384, r: 8, p: 1 };

/**
 * Makes what is kept of a password.
 *
 * @throws {UsageError} `usage/est` for a name that Basic cannot carry, or a short password
 */
export async function makePasswordRecord(
  { username, password }: Password,
  realm: string,
  algorithms: readonly DigestAlgorithm[] = ["SHA-256"],
): Promise<PasswordRecord> {
  if (!/^[!-9;-~]{1,64}$/.test(username))
    throw new UsageError("usage/est", "a user's name has 1 to 64 printable characters, and no colon");
  if (password.length < 8 || password.length > 256)
    throw new UsageError("usage/est", "a password has 8 to 256 characters");
  const salt = randomBytes(16);
  return {
    name: username,
    salt: salt.toString("hex"),
    hash: (await derive(password.normalize("NFC"), salt, 32, cost)).toString("hex"),
    digest: Object.fromEntries(algorithms.map((name) => [name, digestHash(name, `${username}:${realm}:${password}`)])),
  };
}

/**
 * Reads a list of records from JSON text.
 *
 * @throws {UsageError} `usage/est`
 */
export function readPasswordRecords(text: string): readonly PasswordRecord[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The text holds digests of passwords: nothing of it goes into the error.
    throw new UsageError("usage/est", "the users are not JSON");
  }
  return listOf({ path: "users", value }, (shape) => {
    const field = objectOf(shape, ["name", "salt", "hash", "digest"]);
    const digest = objectOf(field("digest"), ["SHA-256", "MD5"]);
    const sha256 = optional(digest("SHA-256"), hex);
    const md5 = optional(digest("MD5"), hex);
    return {
      name: textOf(field("name")),
      salt: hex(field("salt")),
      hash: hex(field("hash")),
      digest: { ...(sha256 === undefined ? {} : { "SHA-256": sha256 }), ...(md5 === undefined ? {} : { MD5: md5 }) },
    };
  });
}

function hex(shape: Shape): string {
  const text = textOf(shape);
  if (!/^(?:[0-9a-f]{2}){8,64}$/.test(text)) throw wrong(shape.path, "hexadecimal");
  return text;
}

/** Tells whether a password is the one of a record; takes as long for an unknown user. */
export async function isPassword(record: PasswordRecord | undefined, { password }: Password): Promise<boolean> {
  const salt = Buffer.from(record?.salt ?? "00".repeat(16), "hex");
  const made = await derive(password.slice(0, 256).normalize("NFC"), salt, 32, cost);
  return record !== undefined && timingSafeEqual(made, Buffer.from(record.hash.padEnd(64, "0").slice(0, 64), "hex"));
}

/** The value of an Authorization header for Basic. @see RFC 7617 */
export function basicAnswer({ username, password }: Password): string {
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}

/** Reads an Authorization header of Basic; nothing when it is not one. */
export function readBasic(header: string): Password | undefined {
  const [, encoded] = /^basic[ ]+([A-Za-z0-9+/=]{1,1024})$/i.exec(header.trim()) ?? [];
  const text = Buffer.from(encoded ?? "", "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Reads the challenges of one or more WWW-Authenticate headers. @see RFC 9110 11.6.1 */
export function readChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap((header) =>
    // A challenge starts where a word is followed by a blank and not by an equals sign.
    header
      .slice(0, 2048)
      .split(/,?\s*(?=\b(?:Basic|Digest)\b)/i)
      .flatMap((text) => {
        const [, scheme, rest] = /^(basic|digest)\b(.*)$/is.exec(text.trim()) ?? [];
        return scheme === undefined ? [] : [{ scheme: scheme.toLowerCase(), parameters: readParameters(rest ?? "") }];
      }),
  );
}

/** Reads an Authorization header of Digest; nothing when it is not one. */
export function readDigest(header: string): AuthParameters | undefined {
  const [, rest] = /^digest[ ]+(.{1,2048})$/is.exec(header.trim()) ?? [];
  return rest === undefined ? undefined : readParameters(rest);
}

/** What both sides compute a Digest answer from. */
export interface DigestQuestion {
  readonly algorithm: DigestAlgorithm;
  /** H(name:realm:password), in hex. */
  readonly ha1: string;
  readonly method: string;
  readonly uri: string;
  readonly nonce: string;
  readonly nc: string;
  readonly cnonce: string;
}

/** The response value of Digest with quality of protection `auth`, in hex. @see RFC 7616 3.4.1 */
export function digestResponse({ algorithm, ha1, method, uri, nonce, nc, cnonce }: DigestQuestion): string {
  const ha2 = digestHash(algorithm, `${method}:${uri}`);
  return digestHash(algorithm, `${ha1}:${nonce}:${nc}:${cnonce}:auth:${ha2}`);
}

/**
 * Answers a Digest challenge.
 *
 * @returns Nothing when the challenge asks for what is not spoken here: another hash, or no quality of protection.
 */
export function digestAnswer(
  { parameters }: Challenge,
  { username, password }: Password,
  { method, uri, cnonce }: Pick<DigestQuestion, "method" | "uri" | "cnonce">,
): string | undefined {
  const { realm = "", nonce, qop = "", opaque } = parameters;
  const algorithm = algorithmOf(parameters["algorithm"]);
  const offersAuth = qop.split(",").some((word) => word.trim().toLowerCase() === "auth");
  if (algorithm === undefined || nonce === undefined || !offersAuth) return undefined;
  const ha1 = digestHash(algorithm, `${username}:${realm}:${password}`);
  const nc = "00000001";
  const response = digestResponse({ algorithm, ha1, method, uri, nonce, nc, cnonce });
  const fields = [
    ["username", quote(username)],
    ["realm", quote(realm)],
    ["nonce", quote(nonce)],
    ["uri", quote(uri)],
    ["algorithm", algorithm],
    ["response", quote(response)],
    ["qop", "auth"],
    ["nc", nc],
    ["cnonce", quote(cnonce)],
    ...(opaque === undefined ? [] : [["opaque", quote(opaque)]]),
  ];
  return `Digest ${fields.map((field) => field.join("=")).join(", ")}`;
}

/** The algorithm that a parameter names; without one it is MD5 (RFC 7616 3.3). */
export function algorithmOf(text: string | undefined): DigestAlgorithm | undefined {
  const name = (text ?? "MD5").toUpperCase();
  return name === "SHA-256" || name === "MD5" ? name : undefined;
}

/** Nonces that nobody else can make, and of which each is good once. No memory is spent on those never used. */
export class Nonces {
  readonly #secret = randomBytes(32);
  readonly #used = new Map<string, number>();
  readonly #lifeMs = 300_000;
  /** Beyond it the oldest are forgotten; rates are limited long before. */
  readonly #maxUsed = 4096;

  make(now: Date): string {
    const stamp = `${now.getTime().toString(16)}-${randomBytes(9).toString("hex")}`;
    return `${stamp}-${this.#tag(stamp)}`;
  }

  /** `stale` for one of ours that is too old or was used before: the client may try again with the same password. */
  take(nonce: string, now: Date): "good" | "stale" | "foreign" {
    const [time = "", random = "", tag = ""] = nonce.split("-");
    if (!same(tag, this.#tag(`${time}-${random}`))) return "foreign";
    const age = now.getTime() - Number.parseInt(time, 16);
    if (age < 0 || age > this.#lifeMs || this.#used.has(nonce)) return "stale";
    this.#used.set(nonce, now.getTime());
    for (const [old, at] of this.#used) {
      if (this.#used.size <= this.#maxUsed && now.getTime() - at <= this.#lifeMs) break;
      this.#used.delete(old);
    }
    return "good";
  }

  #tag(stamp: string): string {
    return createHmac("sha256", this.#secret).update(stamp).digest("hex").slice(0, 32);
  }
}

/** Compares texts in a time that does not tell where they differ. */
export function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function digestHash(algorithm: DigestAlgorithm, text: string): string {
  return createHash(nodeHash[algorithm]).update(text).digest("hex");
}

/** Quotes a value; what cannot be quoted safely is left out. */
function quote(text: string): string {
  return `"${text.replace(/[\r\n]/g, "").replace(/["\\]/g, "\\$&")}"`;
}

function readParameters(text: string): AuthParameters {
  const found = text.matchAll(/([A-Za-z]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.){0,1024})"|([^\s,"]{1,1024}))/g);
  return Object.fromEntries(
    [...found].map(([, name = "", quoted, bare]) => [
      name.toLowerCase(),
      quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "",
    ]),
  );
}
