import { Service, Status, decode, encode, encodeAttributeValues, MessageRouterRequest, UINT } from "@cipsec/wire";
import type { Reply, Request } from "@cipsec/wire";
import { EmbeddedMessages, MessageRouterReply, StateError, TransportError, TrustError, UsageError } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import type { AccessQuestion } from "../src/access.ts";
import { hostMessageRouter } from "../src/objects/message-router.ts";
import { refuse } from "../src/refusal.ts";
import { Router } from "../src/router.ts";
import { toPeer } from "../src/to-peer.ts";
import { Boiler, hostBoiler, request, requestContext, type BoilerState } from "./support/device.ts";
import { hex, toHex } from "./support/fakes.ts";

function boiler(access: (question: AccessQuestion) => number | undefined = () => undefined): {
  readonly router: Router;
  readonly state: BoilerState;
} {
  const router = new Router(access);
  return { router, state: hostBoiler(router) };
}

/** Octets of a request, the way to hand in what no encoder would write. */
const ask = async (text: string, maxReply = 500): Promise<Reply> =>
  boiler().router.handleOctets(hex(text), requestContext({ maxReply }));

const tell = async (asked: Request, maxReply = 500): Promise<Reply> =>
  boiler().router.handle(asked, requestContext({ maxReply }));

describe("each error has its status", () => {
  test.each([
    { name: "no octets at all", bytes: "", status: Status.notEnoughData },
    { name: "a service without a path", bytes: "0e", status: Status.notEnoughData },
    { name: "router length shorter than its service data: path size past the data", bytes: "0e 09 2064", status: 0x26 },
    { name: "a service with the reply bit", bytes: "8e 02 2064 2401", status: Status.serviceNotSupported },
    { name: "a reserved segment type", bytes: "0e 02 e064 2401", status: Status.pathSegmentError },
    { name: "a segment that claims more than the path holds", bytes: "0e 01 2164", status: Status.pathSegmentError },
    { name: "a symbol where an object is asked for", bytes: "0e 02 9102 4142", status: Status.pathSegmentError },
    { name: "a class named twice", bytes: "0e 04 2064 2401 2064 3001", status: Status.pathSegmentError },
    { name: "an attribute in front of the class", bytes: "0e 03 3001 2064 2401", status: Status.pathSegmentError },
    { name: "a member, which no object here has", bytes: "0e 04 2064 2401 3001 2800", status: Status.pathSegmentError },
    { name: "a path without a class", bytes: "0e 02 2401 3001", status: Status.pathDestinationUnknown },
    { name: "an unknown class", bytes: "0e 03 2063 2401 3001", status: Status.pathDestinationUnknown },
    { name: "an unknown class, told before its service", bytes: "7f 02 2063 2401", status: 0x05 },
    { name: "an unknown instance", bytes: "0e 03 2064 2402 3001", status: Status.pathDestinationUnknown },
    { name: "an unknown instance, told before its service", bytes: "7f 02 2064 2402", status: 0x05 },
    { name: "an unknown service", bytes: "7f 02 2064 2401", status: Status.serviceNotSupported },
    { name: "an optional service that is not there", bytes: "4d 02 2064 2401", status: Status.serviceNotSupported },
    { name: "a class service on an instance", bytes: "4e 02 2064 2401", status: Status.serviceNotSupported },
    { name: "an instance service on the class", bytes: "4b 01 2064 01", status: Status.serviceNotSupported },
    { name: "an unknown service told before the attribute", bytes: "7f 03 2064 2401 3063", status: 0x08 },
    { name: "get without an attribute", bytes: "0e 02 2064 2401", status: Status.attributeNotSupported },
    { name: "get of an unknown attribute", bytes: "0e 03 2064 2401 3063", status: Status.attributeNotSupported },
    { name: "get of an attribute left out", bytes: "0e 03 2064 2401 3005", status: Status.attributeNotSupported },
    { name: "the attribute is told before too much data", bytes: "0e 03 2064 2401 3063 00", status: 0x14 },
    { name: "get with data", bytes: "0e 03 2064 2401 3001 00", status: Status.tooMuchData },
    { name: "get all with data", bytes: "01 02 2064 2401 00", status: Status.tooMuchData },
    { name: "set of an unknown attribute", bytes: "10 03 2064 2401 3063 00", status: Status.attributeNotSupported },
    { name: "set of what can only be read", bytes: "10 03 2064 2401 3002 00", status: Status.attributeNotSettable },
    { name: "set with too little data", bytes: "10 03 2064 2401 3001 00", status: Status.notEnoughData },
    { name: "set with too much data", bytes: "10 03 2064 2401 3001 000000", status: Status.tooMuchData },
    { name: "set with a value out of range", bytes: "10 03 2064 2401 3001 ffff", status: Status.invalidAttributeValue },
    { name: "a service with too little data", bytes: "4b 02 2064 2401", status: Status.notEnoughData },
    { name: "a service with too much data", bytes: "4b 02 2064 2401 0101", status: Status.tooMuchData },
    { name: "data for a service that takes none", bytes: "4c 02 2064 2401 01", status: Status.tooMuchData },
    { name: "a reply larger than the way back", bytes: "0e 03 2064 2401 3006", max: 299, status: 0x11 },
    { name: "class: an unknown attribute", bytes: "0e 03 2064 2400 3063", status: Status.attributeNotSupported },
    { name: "class: get with data", bytes: "0e 03 2064 2400 3001 00", status: Status.tooMuchData },
    { name: "class: get all with data", bytes: "01 02 2064 2400 00", status: Status.tooMuchData },
    { name: "class: set of attribute 1", bytes: "10 03 2064 2400 3001 0000", status: Status.attributeNotSettable },
    { name: "class: set of an unknown attribute", bytes: "10 03 2064 2400 3063", status: Status.attributeNotSupported },
    { name: "class: set without an attribute", bytes: "10 02 2064 2400", status: Status.attributeNotSupported },
    { name: "an error that nobody foresaw", bytes: "0e 03 2064 2401 3007", status: Status.vendorSpecificError },
  ])("$name", async ({ bytes, max, status }) => {
    const reply = await ask(bytes, max);
    expect(reply).toMatchObject({ status, extended: [] });
    expect(reply.data).toHaveLength(0);
    expect(reply.service).toBe((hex(bytes)[0] ?? 0) & 0x7f);
  });

  test("a refusal that has extended status and data carries both", async () => {
    const reply = await ask("4b 02 2064 2401 63");
    expect(reply).toMatchObject({ status: Status.objectStateConflict, extended: [0x1234], data: Uint8Array.of(1, 2) });
  });

  test("a refusal that does not fit the way back keeps its status only", async () => {
    const reply = await ask("4b 02 2064 2401 63", 3);
    expect(reply).toMatchObject({ status: Status.objectStateConflict, extended: [], data: new Uint8Array(0) });
  });

  test.each([
    { error: new TrustError("trust/refused", "x"), status: Status.privilegeViolation },
    { error: new StateError("state/write", "x"), status: Status.storeOperationFailure },
    { error: new UsageError("usage/argument", "x"), status: Status.invalidParameter },
    { error: new TransportError("transport/address", "x"), status: Status.resourceUnavailable },
    { error: refuse(Status.deviceStateConflict), status: Status.deviceStateConflict },
    { error: new Error("x"), status: Status.vendorSpecificError },
    { error: "thrown text", status: Status.vendorSpecificError },
  ])("$error from a service is told as $status", ({ error, status }) => {
    expect(toPeer(error, "service").status).toBe(status);
  });

  test("a usage error while an attribute is set is an invalid attribute value", () => {
    expect(toPeer(new UsageError("usage/argument", "x"), "attribute").status).toBe(Status.invalidAttributeValue);
  });
});

