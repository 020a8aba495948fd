/** How the records of a suite are protected. */
export type Bulk =
  | { readonly kind: "aead"; readonly cipher: AeadName; readonly keyLength: number; readonly tagLength: 8 | 16 }
  | { readonly kind: "cbc"; readonly cipher: CbcName; readonly keyLength: 16 | 32; readonly mac: MacName }
  | { readonly kind: "null"; readonly mac: MacName };

/** AEAD ciphers, by OpenSSL's names. */
export type AeadName = "aes-128-gcm" | "aes-256-gcm" | "aes-128-ccm" | "aes-256-ccm" | "chacha20-poly1305";
/** Block ciphers, by OpenSSL's names. */
export type CbcName = "aes-128-cbc" | "aes-256-cbc";
/** Hashes that HMAC is used with. SHA-1 only where the one suite 0xC006 or 0xC010 says so. */
export type MacName = "sha1" | "sha256" | "sha384";

/** A cipher suite: what its number stands for. */
export interface CipherSuite {
  readonly id: number;
  /** IANA's name, without `TLS_`. */
  readonly name: string;
  readonly keyExchange: "ecdhe" | "rsa" | "ecdhe-psk";
  readonly authentication: "ecdsa" | "rsa" | "psk";
  readonly bulk: Bulk;
  /** Hash of the pseudorandom function and of Finished. */
  readonly prf: "sha256" | "sha384";
  /** False for integrity-only suites: payloads travel readable. */
  readonly encrypts: boolean;
}

const gcm128: Bulk = { kind: "aead", cipher: "aes-128-gcm", keyLength: 16, tagLength: 16 };
const gcm256: Bulk = { kind: "aead", cipher: "aes-256-gcm", keyLength: 32, tagLength: 16 };
const ccm128: Bulk = { kind: "aead", cipher: "aes-128-ccm", keyLength: 16, tagLength: 16 };
const ccm256: Bulk = { kind: "aead", cipher: "aes-256-ccm", keyLength: 32, tagLength: 16 };
const ccm128short: Bulk = { kind: "aead", cipher: "aes-128-ccm", keyLength: 16, tagLength: 8 };
const ccm256short: Bulk = { kind: "aead", cipher: "aes-256-ccm", keyLength: 32, tagLength: 8 };
const chacha: Bulk = { kind: "aead", cipher: "chacha20-poly1305", keyLength: 32, tagLength: 16 };
const cbc128: Bulk = { kind: "cbc", cipher: "aes-128-cbc", keyLength: 16, mac: "sha256" };
const cbc256: Bulk = { kind: "cbc", cipher: "aes-256-cbc", keyLength: 32, mac: "sha256" };
const cbc256sha384: Bulk = { kind: "cbc", cipher: "aes-256-cbc", keyLength: 32, mac: "sha384" };
const nullSha1: Bulk = { kind: "null", mac: "sha1" };
const nullSha256: Bulk = { kind: "null", mac: "sha256" };
const nullSha384: Bulk = { kind: "null", mac: "sha384" };

/**
 * Every suite that this package speaks, best first: the order is also the default order of preference.
 *
 * @see RFC 5289, 5489, 7251, 6655, 7905, 8422, 8442
 */
export const cipherSuites: readonly CipherSuite[] = [
  suite(0xc02b, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", gcm128),
  suite(0xc02c, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", gcm256),
  suite(0xcca9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", chacha),
  suite(0xc02f, "ECDHE_RSA_WITH_AES_128_GCM_SHA256", gcm128),
  suite(0xc030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384", gcm256),
  suite(0xcca8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", chacha),
  suite(0xd001, "ECDHE_PSK_WITH_AES_128_GCM_SHA256", gcm128),
  suite(0xd002, "ECDHE_PSK_WITH_AES_256_GCM_SHA384", gcm256),
  suite(0xccac, "ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", chacha),
  suite(0xc0ac, "ECDHE_ECDSA_WITH_AES_128_CCM", ccm128),
  suite(0xc0ad, "ECDHE_ECDSA_WITH_AES_256_CCM", ccm256),
  suite(0xd005, "ECDHE_PSK_WITH_AES_128_CCM_SHA256", ccm128),
  suite(0xc0ae, "ECDHE_ECDSA_WITH_AES_128_CCM_8", ccm128short),
  suite(0xc0af, "ECDHE_ECDSA_WITH_AES_256_CCM_8", ccm256short),
  suite(0xd003, "ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", ccm128short),
  suite(0xc023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", cbc128),
  suite(0xc024, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", cbc256sha384),
  suite(0xc027, "ECDHE_RSA_WITH_AES_128_CBC_SHA256", cbc128),
  suite(0xc028, "ECDHE_RSA_WITH_AES_256_CBC_SHA384", cbc256sha384),
  suite(0xc037, "ECDHE_PSK_WITH_AES_128_CBC_SHA256", cbc128),
  suite(0xc038, "ECDHE_PSK_WITH_AES_256_CBC_SHA384", cbc256sha384),
  suite(0x003c, "RSA_WITH_AES_128_CBC_SHA256", cbc128),
  suite(0x003d, "RSA_WITH_AES_256_CBC_SHA256", cbc256),
  suite(0xc006, "ECDHE_ECDSA_WITH_NULL_SHA", nullSha1),
  suite(0xc010, "ECDHE_RSA_WITH_NULL_SHA", nullSha1),
  suite(0xc03a, "ECDHE_PSK_WITH_NULL_SHA256", nullSha256),
  suite(0xc03b, "ECDHE_PSK_WITH_NULL_SHA384", nullSha384),
  suite(0x003b, "RSA_WITH_NULL_SHA256", nullSha256),
];

const byId = new Map(cipherSuites.map((entry) => [entry.id, entry]));

/** The suite with this number, or `undefined` for one that this package does not speak. */
export function cipherSuite(id: number): CipherSuite | undefined {
  return byId.get(id);
}

/**
 * What is offered and accepted unless the caller lists suites: AEAD with ephemeral keys and a full tag. Everything older
 * or weaker (CBC, CCM with a tag of 8 octets, key exchange by RSA, no encryption) has to be named.
 */
export const defaultSuites: readonly number[] = cipherSuites
  .filter(({ bulk }) => bulk.kind === "aead" && bulk.tagLength === 16)
  .map(({ id }) => id);

function suite(id: number, name: string, bulk: Bulk): CipherSuite {
  const psk = name.startsWith("ECDHE_PSK");
  const ecdsa = name.startsWith("ECDHE_ECDSA");
  return {
    id,
    name,
    keyExchange: psk ? "ecdhe-psk" : name.startsWith("ECDHE") ? "ecdhe" : "rsa",
    authentication: psk ? "psk" : ecdsa ? "ecdsa" : "rsa",
    bulk,
    prf: name.endsWith("SHA384") ? "sha384" : "sha256",
    encrypts: bulk.kind !== "null",
  };
}
