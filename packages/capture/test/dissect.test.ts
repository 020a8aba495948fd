import {
  Command,
  EncapsulationStatus,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  UnconnectedSend,
  encode,
  frame,
  objectPath,
  type Request,
} from "@cipsec/wire";
import { array, assert, boolean, constantFrom, property, record, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { bare, dissect, type DissectOptions, type MessageLine } from "../src/dissect.ts";
import type { CaptureEvent, EventDetail } from "../src/events.ts";
import { concat, hex, toHex } from "./frames.ts";

const noOctets = new Uint8Array(0);
const device = { address: "10.0.0.2", port: 44_818 };
const tool = { address: "10.0.0.1", port: 50_000 };
const ioDevice = { address: "10.0.0.2", port: 2222 };

type Way = Partial<Pick<CaptureEvent, "n" | "src" | "dst" | "transport" | "flow">>;

/** Payload from the tool to the device, unless said otherwise. */
function data(bytes: Uint8Array, way: Way = {}): CaptureEvent {
  return {
    n: 1,
    time: "1700000000.000000000",
    src: tool,
    dst: device,
    transport: "tcp",
    flow: 1,
    bytes,
    kind: "data",
    ...way,
  };
}

function lines(events: readonly CaptureEvent[], options?: DissectOptions): readonly MessageLine[] {
  return [...dissect(events, options)];
}

function only(event: CaptureEvent): MessageLine {
  const [line, ...more] = lines([event]);
  if (line === undefined || more.length > 0) throw new RangeError("one line was expected");
  return line;
}

function word(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, value >> 8);
}

function cpf(...items: readonly (readonly [type: number, data: Uint8Array])[]): Uint8Array {
  return concat([word(items.length), ...items.flatMap(([type, octets]) => [word(type), word(octets.length), octets])]);
}

/** SendRRData or SendUnitData around items. */
function send(command: number, ...items: readonly (readonly [type: number, data: Uint8Array])[]): Uint8Array {
  return frame(command, { session: 9, data: concat([new Uint8Array(6), cpf(...items)]) });
}

function unconnected(cip: Uint8Array): Uint8Array {
  return send(Command.sendRRData, [ItemType.nullAddress, noOctets], [ItemType.unconnectedData, cip]);
}

const get: Request = { service: 0x0e, path: objectPath(1, 1, 7), data: noOctets };
const getOctets = encode(MessageRouterRequest, get);
const asked = {
  service: 0x0e,
  response: false,
  class: 1,
  instance: 1,
  attribute: 7,
  status: null,
  extended: [],
  dataHex: "",
};
const nobody = { class: null, instance: null, attribute: null };

