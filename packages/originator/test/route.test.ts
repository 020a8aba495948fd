import {
  ConnectionService,
  MessageRouterReply,
  MessageRouterRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  Service,
  TagService,
  UnconnectedSend,
  decode,
  encode,
  noOctets,
  objectPath,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import {
  getConnectionData,
  getConnectionOwner,
  parseRoute,
  routed,
  searchConnectionData,
  type Requester,
} from "../src/index.ts";

const get: Request = { service: Service.getAttributeSingle, path: objectPath(1, 1, 1), data: noOctets };
const fragment: Request = {
  service: TagService.readTagFragmented,
  path: [{ kind: "symbol", name: "T", form: "ansi" }],
  data: noOctets,
};

/** A router of few lines: delivers to `device`, or answers as a router does. */
function router(device: (request: Request) => Partial<Reply>, refusal?: Partial<Reply>) {
  const seen: UnconnectedSend[] = [];
  const requester: Requester = {
    request: ({ service, path, data }) => {
      expect(service).toBe(ConnectionService.unconnectedSend);
      expect(path).toEqual(objectPath(6, 1));
      const send = decode(UnconnectedSend, data);
      seen.push(send);
      const inner = decode(MessageRouterRequest, send.message);
      const reply = refusal === undefined ? { service: inner.service, ...device(inner) } : { service, ...refusal };
      return Promise.resolve({ status: 0, extended: [], data: noOctets, ...reply });
    },
  };
  return { requester, seen };
}

/** A device that answers packets by answering each request in them. */
function withPackets(device: (request: Request) => Partial<Reply>): (request: Request) => Partial<Reply> {
  return (request) => {
    if (request.service !== Service.multipleServicePacket) return device(request);
    const replies = decode(MultipleServiceRequest, request.data).map((one): Reply => ({
      service: one.service,
      status: 0,
      extended: [],
      data: noOctets,
      ...device(one),
    }));
    const isGood = replies.every(({ status }) => status === 0);
    return { status: isGood ? 0 : 0x1e, data: encode(MultipleServiceReply, replies) };
  };
}

test("requests go along the route, replies come back as the device's own", async () => {
  const { requester, seen } = router(() => ({ data: Uint8Array.of(1, 2) }));
  const reply = await routed(requester, parseRoute("1,0,2,192.168.1.20")).request(get, { timeoutMs: 1000 });
  expect(reply).toMatchObject({ service: get.service, data: Uint8Array.of(1, 2) });
  expect(seen[0]?.route).toMatchObject([
    { kind: "port", port: 1, link: Uint8Array.of(0) },
    { kind: "port", port: 2, link: Uint8Array.from(Buffer.from("192.168.1.20")) },
  ]);
  const { priorityTick = 0, timeoutTicks = 0 } = seen[0] ?? {};
  expect(timeoutTicks * 2 ** priorityTick).toBeGreaterThanOrEqual(1000);
  expect(timeoutTicks * 2 ** priorityTick).toBeLessThan(1100);
});

test("V17: Read_Tag of 'Tag' in slot 0", async () => {
  const octets: Uint8Array[] = [];
  const requester: Requester = {
    request: (request) => {
      octets.push(encode(MessageRouterRequest, request));
      return Promise.resolve(decode(MessageRouterReply, Uint8Array.from(Buffer.from("cc000000c400d2040000", "hex"))));
    },
  };
  const read = {
    service: TagService.readTag,
    path: [{ kind: "symbol", name: "Tag", form: "ansi" }] as const,
    data: Uint8Array.of(1, 0),
  };
  await routed(requester, parseRoute("1,0")).request(read);
  // As the vector, other than the two octets of time.
  expect(Buffer.from(octets[0] ?? noOctets).toString("hex")).toMatch(
    /^520220062401.{4}0a004c03910354616700010001000100$/u,
  );
});

describe("a router's refusal is told from a device's", () => {
  test.each([{ request: get }, { request: fragment }])("router, service $request.service", async ({ request }) => {
    const { requester } = router(() => ({}), { status: 1, extended: [0x0312], data: Uint8Array.of(1, 0) });
    await expect(routed(requester, parseRoute("1,9")).request(request)).rejects.toMatchObject({
      code: "cip/status",
      facts: { router: true, extended: "0x0312", remainingPathWords: 1 },
      message: expect.stringContaining("link address not valid"),
      fix: expect.stringContaining("slot"),
    });
  });

  test("a device that refuses 0x52 is heard, in four octets too", async () => {
    const { requester } = router(withPackets(() => ({ status: 0x05, data: noOctets })));
    const reply = await routed(requester, parseRoute("1,0")).request(fragment);
    expect(reply).toMatchObject({ service: 0x52, status: 0x05 });
  });

  test("a fragment comes through", async () => {
    const { requester } = router(withPackets(() => ({ status: 0x06, data: Uint8Array.of(0xc4, 0, 1, 2, 3, 4) })));
    expect(await routed(requester, parseRoute("1,0")).request(fragment)).toMatchObject({ status: 0x06 });
  });

  test("a device without packets is asked directly", async () => {
    const device = (request: Request): Partial<Reply> =>
      request.service === Service.multipleServicePacket
        ? { status: 0x08 }
        : { status: 0, data: Uint8Array.of(0xc4, 0) };
    const { requester, seen } = router(device);
    expect(await routed(requester, parseRoute("1,0")).request(fragment)).toMatchObject({ status: 0 });
    expect(seen).toHaveLength(2);
  });
});

test("no route: no wrapping", async () => {
  const direct: Requester = {
    request: ({ service }) => Promise.resolve({ service, status: 0, extended: [], data: noOctets }),
  };
  const way = routed(direct, []);
  expect(way.overhead).toBe(0);
  expect(await way.request(get)).toMatchObject({ service: get.service });
});

test.each(["", "1", "1,", "0,1", "70000,1", "1,0,2", "1,a b", Array(9).fill("1,0").join(",")])(
  "'%s' is no route",
  (text) => {
    expect(() => parseRoute(text)).toThrow(expect.objectContaining({ code: "usage/argument" }));
  },
);

/** Layouts of reference ethernet-ip.md 6.18. */
test("asks who owns a connection, and what a connection is", async () => {
  const seen: Request[] = [];
  const answering = (octets: string): Requester => ({
    request: (request) => {
      seen.push(request);
      return Promise.resolve({
        service: request.service,
        status: 0,
        extended: [],
        data: Uint8Array.from(Buffer.from(octets, "hex")),
      });
    },
  });
  const path = objectPath(4, 151);
  expect(await getConnectionOwner(answering("010000020700ffff0d0c0b0a"), path)).toEqual({
    connections: 1,
    claimingOwnership: 0,
    readyForOwnership: 0,
    lastAction: 2,
    connectionSerial: 7,
    originatorVendor: 0xffff,
    originatorSerial: 0x0a0b0c0d,
  });
  const data = `0100 0300 0100 0200 0700 ffff 0d0c0b0a${"01000000".repeat(2)}02000000${"10270000".repeat(2)}${"02000000".repeat(2)}02000000${"10270000".repeat(2)}`;
  const connection = { connectionNumber: 1, state: 3, connectionSerial: 7, tToOApiMicros: 10_000 };
  const octets = data.replaceAll(" ", "");
  expect(await getConnectionData(answering(octets), 1)).toMatchObject(connection);
  const triad = { connectionSerial: 7, originatorVendor: 0xffff, originatorSerial: 0x0a0b0c0d };
  expect(await searchConnectionData(answering(octets), triad)).toMatchObject(connection);
  expect(seen.map(({ service, data: sent }) => [service, Buffer.from(sent).toString("hex")])).toEqual([
    [0x5a, "000220042497"],
    [0x56, "0100"],
    [0x57, "0700ffff0d0c0b0a"],
  ]);
});
