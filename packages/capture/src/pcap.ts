import { WireError } from "@cipsec/wire";

/** One captured frame, numbered from 1 as capture tools do. `bytes` is a view on the file. */
export interface CapturedFrame {
  readonly kind: "frame";
  readonly n: number;
  /** Epoch seconds with nine decimals; `0.000000000` where the file has no time (simple packet blocks). */
  readonly time: string;
  /** LINKTYPE number, as registered with the pcap format. */
  readonly linkType: number;
  readonly bytes: Uint8Array;
  /** Octets of the frame on the wire; more than `bytes.length` when the capture was cut by its snap length. */
  readonly originalLength: number;
}

/** What a capture file holds, in file order. */
export type CaptureRecord =
  | CapturedFrame
  /** A TLS key log embedded in the file (Decryption Secrets Block). Secret: hand it to `KeyLog.add`, never print it. */
  | { readonly kind: "secrets"; readonly keyLog: Uint8Array }
  /** Something that a person should know; reading goes on where the file allows it. */
  | { readonly kind: "notice"; readonly message: string };

/** Far above what capture tools write for one frame (262,144): a larger one means that the file is damaged. */
const maxFrameOctets = 0x40_0000;

/** Bounds one pcapng block; blocks are views, this stops a damaged length from swallowing the file in silence. */
const maxBlockOctets = 0x100_0000;

/** Interfaces of one pcapng section; real files have a handful. */
const maxInterfaces = 4096;

/**
 * Reads a pcap file (either byte order, micro- or nanoseconds) or a pcapng file.
 *
 * A file that ends inside a record yields everything before it, then a notice.
 *
 * @throws {WireError} `wire/value` when the octets are no capture file; `wire/truncated` when its header is cut;
 * `wire/length` when a record claims more than any capture tool writes.
 * @see draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng
 */
export function* readRecords(bytes: Uint8Array): Generator<CaptureRecord> {
  const view = viewOf(bytes);
  if (bytes.length < 4) {
    throw new WireError("wire/truncated", `capture file: 4 octets of magic number needed, ${bytes.length} there`, {
      facts: { field: "magic number", remaining: bytes.length },
    });
  }
  const magic = view.getUint32(0, false);
  if (magic === 0x0a0d0d0a) {
    yield* readPcapng(bytes, view);
    return;
  }
  const form = pcapForms.get(magic);
  if (form === undefined) {
    const gzip = magic >>> 16 === 0x1f8b;
    throw new WireError(
      "wire/value",
      `capture file: magic number 0x${magic.toString(16).padStart(8, "0")} is neither pcap nor pcapng`,
      {
        facts: { field: "magic number", value: magic },
        fix: gzip
          ? "The file is compressed: unpack it with gunzip first."
          : "Give a pcap or pcapng file, as tcpdump, dumpcap or Wireshark write it.",
      },
    );
  }
  yield* readPcap(bytes, view, form);
}

interface PcapForm {
  readonly little: boolean;
  /** Nanoseconds in one unit of the fraction field. */
  readonly unit: bigint;
}

const pcapForms: ReadonlyMap<number, PcapForm> = new Map([
  [0xa1b2c3d4, { little: false, unit: 1000n }],
  [0xd4c3b2a1, { little: true, unit: 1000n }],
  [0xa1b23c4d, { little: false, unit: 1n }],
  [0x4d3cb2a1, { little: true, unit: 1n }],
]);

const billion = 1_000_000_000n;

function* readPcap(bytes: Uint8Array, view: DataView, { little, unit }: PcapForm): Generator<CaptureRecord> {
  if (bytes.length < 24) {
    throw new WireError("wire/truncated", `pcap header: 24 octets needed, ${bytes.length} there`, {
      facts: { field: "pcap header", remaining: bytes.length },
    });
  }
  // The upper half of the field holds the FCS length and is no part of the link type.
  const linkType = view.getUint32(20, little) & 0xffff;
  let at = 24;
  for (let n = 1; at < bytes.length; n++) {
    if (bytes.length - at < 16) return yield cutShort(n, at);
    const length = bounded("frame length", view.getUint32(at + 8, little), maxFrameOctets, at + 8);
    if (bytes.length - at - 16 < length) return yield cutShort(n, at);
    const nanos = BigInt(view.getUint32(at, little)) * billion + BigInt(view.getUint32(at + 4, little)) * unit;
    const frame = bytes.subarray(at + 16, at + 16 + length);
    yield {
      kind: "frame",
      n,
      time: epochSeconds(nanos),
      linkType,
      bytes: frame,
      originalLength: view.getUint32(at + 12, little),
    };
    at += 16 + length;
  }
}

