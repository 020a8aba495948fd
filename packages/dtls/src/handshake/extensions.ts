import { alerts } from "../alert.ts";
import { DtlsError } from "../errors.ts";
import { concat, Reader, u16, u8, vector16, vector8 } from "../presentation.ts";

/** Extension numbers. */
export const extensionTypes = {
  serverName: 0,
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  encryptThenMac: 22,
  extendedMasterSecret: 23,
  sessionTicket: 35,
  supportedVersions: 43,
  connectionId: 54,
  renegotiationInfo: 0xff01,
} as const;

/** Extensions by number, each once. */
export type Extensions = ReadonlyMap<number, Uint8Array>;

/** A hello of ours has about ten; a peer may know more, but not any number. */
const maxExtensions = 64;

/**
 * Reads the extensions at the end of a hello; none at all is allowed too.
 *
 * @throws {DtlsError} `dtls/decode` when one stands twice or more than 64 are there.
 * @see RFC 5246 7.4.1.4
 */
export function readExtensions(reader: Reader): Extensions {
  const extensions = new Map<number, Uint8Array>();
  if (reader.remaining === 0) return extensions;
  const list = new Reader(reader.vector(2, "extensions"), "extensions");
  while (list.remaining > 0) {
    const type = list.u16("type");
    const data = list.vector(2, "data");
    if (extensions.has(type)) throw list.refuse(`extension ${type}`, "stands twice");
    if (extensions.size === maxExtensions) throw list.refuse("extensions", `more than ${maxExtensions}`);
    extensions.set(type, data);
  }
  return extensions;
}

/** The octets of the extensions, in the map's order; nothing for none. */
export function writeExtensions(extensions: Extensions): Uint8Array {
  if (extensions.size === 0) return new Uint8Array(0);
  return vector16(...[...extensions].map(([type, data]) => concat(u16(type), vector16(data))));
}

/** Content of an extension that says all by being there. */
export const flag = new Uint8Array(0);

/** @throws {DtlsError} `dtls/decode` when a flag has content. */
export function readFlag(data: Uint8Array | undefined, name: string): boolean {
  if (data === undefined) return false;
  new Reader(data, name).end();
  return true;
}

/** The host name that the client wants. @see RFC 6066 3 */
export function writeServerName(name: string): Uint8Array {
  return vector16(concat(u8(0), vector16(new TextEncoder().encode(name))));
}

/** The host name in a client's extension, or `undefined` where it names none. */
export function readServerName(data: Uint8Array | undefined): string | undefined {
  if (data === undefined) return undefined;
  const outer = new Reader(data, "server_name");
  const list = new Reader(outer.vector(2, "list", 1), "server_name");
  outer.end();
  while (list.remaining > 0) {
    const type = list.u8("name type");
    const name = list.vector(2, "name", 1, 255);
    if (type === 0) {
      if (!name.every((octet) => octet > 0x20 && octet < 0x7f)) throw list.refuse("name", "not printable ASCII");
      return new TextDecoder().decode(name);
    }
  }
  return undefined;
}

/** A list of 16-bit numbers: supported groups, signature algorithms. */
export function writeNumbers(numbers: readonly number[]): Uint8Array {
  return vector16(...numbers.map(u16));
}

/** The list of 16-bit numbers in an extension, or `undefined` where it is not there. */
export function readNumbers(data: Uint8Array | undefined, name: string): readonly number[] | undefined {
  if (data === undefined) return undefined;
  const reader = new Reader(data, name);
  const numbers = reader.u16s(2, "list");
  reader.end();
  return numbers;
}

/** Only uncompressed points are spoken. @see RFC 8422 5.1.2 */
export const pointFormats: Uint8Array = Uint8Array.of(1, 0);

/** @throws {DtlsError} `dtls/decode`, alert `illegal_parameter`, when uncompressed points are not among the formats. */
export function checkPointFormats(data: Uint8Array | undefined): void {
  if (data === undefined) return;
  const reader = new Reader(data, "ec_point_formats");
  const formats = reader.vector(1, "formats", 1);
  reader.end();
  if (!formats.includes(0)) {
    throw new DtlsError("dtls/decode", "ec_point_formats: uncompressed points are missing", {
      alert: alerts.illegal_parameter,
    });
  }
}

/** A connection id: what the sender of the extension wants in records to itself. @see RFC 9146 3 */
export function writeConnectionId(cid: Uint8Array): Uint8Array {
  return vector8(cid);
}

/** The connection id in an extension; `undefined` where it is not there, empty for "none to me, but I can". */
export function readConnectionId(data: Uint8Array | undefined): Uint8Array | undefined {
  if (data === undefined) return undefined;
  const reader = new Reader(data, "connection_id");
  const cid = reader.vector(1, "cid");
  reader.end();
  return cid;
}

/** Signals RFC 5746 in a first handshake, which is the only one that there is. */
export const firstRenegotiationInfo: Uint8Array = Uint8Array.of(0);

/** @throws {DtlsError} `dtls/handshake`, alert `handshake_failure`, when it is not that of a first handshake. */
export function checkRenegotiationInfo(data: Uint8Array | undefined): void {
  if (data !== undefined && (data.length !== 1 || data[0] !== 0)) {
    throw new DtlsError("dtls/handshake", "renegotiation_info: not that of a first handshake", {
      alert: alerts.handshake_failure,
    });
  }
}

/** The versions that a newer client lists. @see RFC 8446 4.2.1 */
export function readSupportedVersions(data: Uint8Array | undefined): readonly number[] | undefined {
  if (data === undefined) return undefined;
  const reader = new Reader(data, "supported_versions");
  const versions = reader.u16s(1, "versions");
  reader.end();
  return versions;
}
