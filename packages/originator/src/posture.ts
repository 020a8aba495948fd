import { CipSecurity, Identity, TcpIpInterface, type EtherNetIpSecurity } from "@cipsec/objects";
import { parseCertificate, type Certificate, type Crl } from "@cipsec/pki";
import {
  Status,
  cipherSuiteText,
  isStackError,
  latin1,
  securityProfileTexts,
  type PreSharedKey,
  type Segment,
  type Value,
  type PortAdminList,
} from "@cipsec/wire";
import {
  cipStateName,
  etherNetIpStateName,
  revisionText,
  serialText,
  type IdentityReport,
  type SecurityReport,
} from "./device-report.ts";
import { findingsOf, type Finding } from "./findings.ts";
import type { Session } from "./session.ts";
import {
  destination,
  hasStatus,
  readCertificates,
  readCrls,
  readPorts,
  readSecuritySettings,
  tolerant,
  type Unread,
} from "./settings.ts";
import type { AttributeValues } from "./typed.ts";

/** All security settings of one device; the shape of `posture --json`. Values are `null` on a device without CIP Security. */
export interface Posture {
  readonly address: string;
  readonly identity: IdentityReport;
  readonly security: SecurityReport | null;
  readonly suites: { readonly available: readonly string[]; readonly allowed: readonly string[] } | null;
  readonly verifyClient: boolean | null;
  readonly sendChain: boolean | null;
  readonly checkExpiration: boolean | null;
  readonly checkSan: boolean | null;
  readonly trustedAuthorities: readonly CertificateReport[];
  /** Fingerprints of the only peers accepted; none: every trusted one. */
  readonly trustedIdentities: readonly CertificateReport[];
  readonly deviceCertificate: CertificateReport | null;
  /** All that the device presents, one for each type of key; `deviceCertificate` is the first. */
  readonly deviceCertificates: readonly CertificateReport[];
  readonly crl: readonly CrlReport[];
  readonly preSharedKeys: readonly { readonly identity: string; readonly usage: number }[];
  readonly pullModel: boolean | null;
  readonly dtlsTimeoutS: number | null;
  readonly inactivityTimeoutS: number | null;
  readonly ports: readonly PortState[];
  readonly channel: ChannelReport;
  /** What the device did not let us read, and its answer. */
  readonly unread: readonly { readonly what: string; readonly why: string }[];
  readonly findings: readonly Finding[];
}

export interface CertificateReport {
  readonly subject: string;
  readonly issuer: string;
  readonly notAfter: string;
  readonly sha256: string;
  readonly selfSigned: boolean;
  readonly keyType: string;
  /** Where it says that its issuer's revocation list stands. */
  readonly crlUrls: readonly string[];
}

export interface CrlReport {
  /** File instance that holds it. */
  readonly file: number;
  readonly issuer: string;
  readonly thisUpdate: string;
  readonly nextUpdate: string | null;
  readonly revoked: number;
}

export interface PortState {
  readonly name: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp" | number;
  readonly open: boolean;
  readonly configurable: boolean;
}

/** The channel that the posture was read over. */
export interface ChannelReport {
  readonly protocol: "tcp" | "tls" | "udp" | "dtls";
  readonly version: string | null;
  readonly suite: string | null;
  /** Who the device has proven to be; `verified` is false where any certificate was accepted. */
  readonly peer: {
    readonly kind: string;
    readonly name: string;
    readonly sha256?: string;
    readonly verified: boolean;
  } | null;
}

/** Options of {@link readPosture}. */
export interface PostureOptions {
  /** Days before its end that a certificate is flagged; default 30. */
  readonly expiryWarningDays?: number;
}

/**
 * Reads and judges all security settings of the device behind a session. Certificates and lists are uploaded and parsed, not
 * taken from what the device says about them.
 *
 * @throws {TransportError} when the network fails; what the device refuses to tell stands in `unread`.
 */