describe("each way to write a path reaches the same object", () => {
  test.each([
    { name: "8 bits", path: "03 2064 2401 3002" },
    { name: "padded 16-bit forms", path: "06 2100 6400 2500 0100 3100 0200" },
    { name: "padded 32-bit forms", path: "09 2200 64000000 2600 01000000 3200 02000000" },
    { name: "widths mixed", path: "05 2100 6400 2401 3100 0200" },
    { name: "a connection point as instance", path: "03 2064 2c01 3002" },
  ])("$name", async ({ path }) => {
    expect(await ask(`0e ${path}`)).toMatchObject({ status: 0, data: hex("78563412") });
  });

  test.each([
    { name: "a 16-bit form whose pad is not 0", path: "03 2101 6400 2401" },
    { name: "an odd symbol whose pad is not 0", path: "03 9103 414243 ff" },
    { name: "an odd symbol with pad: understood, but no object", path: "03 9103 414243 00" },
  ])("padded EPATH: $name", async ({ path }) => {
    expect((await ask(`0e ${path}`)).status).toBe(Status.pathSegmentError);
  });
});

describe("electronic keys", () => {
  const key = "3404 f0ff 2b00 0700 0205";

  test("a key in front of the path is asked about, and the request goes on", async () => {
    const { router } = boiler();
    const seen: number[] = [];
    router.checkKeys(({ vendorId }) => seen.push(vendorId) === 1);
    const reply = await router.handleOctets(hex(`0e 08 ${key} 2064 2401 3002`), requestContext());
    expect(reply.status).toBe(0);
    expect(seen).toEqual([0xfff0]);
  });

  test("a key of another device is refused before access is asked", async () => {
    const questions: AccessQuestion[] = [];
    const { router } = boiler((question) => void questions.push(question));
    router.checkKeys(() => false);
    const reply = await router.handleOctets(hex(`0e 08 ${key} 2064 2401 3002`), requestContext());
    expect(reply.status).toBe(Status.keyFailureInPath);
    expect(questions).toEqual([]);
  });

  test("a key behind the class has no place there", async () => {
    expect((await ask(`0e 07 2064 ${key} 2401`)).status).toBe(Status.pathSegmentError);
  });
});

