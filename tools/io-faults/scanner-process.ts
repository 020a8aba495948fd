import { Scanner, assemblyPath } from "@cipsec/originator";
import { answering } from "./answering.ts";
import {
  connections,
  firstOutput,
  inputInstance,
  monotonicMs,
  rpiMs,
  timeoutMultiplier,
  type ScannerState,
  type Start,
} from "./messages.ts";

/*
 * The scanner: keeps all connections by itself, its outputs count up, its inputs must count up too.
 */

const countEveryMs = 5;

/** Tries again soon, so that cycles are short; all else is as users have it. */
const backoff = { lostMs: 20, maxLostMs: 200, refusedMs: 50, maxRefusedMs: 400 };

answering(async ({ addresses }: Start) => {
  const counts = { backwards: 0, inputs: 0, lastTimeoutMs: 0 };
  const scanner = new Scanner({
    connect: { localAddress: addresses.scanner, connectTimeoutMs: 1000, requestTimeoutMs: 1000 },
    backoff,
    onState: ({ state }) => {
      if (state === "waiting") counts.lastTimeoutMs = monotonicMs();
    },
  });
  const kept = Array.from({ length: connections }, (_, i) => {
    let last = 0;
    return scanner.add({
      name: `output ${i}`,
      target: { scheme: "eip", host: addresses.front },
      request: {
        oToT: { rpiMicros: rpiMs * 1000, size: 4 },
        tToO: { rpiMicros: rpiMs * 1000, size: 4 },
        timeoutMultiplier,
        path: assemblyPath({ oToT: firstOutput + i, tToO: inputInstance }),
      },
      onInput: (data) => {
        counts.inputs += 1;
        const value = Buffer.from(data).readUInt32LE(0);
        if (value < last) counts.backwards += 1;
        last = value;
      },
    });
  });
  let count = 0;
  setInterval(() => {
    count += 1;
    const data = Buffer.alloc(4);
    data.writeUInt32LE(count);
    for (const connection of kept) connection.setOutput(data);
  }, countEveryMs);
  return (): ScannerState => ({
    connections: kept.map((connection) => {
      const { current, opens, timeouts, refusals, total } = connection.statistics();
      const { duplicates = 0, outOfOrder = 0 } = current ?? {};
      const { received, lost } = total;
      const reason = connection.reason?.message;
      const receivedNow = current?.received ?? 0;
      const { state } = connection;
      return { state, opens, timeouts, refusals, received, lost, duplicates, outOfOrder, receivedNow, reason };
    }),
    ...counts,
    sessions: scanner.sessions,
  });
});
