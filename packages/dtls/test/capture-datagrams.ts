import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readRecords } from "@cipsec/capture";

const folder = join(import.meta.dirname, "../../../../shared/captures");

/** Whether the captures of other stacks are beside the checkout. */
export const capturesThere = existsSync(folder);

/** A UDP datagram of a capture, with the ports that say who sent it. */
export interface Datagram {
  readonly from: number;
  readonly to: number;
  readonly payload: Uint8Array;
}

/** The UDP payloads of a capture over IPv4. */
export function datagrams(name: string): readonly Datagram[] {
  const found: Datagram[] = [];
  for (const record of readRecords(readFileSync(join(folder, name)))) {
    if (record.kind !== "frame") continue;
    const link = { 1: 14, 113: 16, 276: 20, 0: 4, 101: 0, 228: 0 }[record.linkType] ?? 0;
    const ip = record.bytes.subarray(link);
    const start = ((ip[0] ?? 0) & 15) * 4;
    if ((ip[0] ?? 0) >> 4 !== 4 || ip[9] !== 17) continue;
    const udp = ip.subarray(start);
    const word = (at: number): number => ((udp[at] ?? 0) << 8) | (udp[at + 1] ?? 0);
    found.push({ from: word(0), to: word(2), payload: udp.subarray(8, word(4)) });
  }
  return found;
}

/** The lines of the key log: client random to master secret. */
export function keyLog(): ReadonlyMap<string, Uint8Array> {
  const text = readFileSync(join(folder, "gen_dtls2221.keys"), "utf8");
  return new Map(
    text.split("\n").flatMap((line) => {
      const [label, random, secret] = line.trim().split(" ");
      return label === "CLIENT_RANDOM" && random && secret ? [[random, Buffer.from(secret, "hex")] as const] : [];
    }),
  );
}
