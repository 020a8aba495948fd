import { createSocket } from "node:dgram";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createDtlsEndpoint, type Acceleration } from "@cipsec/dtls";

/*
 * The far end of `dtls-network.ts` in a process of its own: it receives packets that carry their time of sending, by DTLS and by
 * plain UDP, or holds idle associations. Each message after the first is answered with what was seen since the last.
 */

/** What the parent says first. */
export interface FarOrder {
  readonly address: string;
  readonly port: number;
  readonly plainPort: number;
  readonly acceleration: Acceleration;
}

/** What it answers: one-way times in microseconds, and the memory of the process after collection. */
export interface FarFigures {
  readonly dtlsMicros: readonly number[];
  readonly plainMicros: readonly number[];
  readonly residentKib: number;
  readonly open: number;
}

/** The key that both ends know. */
export const farKey = Buffer.alloc(32, 1);

process.once("message", (order: FarOrder) => void serve(order));
process.on("disconnect", () => process.exit(0));

async function serve({ address, port, plainPort, acceleration }: FarOrder): Promise<void> {
  const seen: { dtls: number[]; plain: number[] } = { dtls: [], plain: [] };
  const micros = (bytes: Uint8Array): number => {
    const sent = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
    return Number(process.hrtime.bigint() - sent) / 1000;
  };
  const endpoint = await createDtlsEndpoint({
    address,
    port,
    acceleration,
    suites: [0xd001],
    credentials: { findPsk: () => farKey },
    limits: { perHost: 5000, handshakesPerSecond: 5000 },
    onAssociation(association) {
      association.onMessage = (payload) => void seen.dtls.push(micros(payload));
    },
  });
  const plain = createSocket("udp4");
  plain.on("message", (bytes) => void seen.plain.push(micros(bytes)));
  await new Promise<void>((resolve) => void plain.bind(plainPort, address, resolve));
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  process.on("message", () => {
    for (let i = 0; i < 3; i += 1) collect();
    const figures: FarFigures = {
      dtlsMicros: seen.dtls,
      plainMicros: seen.plain,
      residentKib: process.memoryUsage().rss / 1024,
      open: endpoint.statistics.open,
    };
    seen.dtls = [];
    seen.plain = [];
    process.send?.(figures);
  });
  process.send?.("ready");
}