interface CaptureInterface {
  readonly linkType: number;
  readonly snapLength: number;
  /** Timestamp units in a second. */
  readonly unitsPerSecond: bigint;
  /** Seconds added to each timestamp. */
  readonly offsetSeconds: bigint;
}

const blockTypes = {
  section: 0x0a0d0d0a,
  interface: 1,
  obsoletePacket: 2,
  simplePacket: 3,
  enhancedPacket: 6,
  secrets: 0x0a,
} as const;

/** `TLSK`: the secrets are an SSLKEYLOGFILE. */
const tlsKeyLog = 0x544c534b;

function* readPcapng(bytes: Uint8Array, view: DataView): Generator<CaptureRecord> {
  let little = true;
  let interfaces: CaptureInterface[] = [];
  let obsolete = 0;
  let n = 0;
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 12) return yield cutShort(n + 1, at);
    const type = view.getUint32(at, little);
    if (type === blockTypes.section) {
      little = sectionOrder(view, at);
      interfaces = [];
    }
    const length = bounded("block length", view.getUint32(at + 4, little), maxBlockOctets, at + 4);
    if (length < 12 || length % 4 !== 0) {
      throw new WireError("wire/value", `block length: ${length} at offset ${at + 4} is no multiple of 4 from 12`, {
        facts: { field: "block length", value: length, offset: at + 4 },
      });
    }
    if (bytes.length - at < length) return yield cutShort(n + 1, at);
    const block: Block = { bytes: bytes.subarray(at + 8, at + length - 4), little, offset: at };
    at += length;
    if (type === blockTypes.interface) {
      bounded("interface count", interfaces.length + 1, maxInterfaces, block.offset);
      interfaces.push(readInterface(block));
    } else if (type === blockTypes.enhancedPacket) {
      yield readEnhanced(block, interfaces, ++n);
    } else if (type === blockTypes.simplePacket) {
      yield readSimple(block, interfaces, ++n);
    } else if (type === blockTypes.secrets) {
      const keyLog = readSecrets(block);
      if (keyLog !== undefined) yield { kind: "secrets", keyLog };
    } else if (type === blockTypes.obsoletePacket) {
      obsolete++;
    }
  }
  if (obsolete > 0)
    yield {
      kind: "notice",
      message: `${obsolete} obsolete packet blocks were skipped; convert the file with editcap to read them`,
    };
}

/** The body of a block, without its type and its two lengths. */
interface Block {
  readonly bytes: Uint8Array;
  readonly little: boolean;
  /** Offset of the block in the file, for messages. */
  readonly offset: number;
}

function sectionOrder(view: DataView, at: number): boolean {
  const magic = view.getUint32(at + 8, true);
  if (magic === 0x1a2b3c4d) return true;
  if (magic === 0x4d3c2b1a) return false;
  throw new WireError("wire/value", `section header: byte-order magic at offset ${at + 8} is wrong`, {
    facts: { field: "byte-order magic", offset: at + 8 },
  });
}

function readInterface(block: Block): CaptureInterface {
  const view = need(block, 8, "interface description");
  let unitsPerSecond = 1_000_000n;
  let offsetSeconds = 0n;
  for (const { code, value } of options(block, 8)) {
    const octet = value[0];
    if (code === 9 && octet !== undefined) unitsPerSecond = resolution(octet);
    else if (code === 14 && value.length >= 8) offsetSeconds = viewOf(value).getBigInt64(0, block.little);
  }
  return {
    linkType: view.getUint16(0, block.little),
    snapLength: view.getUint32(4, block.little),
    unitsPerSecond,
    offsetSeconds,
  };
}

