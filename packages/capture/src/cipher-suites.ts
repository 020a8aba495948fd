/** How records of a suite are protected. Sizes in octets. */
export type Bulk =
  /** Content in clear, followed by its HMAC. */
  | { readonly mode: "null"; readonly mac: MacName; readonly prf: PrfHash }
  | {
      readonly mode: "cbc";
      readonly cipher: "aes-128-cbc" | "aes-256-cbc";
      readonly keySize: 16 | 32;
      readonly mac: MacName;
      readonly prf: PrfHash;
    }
  | {
      readonly mode: "gcm";
      readonly cipher: "aes-128-gcm" | "aes-256-gcm";
      readonly keySize: 16 | 32;
      readonly tagSize: 16;
      readonly prf: PrfHash;
    }
  | {
      readonly mode: "ccm";
      readonly cipher: "aes-128-ccm" | "aes-256-ccm";
      readonly keySize: 16 | 32;
      readonly tagSize: 8 | 16;
      readonly prf: PrfHash;
    }
  | {
      readonly mode: "chacha20";
      readonly cipher: "chacha20-poly1305";
      readonly keySize: 32;
      readonly tagSize: 16;
      readonly prf: PrfHash;
    };

/** Hash of a suite's HMAC. */
export type MacName = "sha1" | "sha256" | "sha384";

/** Hash of a suite's key derivation: never SHA-1 from TLS 1.2 on. */
export type PrfHash = "sha256" | "sha384";

/** A cipher suite whose records can be opened. */
export interface CipherSuite {
  readonly id: number;
  /** Name in the IANA registry. */
  readonly name: string;
  readonly bulk: Bulk;
}

/** The suite with this IANA number, or `undefined` when its records cannot be opened. */
export function cipherSuite(id: number): CipherSuite | undefined {
  return suites.get(id);
}

/** The IANA name where it is known, else the number as `0xC0FF`. */
export function suiteName(id: number): string {
  return suites.get(id)?.name ?? `0x${id.toString(16).toUpperCase().padStart(4, "0")}`;
}

const nullSha: Bulk = { mode: "null", mac: "sha1", prf: "sha256" };
const nullSha256: Bulk = { mode: "null", mac: "sha256", prf: "sha256" };
const nullSha384: Bulk = { mode: "null", mac: "sha384", prf: "sha384" };
const cbc128Sha: Bulk = { mode: "cbc", cipher: "aes-128-cbc", keySize: 16, mac: "sha1", prf: "sha256" };
const cbc256Sha: Bulk = { mode: "cbc", cipher: "aes-256-cbc", keySize: 32, mac: "sha1", prf: "sha256" };
const cbc128Sha256: Bulk = { mode: "cbc", cipher: "aes-128-cbc", keySize: 16, mac: "sha256", prf: "sha256" };
const cbc256Sha256: Bulk = { mode: "cbc", cipher: "aes-256-cbc", keySize: 32, mac: "sha256", prf: "sha256" };
const cbc256Sha384: Bulk = { mode: "cbc", cipher: "aes-256-cbc", keySize: 32, mac: "sha384", prf: "sha384" };
const gcm128: Bulk = { mode: "gcm", cipher: "aes-128-gcm", keySize: 16, tagSize: 16, prf: "sha256" };
const gcm256: Bulk = { mode: "gcm", cipher: "aes-256-gcm", keySize: 32, tagSize: 16, prf: "sha384" };
const ccm128: Bulk = { mode: "ccm", cipher: "aes-128-ccm", keySize: 16, tagSize: 16, prf: "sha256" };
const ccm128Short: Bulk = { mode: "ccm", cipher: "aes-128-ccm", keySize: 16, tagSize: 8, prf: "sha256" };
const ccm256: Bulk = { mode: "ccm", cipher: "aes-256-ccm", keySize: 32, tagSize: 16, prf: "sha256" };
const ccm256Short: Bulk = { mode: "ccm", cipher: "aes-256-ccm", keySize: 32, tagSize: 8, prf: "sha256" };
const chacha: Bulk = { mode: "chacha20", cipher: "chacha20-poly1305", keySize: 32, tagSize: 16, prf: "sha256" };