describe("access is asked once for a request, before anything happens", () => {
  test.each([
    { name: "attribute", bytes: "10 03 2064 2401 3001 2c01", question: { classId: 0x64, instance: 1, attribute: 1 } },
    { name: "service", bytes: "4b 02 2064 2401 05", question: { classId: 0x64, instance: 1 } },
    { name: "class service", bytes: "4e 01 2064", question: { classId: 0x64, instance: 0 } },
    { name: "object that is not there", bytes: "0e 02 2063 2401", question: { classId: 0x63, instance: 1 } },
  ])("$name", async ({ bytes, question }) => {
    const questions: AccessQuestion[] = [];
    const { router, state } = boiler((asked) => {
      questions.push(asked);
      return Status.privilegeViolation;
    });
    const reply = await router.handleOctets(hex(bytes), requestContext());
    expect(reply).toMatchObject({ status: Status.privilegeViolation, data: new Uint8Array(0) });
    expect(questions).toEqual([{ channel: requestContext().channel, service: hex(bytes)[0], ...question }]);
    expect(state).toMatchObject({ done: [], temperature: 20 });
  });

  test("each request in a Multiple_Service_Packet is asked about on its own", async () => {
    const asked: string[] = [];
    const { router, state } = boiler(({ classId, service }) => {
      asked.push(`${classId} ${service} after ${state.done.length}`);
      return service === Service.setAttributeSingle ? Status.privilegeViolation : undefined;
    });
    const messages = ["4b 02 2064 2401 01", "10 03 2064 2401 3001 2c01", "4b 02 2064 2401 02"].map(hex);
    const reply = await router.handle(multiple(messages), requestContext());
    expect(asked).toEqual(["2 10 after 0", "100 75 after 0", "100 16 after 1", "100 75 after 1"]);
    expect(state.done).toEqual(["ignite 1", "ignite 2"]);
    expect(embedded(reply).map(({ status }) => status)).toEqual([0, Status.privilegeViolation, 0]);
  });

  test("a decision that fails refuses", async () => {
    const { router, state } = boiler(() => {
      throw new RangeError("no policy");
    });
    const reply = await router.handleOctets(hex("4b 02 2064 2401 05"), requestContext());
    expect(reply.status).toBe(Status.vendorSpecificError);
    expect(state.done).toEqual([]);
  });
});

