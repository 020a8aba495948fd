import { assemblyPath, connect, openIo, type IoRequest } from "@cipsec/originator";
import { startDevices } from "../tools/fuzz/device.ts";
import { startServer } from "./child.ts";
import { alternate, compared, type Benchmark } from "./measure.ts";
import { recorder, replayer } from "./replay.ts";

const device = "127.35.19.1";
const ours = "127.35.19.2";
const reference = { address: "127.35.19.3", port: 44_818 };

const rounds = 5;
const roundMs = 700;

/** So long an interval that the data of the connections cost nothing beside their opening. */
const request: IoRequest = {
  oToT: { rpiMicros: 1_000_000, size: 4 },
  tToO: { rpiMicros: 1_000_000, size: 8 },
  path: assemblyPath({ oToT: 150, tToO: 100 }),
};

/** Forward_Open and Forward_Close, one pair after the other, against a bare server that sends as many octets for as many. */
export const connections: Benchmark = {
  name: "connections",
  about: "Forward_Open and Forward_Close pairs of class 1 a second, against a bare node server of the same sizes",
  async run() {
    await using cleanUp = new AsyncDisposableStack();
    const devices = await startDevices([device], {
      security: null,
      assemblies: [
        { instance: 100, kind: "input", size: 8 },
        { instance: 150, kind: "output", size: 4 },
      ],
    });
    cleanUp.defer(() => devices.stop());
    const notes = recorder();
    const session = cleanUp.use(await connect({ scheme: "eip", host: device }, { localAddress: ours, tap: notes.tap }));
    // Another connection keeps the UDP port of the originator open, as a scanner's other connections do.
    const heartbeat = { ...request, oToT: { rpiMicros: 1_000_000, size: 0 } };
    cleanUp.use(await openIo(session, { ...heartbeat, path: assemblyPath({ oToT: 254, tToO: 100 }) }));
    const pair = async (): Promise<void> => await (await openIo(session, request)).close();
    notes.take();
    await pair();
    const exchanges = notes.take();
    const sizes = exchanges.map(({ request: sent, reply }) => ({ request: sent.length, reply: reply.length }));
    const bareServer = await startServer("sizes-process.ts", { ...reference, exchanges: sizes });
    cleanUp.defer(() => bareServer.stop());
    const raw = await replayer(exchanges, { host: device, port: 44_818, localAddress: ours, registers: true });
    cleanUp.defer(() => raw.close());
    const bare = await replayer(exchanges, { host: reference.address, port: reference.port, registers: false });
    cleanUp.defer(() => bare.close());
    const spreads = await alternate(
      [
        { name: "target", measure: () => raw.measure(roundMs) },
        { name: "originator", measure: () => perSecond(pair) },
        { name: "bare", measure: () => bare.measure(roundMs) },
      ],
      rounds,
    );
    const unit = "pairs/s";
    return [
      compared({ name: "target, recorded requests", unit }, spreads, "target", "bare"),
      compared({ name: "originator and target", unit }, spreads, "originator", "bare"),
    ];
  },
};

async function perSecond(run: () => Promise<void>): Promise<number> {
  const began = performance.now();
  let done = 0;
  for (; performance.now() - began < roundMs; done += 1) await run();
  return (done * 1000) / (performance.now() - began);
}
