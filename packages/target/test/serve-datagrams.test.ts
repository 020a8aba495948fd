import {
  Cpf,
  ForwardClose,
  ForwardOpen,
  ForwardOpenReply,
  IoWriter,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  UnconnectedMessage,
  decode,
  encode,
  readIo,
  type Reply,
  type Request,
} from "@cipsec/wire";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { request } from "./support/device.ts";
import { hex, settle, toHex, type FakeChannel } from "./support/fakes.ts";
import {
  configuration,
  heartbeatOpen,
  inputOnly,
  inputs,
  ioDevice,
  multicast,
  outputs,
  ownerOpen,
  ownerWriter,
  udpFrom,
} from "./support/io.ts";

/** An unconnected message as a datagram. */
function datagram(message: Uint8Array, transactionId = 1, type = 1, status = 0): Uint8Array {
  const data = encode(UnconnectedMessage, { type, transactionId, status, message });
  return encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]);
}

let transactions = 100;

/** Sends a request and returns the reply to it. */
async function ask(channel: FakeChannel, asked: Request, transactionId = (transactions += 1)): Promise<Reply> {
  const before = channel.sent.length;
  channel.push(datagram(encode(MessageRouterRequest, asked), transactionId));
  await settle();
  const reply = channel.sent.slice(before).find((bytes) => readIo(bytes) === undefined);
  const [item] = decode(Cpf, reply ?? new Uint8Array(0));
  const response = decode(UnconnectedMessage, item?.data ?? new Uint8Array(0));
  expect(response).toMatchObject({ type: 0x8001, transactionId, status: 0 });
  return decode(MessageRouterReply, response.message);
}

const open = (channel: FakeChannel, asked: ForwardOpen): Promise<Reply> =>
  ask(channel, request(0x54, [6, 1], encode(ForwardOpen, asked)));

const grantOf = (reply: Reply) => decode(ForwardOpenReply, reply.data);

test("answers as the reference's example asks, octet by octet", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  channel.push(hex("01 00 0380 1200 0100 01000000 00000000 0E 03 20 04 24 64 30 03"));
  await settle();
  expect(channel.sent.map(toHex)).toEqual([toHex(hex("0100 0380 1400 0180 01000000 00000000 8e000000 000000000000"))]);
});

test("a transaction that comes again gets the same response and does not run again, up to sixteen back", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  const asked = ownerOpen();
  const bytes = datagram(encode(MessageRouterRequest, request(0x54, [6, 1], encode(ForwardOpen, asked))), 7);
  channel.push(bytes);
  channel.push(bytes);
  await settle();
  const responses = (): string[] => channel.sent.filter((sent) => readIo(sent) === undefined).map(toHex);
  expect(responses()).toHaveLength(1);
  channel.push(bytes);
  expect(responses()).toHaveLength(2);
  expect(responses()[1]).toBe(responses()[0]);
  expect(io.engine.connections).toHaveLength(1);
  expect(io.connections.counters.openRequests).toBe(1);
  for (let i = 0; i < 16; i += 1) await ask(channel, request(0x0e, [4, inputs, 3]), 1000 + i);
  channel.push(bytes);
  await settle();
  expect(io.connections.counters.openRequests).toBe(2);
  const other = io.associate("bb");
  expect(await ask(other, request(0x0e, [4, inputs, 3]), 1015)).toMatchObject({ status: 0 });
});

test("a number that comes again with another request, or after a tool has given up, is another transaction", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  const set = (octet: number) => ask(channel, request(0x10, [4, configuration, 3], new Uint8Array(3).fill(octet)), 7);
  const get = async () => toHex((await ask(channel, request(0x0e, [4, configuration, 3]), 7)).data);
  await set(1);
  expect(await get()).toBe("010101");
  await set(2);
  expect(await get()).toBe("020202");
  io.assemblies.set(configuration, hex("030303"));
  expect(await get()).toBe("020202");
  io.clock.advance(8000);
  expect(await get()).toBe("030303");
});

