import {
  Command,
  Cpf,
  EncapsulationStatus,
  ItemType,
  RegisterSession,
  UDINT,
  decode,
  encode,
  frame,
  noOctets,
  type CpfItem,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { openConnection } from "./support/connection.ts";
import {
  device,
  registerSession,
  request,
  rrReply,
  sendData,
  sendRRData,
  sendUnitData,
  someContext,
  unitReply,
  type Peer,
} from "./support/device.ts";
import { concat, hex, settle, tlsFacts, toHex } from "./support/fakes.ts";

const read = hex("0e 03 2064 2401 3001");
const nullItem: CpfItem = { type: ItemType.nullAddress, data: noOctets };
const readItem: CpfItem = { type: ItemType.unconnectedData, data: read };
const sockaddr = (length: number): CpfItem => ({ type: ItemType.sockaddrOtoT, data: new Uint8Array(length) });

/** SendRRData or SendUnitData with these octets behind interface handle and timeout. */
const withCpf = (cpf: string) => (session: number) =>
  frame(Command.sendRRData, { session, data: concat(new Uint8Array(6), hex(cpf)), context: someContext });

const rrItems =
  (...items: readonly CpfItem[]) =>
  (session: number) =>
    sendData(Command.sendRRData, session, items);

/** A handle, or a connection id, that is not this one. */
const notMine = (number: number): number => (number === 1 ? 2 : number - 1);

async function registered(): Promise<Peer> {
  const peer = device().peer();
  await peer.register();
  return peer;
}

/** A client that the device still serves. */
async function isAlive(peer: Peer): Promise<boolean> {
  const [reply] = await peer.send(sendRRData(peer.handle, read));
  return peer.channel.ended === undefined && rrReply(reply).status === 0;
}

describe("malformed input, ethernet-ip.md 1.8", () => {
  describe("refused by a header of its own: session and context come back, no data, the connection stays", () => {
    const refusals: readonly { name: string; bytes: (session: number) => Uint8Array; status: number }[] = [
      { name: "unknown command", bytes: (session) => sendData(0x1234, session, []), status: 0x01 },
      { name: "ListTargets, obsolete", bytes: (session) => sendData(0x0001, session, []), status: 0x01 },
      { name: "IndicateStatus, obsolete", bytes: (session) => sendData(0x0072, session, []), status: 0x01 },
      { name: "StartDTLS on TCP", bytes: (session) => sendData(Command.startDtls, session, []), status: 0x01 },
      { name: "SendRRData, wrong handle", bytes: (session) => sendRRData(notMine(session), read), status: 0x64 },
      { name: "SendRRData, handle 0", bytes: () => sendRRData(0, read), status: 0x64 },
      {
        name: "SendUnitData, wrong handle",
        bytes: (session) => sendUnitData(notMine(session), 1, 1, read),
        status: 0x64,
      },
      {
        name: "SendRRData with fewer than 6 octets",
        bytes: (session) => frame(Command.sendRRData, { session, data: new Uint8Array(5), context: someContext }),
        status: 0x65,
      },
      {
        name: "interface handle other than 0",
        bytes: (session) =>
          frame(Command.sendRRData, { session, data: hex("01000000 0000 0000"), context: someContext }),
        status: 0x03,
      },
      { name: "CPF item count larger than the data", bytes: withCpf("0300 0000 0000 b200 0000"), status: 0x03 },
      { name: "CPF item count 65535", bytes: withCpf("ffff 0000 0000"), status: 0x03 },
      { name: "CPF item longer than the data", bytes: withCpf("0200 0000 0000 b200 0900 0e03"), status: 0x03 },
      { name: "CPF cut inside an item's head", bytes: withCpf("0200 0000 0000 b2"), status: 0x03 },
      { name: "octets behind the CPF", bytes: withCpf("0200 0000 0000 b200 0000 ff"), status: 0x03 },
      { name: "no CPF", bytes: withCpf(""), status: 0x03 },
      { name: "no items", bytes: rrItems(), status: 0x03 },
      { name: "one item", bytes: rrItems(nullItem), status: 0x03 },
      { name: "address item with data", bytes: withCpf("0200 0000 0100 00 b200 0000"), status: 0x03 },
      {
        name: "address item not null",
        bytes: rrItems({ type: ItemType.connectedAddress, data: new Uint8Array(4) }, readItem),
        status: 0x03,
      },
      {
        name: "data item not 0xB2",
        bytes: rrItems(nullItem, { type: ItemType.connectedData, data: read }),
        status: 0x03,
      },
      { name: "unknown item", bytes: rrItems(nullItem, readItem, { type: 0x1234, data: noOctets }), status: 0x03 },
      { name: "sockaddr item of 15 octets", bytes: rrItems(nullItem, readItem, sockaddr(15)), status: 0x03 },
      { name: "sockaddr item of 17 octets", bytes: rrItems(nullItem, readItem, sockaddr(17)), status: 0x03 },
      {
        name: "larger than the device's buffer, SendRRData",
        bytes: (session) => frame(Command.sendRRData, { session, data: new Uint8Array(1001), context: someContext }),
        status: 0x65,
      },
      {
        name: "larger than the device's buffer, ListIdentity",
        bytes: (session) =>
          frame(Command.listIdentity, { session, data: new Uint8Array(65_511), context: someContext }),
        status: 0x65,
      },
    ];
    test.each(refusals)("$name", async ({ bytes, status }) => {
      const peer = await registered();
      const sent = bytes(peer.handle);
      const replies = await peer.send(sent);
      const { command, session } = {
        command: (sent[0] ?? 0) + 256 * (sent[1] ?? 0),
        session: decode(UDINT, sent.slice(4, 8)),
      };
      expect(replies).toEqual([{ command, session, status, context: someContext, options: 0, data: noOctets }]);
      expect(await isAlive(peer)).toBe(true);
    });
  });

  describe("dropped: no reply, the connection stays", () => {
    const dropped: readonly { name: string; bytes: (session: number, connection: number) => Uint8Array }[] = [
      { name: "NOP", bytes: () => frame(Command.nop, { data: new Uint8Array(40) }) },
      { name: "options other than 0", bytes: (session) => frame(Command.listIdentity, { session, options: 1 }) },
      { name: "status other than 0", bytes: (session) => frame(Command.listIdentity, { session, status: 1 }) },
      { name: "NOP larger than the buffer", bytes: () => frame(Command.nop, { data: new Uint8Array(5000) }) },
      {
        name: "larger than the buffer with options other than 0",
        bytes: () => frame(Command.listIdentity, { options: 1, data: new Uint8Array(1001) }),
      },
      {
        name: "SendUnitData larger than the buffer",
        bytes: (session) => frame(Command.sendUnitData, { session, data: new Uint8Array(1001) }),
      },
      {
        name: "SendUnitData, broken CPF",
        bytes: (session) => frame(Command.sendUnitData, { session, data: hex("000000000000 0900") }),
      },
      { name: "SendUnitData, unknown connection", bytes: (session, id) => sendUnitData(session, notMine(id), 1, read) },
      {
        name: "SendUnitData, address item not 0xA1",
        bytes: (session) =>
          sendData(Command.sendUnitData, session, [nullItem, { type: ItemType.connectedData, data: read }]),
      },
      {
        name: "SendUnitData, address of 3 octets",
        bytes: (session) =>
          sendData(Command.sendUnitData, session, [
            { type: ItemType.connectedAddress, data: new Uint8Array(3) },
            { type: ItemType.connectedData, data: read },
          ]),
      },
      {
        name: "SendUnitData, data item not 0xB1",
        bytes: (session, id) =>
          sendData(Command.sendUnitData, session, [
            { type: ItemType.connectedAddress, data: encode(UDINT, id) },
            readItem,
          ]),
      },
      {
        name: "SendUnitData, no sequence count",
        bytes: (session, id) =>
          sendData(Command.sendUnitData, session, [
            { type: ItemType.connectedAddress, data: encode(UDINT, id) },
            { type: ItemType.connectedData, data: Uint8Array.of(1) },
          ]),
      },
      {
        name: "SendUnitData, more than the connection's size",
        bytes: (session, id) => sendUnitData(session, id, 1, new Uint8Array(99)),
      },
    ];
    test.each(dropped)("$name", async ({ bytes }) => {
      const peer = await registered();
      const connection = await openConnection(peer, { size: 100 });
      expect(await peer.send(bytes(peer.handle, connection))).toEqual([]);
      expect(await isAlive(peer)).toBe(true);
    });
  });

  test("a length above 65,511 closes, after what came before it was answered", async () => {
    const peer = await registered();
    const outOfStep = frame(Command.listServices);
    outOfStep.set([0xe8, 0xff], 2);
    const replies = await peer.send(concat(frame(Command.listServices), outOfStep, frame(Command.listServices)));
    expect(replies).toHaveLength(1);
    expect(peer.channel.ended).toBe("destroyed");
  });

  test("a stream that begins out of step is closed at once", async () => {
    const peer = device().peer();
    await peer.send(new Uint8Array(24).fill(0xff));
    expect(peer.channel.ended).toBe("destroyed");
  });

  test("an oversize frame is drained and what follows it is understood", async () => {
    const peer = await registered();
    const large = frame(Command.sendRRData, { session: peer.handle, data: new Uint8Array(60_000) });
    const replies = await peer.send(concat(large, sendRRData(peer.handle, read)));
    expect(replies.map(({ status }) => status)).toEqual([EncapsulationStatus.invalidLength, 0]);
  });

  test.each(["listIdentity", "listServices", "listInterfaces"] as const)(
    "%s with trailing data is answered",
    async (name) => {
      const [reply] = await device()
        .peer()
        .send(frame(Command[name], { data: hex("0102") }));
      expect(reply).toMatchObject({ command: Command[name], status: 0 });
    },
  );

  test("SendRRData with socket addresses behind its two items is answered", async () => {
    const peer = await registered();
    const [reply] = await peer.send(rrItems(nullItem, readItem, sockaddr(16))(peer.handle));
    expect(rrReply(reply).status).toBe(0);
  });

  test.each([
    { name: "a path that cannot be understood", message: "0e 01 e064", status: 0x04 },
    { name: "a path size that runs past the data", message: "0e 05 2064", status: 0x26 },
    { name: "no message", message: "", status: 0x13 },
  ])("in the message: $name is told by its reply", async ({ message, status }) => {
    const peer = await registered();
    const [reply] = await peer.send(sendRRData(peer.handle, hex(message)));
    expect(rrReply(reply).status).toBe(status);
  });

  test("more than 16 frames in a row that make no sense end the connection", async () => {
    const peer = await registered();
    for (let i = 0; i < 16; i += 1) await peer.send(sendRRData(notMine(peer.handle), read));
    expect(peer.channel.ended).toBeUndefined();
    const [last] = await peer.send(sendRRData(notMine(peer.handle), read));
    expect(last?.status).toBe(EncapsulationStatus.invalidSessionHandle);
    expect(peer.channel.ended).toBe("closed");
  });

  test("frames dropped in silence count too", async () => {
    const peer = await registered();
    for (let i = 0; i < 17; i += 1) await peer.send(sendUnitData(peer.handle, 12, 1, read));
    expect(peer.channel.ended).toBe("closed");
  });

  test.each([
    { name: "a request", sense: (session: number) => sendRRData(session, read) },
    { name: "a list command", sense: () => frame(Command.listIdentity) },
  ])("$name in between starts the count anew", async ({ sense }) => {
    const peer = await registered();
    for (let i = 0; i < 40; i += 1) {
      await peer.send(sendRRData(notMine(peer.handle), read));
      if (i % 10 === 9) await peer.send(sense(peer.handle));
    }
    expect(peer.channel.ended).toBeUndefined();
  });
});

describe("RegisterSession, ethernet-ip.md 1.4 and 1.5", () => {
  const versionOne = encode(RegisterSession, { version: 1, options: 0 });

  test("gives a handle and echoes the context", async () => {
    const peer = device().peer();
    const [reply] = await peer.send(registerSession());
    expect(reply).toMatchObject({ status: 0, context: someContext, data: versionOne });
    expect(reply?.session).not.toBe(0);
  });

  test.each([
    { name: "version 0", bytes: registerSession(0) },
    { name: "version 2", bytes: registerSession(2) },
    { name: "options", bytes: registerSession(1, 1) },
  ])("$name: 0x69, handle 0, and the version that there is", async ({ bytes }) => {
    const { peer, sessions } = device();
    const [reply] = await peer().send(bytes);
    expect(reply).toMatchObject({ status: 0x69, session: 0, context: someContext, data: versionOne });
    expect(sessions.size).toBe(0);
  });

  test.each([0, 3, 5])("%i octets of data: 0x65", async (length) => {
    const { peer, sessions } = device();
    const [reply] = await peer().send(frame(Command.registerSession, { data: new Uint8Array(length) }));
    expect(reply).toMatchObject({ status: 0x65, data: noOctets });
    expect(sessions.size).toBe(0);
  });

  test("a second one on the connection: status 1 with the first handle, which stays good", async () => {
    const peer = await registered();
    const [reply] = await peer.send(registerSession());
    expect(reply).toMatchObject({ status: 0x01, session: peer.handle, data: versionOne });
    expect(await isAlive(peer)).toBe(true);
  });

  test("a full table: status 2, handle 0; a session that ends makes room", async () => {
    const { peer } = device({ maxSessions: 2 });
    const [first, second, third] = [peer(), peer(), peer()];
    await first.register();
    await second.register();
    const [reply] = await third.send(registerSession());
    expect(reply).toMatchObject({ status: 0x02, session: 0 });
    expect(third.channel.ended).toBeUndefined();
    second.channel.hangUp();
    await settle();
    expect(await third.register()).not.toBe(0);
  });

  test("one originator may have several sessions, each with a handle of its own", async () => {
    const { peer } = device();
    const handles = await Promise.all(Array.from({ length: 10 }, () => peer().register()));
    expect(new Set(handles).size).toBe(10);
  });
});

describe("session rules, ethernet-ip.md 1.5", () => {
  test("a session handle used from another connection is refused", async () => {
    const { peer } = device();
    const [owner, thief] = [peer(), peer()];
    await owner.register();
    await thief.register();
    const [reply] = await thief.send(sendRRData(owner.handle, read));
    expect(reply).toMatchObject({ status: 0x64, session: owner.handle });
    expect(await isAlive(owner)).toBe(true);
  });

  test("before RegisterSession: List commands and NOP only", async () => {
    const peer = device().peer();
    expect(await peer.send(frame(Command.nop))).toEqual([]);
    expect((await peer.send(frame(Command.listServices)))[0]?.status).toBe(0);
    expect((await peer.send(sendRRData(0, read)))[0]?.status).toBe(0x64);
    expect((await peer.send(sendUnitData(0, 1, 1, read)))[0]?.status).toBe(0x64);
  });

  test.each([
    { name: "as it should be", fields: {} },
    { name: "with status and options", fields: { status: 5, options: 9 } },
    { name: "with data", fields: { data: new Uint8Array(9) } },
    { name: "with more data than the buffer holds", fields: { data: new Uint8Array(2000) } },
    { name: "with a handle that is not the socket's", fields: { session: 1 } },
  ])("UnRegisterSession $name: no reply, connection and class 3 connections are gone", async ({ fields }) => {
    const { peer, sessions, connections } = device();
    const client = peer();
    await client.register();
    await openConnection(client);
    const replies = await client.send(frame(Command.unRegisterSession, { session: client.handle, ...fields }));
    expect(replies).toEqual([]);
    expect(client.channel.ended).toBe("closed");
    expect([sessions.size, connections.table.size]).toEqual([0, 0]);
  });

  test("what follows UnRegisterSession, in the same segment or later, is not answered", async () => {
    const { peer, boiler } = device();
    const client = peer();
    const handle = await client.register();
    const ignite = sendRRData(handle, hex("4b 02 2064 2401 05"));
    await client.send(concat(frame(Command.unRegisterSession, { session: handle }), ignite));
    expect(await client.send(ignite)).toEqual([]);
    expect(boiler.done).toEqual([]);
  });

  test("a connection that ends takes its session and class 3 connections with it, and no others", async () => {
    const { peer, sessions, connections } = device();
    const [gone, stays] = [peer(), peer()];
    await gone.register();
    await stays.register();
    await openConnection(gone);
    const id = await openConnection(stays, { connectionSerial: 8 });
    gone.channel.hangUp();
    await settle();
    expect([sessions.size, connections.table.size]).toEqual([1, 1]);
    expect(unitReply(await stays.connected(id, 1, request(0x0e, [0x64, 1, 1]))).reply.status).toBe(0);
  });

  test("closing all sessions ends their channels", async () => {
    const { peer, sessions } = device();
    const client = peer();
    await client.register();
    sessions.closeAll();
    await settle();
    expect(client.channel.ended).toBe("closed");
    expect(sessions.size).toBe(0);
  });
});

describe("lists over TCP", () => {
  test("ListIdentity names the device, ListServices what it does, ListInterfaces nothing", async () => {
    const peer = device().peer();
    const names = [Command.listIdentity, Command.listServices, Command.listInterfaces] as const;
    const replies = await peer.send(concat(...names.map((command) => frame(command, { context: someContext }))));
    expect(replies.map(({ command, context }) => ({ command, context }))).toEqual(
      names.map((command) => ({ command, context: someContext })),
    );
    expect(replies.map(({ data }) => decode(Cpf, data).map(({ type }) => type))).toEqual([
      [ItemType.listIdentity],
      [ItemType.listServices],
      [],
    ]);
  });
});

describe("after the reply", () => {
  test("what a handler asked for runs once the reply is with the channel", async () => {
    const { peer, boiler } = device();
    const client = peer();
    await client.register();
    const send = client.channel.send.bind(client.channel);
    client.channel.send = (bytes) => {
      boiler.done.push("sent");
      send(bytes);
    };
    await client.request(request(0x4c, [0x64, 1]));
    expect(boiler.done).toEqual(["sent", "quenched"]);
  });

  test("the router is told of the channel, its security and the session", async () => {
    const seen: unknown[] = [];
    const { peer } = device({ access: ({ channel }) => void seen.push(channel.security?.peer.kind) });
    const client = peer(tlsFacts("ab"));
    await client.register();
    await client.request(request(0x0e, [0x64, 1, 1]));
    expect(seen).toEqual(["certificate"]);
  });
});

test("replies of SendUnitData echo sequence and context and carry the originator's connection id", async () => {
  const peer = await registered();
  const id = await openConnection(peer);
  const reply = await peer.connected(id, 0xbeef, request(0x0e, [0x64, 1, 1]));
  expect(reply).toMatchObject({ command: Command.sendUnitData, session: peer.handle, context: someContext });
  expect(toHex(reply?.data ?? noOctets)).toBe(
    "00000000 0000 0200 a100 0400 02000140 b100 0800 efbe 8e000000 1400".replaceAll(" ", ""),
  );
});
