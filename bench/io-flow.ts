import dgram from "node:dgram";
import { Histogram } from "@cipsec/originator";
import type { Party } from "./io-process.ts";
import { datagramOctets, type FlowOrder } from "./io-traffic.ts";

/** Any port: both ends of a bare flow have the same. */
const port = 2299;

/**
 * The reference: one datagram for each connection an interval, paced by `setTimeout` towards due times that do not drift, and
 * the time between those that come counted. No header is written and none is looked at but the connection's number and count.
 */
export async function startFlow({ address, peer, connections, rpiMicros }: FlowOrder): Promise<Party> {
  const socket = dgram.createSocket("udp4");
  await new Promise<void>((resolve) => void socket.bind(port, address, resolve));
  const received = Array.from({ length: connections }, () => ({
    histogram: new Histogram(),
    lastMs: 0,
    lastCount: 0,
    late: 0,
    lost: 0,
  }));
  let sent = 0;
  socket.on("message", (bytes) => {
    const one = received[bytes.readUInt32LE(0)];
    if (one === undefined) return;
    const now = performance.now();
    const count = bytes.readUInt32LE(4);
    const micros = (now - one.lastMs) * 1000;
    if (one.lastMs > 0) {
      one.histogram.add(micros);
      if (count === one.lastCount + 1 && micros > rpiMicros * 1.5) one.late += 1;
      one.lost += Math.max(0, count - one.lastCount - 1);
    }
    one.lastMs = now;
    one.lastCount = count;
  });
  const datagrams = received.map(() => Buffer.alloc(datagramOctets));
  const began = performance.now();
  let turn = 0;
  const send = (): void => {
    turn += 1;
    for (const [i, datagram] of datagrams.entries()) {
      datagram.writeUInt32LE(i, 0);
      datagram.writeUInt32LE(turn, 4);
      socket.send(datagram, port, peer);
    }
    sent += 1;
    setTimeout(send, Math.max(0, began + (turn * rpiMicros) / 1000 - performance.now()));
  };
  send();
  return {
    begin: () => {
      sent = 0;
      for (const one of received) {
        one.histogram.clear();
        one.late = 0;
        one.lost = 0;
      }
    },
    figures: (seconds) =>
      received.map(({ histogram, late, lost }) => ({
        sentPerSecond: sent / seconds,
        receivedPerSecond: histogram.count / seconds,
        lost,
        late,
        p1: histogram.quantile(0.01),
        p50: histogram.quantile(0.5),
        p99: histogram.quantile(0.99),
        p999: histogram.quantile(0.999),
      })),
  };
}
