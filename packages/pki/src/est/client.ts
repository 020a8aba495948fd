import type { KeyObject } from "node:crypto";
import { parseCertificates, type Certificate } from "../certificate.ts";
import type { CertificateRequest } from "../csr.ts";
import { PeerError, TransportError, TrustError, UsageError } from "../errors.ts";
import { openKey } from "../key-envelope.ts";
import { privateKeyFromDer, samePublicKey } from "../keys.ts";
import { printable } from "../names.ts";
import { basicAnswer, digestAnswer, readChallenges, type Password } from "./auth.ts";
import { readCsrAttributes, type CsrAttributes } from "./attributes.ts";
import { readBody, writeBody } from "./encoding.ts";
import { media, mediaType, pathOf, readEstUrl, type HttpAnswer, type Operation } from "./http.ts";
import { readMultipart } from "./multipart.ts";
import { readRetryAfter } from "./retry.ts";
import { dialEst, type EstConnection, type EstDial } from "./dial.ts";
import type { TlsIdentity } from "./session.ts";
import { completeChain, judgeServer, requireServer, sortCaCerts, type CaCerts, type EstTrust } from "./trust.ts";
import { requireTrusted } from "../verify.ts";

/** What an EST client is made of. It writes nothing to disk and starts no timer of its own but for `timeoutMs`. */
export interface EstClientOptions {
  /** `https://HOST[:PORT][/.well-known/est/LABEL]`. */
  readonly url: string;
  readonly label?: string;
  readonly trust: EstTrust;
  /** Who the caller is: a birth or current certificate, a password, or both. */
  readonly identity?: { readonly certificate?: TlsIdentity; readonly password?: Password };
  /** The caller's clock; nothing where there is none: days are then not judged. */
  readonly now: () => Date | undefined;
  /** The caller's randomness, for Digest. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** For one connection or answer; default 15 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Basic sends the password itself to the server, which was judged before; default true. */
  readonly allowBasic?: boolean;
  /** Connects here in place of what the name of the URL resolves to. */
  readonly address?: string;
  /** Connects from this address of ours. */
  readonly localAddress?: string;
  readonly maxTlsVersion?: "TLSv1.2" | "TLSv1.3";
  /** Default: over the network. */
  readonly dial?: EstDial;
}

/**
 * Makes the request for a certificate. Called once the TLS session stands, and again when another one takes its place.
 *
 * @param challengePassword To be put into the request as its challenge password: it links the request to the session.
 */
export type CsrBuilder = (hints: { readonly challengePassword: string | undefined }) => Promise<CertificateRequest>;

/** What came of an enrolment. */
export type EnrolAnswer =
  | {
      readonly status: "issued";
      readonly certificate: Certificate;
      /** To be sent in TLS: the certificate, then what stands between it and a root, as far as the client knows it. */
      readonly chain: readonly Certificate[];
    }
  | Pending;

/** The server has to ask a person first: ask again with the same key. */
export interface Pending {
  readonly status: "pending";
  /** What the server asks for, bounded; 0 when it does not say. */
  readonly retryAfterMs: number;
}

/** What came of a request for a key. */
export type KeygenAnswer = (Extract<EnrolAnswer, { status: "issued" }> & { readonly privateKey: KeyObject }) | Pending;

/** An EST client. Each operation opens a TLS session of its own, and closes it. */
export interface EstClient {
  /** The authorities to trust; `explicit` anchors are from now on these, also after a change of root. */
  cacerts(): Promise<CaCerts>;
  /** What the server wishes to see in requests; nothing where it has no wishes. */
  csrattrs(): Promise<CsrAttributes | undefined>;
  enroll(build: CsrBuilder): Promise<EnrolAnswer>;
  /** Needs the current certificate as identity; subject and names stay as they are. */
  reenroll(build: CsrBuilder): Promise<EnrolAnswer>;
  /** @param decryptWith The key that the request names to encrypt the new key for, where it does. */
  serverkeygen(build: CsrBuilder, decryptWith?: KeyObject): Promise<KeygenAnswer>;
}

/**
 * Makes a client for an EST server.
 *
 * Operations throw {@link PeerError} `est/http` (facts: `status`), `est/answer`, `est/unavailable`; {@link TrustError} for a
 * server or certificate that is not to be trusted; {@link TransportError}; {@link UsageError}.
 *
 * @throws {UsageError} `usage/est` for a URL that is none
 * @see RFC 7030; RFC 8951; RFC 9908
 */
