import { isIPv4 } from "node:net";
import { estServiceType, isHostName, isServiceType, readEstUrl } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { readEdsFacts, type EdsFacts } from "./eds.ts";
import { Fields, asLatin1, wrong } from "./fields.ts";
import type { DeviceIdentity } from "./identity.ts";
import { readAction, readConnections, type ConnectionDescription, type OutputAction } from "./io/description.ts";
import { readIngress, type IngressRule } from "./ingress.ts";
import { readLimits, type DeviceLimits } from "./limits.ts";
import { readParameters, type ParametersDescription } from "./parameters/description.ts";
import { readSessionPolicy, type SessionPolicy } from "./session-policy.ts";
import { readTags, type TagsDescription } from "./tags/description.ts";

/** Ports a device listens on; `null` never opens. */
export interface DevicePorts {
  /** 44818/tcp, plain explicit messages. */
  readonly eip: number | null;
  /** 44818/udp, discovery. */
  readonly eipUdp: number | null;
  /** 2222/udp, class 0 and 1 data. */
  readonly io: number | null;
  /** 2221/tcp, explicit messages over TLS. */
  readonly eips: number | null;
  /** 2221/udp, unconnected messages and class 0 and 1 data over DTLS; left out as `null`. */
  readonly eipd?: number | null;
}

/** Cipher suites that a device has from the factory: today's, or those of devices built before GCM was required. */
export type CipherGeneration = "modern" | "cbc-psk";

/** What a device with CIP Security has from the factory. */
export interface SecurityDescription {
  readonly generation: CipherGeneration;
  /** TLS 1.3 is offered when this says so; 1.2 always is. */
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
  /** Signed by the vendor's authority (files), or made by the device at its first start. */
  readonly defaultCertificate:
    | { readonly kind: "vendor"; readonly certificate: string; readonly key: string }
    | { readonly kind: "self-signed" };
  readonly csrKey: "P-256" | "P-384" | "RSA-2048" | "RSA-3072";
  /** Whether EtherNet/IP Security has the layouts of early editions: pre-shared keys without usage, one revocation list. */
  readonly earlyLayouts?: boolean;
  /** Octets of one file; four times as many of all together. */
  readonly fileOctets?: number;
  /** Whether the device has the suites for RSA certificates too, which edition 1.13 made optional. */
  readonly rsa?: boolean;
  /** Seconds that a configuration session lives without Kick_Timer. */
  readonly configTimerS: number;
  /** Whether the plain ports take TLS and DTLS too, told by the first octet. */
  readonly samePort: boolean;
  /** Whether StartDTLS on the port of discovery leads to DTLS there, with encapsulation frames inside. */
  readonly startDtls: boolean;
  /**
   * Whether a Forward_Open over TLS may open class 0 and 1 connections. Their data would go unprotected, by the plain I/O port
   * while that is open.
   */
  readonly plainIoOverTls: boolean;
  /** What becomes of open sessions when trust changes; as for an empty entry where left out. */
  readonly sessions?: SessionPolicy;
  /** How the device fetches its certificate by itself; it has no pull model where left out. */
  readonly pull?: PullDescription;
}

/** The pull model of a device: where it looks for its EST server, and by what it knows it at the first contact. */
export interface PullDescription {
  /** `https://HOST[:PORT][/.well-known/est/LABEL]`: no other is looked for. */
  readonly url?: string;
  /** DNS-SD service type. */
  readonly service: string;
  /** Domain of the device; empty: it has none. */
  readonly domain: string;
  /** DNS servers, `HOST` or `HOST:PORT`; the system's where there are none. */
  readonly dnsServers: readonly string[];
  readonly mdns: boolean;
  /** Path of PEM certificates of authorities. */
  readonly anchors?: string;
  /** SHA-256 of an authority. */
  readonly fingerprint?: string;
  readonly trustOnFirstUse: boolean;
  /** Whether the device closes its plaintext ports once it has a certificate. */
  readonly closePlaintext: boolean;
}

/** One assembly instance: octets that the application and the network share. */
export interface AssemblyDescription {
  readonly instance: number;
  readonly kind: "input" | "output" | "configuration";
  /** Octets. */
  readonly size: number;
  readonly name: string;
  /** Outputs when the connection that owns them is lost or closed: zero where left out. IEC 62443-4-2 CR 3.6. */
  readonly faultState?: OutputAction;
  /** Outputs while the owner is idle: zero where left out. */
  readonly idleState?: OutputAction;
}