test("requests are answered in order; of a burst those beyond the bound have to come again", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  const message = encode(MessageRouterRequest, request(0x0e, [4, inputs, 3]));
  for (let i = 1; i <= 20; i += 1) channel.push(datagram(message, i));
  await settle();
  const ids = channel.sent.map(
    (bytes) => decode(UnconnectedMessage, decode(Cpf, bytes)[0]?.data ?? hex("")).transactionId,
  );
  expect(ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(await ask(channel, request(0x0e, [4, inputs, 3]), 9)).toMatchObject({ status: 0 });
});

const good = encode(MessageRouterRequest, request(0x0e, [4, inputs, 3]));

test.each([
  { name: "no octets", bytes: hex("") },
  { name: "no item", bytes: hex("0000") },
  { name: "an item that is cut off", bytes: datagram(good).subarray(0, 12) },
  { name: "octets behind it", bytes: hex(`${toHex(datagram(good))}ff`) },
  { name: "a header that is cut off", bytes: hex("0100 0380 0400 01000100") },
  { name: "a response", bytes: datagram(good, 1, 0x8001) },
  { name: "the reserved type", bytes: datagram(good, 1, 0) },
  { name: "an unknown type", bytes: datagram(good, 1, 2) },
  { name: "a status in a request", bytes: datagram(good, 1, 1, 5) },
  { name: "an encapsulation frame", bytes: hex("6500 0400 00000000 00000000 0000000000000000 00000000 01000000") },
  {
    name: "two messages",
    bytes: hex(`0200${toHex(datagram(good)).slice(4)}${toHex(datagram(good, 2)).slice(4)}`),
  },
  { name: "I/O data that are cut off", bytes: hex("0200 0280 0800 01000000 01000000 b100 1000 0100") },
])("drops, counts and goes on: $name", async ({ bytes }) => {
  const io = ioDevice();
  const channel = io.associate("aa");
  channel.push(bytes);
  await settle();
  expect(channel.sent).toEqual([]);
  expect(io.engine.dropped.malformed).toBe(1);
  expect(channel.ended).toBeUndefined();
  expect(await ask(channel, request(0x0e, [4, inputs, 3]))).toMatchObject({ status: 0 });
});

test("whatever comes, nothing ends and no connection opens or closes", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  const grant = grantOf(await open(channel, ownerOpen()));
  const real = ownerWriter(grant).next().slice();
  const mutated = fc.tuple(fc.constantFrom(datagram(good), real), fc.nat(), fc.nat(255)).map(([base, at, value]) => {
    const bytes = base.slice();
    bytes[at % bytes.length] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), (bytes) => {
      channel.push(bytes);
      expect(channel.ended).toBeUndefined();
      expect(io.engine.connections).toHaveLength(1);
    }),
  );
  await settle();
  expect(channel.ended).toBeUndefined();
});

test("socket addresses beside a Forward_Open are ignored: data go by the association, both ways", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  io.assemblies.setInput(inputs, hex("0a0b0c0d0e0f"));
  const message = encode(MessageRouterRequest, request(0x54, [6, 1], encode(ForwardOpen, ownerOpen())));
  const data = encode(UnconnectedMessage, { type: 1, transactionId: 9, status: 0, message });
  const elsewhere = { type: ItemType.sockaddrTtoO, data: hex("0002 08ae 7f000001 0000000000000000") };
  channel.push(encode(Cpf, [{ type: ItemType.unconnectedMessage, data }, elsewhere]));
  await settle();
  io.clock.advance(1);
  const [response, first] = channel.sent;
  const items = decode(Cpf, response ?? hex(""));
  expect(items).toHaveLength(1);
  expect(toHex(readIo(first ?? hex(""))?.data ?? hex(""))).toBe("01000a0b0c0d0e0f");
  const reply = decode(MessageRouterReply, decode(UnconnectedMessage, items[0]?.data ?? hex("")).message);
  const writer = ownerWriter(grantOf(reply));
  writer.setData(hex("01020304"));
  channel.push(writer.next());
  expect(io.told).toEqual([["run", "01020304"]]);
  io.clock.advance(30);
  expect(channel.sent.length).toBeGreaterThan(3);
  expect(io.sent).toEqual([]);
});

