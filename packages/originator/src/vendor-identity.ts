import { CertificateManagement } from "@cipsec/objects";
import {
  certificateSubject,
  parseCertificate,
  refusalError,
  verifyChain,
  type Certificate,
  type Crl,
  type Subject,
} from "@cipsec/pki";
import { objectPath, TrustError, type StackErrorShape } from "@cipsec/wire";
import { serialText, type IdentityReport } from "./device-report.ts";
import type { IdentityReply } from "./identity-reply.ts";
import { readIdentity } from "./posture.ts";
import type { Session } from "./session.ts";
import { readCertificates, tolerant } from "./settings.ts";

/** What a device's birth certificate says of it, and whether that holds. */
export interface VendorIdentity {
  readonly verified: boolean;
  /** Subject of the certificate that the device showed; `null` where it showed none. */
  readonly subject: string | null;
  /** Serial number in that subject. */
  readonly serialNumber: string | null;
  /** Subject of the vendor's root that vouches for it. */
  readonly vendor: string | null;
  /** Why it is not verified. */
  readonly reason: string | null;
}

/** By what a vendor's identity is verified. */
export interface VendorIdentityOptions {
  /** Roots of device makers. */
  readonly anchors: readonly Certificate[];
  readonly crls?: readonly Crl[];
  /** Identity Object, where it was read already. */
  readonly identity?: IdentityReport;
  /** What the device says of itself in discovery, where it was asked: it has to be the same device. */
  readonly announced?: IdentityReply;
}

/** The verdict as a value: who only reads goes on, who writes throws the refusal. */
export interface VendorVerdict {
  readonly identity: VendorIdentity;
  readonly refusal?: StackErrorShape;
}

/**
 * Verifies that the device behind a session is the one that its maker says: its certificate leads to a vendor's root, the
 * serial number in the subject is that of the Identity Object, the common name (`PRODUCT SERIAL`) names the same product, and the
 * handshake has proven the key. The device needs to show its birth certificate, so it has none of a plant yet.
 *
 * @throws {TrustError} `trust/counterfeit` when certificate and identity name different devices: `facts` has both values;
 *   `trust/refused` when no vendor vouches for it (`facts.refusal` is the code of the chain's refusal), nothing was proven (plain
 *   channel, pre-shared key), or there is no serial number to compare.
 * @see IEEE 802.1AR, 8.6; reference cip-security.md 5
 */
export async function verifyVendorIdentity(session: Session, options: VendorIdentityOptions): Promise<VendorIdentity> {
  const { identity, refusal } = await judgeVendorIdentity(session, options);
  if (refusal !== undefined) throw refusal;
  return identity;
}

/** As {@link verifyVendorIdentity}, with the verdict as a value. @throws {TransportError} when the network fails. */
export async function judgeVendorIdentity(session: Session, options: VendorIdentityOptions): Promise<VendorVerdict> {
  const shown = shownCertificate(session);
  const identity = options.identity ?? (await readIdentity(session));
  if (shown === undefined) return refused(undefined, nothingShown(session));
  const wall = session.clock.wallNow();
  const verdict = verifyChain({
    leaf: shown,
    chain: await birthAuthorities(session),
    anchors: options.anchors,
    time: wall === undefined ? undefined : new Date(wall),
    purpose: "any",
    ...(options.crls === undefined ? {} : { crls: options.crls }),
  });
  if (!verdict.ok) return refused(shown, unvouched(session, refusalError(verdict)));
  const difference = differenceOf(certificateSubject(shown), identity, options.announced);
  if (difference !== undefined) return refused(shown, counterfeit(session, shown, difference));
  const vendor = verdict.chain.at(-1)?.facts.subject ?? "";
  return { identity: { verified: true, ...namesOf(shown), vendor, reason: null } };
}

/** What can be told of the vendor's identity where no vendor's root was named. */
export function unverifiedVendor(session: Session): VendorIdentity {
  const reason = "no vendor's root was named to verify it by";
  return { verified: false, ...namesOf(shownCertificate(session)), vendor: null, reason };
}

/** Something that certificate and identity say differently. */
interface Difference {
  readonly what: "serial number" | "product name";
  readonly certificate: string;
  readonly identity: string;
  /** Where the second value stands. */
  readonly where: string;
  /** Nothing can be compared, which is no difference. */
  readonly missing?: boolean;
}

