import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Assembly,
  ConnectionManager as ConnectionManagerClass,
  EthernetLink,
  Identity,
  MessageRouter,
  Qos,
  type AttributeDeclaration,
  type ObjectClass,
} from "@cipsec/objects";
import { Service, Status, decode, encode, type Codec, type Reply } from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AssemblyData, hostAssemblies } from "../../src/objects/assembly.ts";
import { hostEthernetLink } from "../../src/objects/ethernet-link.ts";
import { hostIdentity, identityStatus } from "../../src/objects/identity.ts";
import { hostMessageRouter } from "../../src/objects/message-router.ts";
import { hostQos } from "../../src/objects/qos.ts";
import { Router } from "../../src/router.ts";
import { openStore, type Store } from "../../src/store.ts";
import { device, identity, request, requestContext } from "../support/device.ts";
import { hex, toHex } from "../support/fakes.ts";
import { loopbackSession, type LoopbackSession } from "../support/loopback.ts";

const assemblies = [
  { instance: 100, kind: "input", size: 4, name: "in" },
  { instance: 150, kind: "output", size: 2, name: "out" },
  { instance: 151, kind: "configuration", size: 0, name: "config" },
] as const;

/** Every class hosted here, the instance to look at, and the attributes that the device has. */
const hosted: readonly { object: ObjectClass; instance: number; attributes: readonly string[] }[] = [
  {
    object: Identity,
    instance: 1,
    attributes: [
      "vendorId",
      "deviceType",
      "productCode",
      "revision",
      "status",
      "serialNumber",
      "productName",
      "state",
      "internationalProductName",
    ],
  },
  { object: MessageRouter, instance: 1, attributes: ["objectList", "numberAvailable", "numberActive"] },
  { object: Assembly, instance: 150, attributes: ["data", "size"] },
  {
    object: ConnectionManagerClass,
    instance: 1,
    attributes: [
      "openRequests",
      "openFormatRejects",
      "openResourceRejects",
      "openOtherRejects",
      "closeRequests",
      "closeFormatRejects",
      "closeOtherRejects",
      "connectionTimeouts",
      "connectionEntryList",
    ],
  },
  { object: Qos, instance: 1, attributes: ["dscpUrgent", "dscpScheduled", "dscpHigh", "dscpLow", "dscpExplicit"] },
  {
    object: EthernetLink,
    instance: 1,
    attributes: [
      "interfaceSpeed",
      "interfaceFlags",
      "physicalAddress",
      "interfaceType",
      "interfaceLabel",
      "interfaceCapability",
    ],
  },
];

let folder: string;
let session: LoopbackSession;
const resets: number[] = [];
let refusesFactoryReset = false;
const data = new AssemblyData(assemblies);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-target-"));
  const { router, services, connections } = device();
  hostIdentity(router, {
    identity,
    isConfigured: () => true,
    ioStatus: () => 0x31,
    resetRefusal: (type) => (refusesFactoryReset && type > 0 ? Status.privilegeViolation : undefined),
    reset: (type) => void resets.push(type),
  });
  hostMessageRouter(router, 4, () => connections.table.size);
  hostAssemblies(router, assemblies, data);
  hostQos(router, await openStore(folder));
  hostEthernetLink(router, "127.25.2.1", () => "");
  session = await loopbackSession("127.25.2.1", services);
});

