import { readFile } from "node:fs/promises";
import { parseCertificates, type KeyKind } from "@cipsec/pki";
import { SecurityProfile, UsageError } from "@cipsec/wire";
import type { CipherGeneration, DeviceDescription, PullDescription, SecurityDescription } from "./description.ts";
import { edsOf } from "./eds.ts";
import type { DefaultCertificateSource } from "./security/default-certificate.ts";
import type { DevicePorts } from "./security/ports.ts";
import type { SecuritySettingsInput } from "./security/security.ts";

/** Suites of a generation of devices: what it can do, and what it allows from the factory. */
interface Suites {
  readonly available: readonly number[];
  readonly allowed: readonly number[];
}

/**
 * Today's devices have GCM first and keep CBC, NULL and PSK suites for policies that need them; devices from before edition 1.13
 * have CBC, NULL and PSK only. From the factory only suites that encrypt and need no pre-shared key are allowed.
 *
 * @see reference cip-security.md 2.3
 */
const suites: Readonly<Record<CipherGeneration, Suites>> = {
  modern: {
    available: [0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc0ae, 0xccac, 0xc023, 0xc024, 0xc037, 0xc006, 0xc03a],
    allowed: [0xc02b, 0xc02c],
  },
  "cbc-psk": {
    available: [0xc023, 0xc024, 0xc037, 0x003c, 0x003d, 0xc006, 0xc03a, 0x003b],
    allowed: [0xc023, 0xc024],
  },
};

/** Optional since edition 1.13: certificates with RSA keys. */
const rsaSuites: readonly number[] = [0x003c, 0x003d, 0x003b];

/** TLS 1.3 has suites of its own. */
const tls13: readonly number[] = [0x1301, 0x1302, 0x1303];

const keyKinds: Readonly<Record<SecurityDescription["csrKey"], KeyKind>> = {
  "P-256": "ecdsa-p256",
  "P-384": "ecdsa-p384",
  "RSA-2048": "rsa-2048",
  "RSA-3072": "rsa-3072",
};

/**
 * What a device's security is from the factory.
 *
 * @throws {UsageError} `usage/file` when the vendor's certificate or key cannot be read.
 */
export async function factorySecurity(
  description: DeviceDescription,
  security: SecurityDescription,
): Promise<SecuritySettingsInput> {
  const { available, allowed } = suites[security.generation];
  const newer = security.maxVersion === "TLSv1.3" ? tls13 : [];
  return {
    profiles: SecurityProfile.confidentiality | (security.pull === undefined ? 0 : SecurityProfile.pullModel),
    availableSuites: [...new Set([...newer, ...available, ...(security.rsa === true ? rsaSuites : [])])],
    defaultAllowedSuites: [...newer, ...allowed],
    maxVersion: security.maxVersion,
    hasClock: description.clock,
    configTimerMs: security.configTimerS * 1000,
    csrKeyType: keyKinds[security.csrKey],
    ...(security.fileOctets === undefined
      ? {}
      : { maxFileOctets: security.fileOctets, maxAllFilesOctets: 4 * security.fileOctets }),
    ...(security.earlyLayouts === true ? { earlyLayouts: true } : {}),
    defaultCertificate: await readDefaultCertificate(security.defaultCertificate),
    ports: factoryPorts(description),
    ...(security.pull === undefined ? {} : { pull: await readPull(security.pull) }),
    ...(description.eds === undefined
      ? {}
      : { eds: Uint8Array.from(Buffer.from(edsOf(description, description.eds), "latin1")) }),
  };
}

function factoryPorts({ ports }: DeviceDescription): DevicePorts {
  return {
    ...(ports.eip === null ? {} : { eip: { port: ports.eip, open: true, configurable: true } }),
    ...(ports.eipUdp === null ? {} : { eipUdp: { port: ports.eipUdp, open: true, configurable: true } }),
    ...(ports.io === null ? {} : { io: { port: ports.io, open: true, configurable: true } }),
    ...(ports.eips === null ? {} : { eips: { port: ports.eips, open: true, configurable: true } }),
    ...((ports.eipd ?? null) === null ? {} : { eipd: { port: ports.eipd ?? 0, open: true, configurable: true } }),
  };
}

/** Each way of looking for a server may take this long. */
const searchMs = 4000;

async function readPull({
  anchors,
  domain,
  ...rest
}: PullDescription): Promise<NonNullable<SecuritySettingsInput["pull"]>> {
  return {
    ...rest,
    ...(domain === "" ? {} : { domain }),
    anchors: anchors === undefined ? [] : parseCertificates(await read(anchors)),
    timeoutMs: searchMs,
  };
}

async function readDefaultCertificate(
  source: SecurityDescription["defaultCertificate"],
): Promise<DefaultCertificateSource> {
  if (source.kind === "self-signed") return source;
  return { kind: "vendor", chainPem: await read(source.certificate), keyPem: await read(source.key) };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UsageError("usage/file", `device description: cannot read ${path}`, { cause: error, facts: { path } });
  }
}