describe("Get_Attributes_All", () => {
  test("fills in defaults and ends before what has none", async () => {
    expect(toHex((await tell(request(0x01, [0x64, 1]))).data)).toBe("1400 78563412 07".replaceAll(" ", ""));
  });

  test("the class's own has the ids that the declaration lists", async () => {
    const reply = await tell(request(0x01, [0x64, 0]));
    // revision 3, max instance 1, 1 instance, optional attribute 3, no optional service, ids up to 9 and 7, model 77
    expect(toHex(reply.data)).toBe("0300 0100 0100 01000300 0000 0900 0700 4d00".replaceAll(" ", ""));
  });

  test("is not supported where the declaration has no order", async () => {
    const router = new Router(() => undefined);
    const { all: _, classAll: __, ...bare } = Boiler;
    hostMessageRouter(router, 4, () => 2);
    router.hostMany(
      { ...bare, services: {}, attributes: {}, classAttributes: {} },
      {},
      { ids: () => [], get: () => undefined },
    );
    expect((await router.handle(request(0x01, [0x64, 0]), requestContext())).status).toBe(Status.serviceNotSupported);
    expect((await router.handle(request(0x01, [0x64, 1]), requestContext())).status).toBe(0x05);
  });
});

describe("class attributes 1 to 7", () => {
  test.each([
    { name: "revision", id: 1, value: [3] },
    { name: "max instance", id: 2, value: [5] },
    { name: "number of instances", id: 3, value: [2] },
    { name: "optional attributes", id: 4, value: [1, 3] },
    { name: "optional services", id: 5, value: [0] },
    { name: "max class attribute", id: 6, value: [9] },
    { name: "max instance attribute", id: 7, value: [7] },
    { name: "one of its own", id: 9, value: [77] },
  ])("$id $name", async ({ id, value }) => {
    const router = new Router(() => undefined);
    hostBoiler(router, 5);
    hostBoiler(router, 2);
    const reply = await router.handle(request(0x0e, [0x64, 0, id]), requestContext());
    expect(reply.status).toBe(0);
    expect(toHex(reply.data)).toBe(value.map((word) => toHex(encode(UINT, word))).join(""));
  });

  test("a class without instances names the attributes that any instance has to have", async () => {
    const router = new Router(() => undefined);
    const classHandlers = { model: { get: () => 1 }, count: () => 0 };
    router.hostMany(Boiler, classHandlers, { ids: () => [], get: () => undefined });
    const values = await Promise.all(
      [2, 3, 4, 7].map(async (id) => await router.handle(request(0x0e, [0x64, 0, id]), requestContext())),
    );
    expect(values.map(({ data }) => toHex(data))).toEqual(["0000", "0000", "0000", "0700"]);
  });

  test("hosting behaviour of a class without instances is a fault of ours", () => {
    const router = new Router(() => undefined);
    expect(() => router.hostClass(Boiler, { model: { get: () => 1 }, count: () => 0 })).toThrow(
      expect.objectContaining({ code: "bug/unreachable" }),
    );
  });
});