describe("messages", () => {
  test("the whole shape of a line", () => {
    expect(only(data(unconnected(getOctets), { n: 12 }))).toEqual({
      n: 12,
      time: "1700000000.000000000",
      src: "10.0.0.1:50000",
      dst: "10.0.0.2:44818",
      transport: "tcp",
      command: Command.sendRRData,
      session: 9,
      status: 0,
      items: [
        { type: 0, length: 0, dataHex: "" },
        { type: 0xb2, length: getOctets.length, dataHex: "" },
      ],
      cip: [asked],
      error: null,
    });
  });

  test("IPv6 addresses stand in brackets", () => {
    const src = { address: "2001:db8::1", port: 44_818 };
    expect(only(data(frame(Command.listServices, { session: 0 }), { src })).src).toBe("[2001:db8::1]:44818");
  });

  test("a reply has a status, extended words and data, and names no object", () => {
    const reply = encode(MessageRouterReply, { service: 0x0e, status: 1, extended: [0x107, 3], data: hex("abcd") });
    expect(only(data(unconnected(reply))).cip).toEqual([
      { service: 0x0e, response: true, ...nobody, status: 1, extended: [0x107, 3], dataHex: "abcd" },
    ]);
  });

  test("a class 3 message stands behind its sequence count, under its connection id", () => {
    const { items, cip } = only(
      data(
        send(
          Command.sendUnitData,
          [ItemType.connectedAddress, hex("78563412")],
          [ItemType.connectedData, concat([hex("0500"), getOctets])],
        ),
      ),
    );
    expect(items[0]).toEqual({ type: 0xa1, length: 4, connectionId: 0x1234_5678, dataHex: "78563412" });
    expect(cip).toEqual([asked]);
  });

  test("connected data that is shorter than its sequence count holds no message", () => {
    const line = only(
      data(
        send(Command.sendUnitData, [ItemType.connectedAddress, hex("78563412")], [ItemType.connectedData, hex("05")]),
      ),
    );
    expect(line).toMatchObject({ cip: [], error: null });
  });

  test("an address of the wrong size stays octets", () => {
    const line = only(
      data(send(Command.sendUnitData, [ItemType.connectedAddress, hex("7856")], [ItemType.connectedData, hex("0100")])),
    );
    expect(line.items[0]).toEqual({ type: 0xa1, length: 2, dataHex: "7856" });
  });

  test("what a Multiple_Service_Packet embeds follows it, both ways", () => {
    const second: Request = { service: 0x0e, path: objectPath(1, 1, 6), data: noOctets };
    const packet = encode(MessageRouterRequest, {
      service: 0x0a,
      path: objectPath(2, 1),
      data: encode(MultipleServiceRequest, [get, second]),
    });
    expect(only(data(unconnected(packet))).cip.map(({ service, attribute }) => [service, attribute])).toEqual([
      [0x0a, null],
      [0x0e, 7],
      [0x0e, 6],
    ]);
    const replies = [
      { service: 0x0e, status: 0, extended: [], data: hex("01") },
      { service: 0x0e, status: 8, extended: [], data: noOctets },
    ];
    const answer = encode(MessageRouterReply, {
      service: 0x0a,
      status: 0x1e,
      extended: [],
      data: encode(MultipleServiceReply, replies),
    });
    expect(only(data(unconnected(answer))).cip.map(({ service, status }) => [service, status])).toEqual([
      [0x0a, 0x1e],
      [0x0e, 0],
      [0x0e, 8],
    ]);
    const refused = encode(MessageRouterReply, { service: 0x0a, status: 8, extended: [], data: noOctets });
    expect(only(data(unconnected(refused))).cip).toHaveLength(1);
  });

  test("what an Unconnected_Send carries follows it; the same code elsewhere is another service", () => {
    const route = {
      priorityTick: 0x0a,
      timeoutTicks: 5,
      message: getOctets,
      route: [{ kind: "port", port: 1, link: hex("00") }],
    } as const;
    const octets = encode(UnconnectedSend, route);
    const through = encode(MessageRouterRequest, { service: 0x52, path: objectPath(6, 1), data: octets });
    expect(only(data(unconnected(through))).cip).toMatchObject([{ service: 0x52, class: 6 }, asked]);
    const other = encode(MessageRouterRequest, { service: 0x52, path: objectPath(0x6b, 1), data: octets });
    expect(only(data(unconnected(other))).cip).toHaveLength(1);
  });

  test("an empty message item holds no message", () => {
    expect(only(data(unconnected(noOctets)))).toMatchObject({ cip: [], error: null });
  });

  test("commands without CIP: List commands with their items, others with their header alone", () => {
    const identity = frame(Command.listIdentity, { session: 0, data: cpf([0x0c, hex("0102")]) });
    expect(only(data(identity))).toMatchObject({
      command: 0x63,
      items: [{ type: 0x0c, length: 2, dataHex: "0102" }],
      cip: [],
    });
    const register = frame(Command.registerSession, { session: 0, data: hex("01000000") });
    expect(only(data(register))).toMatchObject({ command: 0x65, items: [], error: null });
    const refused = frame(Command.sendRRData, { session: 7, status: EncapsulationStatus.invalidSessionHandle });
    expect(only(data(refused))).toMatchObject({ status: 0x64, items: [], error: null });
  });

  test("in TLS the line says so", () => {
    expect(only(data(unconnected(getOctets), { transport: "tls", dst: { ...device, port: 2221 } }))).toMatchObject({
      transport: "tls",
      cip: [asked],
    });
  });
});

