import { connect, tags as tagsOf } from "@cipsec/originator";
import { startDevices } from "../tools/fuzz/device.ts";
import { startServer } from "./child.ts";
import { alternate, compared, type Benchmark, type Contestant, type Row } from "./measure.ts";
import { recorder, replayer } from "./replay.ts";

const device = "127.35.20.1";
const references = [
  { address: "127.35.20.3", port: 44_818 },
  { address: "127.35.20.4", port: 44_818 },
] as const;

const rounds = 5;
const roundMs = 700;

/** Reads that fit one packet of 500 octets both ways. */
const packedTags = 20;

const names = Array.from({ length: packedTags }, (_, i) => `Speed${String(i).padStart(2, "0")}`);

/** Reads of DINT tags, one to a message and many, against a bare server that sends as many octets for as many. */
export const tags: Benchmark = {
  name: "tags",
  about: `DINT tags read a second, one to a message and ${packedTags} packed, against a bare node server of the same sizes`,
  async run() {
    await using cleanUp = new AsyncDisposableStack();
    const devices = await startDevices([device], {
      security: null,
      tags: names.map((name, i) => ({ name, type: "DINT", value: i })),
    });
    cleanUp.defer(() => devices.stop());
    const notes = recorder();
    const session = cleanUp.use(await connect({ scheme: "eip", host: device }, { tap: notes.tap }));
    const controller = tagsOf(session);
    const contestants: Contestant[] = [];
    const cases = [
      { count: 1, reference: references[0] },
      { count: packedTags, reference: references[1] },
    ];
    for (const { count, reference } of cases) {
      const asked = names.slice(0, count);
      notes.take();
      await controller.read(asked);
      const exchanges = notes.take();
      if (exchanges.length !== 1) throw new Error(`${count} tags took ${exchanges.length} messages`);
      const sizes = exchanges.map(({ request, reply }) => ({ request: request.length, reply: reply.length }));
      const server = await startServer("sizes-process.ts", { ...reference, exchanges: sizes });
      cleanUp.defer(() => server.stop());
      const raw = await replayer(exchanges, { host: device, port: 44_818, registers: true });
      const bare = await replayer(exchanges, { host: reference.address, port: reference.port, registers: false });
      cleanUp.defer(() => raw.close());
      cleanUp.defer(() => bare.close());
      contestants.push(
        { name: `target ${count}`, measure: async () => count * (await raw.measure(roundMs)) },
        { name: `originator ${count}`, measure: () => perSecond(count, () => controller.read(asked)) },
        { name: `bare ${count}`, measure: async () => count * (await bare.measure(roundMs)) },
      );
    }
    const spreads = await alternate(contestants, rounds);
    return cases.flatMap(({ count }): readonly Row[] => {
      const how = count === 1 ? "one to a message" : `${count} packed`;
      const unit = "tags/s";
      return [
        compared({ name: `target, ${how}`, unit }, spreads, `target ${count}`, `bare ${count}`),
        compared({ name: `originator and target, ${how}`, unit }, spreads, `originator ${count}`, `bare ${count}`),
      ];
    });
  },
};

async function perSecond(count: number, read: () => Promise<readonly object[]>): Promise<number> {
  const began = performance.now();
  let done = 0;
  while (performance.now() - began < roundMs) {
    const results = await read();
    done += results.filter((result) => "value" in result).length;
  }
  if (done % count !== 0) throw new Error("a tag was not read");
  return (done * 1000) / (performance.now() - began);
}
