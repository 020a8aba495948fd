import type { Reader, Writer } from "./cursor.ts";
import { WireError } from "./errors.ts";

/**
 * A network segment. 0x41 schedule, 0x42 fixed tag and 0x43 production inhibit time (ms) carry one octet;
 * 0x50 safety, 0x51 production inhibit time (µs) and 0x5F extended carry `data` behind a count of words.
 */
export interface NetworkSegment {
  readonly kind: "network";
  readonly type: number;
  readonly data: Uint8Array;
}

const oneOctet: readonly number[] = [0x41, 0x42, 0x43];
const counted: readonly number[] = [0x50, 0x51, 0x5f];

/** Reads a network segment behind its type octet. @see reference ethernet-ip.md 3.7 */
export function readNetwork(r: Reader, type: number, at: number): NetworkSegment {
  if (oneOctet.includes(type)) return { kind: "network", type, data: r.octets(1, "network segment") };
  if (counted.includes(type))
    return { kind: "network", type, data: r.octets(2 * r.u8("network segment words"), "network segment") };
  throw new WireError("wire/segment", `path: 0x${type.toString(16)} at offset ${at} is not a network segment`, {
    facts: { type, offset: at },
  });
}

/** Writes a network segment with its type octet. @throws {WireError} `wire/segment` when type and data do not belong together. */
export function writeNetwork(w: Writer, { type, data }: NetworkSegment): void {
  const isCounted = counted.includes(type);
  if (isCounted ? data.length % 2 === 1 || data.length > 510 : data.length !== 1 || !oneOctet.includes(type)) {
    throw new WireError(
      "wire/segment",
      `path: a network segment 0x${type.toString(16)} with ${data.length} octets cannot be`,
      { facts: { type, length: data.length } },
    );
  }
  w.u8(type);
  if (isCounted) w.u8(data.length / 2);
  w.octets(data);
}

/** Production inhibit time of a connection path in microseconds, where it has one. */
export function productionInhibitMicros({ type, data }: NetworkSegment): number | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (type === 0x43 && data.length === 1) return view.getUint8(0) * 1000;
  return type === 0x51 && data.length >= 4 ? view.getUint32(0, true) : undefined;
}
