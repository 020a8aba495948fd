import { Identity } from "@cipsec/objects";
import {
  Command,
  ConnectedAddress,
  ConnectionService,
  EPATH,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  ItemType,
  LargeForwardOpen,
  MessageRouterReply,
  SendData,
  decode,
  encode,
  frame,
  objectPath,
  type Frame,
  type Reply,
  type Segment,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { connect, openClass3, parseRoute } from "../src/index.ts";
import type { Class3Carrier } from "../src/class3.ts";
import { net } from "./addresses.ts";
import { HandClock } from "./fake-association.ts";
import { answered, fakeDevice, handle, registered, requestIn, type Answer } from "./fake-device.ts";

const at = `${net}.70`;
let connectionId = 0;

/** A device with class 3 connections; `refuse` answers Forward_Opens, `unit` connected messages. */
function class3Device(
  refuse: (size: number, large: boolean) => Partial<Reply> | undefined,
  unit: (sequence: number, echo: (sequence: number, id?: number) => Uint8Array) => Answer = (sequence, echo) => [
    echo(sequence),
  ],
  seen: number[] = [],
  paths: (readonly Segment[])[] = [],
  answersClose = true,
) {
  return fakeDevice(at, (f) => {
    if (f.command === Command.registerSession) return [registered(f)];
    if (f.command === Command.sendUnitData) return connected(f, unit);
    if (f.command !== Command.sendRRData) return undefined;
    const { service, data } = requestIn(f);
    seen.push(service);
    if (service === ConnectionService.forwardClose) {
      const { path, connectionSerial, originatorVendor, originatorSerial } = decode(ForwardClose, data);
      paths.push(path);
      if (!answersClose) return undefined;
      return [
        answered(f, {
          data: encode(ForwardCloseReply, {
            connectionSerial,
            originatorVendor,
            originatorSerial,
            applicationReply: new Uint8Array(0),
          }),
        }),
      ];
    }
    const large = service === ConnectionService.largeForwardOpen;
    const open = decode(large ? LargeForwardOpen : ForwardOpen, data);
    paths.push(open.path);
    const refusal = refuse(open.oToT.size, large);
    if (refusal !== undefined) return [answered(f, refusal)];
    connectionId = open.tToOConnectionId;
    const { connectionSerial, originatorVendor, originatorSerial, oToTRpiMicros, tToORpiMicros } = open;
    return [
      answered(f, {
        data: encode(ForwardOpenReply, {
          oToTConnectionId: 77,
          tToOConnectionId: open.tToOConnectionId,
          connectionSerial,
          originatorVendor,
          originatorSerial,
          oToTApiMicros: oToTRpiMicros,
          tToOApiMicros: tToORpiMicros,
          applicationReply: new Uint8Array(0),
        }),
      }),
    ];
  });
}

function connected(f: Frame, unit: Parameters<typeof class3Device>[1] & {}): Answer {
  const { items } = decode(SendData, f.data);
  const sequence = new DataView(items[1]!.data.buffer, items[1]!.data.byteOffset).getUint16(0, true);
  const message = encode(MessageRouterReply, {
    service: items[1]!.data[2]!,
    status: 0,
    extended: [],
    data: Uint8Array.of(5, 0),
  });
  const echo = (count: number, id = connectionId): Uint8Array =>
    frame(Command.sendUnitData, {
      session: handle,
      data: encode(SendData, {
        interfaceHandle: 0,
        timeoutS: 0,
        items: [
          { type: ItemType.connectedAddress, data: encode(ConnectedAddress, id) },
          { type: ItemType.connectedData, data: Uint8Array.from([count & 0xff, count >> 8, ...message]) },
        ],
      }),
    });
  return unit(sequence, echo);
}

describe("Forward_Open falls back", () => {
  test.each([
    {
      name: "to the small one where the large is not known",
      size: 4002,
      refuse: (_: number, large: boolean) => (large ? { status: 8, extended: [] } : undefined),
      granted: 511,
    },
    {
      name: "to the size that the target names",
      size: 4002,
      refuse: (size: number) => (size > 1500 ? { status: 1, extended: [0x0127, 1400] } : undefined),
      granted: 1400,
    },
    {
      name: "through the usual sizes",
      size: 4002,
      refuse: (size: number) => (size > 600 ? { status: 1, extended: [0x0128] } : undefined),
      granted: 504,
    },
  ])("$name", async ({ size, refuse, granted }) => {
    await using fake = await class3Device(refuse);
    await using session = await connect({ scheme: "eip", host: at, port: fake.port });
    await using connection = await session.connectClass3({ size });
    expect(connection.granted.size).toBe(granted);
    expect(await connection.object(Identity, 1).get("vendorId")).toBe(5);
  });

  test.each([
    { name: "never with another reason", refuse: () => ({ status: 1, extended: [0x0113] }) },
    { name: "not for ever", refuse: () => ({ status: 1, extended: [0x0127] }) },
    { name: "not in a circle", refuse: () => ({ status: 1, extended: [0x0127, 0xffff] }) },
  ])("$name", async ({ refuse }) => {
    const seen: number[] = [];
    await using fake = await class3Device(refuse, undefined, seen);
    await using session = await connect({ scheme: "eip", host: at, port: fake.port });
    await expect(session.connectClass3({ size: 4002 })).rejects.toMatchObject({
      code: "cip/status",
      facts: { status: 1 },
    });
    expect(seen.length).toBeLessThan(5);
  });
});

test("a route stands in front of the message router, on opening and on closing", async () => {
  const paths: (readonly Segment[])[] = [];
  await using fake = await class3Device(() => undefined, undefined, undefined, paths);
  await using session = await connect({ scheme: "eip", host: at, port: fake.port });
  const connection = await session.connectClass3({ route: parseRoute("1,3,2,192.168.1.5") });
  expect(await connection.object(Identity, 1).get("vendorId")).toBe(5);
  await connection.close();
  expect(paths).toHaveLength(2);
  const expected = [...parseRoute("1,3,2,192.168.1.5"), ...objectPath(2, 1)];
  for (const path of paths) expect(encode(EPATH, path)).toEqual(encode(EPATH, expected));
});

test("a refusal says cause, fix and how far the route went", async () => {
  await using fake = await class3Device(() => ({ status: 1, extended: [0x0312], data: Uint8Array.of(2, 0) }));
  await using session = await connect({ scheme: "eip", host: at, port: fake.port });
  await expect(session.connectClass3({ route: parseRoute("1,9") })).rejects.toMatchObject({
    code: "cip/status",
    message: expect.stringContaining("class 3"),
    facts: { status: 1, extended: "0x0312" },
    fix: expect.stringMatching(/route|link|slot/u),
  });
});

test("a device that does not answer Forward_Close is no error, and no long wait", async () => {
  const paths: (readonly Segment[])[] = [];
  await using fake = await class3Device(() => undefined, undefined, undefined, paths, false);
  await using session = await connect({ scheme: "eip", host: at, port: fake.port });
  const connection = await session.connectClass3();
  expect(await connection.object(Identity, 1).get("vendorId")).toBe(5);
  await connection.close();
  expect(paths).toHaveLength(2);
  expect(connection.isOpen).toBe(false);
  expect(session.isConnected).toBe(true);
});

describe("a connection that may be open, and that nobody uses, is closed again", () => {
  const closes = (seen: readonly number[]): number =>
    seen.filter((service) => service === ConnectionService.forwardClose).length;

  test.each([
    { name: "no answer in time", answer: () => [], code: "transport/timeout" },
    {
      name: "an answer that is cut short",
      answer: (f: Frame) => [answered(f, { data: new Uint8Array(9) })],
      code: "wire/truncated",
    },
    {
      name: "an answer for another",
      answer: (f: Frame) => [answered(f, { data: new Uint8Array(26) })],
      code: "wire/value",
    },
  ])("$name", async ({ answer, code }) => {
    const seen: number[] = [];
    await using fake = await fakeDevice(at, (f) => {
      if (f.command === Command.registerSession) return [registered(f)];
      if (f.command !== Command.sendRRData) return undefined;
      const { service } = requestIn(f);
      seen.push(service);
      return service === ConnectionService.forwardClose ? [answered(f, { status: 1, extended: [0x0107] })] : answer(f);
    });
    await using session = await connect({ scheme: "eip", host: at, port: fake.port }, { requestTimeoutMs: 1500 });
    await expect(session.connectClass3()).rejects.toMatchObject({ code });
    await expect.poll(() => closes(seen)).toBe(1);
  });

  test("the caller gives up", async () => {
    const seen: number[] = [];
    const stop = new AbortController();
    await using fake = await class3Device(() => (stop.abort(new RangeError("enough")), undefined), undefined, seen);
    await using session = await connect({ scheme: "eip", host: at, port: fake.port });
    await expect(session.connectClass3({ signal: stop.signal })).rejects.toThrow("enough");
    await expect.poll(() => closes(seen)).toBe(1);
  });
});

describe("kept alive while nobody asks", () => {
  /** A connection of 32 s, of which the test is the target: it answers the messages that `answers` says. */
  async function kept(answers: (count: number) => boolean) {
    const clock = new HandClock();
    let receiver: (data: Uint8Array) => void = () => undefined;
    let count = 0;
    const carrier: Class3Carrier = {
      clock,
      isConnected: true,
      generation: 1,
      disconnected: new Promise(() => undefined),
      request: ({ service, data }) => {
        const open = decode(ForwardOpen, data);
        const reply = {
          ...open,
          oToTConnectionId: 77,
          oToTApiMicros: open.oToTRpiMicros,
          tToOApiMicros: open.tToORpiMicros,
        };
        const granted = encode(ForwardOpenReply, { ...reply, applicationReply: new Uint8Array(0) });
        return Promise.resolve({ service, status: 0, extended: [], data: granted });
      },
      sendConnected: (_, [, item]) => {
        count += 1;
        if (!answers(count)) return;
        const reply = encode(MessageRouterReply, { service: 0x0e, status: 0, extended: [], data: Uint8Array.of(5, 0) });
        const sequence = item?.data.subarray(0, 2) ?? [];
        queueMicrotask(() => receiver(Uint8Array.of(...sequence, ...reply)));
      },
      onConnected: (_, its) => {
        receiver = its;
        return () => undefined;
      },
    };
    await openClass3(carrier);
    return async (seconds: number): Promise<number> => {
      for (let second = 0; second < seconds; second += 1) {
        clock.advance(1000);
        await new Promise(setImmediate);
      }
      return count;
    };
  }

  test("by a read at a third of its time, also when the target was busy for one of them", async () => {
    const after = await kept((count) => count !== 2);
    expect(await after(100)).toBe(8);
  });

  test("until the target has been silent for all of it", async () => {
    const after = await kept((count) => count === 1);
    expect(await after(60)).toBe(3);
    expect(await after(100)).toBe(3);
  });
});

describe("connected replies", () => {
  test("with another sequence count or connection id are not taken", async () => {
    await using fake = await class3Device(
      () => undefined,
      (sequence, echo) => [echo(sequence + 1), echo(sequence, 1234), echo(sequence)],
    );
    await using session = await connect({ scheme: "eip", host: at, port: fake.port });
    await using connection = await session.connectClass3();
    for (let i = 0; i < 5; i += 1) expect(await connection.object(Identity, 1).get("vendorId")).toBe(5);
  });

  test("that never come end in a timeout, and a lost channel ends the connection", async () => {
    let silent = true;
    await using fake = await class3Device(
      () => undefined,
      (sequence, echo) => (silent ? undefined : [echo(sequence)]),
    );
    await using session = await connect({ scheme: "eip", host: at, port: fake.port });
    const connection = await session.connectClass3({ requestTimeoutMs: 1500 });
    await expect(connection.object(Identity, 1).get("vendorId")).rejects.toMatchObject({ code: "transport/timeout" });
    silent = false;
    expect(await connection.object(Identity, 1).get("vendorId")).toBe(5);
    fake.dropAll();
    await expect.poll(() => connection.isOpen).toBe(false);
    await expect(connection.object(Identity, 1).get("vendorId")).rejects.toMatchObject({ code: "transport/closed" });
    await connection.close();
  });
});