/** IANA "TLS Cipher Suites", those that EtherNet/IP devices and their tools negotiate. */
const table: readonly (readonly [id: number, name: string, bulk: Bulk])[] = [
  [0x0002, "TLS_RSA_WITH_NULL_SHA", nullSha],
  [0x002c, "TLS_PSK_WITH_NULL_SHA", nullSha],
  [0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA", cbc128Sha],
  [0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA", cbc256Sha],
  [0x003b, "TLS_RSA_WITH_NULL_SHA256", nullSha256],
  [0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256", cbc128Sha256],
  [0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256", cbc256Sha256],
  [0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", cbc128Sha256],
  [0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", cbc256Sha256],
  [0x008c, "TLS_PSK_WITH_AES_128_CBC_SHA", cbc128Sha],
  [0x008d, "TLS_PSK_WITH_AES_256_CBC_SHA", cbc256Sha],
  [0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256", gcm128],
  [0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384", gcm256],
  [0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", gcm128],
  [0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", gcm256],
  [0x00a8, "TLS_PSK_WITH_AES_128_GCM_SHA256", gcm128],
  [0x00a9, "TLS_PSK_WITH_AES_256_GCM_SHA384", gcm256],
  [0x00ae, "TLS_PSK_WITH_AES_128_CBC_SHA256", cbc128Sha256],
  [0x00af, "TLS_PSK_WITH_AES_256_CBC_SHA384", cbc256Sha384],
  [0x00b0, "TLS_PSK_WITH_NULL_SHA256", nullSha256],
  [0x00b1, "TLS_PSK_WITH_NULL_SHA384", nullSha384],
  [0x1301, "TLS_AES_128_GCM_SHA256", gcm128],
  [0x1302, "TLS_AES_256_GCM_SHA384", gcm256],
  [0x1303, "TLS_CHACHA20_POLY1305_SHA256", chacha],
  [0x1304, "TLS_AES_128_CCM_SHA256", ccm128],
  [0x1305, "TLS_AES_128_CCM_8_SHA256", ccm128Short],
  [0xc006, "TLS_ECDHE_ECDSA_WITH_NULL_SHA", nullSha],
  [0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", cbc128Sha],
  [0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", cbc256Sha],
  [0xc010, "TLS_ECDHE_RSA_WITH_NULL_SHA", nullSha],
  [0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", cbc128Sha],
  [0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", cbc256Sha],
  [0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", cbc128Sha256],
  [0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", cbc256Sha384],
  [0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", cbc128Sha256],
  [0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", cbc256Sha384],
  [0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", gcm128],
  [0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", gcm256],
  [0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", gcm128],
  [0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", gcm256],
  [0xc035, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", cbc128Sha],
  [0xc036, "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", cbc256Sha],
  [0xc037, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", cbc128Sha256],
  [0xc038, "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384", cbc256Sha384],
  [0xc039, "TLS_ECDHE_PSK_WITH_NULL_SHA", nullSha],
  [0xc03a, "TLS_ECDHE_PSK_WITH_NULL_SHA256", nullSha256],
  [0xc03b, "TLS_ECDHE_PSK_WITH_NULL_SHA384", nullSha384],
  [0xc09c, "TLS_RSA_WITH_AES_128_CCM", ccm128],
  [0xc09d, "TLS_RSA_WITH_AES_256_CCM", ccm256],
  [0xc0a0, "TLS_RSA_WITH_AES_128_CCM_8", ccm128Short],
  [0xc0a1, "TLS_RSA_WITH_AES_256_CCM_8", ccm256Short],
  [0xc0a4, "TLS_PSK_WITH_AES_128_CCM", ccm128],
  [0xc0a5, "TLS_PSK_WITH_AES_256_CCM", ccm256],
  [0xc0a8, "TLS_PSK_WITH_AES_128_CCM_8", ccm128Short],
  [0xc0a9, "TLS_PSK_WITH_AES_256_CCM_8", ccm256Short],
  [0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", ccm128],
  [0xc0ad, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", ccm256],
  [0xc0ae, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", ccm128Short],
  [0xc0af, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", ccm256Short],
  [0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", chacha],
  [0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", chacha],
  [0xccab, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", chacha],
  [0xccac, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", chacha],
  [0xd001, "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", gcm128],
  [0xd002, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", gcm256],
  [0xd003, "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", ccm128Short],
  [0xd005, "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256", ccm128],
];

const suites: ReadonlyMap<number, CipherSuite> = new Map(table.map(([id, name, bulk]) => [id, { id, name, bulk }]));
