import { orderByName } from "../credentials.ts";
import type { CertificateCredential } from "../credentials.ts";
import { fail } from "../exchange.ts";
import { certificateCurves, groupOf } from "../groups.ts";
import type { Group } from "../groups.ts";
import type { Settings } from "../settings.ts";
import { chooseScheme, judgeKey } from "../signatures.ts";
import type { SignatureScheme } from "../signatures.ts";
import { cipherSuite } from "../suites.ts";
import type { CipherSuite } from "../suites.ts";

/** What a client's hello offers, read and checked. */
export interface ClientOffer {
  readonly suites: readonly number[];
  readonly sessionId: Uint8Array;
  readonly groups: readonly number[] | undefined;
  readonly schemes: readonly number[] | undefined;
  readonly serverName: string | undefined;
  readonly encryptThenMac: boolean;
  readonly extendedMaster: boolean;
  readonly ticket: Uint8Array | undefined;
  readonly cid: Uint8Array | undefined;
  readonly pointFormats: boolean;
  readonly renegotiationInfo: boolean;
}

/** What the server goes on with. */
export interface Choice {
  readonly suite: CipherSuite;
  readonly group: Group | undefined;
  readonly certificate:
    | { readonly credential: CertificateCredential; readonly scheme: SignatureScheme | undefined }
    | undefined;
}

/** P-256 is what a client without a list is taken to know. @see RFC 8422 4 */
const impliedGroups: readonly number[] = [23];

/** Suites of a client that an error names: a hello may list thousands, and each error is logged. */
const namedSuites = 40;

/**
 * The first suite of ours that the client offers and that both sides have the means for.
 *
 * @throws {DtlsError} `dtls/handshake`, alert `handshake_failure`, with the reason why each shared suite was passed over.
 */
export function chooseSuite(settings: Settings, offer: ClientOffer): Choice {
  const reasons: string[] = [];
  for (const id of settings.suites) {
    const suite = cipherSuite(id);
    if (suite === undefined || !offer.suites.includes(id)) continue;
    const choice = tryOut(suite, settings, offer);
    if (typeof choice !== "string") return choice;
    reasons.push(`${suite.name}: ${choice}`);
  }
  const why = reasons.length === 0 ? "the client offers none of the suites allowed here" : reasons.join("; ");
  const [first, more] = [offer.suites.slice(0, namedSuites), offer.suites.length - namedSuites];
  const suites = first.map(hex).join(" ") + (more > 0 ? ` and ${more} more` : "");
  throw fail("handshake_failure", `no suite can be used: ${why}`, { suites });
}

/** Tells whether both sides have the means for this suite under today's settings: a session is taken up with its own only. */
export function isUsable(id: number, settings: Settings, offer: ClientOffer): boolean {
  const suite = settings.suites.includes(id) && offer.suites.includes(id) ? cipherSuite(id) : undefined;
  return suite !== undefined && typeof tryOut(suite, settings, offer) !== "string";
}

/** The choice with this suite, or why it cannot be. */
function tryOut(suite: CipherSuite, settings: Settings, offer: ClientOffer): Choice | string {
  if (suite.bulk.kind === "cbc" && !offer.encryptThenMac && !settings.allowsMacThenEncrypt) {
    return "the client does not know Encrypt-then-MAC";
  }
  const groupIds = offer.groups ?? impliedGroups;
  // wolfSSL offers X25519 and cannot use it with a pre-shared key (seen in 5.5.4), so P-256 goes first there.
  const preferred = suite.authentication === "psk" ? [...impliedGroups, ...settings.groups] : settings.groups;
  const shared = preferred.find((id) => groupIds.includes(id) && settings.groups.includes(id));
  const group = shared === undefined ? undefined : groupOf(shared);
  if (suite.keyExchange !== "rsa" && group === undefined) return "no group is shared";
  if (suite.authentication === "psk") {
    return settings.credentials.findPsk === undefined
      ? "no pre-shared key is set"
      : { suite, group, certificate: undefined };
  }
  for (const credential of orderByName(settings.credentials.certificates ?? [], offer.serverName)) {
    const judged = judgeKey(credential.key);
    if ("refused" in judged || (judged.kind === "rsa") !== (suite.authentication === "rsa")) continue;
    if (suite.keyExchange === "rsa") return { suite, group: undefined, certificate: { credential, scheme: undefined } };
    const curve = certificateCurves.get(credential.key.asymmetricKeyDetails?.namedCurve ?? "");
    if (curve !== undefined && offer.groups !== undefined && !offer.groups.includes(curve)) continue;
    const scheme = chooseScheme(credential.key, offer.schemes ?? [], settings.signatureSchemes);
    if (scheme !== undefined) return { suite, group, certificate: { credential, scheme } };
  }
  return "no certificate here has a key and a signature scheme that the client takes";
}

function hex(id: number): string {
  return `0x${id.toString(16).padStart(4, "0")}`;
}