export async function readPosture(session: Session, options: PostureOptions = {}): Promise<Posture> {
  const unread: { what: string; why: string }[] = [];
  const note: Unread = (what, error) => unread.push({ what, why: isStackError(error) ? error.message : String(error) });
  const identity = await readIdentity(session);
  const secured = await readIfThere(session);
  const ports = await readPorts(session, secured === undefined ? () => undefined : note);
  const inactivity = await tolerant(
    "encapsulationInactivityTimeout",
    session.object(TcpIpInterface, 1).get("encapsulationInactivityTimeout"),
    () => undefined,
  );
  const common = {
    address: session.facts.remote.address,
    identity,
    inactivityTimeoutS: inactivity ?? null,
    ports: portStates(ports, session),
    channel: channelReport(session),
    unread,
  };
  const wall = session.clock.wallNow();
  const context = {
    now: wall === undefined ? undefined : new Date(wall),
    warningDays: options.expiryWarningDays ?? 30,
  };
  if (secured === undefined) return judged({ ...common, ...withoutSecurity }, [], context);
  const settings = await readSecuritySettings(session, note);
  const certificates = await readTrust(session, settings, note);
  const facts = securityFacts(secured, settings, certificates, common.ports);
  return judged({ ...common, ...facts }, settings.allowedCipherSuites ?? [], context);
}

/** What the identity object says, read one attribute at a time where Get_Attributes_All is not offered. */
export async function readIdentity(session: Session): Promise<IdentityReport> {
  const object = session.object(Identity, 1);
  const [vendorId, deviceType, productCode, revision, serial, name] = await Promise.all([
    object.get("vendorId"),
    object.get("deviceType"),
    object.get("productCode"),
    object.get("revision"),
    object.get("serialNumber"),
    object.get("productName"),
  ]);
  const state = await tolerant("state", object.get("state"), () => undefined);
  return {
    vendorId,
    deviceType,
    productCode,
    revision: revisionText(revision),
    serial: serialText(serial),
    name,
    state: state ?? 0xff,
  };
}

/** States and profiles of CIP Security; nothing on a device that does not have the object. */
async function readIfThere(session: Session) {
  const object = session.object(CipSecurity, 1);
  try {
    const state = await object.get("state");
    const profiles = await object.get("securityProfiles");
    return { state, profiles };
  } catch (error) {
    if (
      hasStatus(
        error,
        Status.pathDestinationUnknown,
        Status.objectDoesNotExist,
        Status.serviceNotSupported,
        Status.pathSegmentError,
      )
    )
      return undefined;
    throw error;
  }
}

interface TrustRead {
  readonly authorities: readonly Certificate[];
  readonly identities: readonly Certificate[];
  readonly device: readonly Certificate[];
  readonly crls: readonly (readonly [file: number, crl: Crl])[];
}

type Settings = AttributeValues<typeof EtherNetIpSecurity>;

async function readTrust(session: Session, settings: Settings, note: Unread): Promise<TrustRead> {
  const all = async <T>(
    what: string,
    paths: readonly (readonly Segment[])[],
    read: (path: readonly Segment[]) => Promise<readonly T[]>,
  ) => {
    const found: T[] = [];
    for (const path of paths) found.push(...((await tolerant(what, read(path), note)) ?? []));
    return found;
  };
  const certificates = (path: readonly Segment[]) => readCertificates(session, path, "caCertificate");
  const own = async (path: readonly Segment[]) => endEntity(await readCertificates(session, path, "deviceCertificate"));
  const lists = async (path: readonly Segment[]) =>
    (await readCrls(session, path)).map((crl) => [destination(path)?.instance ?? 0, crl] as const);
  const device = await all("deviceCertificate", settings.activeDeviceCertificates ?? [], own);
  const presented = presentedCertificate(session);
  return {
    authorities: await all("trustedAuthorities", settings.trustedAuthorities ?? [], certificates),
    identities: await all("trustedIdentities", settings.trustedIdentities ?? [], own),
    device: device.length > 0 || presented === undefined ? device : [presented],
    crls: await all("crl", settings.certificateRevocationList ?? [], lists),
  };
}

/** Of a file that may hold its chain too, in any order, the certificate that is no authority's. */
function endEntity(certificates: readonly Certificate[]): readonly Certificate[] {
  const found = certificates.find(({ facts }) => !facts.isCa) ?? certificates[0];
  return found === undefined ? [] : [found];
}

/** The certificate that the device showed in the handshake. */
function presentedCertificate(session: Session): Certificate | undefined {
  const peer = session.facts.security?.peer;
  return peer?.kind === "certificate" ? parseCertificate(peer.der) : undefined;
}

const withoutSecurity = {
  security: null,
  suites: null,
  verifyClient: null,
  sendChain: null,
  checkExpiration: null,
  checkSan: null,
  trustedAuthorities: [],
  trustedIdentities: [],
  deviceCertificate: null,
  deviceCertificates: [],
  crl: [],
  preSharedKeys: [],
  pullModel: null,
  dtlsTimeoutS: null,
} as const;

