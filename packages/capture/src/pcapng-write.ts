import { WireError } from "@cipsec/wire";

/** A frame to be written: `timeNanos` counts from the epoch. */
export interface FrameToWrite {
  readonly timeNanos: bigint;
  readonly bytes: Uint8Array;
}

/** What goes into a new capture file. */
export interface CaptureToWrite {
  /** LINKTYPE number of every frame: 1 is Ethernet, 101 raw IP. */
  readonly linkType: number;
  readonly frames: Iterable<FrameToWrite>;
  /** SSLKEYLOGFILE text to embed, so that the file opens by itself. Whoever has the file can then read the sessions. */
  readonly keyLog?: string;
  /** Name of the writing program, stored in the section header. */
  readonly application?: string;
}

/** Larger than any IP packet with its link header; a reader may refuse more. */
const maxFrameOctets = 0x4_0000;

/**
 * Writes a pcapng file: one little-endian section, one interface with nanosecond times, the key log before the frames.
 *
 * @throws {WireError} `wire/length` for a frame above 262,144 octets, which readers refuse; `wire/value` for a time
 * outside 64 bits.
 * @see draft-ietf-opsawg-pcapng, 4
 */
export function writePcapng({ linkType, frames, keyLog, application }: CaptureToWrite): Uint8Array {
  const text = new TextEncoder();
  const blocks = [
    sectionHeader(application === undefined ? undefined : text.encode(application)),
    interfaceDescription(linkType),
  ];
  if (keyLog !== undefined) blocks.push(decryptionSecrets(text.encode(keyLog)));
  for (const frame of frames) blocks.push(enhancedPacket(frame));
  return concat(blocks);
}

function sectionHeader(application: Uint8Array | undefined): Uint8Array {
  const fixed = fields(16, (view) => {
    view.setUint32(0, 0x1a2b3c4d, true);
    view.setUint16(4, 1, true);
    // The length of the section is not known while it is written: all ones.
    view.setBigInt64(8, -1n, true);
  });
  return block(0x0a0d0d0a, application === undefined ? [fixed] : [fixed, option(4, application), option(0)]);
}

function interfaceDescription(linkType: number): Uint8Array {
  const fixed = fields(8, (view) => {
    view.setUint16(0, linkType, true);
    view.setUint32(4, maxFrameOctets, true);
  });
  return block(1, [fixed, option(9, Uint8Array.of(9)), option(0)]);
}

function decryptionSecrets(keyLog: Uint8Array): Uint8Array {
  const fixed = fields(8, (view) => {
    view.setUint32(0, 0x544c534b, true);
    view.setUint32(4, keyLog.length, true);
  });
  return block(0x0a, [fixed, padded(keyLog)]);
}

function enhancedPacket({ timeNanos, bytes }: FrameToWrite): Uint8Array {
  if (bytes.length > maxFrameOctets) {
    throw new WireError("wire/length", `frame: ${bytes.length} octets are above the bound of ${maxFrameOctets}`, {
      facts: { field: "frame", value: bytes.length, max: maxFrameOctets },
    });
  }
  if (timeNanos < 0n || timeNanos >= 1n << 64n) {
    throw new WireError("wire/value", `frame time: ${timeNanos} ns do not fit into 64 bits`, {
      facts: { field: "frame time" },
    });
  }
  const fixed = fields(20, (view) => {
    view.setUint32(4, Number(timeNanos >> 32n), true);
    view.setUint32(8, Number(timeNanos & 0xffff_ffffn), true);
    view.setUint32(12, bytes.length, true);
    view.setUint32(16, bytes.length, true);
  });
  return block(6, [fixed, padded(bytes)]);
}

function block(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = 12 + parts.reduce((sum, part) => sum + part.length, 0);
  const head = fields(8, (view) => {
    view.setUint32(0, type, true);
    view.setUint32(4, length, true);
  });
  return concat([head, ...parts, fields(4, (view) => view.setUint32(0, length, true))]);
}

function option(code: number, value: Uint8Array = new Uint8Array(0)): Uint8Array {
  const head = fields(4, (view) => {
    view.setUint16(0, code, true);
    view.setUint16(2, value.length, true);
  });
  return concat([head, padded(value)]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + (-bytes.length & 3));
  out.set(bytes);
  return out;
}

function fields(octets: number, fill: (view: DataView) => void): Uint8Array {
  const out = new Uint8Array(octets);
  fill(new DataView(out.buffer));
  return out;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