describe("Get_Attribute_List", () => {
  const list = (ids: readonly number[], maxReply = 500): Promise<Reply> =>
    tell(request(0x03, [0x64, 1], Uint8Array.from([ids.length, 0, ...ids.flatMap((id) => [id, 0])])), maxReply);

  test("gives values in the order asked", async () => {
    expect(await list([2, 1])).toMatchObject({ status: 0, data: hex("0200 0200 0000 78563412 0100 0000 1400") });
  });

  test("an entry that fails has its status and no data; the others are there", async () => {
    expect(await list([99, 1])).toMatchObject({ status: 0x0a, data: hex("0200 6300 1400 0100 0000 1400") });
  });

  test("an empty list is an attribute list error", async () => {
    expect(await list([])).toMatchObject({ status: Status.attributeListError, data: hex("0000") });
  });

  test("larger than the reply: what fits is there and the status says that there is more", async () => {
    const reply = await list([1, 6, 2], 100);
    expect(reply).toMatchObject({ status: Status.partialTransfer, data: hex("0100 0100 0000 1400") });
  });

  test.each([
    { name: "count above the bound", data: "ffff", status: Status.invalidParameter },
    { name: "count says two, one follows", data: "0200 0100", status: Status.notEnoughData },
    { name: "octets behind the list", data: "0100 0100 ff", status: Status.tooMuchData },
  ])("$name", async ({ data, status }) => {
    expect((await tell(request(0x03, [0x64, 1], hex(data)))).status).toBe(status);
  });

  test("reads class attributes too", async () => {
    const reply = await tell(request(0x03, [0x64, 0], hex("0200 0100 0900")));
    expect(reply).toMatchObject({ status: 0, data: hex("0200 0100 0000 0300 0900 0000 4d00") });
  });
});

describe("Set_Attribute_List", () => {
  const set = async (data: Uint8Array, maxReply = 500): Promise<{ reply: Reply; state: BoilerState }> => {
    const { router, state } = boiler();
    return { reply: await router.handle(request(0x04, [0x64, 1], data), requestContext({ maxReply })), state };
  };

  test("sets each and tells what became of it", async () => {
    const data = encodeAttributeValues([
      { id: 1, data: hex("2c01") },
      { id: 2, data: hex("00000000") },
      { id: 3, data: hex("0141") },
    ]);
    const { reply, state } = await set(data);
    expect(reply).toMatchObject({ status: 0x0a, data: hex("0300 0100 0000 0200 0e00 0300 0000") });
    expect(state).toMatchObject({ temperature: 300, label: "A" });
  });

  test("an attribute that is not known ends the list; what stands in front of it is set", async () => {
    const { reply, state } = await set(hex("0300 0100 2c01 6300 0100 0000"));
    expect(reply).toMatchObject({ status: 0x0a, data: hex("0200 0100 0000 6300 1400") });
    expect(state.temperature).toBe(300);
  });

  test.each([
    { name: "the last value is cut short", data: "0200 0100 2c01 0100 00", status: Status.notEnoughData },
    { name: "octets behind the list", data: "0100 0100 2c01 00", status: Status.tooMuchData },
    { name: "a count above the bound", data: "4100", status: Status.invalidParameter },
    { name: "a reply that would not fit", data: "0100 0100 2c01", max: 5, status: Status.replyDataTooLarge },
    { name: "an empty list", data: "0000", status: Status.attributeListError },
  ])("$name: nothing is set", async ({ data, max, status }) => {
    const { reply, state } = await set(hex(data), max);
    expect(reply.status).toBe(status);
    expect(state.temperature).toBe(20);
  });

  test("is not offered on the class", async () => {
    expect((await tell(request(0x04, [0x64, 0], hex("0000")))).status).toBe(Status.serviceNotSupported);
  });
});