afterAll(async () => {
  await session[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const get = (classId: number, instance: number, id: number): Promise<Reply> =>
  session.request(request(Service.getAttributeSingle, [classId, instance, id]));
const set = (classId: number, instance: number, id: number, value: Uint8Array): Promise<Reply> =>
  session.request(request(Service.setAttributeSingle, [classId, instance, id], value));

describe.each(hosted)("$object.name", ({ object, instance, attributes }) => {
  const { classId } = object;
  const declared: readonly [string, AttributeDeclaration][] = Object.entries(object.attributes);

  test("ids are unique", () => {
    const ids = declared.map(([, { id }]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test.each(declared)(
    "%s reads as declared, sets back where it may be set, and says so where not",
    async (name, attribute) => {
      const { id, access } = attribute;
      const type: Codec<unknown> = attribute.type;
      const reply = await get(classId, instance, id);
      if (!attributes.includes(name)) {
        expect(attribute.optional).toBe(true);
        expect(reply.status).toBe(Status.attributeNotSupported);
        expect((await set(classId, instance, id, new Uint8Array(2))).status).toBe(Status.attributeNotSupported);
        return;
      }
      expect(reply.status).toBe(0);
      expect(encode(type, decode(type, reply.data))).toEqual(reply.data);
      const again = await set(classId, instance, id, reply.data);
      expect(again.status).toBe(access === "get" ? Status.attributeNotSettable : 0);
      expect((await get(classId, instance, id)).data).toEqual(reply.data);
      if (access === "get") return;
      expect((await set(classId, instance, id, new Uint8Array(0))).status).toBe(Status.notEnoughData);
      expect((await set(classId, instance, id, Uint8Array.of(...reply.data, 0))).status).toBe(Status.tooMuchData);
    },
  );

  test("Get_Attributes_All is what its attributes are, one after another", async () => {
    const reply = await session.request(request(Service.getAttributesAll, [classId, instance]));
    if (object.all === undefined) {
      expect(reply.status).toBe(Status.serviceNotSupported);
      return;
    }
    let expected = "";
    for (const name of object.all) {
      const attribute = object.attributes[name];
      if (attribute === undefined || (!attributes.includes(name) && attribute.default === undefined)) break;
      const type: Codec<unknown> = attribute.type;
      expected += attributes.includes(name)
        ? toHex((await get(classId, instance, attribute.id)).data)
        : toHex(encode(type, attribute.default));
    }
    expect(toHex(reply.data)).toBe(expected);
    expect(expected).not.toBe("");
  });

  test("the class says its revision, instances and last attribute", async () => {
    const [revision, , count, , , , last] = await readClass(classId);
    const ids = attributes.map((name) => object.attributes[name]?.id ?? 0);
    expect([revision, count, last]).toEqual([object.revision, object === Assembly ? 3 : 1, Math.max(...ids)]);
  });

  test("there is no other instance", async () => {
    expect((await get(classId, 77, 1)).status).toBe(Status.pathDestinationUnknown);
  });
});

/** First word of each of class attributes 1 to 7. */
async function readClass(classId: number): Promise<readonly number[]> {
  const words: number[] = [];
  for (let id = 1; id <= 7; id += 1) {
    const { status, data } = await get(classId, 0, id);
    expect(status).toBe(0);
    words.push((data[0] ?? 0) + 256 * (data[1] ?? 0));
  }
  return words;
}

describe("Identity", () => {
  test.each([
    { name: "none, which is 0", data: "", type: 0 },
    { name: "0, power cycle", data: "00", type: 0 },
    { name: "1, factory default", data: "01", type: 1 },
    { name: "2, factory default keeping links", data: "02", type: 2 },
  ])("Reset of type $name: the reply comes, then the reset", async ({ data, type }) => {
    resets.length = 0;
    const reply = await session.request(request(Service.reset, [0x01, 1], hex(data)));
    expect(reply).toMatchObject({ status: 0, data: new Uint8Array(0) });
    expect(resets).toEqual([type]);
  });

  test.each([
    { name: "type 3", data: "03", status: Status.invalidParameter },
    { name: "two octets", data: "0000", status: Status.tooMuchData },
  ])("Reset refused: $name", async ({ data, status }) => {
    resets.length = 0;
    expect((await session.request(request(Service.reset, [0x01, 1], hex(data)))).status).toBe(status);
    expect(resets).toEqual([]);
  });

  test("Reset refused by the device's security: nothing is reset", async () => {
    resets.length = 0;
    refusesFactoryReset = true;
    const reply = await session.request(request(Service.reset, [0x01, 1], hex("01")));
    refusesFactoryReset = false;
    expect(reply.status).toBe(Status.privilegeViolation);
    expect(resets).toEqual([]);
  });

  test("the reset waits for the reply to be with the channel", async () => {
    const router = new Router(() => undefined);
    const done: string[] = [];
    hostIdentity(router, {
      identity,
      isConfigured: () => false,
      ioStatus: () => 0x30,
      resetRefusal: () => undefined,
      reset: () => done.push("reset"),
    });
    const later: (() => void)[] = [];
    await router.handle(request(Service.reset, [0x01, 1]), requestContext({ afterReply: (run) => later.push(run) }));
    expect(done).toEqual([]);
    for (const run of later) run();
    expect(done).toEqual(["reset"]);
  });

  test("the status says configured or not, and no I/O connection", () => {
    expect([identityStatus(false), identityStatus(true)]).toEqual([0x30, 0x34]);
  });

  test("a request whose electronic key is of another device is refused", async () => {
    const path = [
      {
        kind: "key",
        key: { vendorId: 1, deviceType: 0, productCode: 0, compatibility: false, majorRevision: 0, minorRevision: 0 },
      },
      ...request(0, [0x01, 1, 1]).path,
    ] as const;
    const reply = await session.request({ service: Service.getAttributeSingle, path, data: new Uint8Array(0) });
    expect(reply.status).toBe(Status.keyFailureInPath);
  });
});

describe("Message Router", () => {
  test("the object list names every class hosted", async () => {
    const reply = await get(0x02, 1, 1);
    expect(toHex(reply.data)).toBe("0700 0100 0200 0400 0600 4800 6400 f600".replaceAll(" ", ""));
  });
});

describe("Connection Manager", () => {
  test("its optional services are in class attribute 5", async () => {
    expect(toHex((await get(0x06, 0, 5)).data)).toBe("0500 5200 5600 5700 5a00 5b00".replaceAll(" ", ""));
  });
});

describe("Assembly, ethernet-ip.md 7.3", () => {
  test.each([
    { name: "an output", instance: 150, data: "0102", status: 0 },
    { name: "an output, short", instance: 150, data: "01", status: Status.notEnoughData },
    { name: "an output, long", instance: 150, data: "010203", status: Status.tooMuchData },
    { name: "an input", instance: 100, data: "01020304", status: Status.attributeNotSettable },
    { name: "a configuration without octets", instance: 151, data: "", status: 0 },
    { name: "an unknown instance", instance: 99, data: "00", status: Status.pathDestinationUnknown },
  ])("set of $name: $status", async ({ instance, data, status }) => {
    expect((await set(0x04, instance, 3, hex(data))).status).toBe(status);
  });

  test("the application and the network share the octets", async () => {
    data.get(100).set([9, 8, 7, 6]);
    expect((await get(0x04, 100, 3)).data).toEqual(hex("09080706"));
    await set(0x04, 150, 3, hex("beef"));
    expect(data.get(150)).toEqual(hex("beef"));
  });

  test("an assembly that is not there is told", () => {
    expect(() => data.get(1)).toThrow(expect.objectContaining({ status: Status.pathDestinationUnknown }));
  });
});

describe("QoS", () => {
  const ask = async (router: Router, id: number, value?: number): Promise<Reply> =>
    value === undefined
      ? router.handle(request(Service.getAttributeSingle, [0x48, 1, id]), requestContext())
      : router.handle(request(Service.setAttributeSingle, [0x48, 1, id], Uint8Array.of(value)), requestContext());

  async function fresh(): Promise<{ store: Store; router: Router; active: ReturnType<typeof hostQos> }> {
    const store = await openStore(await mkdtemp(join(folder, "qos-")));
    const router = new Router(() => undefined);
    return { store, router, active: hostQos(router, store) };
  }

  test("defaults, the range, and a value that takes effect with the next start", async () => {
    const { store, router, active } = await fresh();
    expect(active).toEqual({ dscpUrgent: 55, dscpScheduled: 47, dscpHigh: 43, dscpLow: 31, dscpExplicit: 27 });
    expect((await ask(router, 8, 64)).status).toBe(Status.invalidAttributeValue);
    expect((await ask(router, 8, 63)).status).toBe(0);
    expect((await ask(router, 8)).data).toEqual(Uint8Array.of(63));
    expect(active.dscpExplicit).toBe(27);
    expect(hostQos(new Router(() => undefined), store).dscpExplicit).toBe(63);
  });

  test("two at a time are both saved", async () => {
    const { store, router } = await fresh();
    await Promise.all([ask(router, 4, 1), ask(router, 5, 2), ask(router, 6, 3)]);
    expect(hostQos(new Router(() => undefined), store)).toMatchObject({ dscpUrgent: 1, dscpScheduled: 2, dscpHigh: 3 });
  });

  test("what cannot be saved is refused and not kept; the next one is saved", async () => {
    const { store } = await fresh();
    const router = new Router(() => undefined);
    let isBroken = true;
    hostQos(router, {
      ...store,
      write: async (sections) => {
        if (isBroken) throw new RangeError("disk full");
        await store.write(sections);
      },
    });
    expect((await ask(router, 8, 5)).status).toBe(Status.vendorSpecificError);
    expect((await ask(router, 8)).data).toEqual(Uint8Array.of(27));
    isBroken = false;
    expect((await ask(router, 8, 6)).status).toBe(0);
  });

  test.each([
    { name: "no object", saved: "text" },
    { name: "null", saved: null },
    { name: "out of range, no number, no integer", saved: { dscpUrgent: 64, dscpLow: "1", dscpHigh: 1.5 } },
  ])("saved values that are not sound are replaced by defaults: $name", async ({ saved }) => {
    const { store } = await fresh();
    await store.write({ qos: saved });
    expect(hostQos(new Router(() => undefined), store)).toMatchObject({ dscpUrgent: 55, dscpLow: 31, dscpHigh: 43 });
  });
});

describe("Ethernet Link", () => {
  const read = async (address: string, id: number): Promise<Uint8Array> => {
    const router = new Router(() => undefined);
    hostEthernetLink(router, address);
    return (await router.handle(request(Service.getAttributeSingle, [0xf6, 1, id]), requestContext())).data;
  };

  test("a loopback address is an internal interface that is up", async () => {
    expect(await read("127.25.2.1", 7)).toEqual(Uint8Array.of(1));
    expect(((await read("127.25.2.1", 2))[0] ?? 0) & 0x01).toBe(1);
  });

  test("an address that no interface has reads as unknown", async () => {
    expect(await read("192.0.2.1", 1)).toEqual(new Uint8Array(4));
    expect(await read("192.0.2.1", 3)).toEqual(new Uint8Array(6));
    expect(await read("192.0.2.1", 7)).toEqual(Uint8Array.of(0));
  });

  test("any address is the interface that leads out, where there is one", async () => {
    expect(await read("0.0.0.0", 7)).toEqual(Uint8Array.of(0));
  });
});
