import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import type { Direction } from "../src/tls-decoder.ts";

/** Captures shared between projects, beside the repository; the project keeps no copy of them. */
export const captureFolder = join(import.meta.dirname, "../../../../shared/captures");

/** Names of the capture files, or an empty list when the folder is not there. */
export const captureFiles: readonly string[] = existsSync(captureFolder)
  ? readdirSync(captureFolder).filter((name) => /\.pcap(?:ng)?$/u.test(name))
  : [];

export function readShared(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(captureFolder, name)));
}

/** Why a comparison cannot run here, or `undefined`. */
export function missing(...needs: readonly ("captures" | "tshark" | "openssl")[]): string | undefined {
  if (needs.includes("captures") && captureFiles.length === 0) return `no captures at ${captureFolder}`;
  if (needs.includes("tshark") && spawnSync("tshark", ["-v"]).status !== 0) return "tshark is not installed";
  if (needs.includes("openssl") && spawnSync("openssl", ["version"]).status !== 0) return "openssl is not installed";
  return undefined;
}

export function tshark(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("tshark", args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`tshark: ${stderr}`);
  return stdout;
}

export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(/\s/gu, "").match(/../gu) ?? [], (octet) => Number.parseInt(octet, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export interface TcpFields {
  readonly from: Direction;
  readonly sequence: number;
  readonly acknowledgement?: number;
  /** Letters of S, A, F, R, P. */
  readonly flags: string;
  readonly payload?: Uint8Array;
  readonly ports?: readonly [number, number];
}

const addresses = [hex("0a000001"), hex("0a000002")] as const;

/** An Ethernet frame with IPv4 and TCP; checksums stay zero, as offloading leaves them. */
export function tcpFrame({
  from,
  sequence,
  acknowledgement = 0,
  flags,
  payload = new Uint8Array(0),
  ports = [50000, 44818],
}: TcpFields): Uint8Array {
  const bits = { F: 1, S: 2, R: 4, P: 8, A: 16 } as Readonly<Record<string, number>>;
  const header = Buffer.alloc(20);
  header.writeUInt16BE(ports[from], 0);
  header.writeUInt16BE(ports[from === 0 ? 1 : 0], 2);
  header.writeUInt32BE(sequence >>> 0, 4);
  header.writeUInt32BE(acknowledgement >>> 0, 8);
  header[12] = 0x50;
  header[13] = [...flags].reduce((sum, letter) => sum | (bits[letter] ?? 0), 0);
  header.writeUInt16BE(0xffff, 14);
  return ipFrame(from, 6, concat([header, payload]));
}

export function ipFrame(from: Direction, protocol: number, payload: Uint8Array, fragment = 0, id = 0): Uint8Array {
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + payload.length, 2);
  ip.writeUInt16BE(id, 4);
  ip.writeUInt16BE(fragment, 6);
  ip[8] = 64;
  ip[9] = protocol;
  ip.set(addresses[from], 12);
  ip.set(addresses[from === 0 ? 1 : 0], 16);
  return concat([hex("020000000002 020000000001 0800"), ip, payload]);
}

/** A pcap file in its plainest form: little-endian, microseconds, one frame a second. */
export function pcapOf(frames: readonly Uint8Array[], linkType = 1): Uint8Array {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(262_144, 16);
  head.writeUInt32LE(linkType, 20);
  const records = frames.map((frame, index) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1_700_000_000 + index, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return concat([record, frame]);
  });
  return concat([head, ...records]);
}

export interface Tapped {
  readonly from: Direction;
  readonly bytes: Uint8Array;
}

/** A whole TCP connection around tapped octets: SYN, SYN-ACK, segments of up to `segment` octets, FINs. */
export function conversation(
  tapped: readonly Tapped[],
  segment = 1400,
  ports: readonly [number, number] = [50000, 2221],
): Uint8Array[] {
  const next: [number, number] = [0xffff_ff00, 1000];
  const frames: Uint8Array[] = [];
  const send = (from: Direction, flags: string, payload?: Uint8Array): void => {
    const acknowledgement = flags === "S" ? 0 : next[from === 0 ? 1 : 0];
    frames.push(tcpFrame({ from, sequence: next[from], acknowledgement, flags, ports, ...(payload && { payload }) }));
    next[from] = (next[from] + (payload?.length ?? 0) + (/[SF]/u.test(flags) ? 1 : 0)) >>> 0;
  };
  send(0, "S");
  send(1, "SA");
  for (const { from, bytes } of tapped) {
    for (let at = 0; at < bytes.length; at += segment) send(from, "AP", bytes.subarray(at, at + segment));
  }
  send(0, "FA");
  send(1, "FA");
  return frames;
}