/** if_tsresol: a negative power of ten, or of two when the top bit is set. Finer than 10^-19 or 2^-63 fits no 64-bit clock. */
function resolution(octet: number): bigint {
  const power = octet & 0x7f;
  return (octet & 0x80) === 0 ? 10n ** BigInt(Math.min(power, 19)) : 2n ** BigInt(Math.min(power, 63));
}

function* options({ bytes, little }: Block, from: number): Generator<{ code: number; value: Uint8Array }> {
  const view = viewOf(bytes);
  for (let at = from; at + 4 <= bytes.length;) {
    const code = view.getUint16(at, little);
    const length = view.getUint16(at + 2, little);
    if (code === 0 || at + 4 + length > bytes.length) return;
    yield { code, value: bytes.subarray(at + 4, at + 4 + length) };
    at += 4 + length + (-length & 3);
  }
}

function readEnhanced(block: Block, interfaces: readonly CaptureInterface[], n: number): CapturedFrame {
  const { bytes, little } = block;
  const view = need(block, 20, "enhanced packet");
  const face = interfaceOf(interfaces, view.getUint32(0, little), block);
  const units = (BigInt(view.getUint32(4, little)) << 32n) | BigInt(view.getUint32(8, little));
  const nanos = face.offsetSeconds * billion + (units * billion) / face.unitsPerSecond;
  const length = bounded(
    "frame length",
    view.getUint32(12, little),
    Math.min(maxFrameOctets, bytes.length - 20),
    block.offset + 20,
  );
  return {
    kind: "frame",
    n,
    time: epochSeconds(nanos),
    linkType: face.linkType,
    bytes: bytes.subarray(20, 20 + length),
    originalLength: view.getUint32(16, little),
  };
}

function readSimple(block: Block, interfaces: readonly CaptureInterface[], n: number): CapturedFrame {
  const view = need(block, 4, "simple packet");
  const face = interfaceOf(interfaces, 0, block);
  const originalLength = view.getUint32(0, block.little);
  const room = block.bytes.length - 4;
  const length = Math.min(originalLength, room, face.snapLength === 0 ? room : face.snapLength);
  return {
    kind: "frame",
    n,
    time: epochSeconds(0n),
    linkType: face.linkType,
    bytes: block.bytes.subarray(4, 4 + length),
    originalLength,
  };
}

function readSecrets(block: Block): Uint8Array | undefined {
  const view = need(block, 8, "decryption secrets");
  if (view.getUint32(0, block.little) !== tlsKeyLog) return undefined;
  const length = bounded("secrets length", view.getUint32(4, block.little), block.bytes.length - 8, block.offset + 12);
  return block.bytes.subarray(8, 8 + length);
}

function interfaceOf(interfaces: readonly CaptureInterface[], id: number, { offset }: Block): CaptureInterface {
  const face = interfaces[id];
  if (face === undefined) {
    throw new WireError("wire/value", `packet block at offset ${offset}: interface ${id} is not described before it`, {
      facts: { field: "interface id", value: id, offset },
    });
  }
  return face;
}

function need(block: Block, octets: number, what: string): DataView {
  if (block.bytes.length < octets) {
    throw new WireError(
      "wire/truncated",
      `${what} block at offset ${block.offset}: ${octets} octets needed, ${block.bytes.length} there`,
      {
        facts: { field: what, offset: block.offset, needed: octets, remaining: block.bytes.length },
      },
    );
  }
  return viewOf(block.bytes);
}

function bounded(field: string, value: number, max: number, offset: number): number {
  if (value > max) {
    throw new WireError("wire/length", `${field}: ${value} at offset ${offset} is above the bound of ${max}`, {
      facts: { field, value, max, offset },
    });
  }
  return value;
}

function cutShort(n: number, offset: number): CaptureRecord {
  return {
    kind: "notice",
    message: `the file is cut short inside record ${n}, at offset ${offset}; everything before it was read`,
  };
}

function epochSeconds(nanos: bigint): string {
  const sign = nanos < 0n ? "-" : "";
  const size = nanos < 0n ? -nanos : nanos;
  return `${sign}${size / billion}.${String(size % billion).padStart(9, "0")}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
