import { EthernetLink, LldpManagement, type ObjectClass } from "@cipsec/objects";
import { EPATH, Service, Status, decode, encode, type Codec, type Reply } from "@cipsec/wire";
import { beforeEach, describe, expect, test } from "vitest";
import { hostEthernetLink, isOnLoopback } from "../../src/objects/ethernet-link.ts";
import { hostLldp } from "../../src/objects/lldp.ts";
import { hostPort } from "../../src/objects/port.ts";
import { Router } from "../../src/router.ts";
import { request, requestContext } from "../support/device.ts";
import { toHex } from "../support/fakes.ts";

let router: Router;

beforeEach(() => {
  router = new Router(() => undefined);
});

const ask = async (service: number, path: readonly [number, number?, number?], data?: Uint8Array): Promise<Reply> =>
  router.handle(request(service, path, data), requestContext());

describe("Ethernet Link counters, ethernet-ip.md 7.8", () => {
  const getAndClear = EthernetLink.services.getAndClear.code;
  const { interfaceCounters, mediaCounters } = EthernetLink.attributes;
  let counters: Record<string, number>;
  let system: Record<string, string>;

  beforeEach(() => {
    system = { flags: "0x1003", speed: "1000", duplex: "full", operstate: "up" };
    counters = { rx_bytes: 5000, rx_packets: 40, multicast: 10, tx_bytes: 700, rx_crc_errors: 3, rx_missed_errors: 2 };
    hostEthernetLink(
      router,
      "127.34.2.1",
      (_, file) => system[file] ?? String(counters[file.replace(/.*\//, "")] ?? 0),
    );
  });

  const read = async <T>(service: number, { id, type }: { readonly id: number; readonly type: Codec<T> }): Promise<T> =>
    decode(type, (await ask(service, [0xf6, 1, id])).data);

  test("are those of the host's interface", async () => {
    expect(await read(Service.getAttributeSingle, interfaceCounters)).toMatchObject({
      inOctets: 5000,
      inUnicast: 30,
      inNonUnicast: 10,
      outOctets: 700,
    });
    expect(await read(Service.getAttributeSingle, mediaCounters)).toMatchObject({ fcsErrors: 3, macReceiveErrors: 2 });
  });

  test("Get_and_Clear reads and clears the attribute that the path names, not the other", async () => {
    expect(await read(getAndClear, interfaceCounters)).toMatchObject({ inOctets: 5000, inUnicast: 30 });
    counters["rx_bytes"] = 5100;
    expect(await read(Service.getAttributeSingle, interfaceCounters)).toMatchObject({ inOctets: 100, inUnicast: 0 });
    expect(await read(getAndClear, interfaceCounters)).toMatchObject({ inOctets: 100, outOctets: 0 });
    expect(await read(Service.getAttributeSingle, interfaceCounters)).toMatchObject({ inOctets: 0 });
    expect(await read(getAndClear, mediaCounters)).toMatchObject({ fcsErrors: 3 });
    expect(await read(Service.getAttributeSingle, mediaCounters)).toMatchObject({ fcsErrors: 0 });
  });

  test("run over at 32 bits, and go on where the host begins anew", async () => {
    counters["rx_bytes"] = 2 ** 32 + 7;
    expect(await read(getAndClear, interfaceCounters)).toMatchObject({ inOctets: 7 });
    counters["rx_bytes"] = 12;
    expect(await read(Service.getAttributeSingle, interfaceCounters)).toMatchObject({ inOctets: 12 });
  });

  test("64 bits go on where 32 run over, each attribute is cleared alone", async () => {
    const { highInterfaceCounters, highMediaCounters, ethernetErrors, linkDownCounter } = EthernetLink.attributes;
    counters = {
      ...counters,
      rx_bytes: 2 ** 40 + 5,
      rx_errors: 3,
      tx_errors: 4,
      carrier_down_count: 2,
      rx_frame_errors: 9,
    };
    expect(await read(Service.getAttributeSingle, highInterfaceCounters)).toMatchObject({
      inOctets: 2n ** 40n + 5n,
      inUnicast: 30n,
      inMulticast: 10n,
    });
    expect(await read(getAndClear, highMediaCounters)).toMatchObject({
      alignmentErrors: 9n,
      fcsErrors: 3n,
      macReceiveErrors: 2n,
    });
    expect(await read(Service.getAttributeSingle, highMediaCounters)).toMatchObject({
      alignmentErrors: 0n,
      fcsErrors: 0n,
    });
    expect(await read(Service.getAttributeSingle, mediaCounters)).toMatchObject({ alignmentErrors: 9, fcsErrors: 3 });
    expect(await read(Service.getAttributeSingle, ethernetErrors)).toBe(7);
    expect(await read(getAndClear, linkDownCounter)).toBe(2);
    expect(await read(Service.getAttributeSingle, linkDownCounter)).toBe(0);
    counters["carrier_down_count"] = 3;
    expect(await read(Service.getAttributeSingle, linkDownCounter)).toBe(1);
  });

  test("state, speed and mode are the host's; the port cannot be put out of service from here", async () => {
    const { interfaceState, adminState, interfaceCapability } = EthernetLink.attributes;
    expect(await read(Service.getAttributeSingle, interfaceState)).toBe(1);
    expect(await read(Service.getAttributeSingle, interfaceCapability)).toEqual({
      capability: 0,
      modes: [{ speed: 1000, duplex: 1 }],
    });
    system["flags"] = "0x1002";
    expect(await read(Service.getAttributeSingle, adminState)).toBe(2);
    const refused = await ask(Service.setAttributeSingle, [0xf6, 1, adminState.id], Uint8Array.of(1));
    expect(refused.status).toBe(Status.attributeNotSettable);
  });

  test.each([
    {
      name: "errors, which have no clearing",
      path: [0xf6, 1, 14],
      data: [],
      status: Status.serviceNotSupportedForPath,
    },
    { name: "another attribute", path: [0xf6, 1, 1], data: [], status: Status.serviceNotSupportedForPath },
    { name: "no attribute", path: [0xf6, 1], data: [], status: Status.serviceNotSupportedForPath },
    { name: "data", path: [0xf6, 1, 4], data: [0], status: Status.tooMuchData },
  ] as const)("Get_and_Clear is refused: $name", async ({ path, data, status }) => {
    expect((await ask(getAndClear, path, Uint8Array.from(data))).status).toBe(status);
  });

  test("an interface without counters has none, and no service on them", async () => {
    const bare = new Router(() => undefined);
    hostEthernetLink(bare, "127.34.2.1", () => "");
    const tell = async (service: number): Promise<Reply> =>
      bare.handle(request(service, [0xf6, 1, 4]), requestContext());
    expect((await tell(Service.getAttributeSingle)).status).toBe(Status.attributeNotSupported);
    expect((await tell(getAndClear)).status).toBe(Status.serviceNotSupported);
    for (const id of [8, 9, 12, 13, 14, 15])
      expect((await bare.handle(request(0x0e, [0xf6, 1, id]), requestContext())).status).toBe(
        Status.attributeNotSupported,
      );
  });

  test.runIf(process.platform === "linux")("the loopback interface counts what goes over it", async () => {
    const live = new Router(() => undefined);
    hostEthernetLink(live, "127.34.2.1");
    const { status, data } = await live.handle(request(getAndClear, [0xf6, 1, 4]), requestContext());
    expect(status).toBe(0);
    expect(decode(interfaceCounters.type, data).inUnicast).toBeGreaterThan(0);
  });

  test("which addresses are on the loopback interface", () => {
    expect([isOnLoopback("127.34.2.1"), isOnLoopback("192.0.2.1"), isOnLoopback("0.0.0.0")]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe("Port, ethernet-ip.md 7.11", () => {
  beforeEach(() => hostPort(router, "192.168.1.20"));

  test("is one port of EtherNet/IP that leads to the device's address", async () => {
    const all = await ask(Service.getAttributesAll, [0xf4, 1]);
    const address = "120c 3139322e3136382e312e3230";
    expect(toHex(all.data)).toBe(`0400 0200 0200 20f52401 0b 45746865724e65742f4950 ${address}`.replaceAll(" ", ""));
    expect(decode(EPATH, (await ask(Service.getAttributeSingle, [0xf4, 1, 7])).data)).toHaveLength(1);
  });

  test("names its type, and the objects of its network", async () => {
    expect(toHex((await ask(Service.getAttributeSingle, [0xf4, 1, 5])).data)).toBe("0b45746865724e65742f4950");
    expect(toHex((await ask(Service.getAttributeSingle, [0xf4, 1, 11])).data)).toBe(
      "02 02 20f52401 02 20f62401".replaceAll(" ", ""),
    );
  });

  test("its class tells the ports and the one that the request came by", async () => {
    expect(toHex((await ask(Service.getAttributesAll, [0xf4, 0])).data)).toBe(
      "0200 0100 0100 0100 0000 0000 0400 0200".replaceAll(" ", ""),
    );
  });
});

describe("LLDP Management, ethernet-ip.md 7.10", () => {
  beforeEach(() => hostLldp(router));

  const attributes = Object.entries((LldpManagement satisfies ObjectClass).attributes);

  test.each(attributes)(
    "%s reads, and can be set to what it is where it may be set",
    async (_, { id, type, access }) => {
      const codec: Codec<unknown> = type;
      const { status, data } = await ask(Service.getAttributeSingle, [0x109, 1, id]);
      expect(status).toBe(0);
      expect(encode(codec, decode(codec, data))).toEqual(data);
      const again = await ask(Service.setAttributeSingle, [0x109, 1, id], data);
      expect(again.status).toBe(access === "get" ? Status.attributeNotSettable : 0);
    },
  );

  test.each([
    { name: "LLDP for all", id: 1, data: [2, 0, 1] },
    { name: "LLDP for the port", id: 1, data: [2, 0, 2] },
    { name: "more ports than there are", id: 1, data: [3, 0, 0] },
    { name: "another interval", id: 2, data: [5, 0] },
    { name: "another hold", id: 3, data: [5] },
  ])("refuses $name", async ({ id, data }) => {
    const reply = await ask(Service.setAttributeSingle, [0x109, 1, id], Uint8Array.from(data));
    expect(reply.status).toBe(Status.invalidAttributeValue);
  });

  test("is off", async () => {
    expect(toHex((await ask(Service.getAttributeSingle, [0x109, 1, 1])).data)).toBe("020000");
  });
});
