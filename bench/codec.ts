import {
  Encapsulation,
  MessageRouterReply,
  SendData,
  decode,
  encode,
  frame,
  Command,
  noOctets,
  ItemType,
} from "@cipsec/wire";
import { alternate, compared, type Benchmark } from "./measure.ts";

const rounds = 5;
const perRound = 60_000;

const reply = frame(Command.sendRRData, {
  session: 0x1234_5678,
  data: encode(SendData, {
    interfaceHandle: 0,
    timeoutS: 0,
    items: [
      { type: ItemType.nullAddress, data: noOctets },
      {
        type: ItemType.unconnectedData,
        data: encode(MessageRouterReply, {
          service: 0x0e,
          status: 0,
          extended: [],
          data: new Uint8Array(20).fill(0x41),
        }),
      },
    ],
  }),
});

/** Reading one reply frame down to its service data, against a function that reads the same fields and checks nothing. */
export const codec: Benchmark = {
  name: "codec",
  about: "a Get_Attribute_Single reply read from frame to data, against a bare DataView that checks nothing",
  async run() {
    const timed = (name: string, read: () => number) => ({
      name,
      async measure() {
        const began = performance.now();
        let sum = 0;
        for (let i = 0; i < perRound; i += 1) sum += read();
        if (sum !== 20 * perRound) throw new Error(`${name} read something else`);
        return (perRound * 1000) / (performance.now() - began);
      },
    });
    const spreads = await alternate([timed("codecs", withCodecs), timed("bare DataView", bare)], rounds);
    return [compared({ name: "read a reply", unit: "frames/s" }, spreads, "codecs", "bare DataView")];
  },
};

function withCodecs(): number {
  const { items } = decode(SendData, decode(Encapsulation, reply).data);
  return decode(MessageRouterReply, items[1]?.data ?? noOctets).data.length;
}

/** The same fields at the offsets where this frame has them. */
function bare(): number {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length);
  const header = {
    command: view.getUint16(0, true),
    length: view.getUint16(2, true),
    session: view.getUint32(4, true),
    status: view.getUint32(8, true),
    context: reply.subarray(12, 20),
    options: view.getUint32(20, true),
  };
  const items = [];
  let at = 24 + 6;
  const count = view.getUint16(at, true);
  at += 2;
  for (let i = 0; i < count; i += 1) {
    const length = view.getUint16(at + 2, true);
    items.push({ type: view.getUint16(at, true), data: reply.subarray(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  const message = items[1]?.data ?? noOctets;
  const answer = { service: (message[0] ?? 0) & 0x7f, status: message[2] ?? 0, data: message.subarray(4) };
  return header.command === Command.sendRRData && answer.status === 0 ? answer.data.length : 0;
}