test.each([
  { name: "class 3", asked: ownerOpen({ transport: 0xa3 }), extended: [0x0103] },
  { name: "multicast T→O", asked: multicast(ownerOpen()), extended: [0x0124] },
])("refuses $name", async ({ asked, extended }) => {
  const io = ioDevice();
  expect(await open(io.associate("aa"), asked)).toMatchObject({ status: 1, extended });
  expect(io.engine.connections).toEqual([]);
});

test("refuses a connection whose packets do not fit one datagram, and names the largest that do", async () => {
  const io = ioDevice({
    assemblies: [
      { instance: inputs, kind: "input", size: 500 },
      { instance: outputs, kind: "output", size: 4 },
      { instance: configuration, kind: "configuration", size: 3 },
    ],
  });
  const asked = ownerOpen();
  const large = { ...asked, tToO: { ...asked.tToO, size: 502 } };
  expect(await open(io.associate("aa", 519), large)).toMatchObject({ status: 1, extended: [0x0128, 501] });
  expect(await open(io.associate("bb", 520), large)).toMatchObject({ status: 0 });
});

test("data count from their own association only, though another has the same address", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  const other = io.associate("bb");
  const writer = ownerWriter(grantOf(await open(channel, ownerOpen())));
  writer.setData(hex("01020304"));
  other.push(writer.next());
  io.engine.receive(writer.next(), udpFrom());
  expect(io.engine.dropped.foreign).toBe(2);
  expect(io.told).toEqual([]);
  const packet = writer.next().slice();
  channel.push(packet);
  channel.push(packet);
  expect(io.engine.dropped.stale).toBe(1);
  expect(io.told).toEqual([["run", "01020304"]]);
});

test("several connections share an association; Forward_Close ends one of them, the loss of it the others", async () => {
  const io = ioDevice();
  const channel = io.associate("aa");
  const asked = ownerOpen();
  const grant = grantOf(await open(channel, asked));
  expect(await open(channel, heartbeatOpen(inputOnly))).toMatchObject({ status: 0 });
  const elsewhere = io.associate("bb");
  expect(await open(elsewhere, heartbeatOpen(inputOnly))).toMatchObject({ status: 0 });
  const third = ownerOpen();
  const close = (its: ForwardOpen): Request =>
    request(0x4e, [6, 1], encode(ForwardClose, { ...its, priorityTick: 0, timeoutTicks: 0 }));
  expect(await ask(elsewhere, close(asked))).toMatchObject({ status: 0x0f });
  expect(await ask(channel, close(third))).toMatchObject({ status: 1, extended: [0x0107] });
  expect(io.engine.connections).toHaveLength(3);
  expect(await ask(channel, close(asked))).toMatchObject({ status: 0 });
  expect(io.engine.connections).toHaveLength(2);
  const again = grantOf(await open(channel, ownerOpen()));
  expect(again.oToTConnectionId).not.toBe(grant.oToTConnectionId);
  const writer = new IoWriter({
    connectionId: again.oToTConnectionId,
    transportClass: 1,
    format: "run-idle-32",
    size: 4,
  });
  writer.setData(hex("05060708"));
  channel.push(writer.next());
  channel.hangUp();
  await settle();
  expect(io.told.at(-1)).toEqual(["timeout", "00000000"]);
  expect(io.engine.connections.map(({ owner }) => owner)).toEqual(["certificate:bb"]);
  expect(io.assemblies.get(outputs)).toEqual(hex("00000000"));
});