describe("streams", () => {
  const message = unconnected(getOctets);

  test("a message in pieces counts where its last octet is; several in one segment count all", () => {
    const pieces = lines([
      data(message.subarray(0, 5), { n: 1 }),
      data(message.subarray(5, 40), { n: 2 }),
      data(concat([message.subarray(40), message, message.subarray(0, 3)]), { n: 3 }),
      data(message.subarray(3), { n: 4 }),
    ]);
    expect(pieces.map(({ n, error }) => [n, error])).toEqual([
      [3, null],
      [3, null],
      [4, null],
    ]);
  });

  test("each direction and each connection has a stream of its own", () => {
    const half = message.subarray(0, 30);
    const rest = message.subarray(30);
    const back = { src: device, dst: tool };
    const other = { flow: 2 };
    expect(
      lines([data(half), data(half, back), data(half, other), data(rest), data(rest, back), data(rest, other)]),
    ).toHaveLength(3);
  });

  test.each(["gap", "reset", "closed"] as const)("after a %s the stream begins anew", (kind) => {
    const detail: EventDetail = kind === "gap" ? { kind, octets: 10 } : { kind };
    const cut: CaptureEvent = { ...data(noOctets), ...detail };
    expect(lines([data(message.subarray(0, 30)), cut, data(message)])).toMatchObject([{ cip: [asked] }]);
  });

  test("a stream that is out of step is told once for each segment, and recovers", () => {
    const bad = frame(Command.sendRRData, { session: 9 });
    bad.set([0xff, 0xff], 2);
    const found = lines([data(bad, { n: 1 }), data(message, { n: 2 })]);
    expect(found.map(({ n, error }) => [n, error?.code])).toEqual([
      [1, expect.stringMatching(/^wire\//)],
      [2, undefined],
    ]);
  });

  test("what is no payload, or on other ports, or about no connection, gives no line", () => {
    expect(
      lines([
        { ...data(noOctets), kind: "notice", message: "m" },
        { ...data(noOctets), kind: "error", message: "m" },
        data(message, { transport: "none" }),
        data(message, { dst: { ...device, port: 80 } }),
        data(message, { transport: "udp", dst: { ...device, port: 80 } }),
        data(message, { transport: "dtls", dst: { ...device, port: 4433 } }),
      ]),
    ).toEqual([]);
  });

  test("other ports can be named", () => {
    const elsewhere = data(message, { dst: { ...device, port: 4818 } });
    expect(lines([elsewhere], { messagePorts: [4818] })).toHaveLength(1);
    expect(lines([data(message)], { messagePorts: [4818] })).toHaveLength(0);
    const io = data(cpf([ItemType.sequencedAddress, hex("0100000002000000")]), {
      transport: "udp",
      dst: { ...device, port: 3333 },
    });
    expect(lines([io], { ioPorts: [3333] })).toMatchObject([{ command: null }]);
  });
});

describe("datagrams", () => {
  test("discovery", () => {
    const line = only(data(frame(Command.listIdentity, { session: 0 }), { transport: "udp" }));
    expect(line).toMatchObject({ transport: "udp", command: 0x63, error: null });
  });

  test("I/O: connection id and sequence of the address, data as octets and never as a message", () => {
    const io = cpf([ItemType.sequencedAddress, hex("0100000002000000")], [ItemType.connectedData, getOctets]);
    expect(only(data(io, { transport: "udp", dst: ioDevice }))).toMatchObject({
      command: null,
      items: [
        { type: 0x8002, connectionId: 1, sequence: 2, dataHex: "0100000002000000" },
        { type: 0xb1, length: getOctets.length, dataHex: toHex(getOctets) },
      ],
      cip: [],
      error: null,
    });
  });

  test("I/O of devices that send an encapsulation header all the same", () => {
    const io = send(
      Command.sendUnitData,
      [ItemType.connectedAddress, hex("01000000")],
      [ItemType.connectedData, getOctets],
    );
    const line = only(data(io, { transport: "udp", dst: ioDevice }));
    expect(line).toMatchObject({ command: 0x70, cip: [], error: null });
    expect(line.items[1]?.dataHex).toBe(toHex(getOctets));
  });

  test("an address of I/O that has the wrong size stays octets", () => {
    const io = cpf([ItemType.sequencedAddress, hex("01000000")]);
    expect(only(data(io, { transport: "udp", dst: ioDevice })).items).toEqual([
      { type: 0x8002, length: 4, dataHex: "01000000" },
    ]);
  });

  test("a length that leaves out what follows: what it covers is read, and the error stands beside it", () => {
    const identity = concat([
      frame(Command.listIdentity, { session: 0, data: cpf([0x0c, hex("0102")]) }),
      hex("86000000"),
    ]);
    expect(only(data(identity, { transport: "udp" }))).toMatchObject({
      command: 0x63,
      items: [{ type: 0x0c }],
      error: { code: "wire/trailing", offset: expect.any(Number) },
    });
  });

  test("a datagram that is cut says where", () => {
    expect(only(data(hex("6300"), { transport: "udp" }))).toMatchObject({
      command: null,
      error: { code: "wire/truncated", offset: 2 },
    });
    expect(only(data(hex("02000000"), { transport: "udp", dst: ioDevice }))).toMatchObject({
      error: { code: "wire/truncated" },
    });
  });

  test("DTLS that is not opened is a line that says so, on message and I/O ports", () => {
    for (const dst of [{ ...device, port: 2221 }, ioDevice]) {
      const event = {
        ...data(hex("17fefd"), { transport: "dtls", dst }),
        kind: "sealed",
        reason: "not-opened",
      } as const;
      expect(only(event)).toMatchObject({
        transport: "dtls",
        command: null,
        error: { code: "dtls/not-opened", offset: 0 },
      });
    }
  });

  test("what DTLS carries has no header: a message in its own item, or a refusal to read it", () => {
    const message = cpf([ItemType.unconnectedMessage, concat([new Uint8Array(12), getOctets])]);
    const read = bare(data(message), "dtls");
    expect(read.transport).toBe("dtls");
    expect(read.items[0]).toMatchObject({ type: ItemType.unconnectedMessage });
    expect(bare(data(hex("ff")), "dtls").error).toMatchObject({ code: "wire/truncated" });
  });
});

describe("hostile octets", () => {
  test.each([
    { name: "an item longer than what follows", bytes: send(Command.sendRRData).with(30, 9), code: "wire/truncated" },
    { name: "a path longer than the message", bytes: unconnected(hex("0e 7f 20")), code: "wire/" },
    { name: "an embedded message cut off", bytes: unconnected(hex("0a 02 20 02 24 01 0500 0c00")), code: "wire/" },
    { name: "a reply cut off", bytes: unconnected(hex("8e 00")), code: "wire/truncated" },
  ])("$name is an error of the line, which still says the rest", ({ bytes, code }) => {
    const line = only(data(bytes));
    expect(line.command).toBe(Command.sendRRData);
    expect(line.error?.code).toMatch(new RegExp(`^${code}`));
  });

  test("the first of several errors counts, and the items stay", () => {
    const line = only(
      data(send(Command.sendRRData, [ItemType.unconnectedData, hex("8e")], [ItemType.unconnectedData, hex("0e7f")])),
    );
    expect(line.items).toHaveLength(2);
    expect(line.error?.code).toBe("wire/truncated");
  });

  test.each([
    { name: "one in one", offsets: "0100 0400" },
    { name: "the same one twice", offsets: "0200 0600 0600" },
  ])("packets in packets, $name, cannot exhaust the stack or memory", ({ offsets }) => {
    let inner: Uint8Array = getOctets;
    for (let depth = 0; depth < 4000; depth += 1) inner = concat([hex("0a 02 2002 2401"), hex(offsets), inner]);
    const line = only(data(unconnected(inner)));
    expect(line.error?.code).toMatch(/^wire\//);
    expect(line.cip.length).toBeLessThan(10);
    expect(JSON.stringify(line).length).toBeLessThan(2_000_000);
  });

  test("any octets on any port give lines and no exception, and every line is JSON", () => {
    const event = record({
      bytes: uint8Array({ maxLength: 120 }),
      transport: constantFrom("tcp", "udp", "tls", "dtls"),
      port: constantFrom(44_818, 2221, 2222),
      framed: boolean(),
      command: constantFrom(Command.sendRRData, Command.sendUnitData, Command.listIdentity, Command.registerSession),
    });
    assert(
      property(array(event, { maxLength: 6 }), (given) => {
        const events = given.map(({ bytes, transport, port, framed, command }, i) =>
          data(framed ? frame(command, { session: 1, data: bytes }) : bytes, {
            n: i + 1,
            transport,
            dst: { ...device, port },
          }),
        );
        for (const line of lines(events)) expect(JSON.parse(JSON.stringify(line))).toEqual(line);
      }),
      { numRuns: 500 },
    );
  });
});
