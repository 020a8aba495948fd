import { StateError, type InternationalText, type PreSharedKey } from "@cipsec/wire";
import type {
  CertificateEntry,
  Configuration,
  FileEntry,
  OpenPorts,
  Reference,
  SecuritySettings,
  Slot,
} from "./configuration.ts";

/** The configuration as plain JSON for the store. Private keys are named, never contained. */
export function toSaved(configuration: Configuration): unknown {
  const { settings, certificates, files, ...rest } = configuration;
  return {
    ...rest,
    settings: { ...settings, preSharedKeys: settings.preSharedKeys.map(savedKey) },
    certificates: [...certificates].map(([id, entry]) => ({ id, ...entry })),
    files: [...files].map(([id, { content, ...file }]) => ({
      id,
      ...file,
      ...(content === undefined ? {} : { content: Buffer.from(content).toString("base64") }),
    })),
  };
}

/**
 * Reads what {@link toSaved} wrote.
 *
 * @throws {StateError} `state/corrupt` for anything else; the message names the field.
 */
export function fromSaved(value: unknown): Configuration {
  const o = object(value, "security");
  return {
    cipState: number(o["cipState"], "cipState", 3),
    ethernetIpState: number(o["ethernetIpState"], "ethernetIpState", 5),
    profilesConfigured: number(o["profilesConfigured"], "profilesConfigured", 0xffff),
    settings: settings(object(o["settings"], "settings")),
    certificates: numbered(o["certificates"], "certificates", certificate),
    files: numbered(o["files"], "files", file),
    ports: ports(object(o["ports"], "ports")),
    inactivityTimeoutS: number(o["inactivityTimeoutS"], "inactivityTimeoutS", 3600),
    ...(o["pulledCertificate"] === undefined
      ? {}
      : { pulledCertificate: number(o["pulledCertificate"], "pulledCertificate", 0xffff) }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function settings(o: Fields): SecuritySettings {
  const suites = (name: string): readonly number[] => array(o[name], name).map((v) => number(v, name, 0xffff));
  const references = (name: string): readonly Reference[] => array(o[name], name).map((v) => reference(v, name));
  return {
    allowedCipherSuites: suites("allowedCipherSuites"),
    allowedOriginatorCipherSuites: suites("allowedOriginatorCipherSuites"),
    preSharedKeys: array(o["preSharedKeys"], "preSharedKeys").map(loadedKey),
    activeDeviceCertificates: references("activeDeviceCertificates"),
    trustedAuthorities: references("trustedAuthorities"),
    certificateRevocationList: references("certificateRevocationList"),
    trustedIdentities: references("trustedIdentities"),
    verifyClientCertificate: boolean(o["verifyClientCertificate"], "verifyClientCertificate"),
    sendCertificateChain: boolean(o["sendCertificateChain"], "sendCertificateChain"),
    checkExpiration: boolean(o["checkExpiration"], "checkExpiration"),
    checkSubjectAlternativeName: boolean(o["checkSubjectAlternativeName"], "checkSubjectAlternativeName"),
    dtlsTimeout: number(o["dtlsTimeout"], "dtlsTimeout", 3600),
    udpOnlyPolicy: number(o["udpOnlyPolicy"], "udpOnlyPolicy", 0xff),
    ioAuthorizationPolicy: number(o["ioAuthorizationPolicy"], "ioAuthorizationPolicy", 0xff),
  };
}

function savedKey({ identity, key, usage }: PreSharedKey): unknown {
  return {
    identity: Buffer.from(identity).toString("base64"),
    key: Buffer.from(key).toString("base64"),
    usage,
  };
}

function loadedKey(value: unknown): PreSharedKey {
  const o = object(value, "preSharedKeys");
  return {
    identity: base64(o["identity"], "identity"),
    key: base64(o["key"], "key"),
    usage: number(o["usage"], "usage", 2),
  };
}

function certificate(o: Fields): CertificateEntry {
  return {
    name: string(o["name"], "name"),
    requested: boolean(o["requested"], "requested"),
    device: slot(o["device"]),
    authority: slot(o["authority"]),
    ...(o["key"] === undefined ? {} : { key: string(o["key"], "key") }),
    ...(o["csr"] === undefined ? {} : { csr: number(o["csr"], "csr", 0xffff) }),
  };
}

function slot(value: unknown): Slot {
  const o = object(value, "slot");
  const status = number(o["status"], "status", 2);
  return o["file"] === undefined ? { status } : { status, file: number(o["file"], "file", 0xffff) };
}

function file(o: Fields): FileEntry {
  const revision = object(o["revision"], "revision");
  return {
    name: texts(o["name"], "name"),
    fileName: texts(o["fileName"], "fileName"),
    encoding: number(o["encoding"], "encoding", 0xff),
    formatVersion: number(o["formatVersion"], "formatVersion", 0xffff),
    revision: {
      major: number(revision["major"], "major", 0xff),
      minor: number(revision["minor"], "minor", 0xff),
    },
    readOnly: boolean(o["readOnly"], "readOnly"),
    transferTimeoutS: number(o["transferTimeoutS"], "transferTimeoutS", 0xff),
    ...(o["content"] === undefined ? {} : { content: base64(o["content"], "content") }),
  };
}

function texts(value: unknown, name: string): readonly InternationalText[] {
  return array(value, name).map((item) => {
    const o = object(item, name);
    return {
      language: string(o["language"], "language"),
      stringType: number(o["stringType"], "stringType", 0xff),
      characterSet: number(o["characterSet"], "characterSet", 0xffff),
      text: string(o["text"], "text"),
      ...(o["width"] === undefined ? {} : { width: number(o["width"], "width", 4) }),
    };
  });
}

function ports(o: Fields): OpenPorts {
  return {
    eip: boolean(o["eip"], "eip"),
    eipUdp: boolean(o["eipUdp"], "eipUdp"),
    io: boolean(o["io"], "io"),
    eips: boolean(o["eips"], "eips"),
    eipd: boolean(o["eipd"], "eipd"),
  };
}

function reference(value: unknown, name: string): Reference {
  const o = object(value, name);
  return { classId: number(o["classId"], "classId", 0xffff), instance: number(o["instance"], "instance", 0xffff) };
}

function numbered<T>(value: unknown, name: string, read: (o: Fields) => T): ReadonlyMap<number, T> {
  return new Map(
    array(value, name).map((item) => {
      const o = object(item, name);
      return [number(o["id"], `${name} id`, 0xffff), read(o)];
    }),
  );
}

/** No list of the security objects is longer; this bounds what a damaged document can ask for. */
const maxEntries = 1024;

function object(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw corrupt(name);
  return { ...value };
}

function array(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > maxEntries) throw corrupt(name);
  return value;
}

function number(value: unknown, name: string, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > max) throw corrupt(name);
  return value;
}

function string(value: unknown, name: string): string {
  if (typeof value !== "string") throw corrupt(name);
  return value;
}

function boolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw corrupt(name);
  return value;
}

function base64(value: unknown, name: string): Uint8Array {
  const text = string(value, name);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw corrupt(name);
  return new Uint8Array(Buffer.from(text, "base64"));
}

function corrupt(field: string): StateError {
  return new StateError(
    "state/corrupt",
    `the saved security configuration cannot be used: '${field}' is not as written`,
    {
      facts: { field },
    },
  );
}