/** A device as its description file says it. */
export interface DeviceDescription {
  readonly name: string;
  readonly identity: DeviceIdentity;
  readonly address: string;
  readonly ports: DevicePorts;
  /** Broadcast addresses that discovery listens on. */
  readonly broadcastAddresses: readonly string[];
  readonly hostName: string;
  /** Whether the device trusts its clock: without one it cannot judge expiry. */
  readonly clock: boolean;
  /** `null`: a device from before CIP Security. */
  readonly security: SecurityDescription | null;
  readonly assemblies: readonly AssemblyDescription[];
  /** Class 0 and 1 connections that can be opened. */
  readonly connections: readonly ConnectionDescription[];
  /** Tags as Logix controllers have them, with their structures. */
  readonly tags?: TagsDescription;
  /** What the EDS that the device holds says beside this description; without it the device holds none. */
  readonly eds?: EdsFacts;
  /** Rules on who may open connections; anybody where left out. */
  readonly ingress?: readonly IngressRule[];
  /** How much peers can take of the device; {@link deviceLimits} where left out. */
  readonly limits?: DeviceLimits;
  /** Parameters, as tools and panels show them. */
  readonly parameters?: ParametersDescription;
}

/**
 * Reads a device description: JSON text as `docs/device-description.md` says. What is left out takes the default that stands there.
 *
 * @throws {UsageError} `usage/file` naming the entry that is wrong, what it must be, and unknown entries.
 */
export function parseDescription(text: string): DeviceDescription {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      "usage/file",
      `device description: not JSON (${error instanceof Error ? error.message : String(error)})`,
      { cause: error },
    );
  }
  return readDescription(json);
}

/** As {@link parseDescription}, for a value that is already JSON. */
export function readDescription(json: unknown): DeviceDescription {
  const at = new Fields(json, "device");
  const name = at.text("name", 64);
  const assemblies = at
    .items("assemblies", 64, [])
    .map((item, i) => readAssembly(new Fields(item, `device.assemblies[${i}]`)));
  const instances = assemblies.map((assembly) => assembly.instance);
  const twice = instances.find((instance, i) => instances.indexOf(instance) !== i);
  if (twice !== undefined) throw wrong("device.assemblies", `instance ${twice} is there twice`);
  const connections = readConnections(at, assemblies);
  const description: DeviceDescription = {
    name,
    identity: readIdentity(at.fields("identity")),
    address: asAddress(at.or("address", "0.0.0.0"), "device.address"),
    ports: readPorts(at.fields("ports", {}), connections.length > 0),
    broadcastAddresses: at
      .items("broadcastAddresses", 8, [])
      .map((item, i) => asAddress(item, `device.broadcastAddresses[${i}]`)),
    hostName: asLatin1(at.text("hostName", 64, ""), "device.hostName"),
    clock: at.flag("clock", true),
    security: readSecurity(at.raw("security")),
    assemblies,
    connections,
    ...readTags(at),
    ...readEdsFacts(at),
    ...readIngress(at),
    ...readLimits(at),
    ...readParameters(at, assemblies),
  };
  at.end();
  return description;
}

function readIdentity(at: Fields): DeviceIdentity {
  const revision = at.fields("revision");
  const identity = {
    vendorId: at.number("vendorId", 1, 0xffff),
    deviceType: at.number("deviceType", 0, 0xffff, 0x2b),
    productCode: at.number("productCode", 1, 0xffff),
    revision: { major: revision.number("major", 1, 127), minor: revision.number("minor", 1, 255) },
    serialNumber: at.number("serialNumber", 1, 0xffff_ffff),
    productName: asLatin1(at.text("productName", 32), "device.identity.productName"),
  };
  revision.end();
  at.end();
  return identity;
}

function readPorts(at: Fields, hasIo: boolean): DevicePorts {
  const ports = {
    eip: at.port("eip", 44_818),
    eipUdp: at.port("eipUdp", 44_818),
    io: hasIo ? at.port("io", 2222) : at.port("io", null),
    eips: at.port("eips", 2221),
  };
  const eipd = at.port("eipd", ports.eips);
  at.end();
  return { ...ports, eipd };
}

function readSecurity(json: unknown): SecurityDescription | null {
  if (json === null) return null;
  const at = new Fields(json ?? {}, "device.security");
  const security: SecurityDescription = {
    generation: at.choice("generation", ["modern", "cbc-psk"], "modern"),
    maxVersion: at.choice("maxVersion", ["TLSv1.2", "TLSv1.3"], "TLSv1.2"),
    defaultCertificate: readDefaultCertificate(at.raw("defaultCertificate")),
    csrKey: at.choice("csrKey", ["P-256", "P-384", "RSA-2048", "RSA-3072"], "P-256"),
    ...readFileOctets(at),
    ...(at.flag("rsa", false) ? { rsa: true } : {}),
    ...(at.flag("earlyLayouts", false) ? { earlyLayouts: true } : {}),
    configTimerS: at.number("configTimerS", 1, 3600, 10),
    samePort: at.flag("samePort", false),
    startDtls: at.flag("startDtls", true),
    plainIoOverTls: at.flag("plainIoOverTls", false),
    sessions: readSessionPolicy(at.raw("sessions")),
    ...readPull(at.raw("pull")),
  };
  at.end();
  return security;
}

