import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { writeFileAtomic } from "./atomic-file.ts";
import { systemCode, TrustError, UsageError } from "./errors.ts";
import { keyFacts, type KeyType } from "./strength.ts";

/** The keys that can be made. `ecdsa-p256` is the default everywhere. */
export type KeyKind = "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072";

/** A private key and its public half. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** No key is larger: RSA of 16384 bits, encrypted and armoured, fits. */
const maxKeyOctets = 16 * 1024;

const generate = promisify(generateKeyPair);

/** Makes a key pair. */
export async function makeKeyPair(kind: KeyKind = "ecdsa-p256"): Promise<KeyPair> {
  switch (kind) {
    case "ecdsa-p256":
      return await generate("ec", { namedCurve: "prime256v1" });
    case "ecdsa-p384":
      return await generate("ec", { namedCurve: "secp384r1" });
    case "rsa-2048":
      return await generate("rsa", { modulusLength: 2048 });
    case "rsa-3072":
      return await generate("rsa", { modulusLength: 3072 });
  }
}

/** The pair that a private key belongs to. */
export function keyPairOf(privateKey: KeyObject): KeyPair {
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Writes a private key as PKCS#8 PEM, encrypted (PBES2, AES-256) when there is a passphrase. */
export function privateKeyToPem(key: KeyObject, passphrase?: string): string {
  const wrap = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase };
  return key.export({ type: "pkcs8", format: "pem", ...wrap });
}

/**
 * Reads a private key from PEM.
 *
 * @throws {UsageError} `usage/key` for anything but an ECDSA or RSA key, or a wrong or missing passphrase. Nothing of
 * the input is in the error.
 */
export function parsePrivateKey(pem: string | Uint8Array, passphrase?: string): KeyObject {
  const text = typeof pem === "string" ? pem : Buffer.from(pem).toString("latin1");
  if (text.length > maxKeyOctets)
    throw new UsageError("usage/key", `a key of ${text.length} octets is more than ${maxKeyOctets}`);
  const key = tryPrivateKey(text, passphrase);
  if (keyFacts(key).type === "other") {
    throw new UsageError(
      "usage/key",
      `a key of type ${key.asymmetricKeyType} cannot be used: no cipher suite takes it`,
    );
  }
  return key;
}

/**
 * Reads a private key from DER: PKCS#8, or the older forms that some EST servers still send.
 *
 * @throws {UsageError} `usage/key`
 */
export function privateKeyFromDer(der: Uint8Array): KeyObject {
  for (const type of ["pkcs8", "sec1", "pkcs1"] as const) {
    try {
      return parsePrivateKey(privateKeyToPem(createPrivateKey({ key: Buffer.from(der), format: "der", type })));
    } catch {
      // Another form, perhaps; what the library says of the octets stays out of the error.
    }
  }
  throw new UsageError("usage/key", "this is not a private key");
}

/** Stores a private key in a file of mode 0600, durably. */
export async function writeKeyFile(path: string, key: KeyObject, passphrase?: string): Promise<void> {
  await writeFileAtomic(path, privateKeyToPem(key, passphrase), { mode: 0o600 });
}

/** How a key file is read. */
export interface KeyFileOptions {
  readonly passphrase?: string;
  /** Accepts a file that group or others may read; only for keys that protect nothing. */
  readonly allowShared?: boolean;
}

/**
 * Reads a private key from a PEM file that only its owner can read.
 *
 * @throws {UsageError} `usage/file`, `usage/key`, `usage/key-permissions`
 * @see IEC 62443-4-2 CR 1.9 d
 */
export async function readKeyFile(
  path: string,
  { passphrase, allowShared = false }: KeyFileOptions = {},
): Promise<KeyObject> {
  let text;
  try {
    const { mode, size } = await stat(path);
    if (!allowShared && process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw new UsageError(
        "usage/key-permissions",
        `the key file '${path}' has mode ${(mode & 0o777).toString(8)}: others can read it`,
        { facts: { path } },
      );
    }
    if (size > maxKeyOctets)
      throw new UsageError("usage/key", `'${path}' is too large to be a key`, { facts: { path, size } });
    text = await readFile(path, "latin1");
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError("usage/file", `the key file '${path}' cannot be read (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
  return parsePrivateKey(text, passphrase);
}

/**
 * The type of a key, as cipher suites and Apply_Config (extended error 3) distinguish them.
 *
 * @throws {TrustError} `trust/weak` for a type that no suite uses.
 */
export function keyType(of: KeyObject | { readonly publicKey: KeyObject }): KeyType {
  const { type } = keyFacts("publicKey" in of ? of.publicKey : of);
  if (type === "other") throw new TrustError("trust/weak", "the key is neither ECDSA nor RSA");
  return type;
}

/** Tells whether two keys, public or private, belong to the same pair. */
export function samePublicKey(a: KeyObject, b: KeyObject): boolean {
  return publicHalf(a).equals(publicHalf(b));
}

/** The public half of a key that may be either. */
export function publicHalf(key: KeyObject): KeyObject {
  return key.type === "private" ? createPublicKey(key) : key;
}

function tryPrivateKey(text: string, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? { key: text } : { key: text, passphrase });
  } catch {
    // The library's error is left out: it is not known never to quote its input.
    const encrypted = text.includes("ENCRYPTED");
    if (!encrypted) throw new UsageError("usage/key", "this is not a private key in PEM form");
    const missing = passphrase === undefined;
    throw new UsageError(
      "usage/key",
      missing ? "the private key is encrypted: a passphrase is needed" : "the passphrase does not open the private key",
    );
  }
}
