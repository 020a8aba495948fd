/** How the two ends agree on keys and prove who they are. TLS 1.3 suites leave both open. */
export type KeyExchange = "ecdhe-ecdsa" | "rsa" | "ecdhe-psk" | "tls13";

/** One TLS or DTLS cipher suite that the cipher suite attributes of EtherNet/IP Security may name. */
export interface CipherSuite {
  /** IANA number, first octet high: 0xC02B is on the wire as C0 2B. */
  readonly id: number;
  /** The name that IANA gives it. */
  readonly name: string;
  /** The name that OpenSSL and Node know it by; `undefined` where OpenSSL has no such suite. */
  readonly openssl: string | undefined;
  /** False for the NULL suites: messages are authentic, but anyone on the line can read them. */
  readonly encrypts: boolean;
  /** What the target proves itself with; TLS 1.3 suites take any certificate or key. */
  readonly auth: "ecdsa" | "rsa" | "psk" | "any";
  readonly version: "1.2" | "1.3";
  readonly keyExchange: KeyExchange;
  /** How records are protected: an AEAD cipher, CBC with a MAC (which needs Encrypt-then-MAC), or a MAC alone. */
  readonly protection: "aead" | "cbc" | "null";
  /** The MAC of CBC and NULL suites; an AEAD cipher carries its own. */
  readonly mac: "aead" | "sha1" | "sha256" | "sha384";
}

/**
 * Every suite that public sources connect with CIP Security, and those of TLS 1.3.
 *
 * @see IANA TLS Cipher Suites registry; RFC 4279, 5289, 5489, 6655, 7251, 7905, 8442, 8446; reference cip-security.md 2.3
 */
export const cipherSuites: readonly CipherSuite[] = [
  tls13(0x1301, "TLS_AES_128_GCM_SHA256"),
  tls13(0x1302, "TLS_AES_256_GCM_SHA384"),
  tls13(0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
  ecdsa(0xc02b, "AES_128_GCM_SHA256", "AES128-GCM-SHA256", "aead", "aead"),
  ecdsa(0xc02c, "AES_256_GCM_SHA384", "AES256-GCM-SHA384", "aead", "aead"),
  ecdsa(0xcca9, "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "aead", "aead"),
  ecdsa(0xc0ac, "AES_128_CCM", "AES128-CCM", "aead", "aead"),
  ecdsa(0xc0ae, "AES_128_CCM_8", "AES128-CCM8", "aead", "aead"),
  ecdsa(0xc023, "AES_128_CBC_SHA256", "AES128-SHA256", "cbc", "sha256"),
  ecdsa(0xc024, "AES_256_CBC_SHA384", "AES256-SHA384", "cbc", "sha384"),
  ecdsa(0xc006, "NULL_SHA", "NULL-SHA", "null", "sha1"),
  psk(0xd001, "AES_128_GCM_SHA256", undefined, "aead", "aead"),
  psk(0xd002, "AES_256_GCM_SHA384", undefined, "aead", "aead"),
  psk(0xd003, "AES_128_CCM_8_SHA256", undefined, "aead", "aead"),
  psk(0xd005, "AES_128_CCM_SHA256", undefined, "aead", "aead"),
  psk(0xccac, "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "aead", "aead"),
  psk(0xc037, "AES_128_CBC_SHA256", "AES128-CBC-SHA256", "cbc", "sha256"),
  psk(0xc03a, "NULL_SHA256", "NULL-SHA256", "null", "sha256"),
  rsa(0x003c, "AES_128_CBC_SHA256", "AES128-SHA256", "cbc", "sha256"),
  rsa(0x003d, "AES_256_CBC_SHA256", "AES256-SHA256", "cbc", "sha256"),
  rsa(0x003b, "NULL_SHA256", "NULL-SHA256", "null", "sha256"),
];

/** The suite with this IANA number, or `undefined` for one that the table lacks. */
export function cipherSuite(id: number): CipherSuite | undefined {
  return byId.get(id);
}

/** Words for a suite: its IANA name, or its number where the table lacks it. */
export function cipherSuiteText(id: number): string {
  return byId.get(id)?.name ?? `cipher suite 0x${id.toString(16).toUpperCase().padStart(4, "0")}`;
}

const byId: ReadonlyMap<number, CipherSuite> = new Map(cipherSuites.map((suite) => [suite.id, suite]));

type Protection = CipherSuite["protection"];
type Mac = CipherSuite["mac"];

function tls13(id: number, name: string): CipherSuite {
  return {
    id,
    name,
    openssl: name,
    encrypts: true,
    auth: "any",
    version: "1.3",
    keyExchange: "tls13",
    protection: "aead",
    mac: "aead",
  };
}

function ecdsa(id: number, cipher: string, openssl: string, protection: Protection, mac: Mac): CipherSuite {
  return tls12(id, `TLS_ECDHE_ECDSA_WITH_${cipher}`, `ECDHE-ECDSA-${openssl}`, "ecdhe-ecdsa", "ecdsa", protection, mac);
}

function psk(id: number, cipher: string, openssl: string | undefined, protection: Protection, mac: Mac): CipherSuite {
  const name = openssl === undefined ? undefined : `ECDHE-PSK-${openssl}`;
  return tls12(id, `TLS_ECDHE_PSK_WITH_${cipher}`, name, "ecdhe-psk", "psk", protection, mac);
}

function rsa(id: number, cipher: string, openssl: string, protection: Protection, mac: Mac): CipherSuite {
  return tls12(id, `TLS_RSA_WITH_${cipher}`, openssl, "rsa", "rsa", protection, mac);
}

function tls12(
  id: number,
  name: string,
  openssl: string | undefined,
  keyExchange: KeyExchange,
  auth: CipherSuite["auth"],
  protection: Protection,
  mac: Mac,
): CipherSuite {
  return { id, name, openssl, encrypts: protection !== "null", auth, version: "1.2", keyExchange, protection, mac };
}