describe("Multiple_Service_Packet", () => {
  const read = hex("0e 03 2064 2401 3001");

  test("answers each request in order", async () => {
    const reply = await tell(multiple([read, hex("0e 03 2064 2401 3002")]));
    expect(reply).toMatchObject({ service: 0x0a, status: 0 });
    expect(embedded(reply).map(({ data }) => toHex(data))).toEqual(["1400", "78563412"]);
  });

  test("an error in one leaves the others; the packet says 0x1E", async () => {
    const reply = await tell(multiple([hex("0e 03 2063 2401 3001"), read]));
    expect(reply.status).toBe(Status.embeddedServiceError);
    expect(embedded(reply).map(({ status }) => status)).toEqual([0x05, 0]);
  });

  test("a request in it that cannot be understood leaves the others", async () => {
    const reply = await tell(multiple([hex("0e 09 2064"), hex("0e"), read]));
    expect(embedded(reply).map(({ status }) => status)).toEqual([Status.pathSizeInvalid, Status.notEnoughData, 0]);
  });

  test("one inside another is refused, also behind a request that may be there", async () => {
    const reply = await tell(multiple([read, encode(MessageRouterRequest, multiple([read]))]));
    expect(embedded(reply).map(({ status }) => status)).toEqual([0, Status.serviceNotSupported]);
  });

  test("replies that overflow the way back say so each", async () => {
    const large = hex("0e 03 2064 2401 3006");
    const reply = await tell(multiple([large, large, read]), 400);
    expect(embedded(reply).map(({ status }) => status)).toEqual([0, Status.replyDataTooLarge, 0]);
    expect(reply.data.length).toBeLessThanOrEqual(400);
  });

  test("more requests than statuses fit: nothing is done", async () => {
    const { router, state } = boiler();
    const ignite = hex("4b 02 2064 2401 05");
    const asked = multiple(Array.from({ length: 10 }, () => ignite));
    const reply = await router.handle(asked, requestContext({ maxReply: 61 }));
    expect(reply).toMatchObject({ status: Status.replyDataTooLarge, data: new Uint8Array(0) });
    expect(state.done).toEqual([]);
  });

  test.each([
    { name: "no octets", data: "", status: Status.notEnoughData },
    { name: "count 0", data: "0000", status: Status.invalidParameter },
    { name: "count 65535", data: "ffff", status: Status.invalidParameter },
    { name: "offsets past the data", data: "0200 0600 ff00 0e03", status: Status.invalidParameter },
    { name: "descending offsets", data: "0200 0800 0600 0e03 0e03", status: Status.invalidParameter },
    { name: "overlapping offsets", data: "0200 0600 0600 0e03", status: Status.invalidParameter },
    { name: "an offset into the table", data: "0100 0200 0e03", status: Status.invalidParameter },
    { name: "fewer offsets than the count says", data: "0300 0800", status: Status.notEnoughData },
  ])("router data at fault: $name", async ({ data, status }) => {
    expect(await tell(request(0x0a, [0x02, 1], hex(data)))).toMatchObject({ status, data: new Uint8Array(0) });
  });

  test("belongs to instance 1 of the Message Router", async () => {
    const router = new Router(() => undefined);
    hostMessageRouter(router, 4, () => 2);
    const at = async (instance: number): Promise<number> =>
      (await router.handle({ ...multiple([read]), path: request(0, [0x02, instance]).path }, requestContext())).status;
    expect([await at(1), await at(0), await at(2)]).toEqual([Status.embeddedServiceError, 0x08, 0x05]);
  });

  test("what an embedded request wants done after the reply is done", async () => {
    const { router, state } = boiler();
    const later: (() => void)[] = [];
    await router.handle(multiple([hex("4c 02 2064 2401")]), requestContext({ afterReply: (run) => later.push(run) }));
    expect(state.done).toEqual([]);
    for (const run of later) run();
    expect(state.done).toEqual(["quenched"]);
  });
});

test("the observer hears of every request, of those that cannot be read too", async () => {
  const heard: string[] = [];
  const router = new Router(
    () => undefined,
    ({ service, destination, reply }) => heard.push(`${service} ${destination?.classId ?? "-"} ${reply.status}`),
  );
  hostBoiler(router);
  for (const bytes of ["0e 03 2064 2401 3001", "0e 03 2064 2401 3063", "0e 09", "0e 01 2401"])
    await router.handleOctets(hex(bytes), requestContext());
  expect(heard).toEqual(["14 100 0", "14 100 20", "14 - 38", "14 - 5"]);
});

function multiple(messages: readonly Uint8Array[]): Request {
  return request(0x0a, [0x02, 1], encode(EmbeddedMessages, messages));
}

function embedded(reply: Reply): readonly Reply[] {
  return decode(EmbeddedMessages, reply.data).map((bytes) => decode(MessageRouterReply, bytes));
}