export function estClient(options: EstClientOptions): EstClient {
  const session = makeSession(options);
  const enrolBy = async (operation: "simpleenroll" | "simplereenroll", build: CsrBuilder): Promise<EnrolAnswer> => {
    const { answer, request } = await session(operation, build);
    if (answer.status === 202) return pending(answer);
    return issuedFor(options, request, readCertificates(answer.body));
  };
  return {
    async cacerts() {
      const { answer } = await session("cacerts");
      return sortCaCerts(readCertificates(answer.body));
    },
    async csrattrs() {
      const { answer } = await session("csrattrs");
      if (answer.status === 204 || answer.status === 404 || answer.body.length === 0) return undefined;
      return reading(() => readCsrAttributes(readBody(octetsOf(answer)).der));
    },
    enroll: async (build) => await enrolBy("simpleenroll", build),
    reenroll: async (build) => await enrolBy("simplereenroll", build),
    async serverkeygen(build, decryptWith) {
      const { answer } = await session("serverkeygen", build);
      if (answer.status === 202) return pending(answer);
      const { privateKey, certificates } = readKeygen(answer, options, decryptWith);
      return { ...issuedFor(options, { publicKey: privateKey }, certificates), privateKey };
    },
  };
}

/**
 * Fetches the authorities of a server that cannot be judged yet, and takes them only if the fingerprint of one of them, which
 * a person got another way, is right. Nothing is sent that a stranger could use.
 *
 * @param fingerprint SHA-256 of one of the authorities, hexadecimal; `undefined` takes them on first use, for which the
 * caller answers.
 * @throws {TrustError} `trust/not-pinned` when none has it
 * @see RFC 7030 4.1.1
 */
export async function bootstrapEst(
  options: Omit<EstClientOptions, "trust" | "identity">,
  fingerprint: string | undefined,
): Promise<CaCerts> {
  const session = makeSession({ ...options, trust: {} }, true);
  const { answer } = await session("cacerts");
  const found = sortCaCerts(readCertificates(answer.body));
  if (fingerprint === undefined) return found;
  const wanted = fingerprint.replaceAll(":", "").toLowerCase();
  const known = found.certificates.find(({ facts }) => facts.sha256 === wanted);
  if (known === undefined) {
    throw new TrustError(
      "trust/not-pinned",
      `none of the ${found.certificates.length} authorities has the fingerprint`,
      {
        facts: {
          wanted: wanted.slice(0, 64),
          found: found.anchors
            .map(({ facts }) => facts.sha256)
            .join(" ")
            .slice(0, 400),
        },
        fix: "Compare the fingerprint with the one that the authority's operator gives; do not go on if it differs.",
      },
    );
  }
  // What the named one vouches for comes with it; a stranger's root beside it does not.
  return sortCaCerts(
    found.certificates.filter((leaf) => leaf === known || isUnder(leaf, known, found.certificates, options.now())),
  );
}

/** Tries of one operation: without a password, with it, and once more for a nonce that aged or a server that hung up. */
const maxTries = 4;