function differenceOf(
  { serialNumber, commonName }: Subject,
  identity: IdentityReport,
  announced: IdentityReply | undefined,
): Difference | undefined {
  const where = "Identity Object";
  const serial = identity.serial.toUpperCase();
  const what = "serial number";
  if (serialNumber === undefined) return { what, certificate: "", identity: serial, where, missing: true };
  const certificate = serialOf(serialNumber);
  if (certificate !== serial) return { what, certificate, identity: serial, where };
  const product = productOf(commonName, serial);
  if (product !== undefined && product !== identity.name.trim())
    return { what: "product name", certificate: product, identity: identity.name.trim(), where };
  const said = announced === undefined ? serial : serialText(announced.identity.serialNumber).toUpperCase();
  return said === serial ? undefined : { what, certificate, identity: said, where: "discovery reply" };
}

/** The serial number in the subject of the certificate that a device showed; nothing where there is none. */
export function shownSerial(session: Session): string | undefined {
  const shown = shownCertificate(session);
  const text = shown === undefined ? undefined : certificateSubject(shown).serialNumber;
  return text === undefined ? undefined : serialOf(text);
}

/** Eight hexadecimal digits where it is a serial number of CIP; else as it is. */
function serialOf(text: string): string {
  const [, digits] = /^(?:0x)?([\da-f]{1,8})$/i.exec(text.trim()) ?? [];
  return digits === undefined ? text : digits.toUpperCase().padStart(8, "0");
}

/** The product in a common name that ends with the serial number; other forms of names are the vendor's own business. */
function productOf(commonName: string | undefined, serial: string): string | undefined {
  const name = commonName?.trim() ?? "";
  // A common name has at most 64 characters: one of that length may have lost its beginning.
  if (name.length >= 64 || !name.toUpperCase().endsWith(` ${serial}`)) return undefined;
  return name.slice(0, -serial.length).trim();
}

/** The certificate whose key the handshake has proven. */
function shownCertificate({ facts }: Session): Certificate | undefined {
  const peer = facts.security?.peer;
  return peer?.kind === "certificate" ? parseCertificate(peer.der) : undefined;
}

/** Authorities between the default certificate and its root: in factory default a device shows its certificate alone. */
async function birthAuthorities(session: Session): Promise<readonly Certificate[]> {
  const path = objectPath(CertificateManagement.classId, defaultInstance);
  return (
    (await tolerant("default certificate", readCertificates(session, path, "caCertificate"), () => undefined)) ?? []
  );
}

/** Certificate Management instance of the default device certificate. */
const defaultInstance = 1;

function namesOf(shown: Certificate | undefined): Pick<VendorIdentity, "subject" | "serialNumber"> {
  if (shown === undefined) return { subject: null, serialNumber: null };
  return { subject: shown.facts.subject, serialNumber: certificateSubject(shown).serialNumber ?? null };
}

function refused(shown: Certificate | undefined, refusal: StackErrorShape): VendorVerdict {
  return { identity: { verified: false, ...namesOf(shown), vendor: null, reason: refusal.message }, refusal };
}

function nothingShown({ peer, facts }: Session): TrustError {
  const how = facts.security === undefined ? "a channel without protection" : `${facts.security.peer.kind} keys`;
  return new TrustError("trust/refused", `${peer}: over ${how} a device proves no birth certificate`, {
    fix: "Reach it over TLS with its factory certificate, or leave --vendor out.",
  });
}

/** The chain is refused. What a plant has configured shows the plant's certificate: that is another question. */
function unvouched({ peer, trust }: Session, cause: StackErrorShape): TrustError {
  const facts = { ...cause.facts, refusal: cause.code };
  if (trust?.kind === "verified") {
    const message = `${peer}: it shows a certificate of ${trust.anchor}, so its birth certificate cannot be proven`;
    const fix = "That certificate says who it is: leave --vendor out, or have it begin anew (--pull --erase).";
    return new TrustError("trust/refused", message, { cause, facts, fix });
  }
  return new TrustError("trust/refused", `${peer}: no named vendor vouches for it: ${cause.message}`, {
    cause,
    facts,
    fix: "Ask its maker for the root that vouches for it; do not commission a device whose origin you cannot tell.",
  });
}

function counterfeit({ peer }: Session, shown: Certificate, difference: Difference): TrustError {
  const { what, certificate, identity, where, missing } = difference;
  const { subject, sha256 } = shown.facts;
  const facts = { subject, sha256, what, certificate, identity };
  if (missing === true)
    return new TrustError("trust/refused", `${peer}: its birth certificate has no ${what}, so it can be any device's`, {
      facts,
      fix: "Ask its maker for devices with a certificate each (IEEE 802.1AR), or leave --vendor out.",
    });
  const words = `the ${what} is '${certificate}' in its birth certificate, but '${identity}' in its ${where}`;
  return new TrustError("trust/counterfeit", `${peer}: ${words}`, { facts });
}