/** A few certificates, to a revocation list of more than 100,000 entries. */
function readFileOctets(at: Fields): Pick<SecurityDescription, "fileOctets"> {
  if (at.raw("fileOctets") === undefined) return {};
  return { fileOctets: at.number("fileOctets", 16 * 1024, 8 * 1024 * 1024) };
}

function readPull(json: unknown): Pick<SecurityDescription, "pull"> {
  if (json === undefined || json === null) return {};
  const at = new Fields(json, "device.security.pull");
  const url = at.text("url", 512, "");
  const anchors = at.text("anchors", 4096, "");
  const fingerprint = at.text("fingerprint", 95, "").replaceAll(":", "").toLowerCase();
  const pull: PullDescription = {
    ...(url === "" ? {} : { url: asUrl(url) }),
    service: at.text("service", 22, estServiceType),
    domain: at.text("domain", 253, ""),
    dnsServers: at.items("dnsServers", 4, []).map((item, i) => asServer(item, `device.security.pull.dnsServers[${i}]`)),
    mdns: at.flag("mdns", true),
    ...(anchors === "" ? {} : { anchors }),
    ...(fingerprint === "" ? {} : { fingerprint }),
    trustOnFirstUse: at.flag("trustOnFirstUse", false),
    closePlaintext: at.flag("closePlaintext", false),
  };
  at.end();
  if (!isServiceType(pull.service)) throw wrong(at.where("service"), "must be a service type such as _est._tcp");
  if (pull.domain !== "" && !isHostName(pull.domain)) throw wrong(at.where("domain"), "must be a domain name");
  if (fingerprint !== "" && !/^[\da-f]{64}$/.test(fingerprint))
    throw wrong(at.where("fingerprint"), "must be a SHA-256 fingerprint: 64 hexadecimal digits");
  if (anchors === "" && fingerprint === "" && !pull.trustOnFirstUse)
    throw wrong(
      "device.security.pull",
      "needs anchors or fingerprint to know the EST server by, or trustOnFirstUse in an onboarding network",
    );
  return { pull };
}

function asUrl(url: string): string {
  try {
    readEstUrl(url);
  } catch {
    throw wrong("device.security.pull.url", "must be https://HOST[:PORT][/.well-known/est/LABEL]");
  }
  return url;
}

function asServer(value: unknown, where: string): string {
  const [host = "", port = "53", ...more] = typeof value === "string" ? value.split(":") : [];
  if (!isIPv4(host) || !/^\d{1,5}$/.test(port) || Number(port) > 65_535 || more.length > 0)
    throw wrong(where, "must be the IPv4 address of a DNS server, with its port where that is not 53");
  return `${host}:${port}`;
}

function readDefaultCertificate(json: unknown): SecurityDescription["defaultCertificate"] {
  if (json === undefined || json === "self-signed") return { kind: "self-signed" };
  const at = new Fields(json, "device.security.defaultCertificate");
  const kind = at.choice("kind", ["vendor", "self-signed"], "vendor");
  const source =
    kind === "vendor" ? { kind, certificate: at.text("certificate", 4096), key: at.text("key", 4096) } : { kind };
  at.end();
  return source;
}

function readAssembly(at: Fields): AssemblyDescription {
  const assembly = {
    instance: at.number("instance", 1, 0xffff),
    kind: at.choice("kind", ["input", "output", "configuration"]),
    size: at.number("size", 0, 65_000),
    name: at.text("name", 64, ""),
  };
  const actions =
    assembly.kind === "output"
      ? {
          faultState: readAction(at, "faultState", assembly.size),
          idleState: readAction(at, "idleState", assembly.size),
        }
      : {};
  at.end();
  return { ...assembly, ...given(actions) };
}

/** Without the entries that the file leaves out. */
function given(actions: { readonly [K in "faultState" | "idleState"]?: OutputAction | undefined }): {
  readonly [K in "faultState" | "idleState"]?: OutputAction;
} {
  const { faultState, idleState } = actions;
  return { ...(faultState === undefined ? {} : { faultState }), ...(idleState === undefined ? {} : { idleState }) };
}

function asAddress(value: unknown, where: string): string {
  if (typeof value !== "string" || !isIPv4(value)) throw wrong(where, "must be an IPv4 address such as 192.168.1.20");
  return value;
}