function makeSession(options: EstClientOptions, bootstraps = false): typeof run {
  const { host, port, label: inUrl } = readEstUrl(options.url);
  const { trust, identity, now, timeoutMs = 15_000, signal, address, localAddress, maxTlsVersion } = options;
  const { dial = dialEst } = options;
  const label = options.label ?? inUrl;
  const where = `${host}:${port}`;
  const hasAnchors = (trust.explicit ?? []).length + (trust.implicit ?? []).length > 0;

  const connect = async (): Promise<EstConnection> => {
    const connection = await dial({
      host,
      port,
      identity: identity?.certificate,
      timeoutMs,
      signal,
      ...(address === undefined ? {} : { address }),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(maxTlsVersion === undefined ? {} : { maxVersion: maxTlsVersion }),
    });
    if (bootstraps) return connection;
    try {
      requireServer(judgeServer(connection.tls.chain, trust, { host, time: now() }), where);
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  };

  async function run(operation: Operation): Promise<{ readonly answer: HttpAnswer }>;
  async function run(
    operation: Operation,
    build: CsrBuilder,
  ): Promise<{ readonly answer: HttpAnswer; readonly request: CertificateRequest }>;
  async function run(
    operation: Operation,
    build?: CsrBuilder,
  ): Promise<{ readonly answer: HttpAnswer; readonly request?: CertificateRequest }> {
    if (!bootstraps && !hasAnchors)
      throw new UsageError("usage/est", "there is no authority to trust the EST server by", {
        fix: "Give the authority's certificate, or fetch it once by its fingerprint.",
      });
    const path = pathOf(operation, label);
    const method = build === undefined ? "GET" : "POST";
    let connection = await connect();
    try {
      let authorization: string | undefined;
      let isFresh = true;
      for (let attempt = 1; ; attempt++) {
        if (!connection.isOpen()) {
          connection.close();
          connection = await connect();
          isFresh = true;
        }
        const request = await build?.({ challengePassword: connection.tls.binding });
        const body = request === undefined ? undefined : writeBody(request.der);
        const answer = await connection
          .ask(method, path, headersFor(body, authorization), body)
          .catch((error: unknown) => {
            // A server may hang up after its challenge without saying so; our next words then meet a closed door.
            if (isFresh || !(error instanceof TransportError) || error.code !== "transport/closed") throw error;
            connection.close();
          });
        if (answer === undefined) continue;
        isFresh = false;
        if (headerOf(answer, "connection").toLowerCase() === "close") connection.close();
        const challenges = answer.status === 401 && attempt < maxTries ? challengesOf(answer) : [];
        const next = answerTo(challenges, authorization, { method, uri: path });
        if (next === undefined) {
          requireGood(answer, operation, where);
          return request === undefined ? { answer } : { answer, request };
        }
        authorization = next;
      }
    } finally {
      connection.close();
    }
  }

  /** What to say to a 401: nothing when there is no password, or the server refused the one that there is. */
  const answerTo = (
    challenges: ReturnType<typeof readChallenges>,
    before: string | undefined,
    { method, uri }: { readonly method: string; readonly uri: string },
  ): string | undefined => {
    const password = identity?.password;
    const isStale = challenges.some(({ parameters }) => parameters["stale"]?.toLowerCase() === "true");
    if (password === undefined || (before !== undefined && !isStale)) return undefined;
    const cnonce = Buffer.from(options.randomBytes(16)).toString("hex");
    const digest = challenges
      .filter(({ scheme }) => scheme === "digest")
      .map((challenge) => digestAnswer(challenge, password, { method, uri, cnonce }))
      .find((header) => header !== undefined);
    if (digest !== undefined) return digest;
    const offersBasic = options.allowBasic !== false && challenges.some(({ scheme }) => scheme === "basic");
    return offersBasic ? basicAnswer(password) : undefined;
  };
  return run;
}

function headersFor(body: string | undefined, authorization: string | undefined): Readonly<Record<string, string>> {
  return {
    accept: "*/*",
    ...(authorization === undefined ? {} : { authorization }),
    ...(body === undefined
      ? {}
      : {
          "content-type": media.request,
          // Means nothing in HTTP (RFC 8951 3.1), and some servers take no request without it.
          "content-transfer-encoding": "base64",
          "content-length": `${body.length}`,
        }),
  };
}

function challengesOf({ headers }: HttpAnswer): ReturnType<typeof readChallenges> {
  const given = headers["www-authenticate"] ?? [];
  return readChallenges(typeof given === "string" ? [given] : given);
}

/** Octets of a refusal that are read: servers say why in a line, or in a page of their web server. */
const maxSaid = 2048;

function requireGood(answer: HttpAnswer, operation: Operation, where: string): void {
  const { status } = answer;
  if (status === 200 || status === 201 || (status === 202 && operation !== "cacerts") || status === 204) {
    const needsBody = operation !== "csrattrs" && status !== 202;
    if (!needsBody || answer.body.length > 0) return;
    throw new PeerError("est/answer", `${where} answered ${operation} with nothing`, { facts: { where, status } });
  }
  if (status === 404 && operation === "csrattrs") return;
  const said = printable(
    // Cut first: what looks for the end of each bracket takes as long as their number squared.
    Buffer.from(octetsOf(answer).subarray(0, maxSaid))
      .toString("utf8")
      .replace(/<[^>]*>/g, " ")
      .replace(/\s+/g, " ")
      .trim(),
    300,
  );
  const facts = { where, status, operation };
  const isText = said !== "" && mediaType(headerOf(answer, "content-type")) !== "application/octet-stream";
  const message = `${where} refuses ${operation} with HTTP ${status}${isText ? `: ${said}` : ""}`;
  if (status === 404 || status === 501) throw new PeerError("est/unavailable", message, { facts });
  throw new PeerError("est/http", message, { facts, ...(fixes[status] === undefined ? {} : { fix: fixes[status] }) });
}

const fixes: Readonly<Record<number, string>> = {
  401: "Give the name and password that the EST server's operator gave for this device.",
  403: "Show a certificate that the server's rules let in, or have its operator add a rule.",
  413: "The request is too large for this server: leave out what is not needed.",
  429: "Wait, then ask again less often.",
  503: "Wait, then ask again.",
};

function pending(answer: HttpAnswer): Pending {
  return { status: "pending", retryAfterMs: readRetryAfter(headerOf(answer, "retry-after"), headerOf(answer, "date")) };
}

/**
 * Of an answer's certificates the one for the key; others, in any order, help to complete its chain. It must lead to a trusted
 * authority: a server that is not the authority itself may not slip in another's.
 *
 * @throws {TrustError} `trust/key-mismatch` where none is for the key; what {@link requireTrusted} says of its chain
 */
export function issuedFor(
  { trust, now }: Pick<EstClientOptions, "trust" | "now">,
  { publicKey }: { readonly publicKey: KeyObject },
  certificates: readonly Certificate[],
): Extract<EnrolAnswer, { status: "issued" }> {
  const certificate = certificates.find((one) => samePublicKey(one.publicKey, publicKey));
  if (certificate === undefined) {
    throw new TrustError("trust/key-mismatch", "the server sent no certificate for the key of the request", {
      facts: { certificates: certificates.length },
    });
  }
  const { explicit = [], crls = [] } = trust;
  const pool = [...certificates, ...explicit];
  if (explicit.length > 0) {
    requireTrusted({ leaf: certificate, chain: pool, anchors: explicit, crls, time: now(), purpose: "any" });
  }
  return { status: "issued", certificate, chain: completeChain(certificate, pool) };
}

function readCertificates(body: HttpAnswer["body"]): readonly Certificate[] {
  return reading(() => {
    const text = Buffer.from(body).toString("latin1");
    // Not what the standard has, but found: several PEM certificates, one after the other.
    if ((text.match(/-----BEGIN CERTIFICATE-----/g) ?? []).length > 1) return parseCertificates(text);
    return parseCertificates(readBody(new Uint8Array(Buffer.from(body))).der);
  });
}

function readKeygen(
  answer: HttpAnswer,
  options: EstClientOptions,
  decryptWith: KeyObject | undefined,
): { readonly privateKey: KeyObject; readonly certificates: readonly Certificate[] } {
  const parts = reading(() => readMultipart(headerOf(answer, "content-type"), octetsOf(answer)));
  const isKey = (type: string): boolean =>
    mediaType(type) === media.key || /smime-type="?server-generated-key/i.test(type);
  const keyPart = parts.find(({ type }) => isKey(type));
  const certificatePart = parts.find(({ type }) => !isKey(type) && mediaType(type).includes("pkcs7"));
  if (keyPart === undefined || certificatePart === undefined)
    throw new PeerError("est/answer", "the answer lacks the key or its certificate");
  const der = reading(() => readBody(new Uint8Array(Buffer.from(keyPart.body))).der);
  const certificates = readCertificates(certificatePart.body);
  if (mediaType(keyPart.type) === media.key) {
    if (decryptWith !== undefined)
      throw new TrustError(
        "trust/key-mismatch",
        "the EST server sent the key without the encryption that was asked for",
      );
    return { privateKey: reading(() => privateKeyFromDer(der)), certificates };
  }
  if (decryptWith === undefined)
    throw new PeerError("est/answer", "the key is encrypted, and no key to open it was given");
  const { privateKey, signer, certificates: beside } = reading(() => openKey(der, decryptWith));
  const anchors = options.trust.explicit ?? options.trust.implicit ?? [];
  requireTrusted({ leaf: signer, chain: beside, anchors, time: options.now(), purpose: "any" });
  return { privateKey, certificates };
}

/** What we cannot read is the server's fault here, not our caller's. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new PeerError("est/answer", `the EST server's answer cannot be read: ${error.message}`, { cause: error });
  }
}

function isUnder(
  leaf: Certificate,
  anchor: Certificate,
  chain: readonly Certificate[],
  time: Date | undefined,
): boolean {
  if (leaf.facts.selfSigned) return false;
  try {
    requireTrusted({ leaf, chain, anchors: [anchor], time, purpose: "any" });
    return true;
  } catch {
    return false;
  }
}

function headerOf({ headers }: HttpAnswer, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : (value?.[0] ?? "");
}

function octetsOf({ body }: HttpAnswer): Uint8Array {
  return new Uint8Array(Buffer.from(body));
}
