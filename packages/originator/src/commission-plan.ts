import type { KeyType } from "@cipsec/pki";
import { UsageError, cipherSuite, cipherSuiteText, maxPskIdentity, maxPskKey } from "@cipsec/wire";

/** What a commissioned device is to do. The same plan commissions a factory-default device and reconfigures a configured one. */
export interface CommissionPlan {
  /** Name of the certificate instance and of the files that belong to it; up to 40 letters, digits, `-`, `_`, `.`. */
  readonly label: string;
  /** IANA numbers, best first. A device that lacks one refuses them all, unless the plan has fallbacks. */
  readonly suites: readonly number[];
  /** Lists to turn to in their order: of the first list of which the device has any, `suites` before them, it gets what it has. */
  readonly fallbackSuites?: readonly (readonly number[])[];
  /** Pre-shared keys; without any, earlier ones are removed. */
  readonly psks?: readonly PlannedPsk[];
  readonly verifyClient: boolean;
  readonly sendChain: boolean;
  /** `if-possible`: on, unless the device refuses it (no clock that it trusts, an older edition). */
  readonly checkExpiration: boolean | "if-possible";
  readonly checkSan: boolean | "if-possible";
  /** PEM of the only peers to accept; none accepts every trusted one. */
  readonly trustedIdentities?: readonly string[];
  /** PEM of one revocation list or several. */
  readonly crlPem?: string;
  /** Key types that the device gets a certificate for; default: one certificate, for the key that the device makes by itself. */
  readonly keyTypes?: readonly KeyType[];
  /** How certificates and lists travel; default PEM, and PKCS#7 to a device that takes nothing else. */
  readonly encoding?: "pem" | "pkcs7";
  /** 0 to 3600. */
  readonly dtlsTimeoutS: number;
  /** Close 44818/tcp and 2222/udp; 44818/udp stays open for discovery. */
  readonly closePlaintext: boolean;
}

/** A pre-shared key of a plan. */
export interface PlannedPsk {
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
  /** Value of `PskUsage`; default any. */
  readonly usage?: number;
}

/** Certificate: the device gets one of the plant's. PSK: it keeps its own, and proves itself by a key. */
export type CommissionMode = "certificate" | "psk";

/** One step of a commissioning. */
export type StepName = keyof typeof stepWords;

/** The steps in plain words. */
export const stepWords = {
  connect: "Connect to the device as it is",
  settle: "Wait for a configuration that somebody left open",
  begin: "Open the configuration session",
  create: "Make a place for the certificate",
  request: "Have the device make a key and fetch its certificate request",
  sign: "Sign the certificate",
  install: "Bring certificate and authority into the device",
  verify: "Have the device check both certificates",
  lists: "Bring revocation list and trusted identities into the device",
  settings: "Set suites, keys, trust and checks",
  ports: "Close the plaintext ports",
  apply: "Make it all active",
  reconnect: "Connect again under the new configuration",
  end: "Close the configuration session",
  readback: "Read the settings back and compare",
  cleanup: "Remove what is no longer used",
} as const;

/** The steps for a plan, in the order of the push model. @see reference cip-security.md 3.5 */
export function commissionSteps(plan: CommissionPlan, mode: CommissionMode): readonly StepName[] {
  const certificate: readonly StepName[] = ["create", "request", "sign", "install", "verify"];
  const hasLists = plan.crlPem !== undefined || (plan.trustedIdentities ?? []).length > 0;
  return [
    "connect",
    "settle",
    "begin",
    ...(mode === "certificate" ? certificate : []),
    ...(hasLists ? (["lists"] as const) : []),
    "settings",
    ...(plan.closePlaintext ? (["ports"] as const) : []),
    "apply",
    "reconnect",
    "end",
    "readback",
    "cleanup",
  ];
}

/** Checks a plan before anything is sent. @throws {UsageError} `usage/argument` naming the field. */
export function checkPlan(plan: CommissionPlan, mode: CommissionMode): void {
  const { label, suites, fallbackSuites = [], psks = [], dtlsTimeoutS, verifyClient } = plan;
  if (!/^[\w.-]{1,40}$/.test(label)) throw bad("label", "1 to 40 letters, digits, '-', '_' or '.'");
  if (!Number.isInteger(dtlsTimeoutS) || dtlsTimeoutS < 0 || dtlsTimeoutS > 3600)
    throw bad("dtlsTimeoutS", "0 to 3600");
  for (const { identity, key } of psks)
    if (identity.length === 0 || identity.length > maxPskIdentity || key.length === 0 || key.length > maxPskKey)
      throw bad("psks", `identities of 1 to ${maxPskIdentity} and keys of 1 to ${maxPskKey} octets`);
  for (const list of [suites, ...fallbackSuites]) checkSuites(list, mode, verifyClient);
  checkKeyTypes(plan, mode);
  if (mode === "psk" && psks.length === 0) throw bad("psks", "a key, as no certificate is issued");
}

function checkKeyTypes({ keyTypes, suites, fallbackSuites = [] }: CommissionPlan, mode: CommissionMode): void {
  if (keyTypes === undefined) return;
  if (mode === "psk") throw bad("keyTypes", "a mode in which certificates are issued");
  if (keyTypes.length === 0 || new Set(keyTypes).size !== keyTypes.length) throw bad("keyTypes", "each type once");
  const auths = [...suites, ...fallbackSuites.flat()].map((id) => cipherSuite(id)?.auth);
  for (const type of keyTypes)
    if (!auths.includes(type) && !auths.includes("any"))
      throw bad("suites", `one for a certificate with a key of ${type}`);
}

function checkSuites(suites: readonly number[], mode: CommissionMode, verifyClient: boolean): void {
  if (suites.length === 0) throw bad("suites", "at least one cipher suite");
  const known = suites.map(cipherSuite).filter((suite) => suite !== undefined);
  const fits = known.filter(({ auth }) => (mode === "psk" ? auth === "psk" : auth !== "psk"));
  if (fits.length === 0)
    throw bad(
      "suites",
      `one for ${mode === "psk" ? "pre-shared keys" : "certificates"}; there are ${suites.map(cipherSuiteText).join(", ")}`,
    );
  if (mode === "psk" && verifyClient && known.some(({ auth }) => auth !== "psk"))
    throw bad("verifyClient", "off, as in pre-shared key mode the device trusts no authority");
}

function bad(field: string, needed: string): UsageError {
  return new UsageError("usage/argument", `commissioning plan: '${field}' needs ${needed}`, { facts: { field } });
}