function securityFacts(
  secured: { readonly state: number; readonly profiles: number },
  settings: Settings,
  trust: TrustRead,
  ports: readonly PortState[],
) {
  return {
    security: {
      profiles: securityProfileTexts(secured.profiles),
      cipState: cipStateName(secured.state),
      ethernetIpState: settings.state === undefined ? "unknown" : etherNetIpStateName(settings.state),
      securePortsOnly:
        ports.length > 0 && !ports.some(isPlaintext) && ports.some(({ port, open }) => port === 2221 && open),
    },
    suites: {
      available: (settings.availableCipherSuites ?? []).map(cipherSuiteText),
      allowed: (settings.allowedCipherSuites ?? []).map(cipherSuiteText),
    },
    verifyClient: settings.verifyClientCertificate ?? null,
    sendChain: settings.sendCertificateChain ?? null,
    checkExpiration: settings.checkExpiration ?? null,
    checkSan: settings.checkSubjectAlternativeName ?? null,
    trustedAuthorities: trust.authorities.map(certificateReport),
    trustedIdentities: trust.identities.map(certificateReport),
    deviceCertificate: trust.device[0] === undefined ? null : certificateReport(trust.device[0]),
    deviceCertificates: trust.device.map(certificateReport),
    crl: trust.crls.map(([file, crl]) => crlReport(file, crl)),
    preSharedKeys: (settings.preSharedKeys ?? []).map(pskReport),
    pullModel: settings.pullModelEnable ?? null,
    dtlsTimeoutS: settings.dtlsTimeout ?? null,
  };
}

function judged(
  facts: Omit<Posture, "findings">,
  allowedSuites: readonly number[],
  context: { readonly now: Date | undefined; readonly warningDays: number },
): Posture {
  return { ...facts, findings: findingsOf(facts, allowedSuites, context) };
}

/** Whether an open port carries CIP messages or I/O without protection; discovery on 44818/udp does not. */
export function isPlaintext({ port, protocol, open }: PortState): boolean {
  return open && ((port === 44818 && protocol === "tcp") || (port === 2222 && protocol === "udp"));
}

function portStates(ports: Value<typeof PortAdminList> | undefined, session: Session): readonly PortState[] {
  if (ports !== undefined && ports.length > 0)
    return ports.map(({ name, port, protocol, open, capability }) => ({
      name,
      port,
      protocol: protocol === 6 ? "tcp" : protocol === 17 ? "udp" : protocol,
      open,
      configurable: (capability & 1) !== 0,
    }));
  // A device without the table: the port we came in by is open, and more is not known.
  const { remote, protocol } = session.facts;
  const isUdp = protocol === "dtls";
  return [{ name: "EtherNet/IP", port: remote.port, protocol: isUdp ? "udp" : "tcp", open: true, configurable: false }];
}

/** The channel of a session, and who the other end has proven to be. */
export function channelReport(session: Session): ChannelReport {
  const { protocol, security } = session.facts;
  if (security === undefined) return { protocol, version: null, suite: null, peer: null };
  const { version, suiteName, peer } = security;
  const verified = session.trust !== undefined && session.trust.kind !== "accepted-any";
  const named =
    peer.kind === "certificate"
      ? { kind: peer.kind, name: peer.subject, sha256: peer.sha256, verified }
      : { kind: peer.kind, name: peer.kind === "psk" ? peer.identity : "", verified };
  return { protocol, version, suite: suiteName, peer: named };
}

/** A certificate for people and programs. */
export function certificateReport({ facts }: Certificate): CertificateReport {
  const { subject, issuer, notAfter, sha256, selfSigned, keyType, crlUrls } = facts;
  return { subject, issuer, notAfter: notAfter.toISOString(), sha256, selfSigned, keyType, crlUrls };
}

function crlReport(file: number, crl: Crl): CrlReport {
  return {
    file,
    issuer: crl.issuer,
    thisUpdate: crl.thisUpdate.toISOString(),
    nextUpdate: crl.nextUpdate?.toISOString() ?? null,
    revoked: crl.entries.size,
  };
}

function pskReport({ identity, usage }: PreSharedKey): { identity: string; usage: number } {
  return { identity: latin1(identity), usage };
}
