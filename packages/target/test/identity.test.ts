import {
  CipSecurityItem,
  Command,
  Cpf,
  ItemType,
  ListIdentityItem,
  ListServicesItem,
  decode,
  frame,
  noOctets,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { addressNumber, answerList, keyMismatch } from "../src/identity.ts";
import { discoveryFacts, frameOf, identity, someContext } from "./support/device.ts";
import { toHex } from "./support/fakes.ts";

const security = { profiles: 0x0002, profilesConfigured: 0x0002, cipState: 0, ethernetIpState: 0 } as const;

function items(command: number, facts = discoveryFacts()) {
  const answer = answerList(frameOf(frame(command, { session: 9, context: someContext })), facts);
  const reply = frameOf(answer ?? noOctets);
  expect(reply).toMatchObject({ command, session: 9, status: 0, context: someContext });
  return decode(Cpf, reply.data);
}

describe("ListIdentity, ethernet-ip.md 2.2 and cip-security.md 4", () => {
  test("a device without CIP Security says who it is and where", () => {
    const found = items(Command.listIdentity);
    expect(found.map(({ type }) => type)).toEqual([ItemType.listIdentity]);
    expect(decode(ListIdentityItem, found[0]?.data ?? noOctets)).toEqual({
      ...identity,
      protocolVersion: 1,
      socket: { family: 2, port: 44_818, address: 0x7f19_0001 },
      status: 0x30,
      state: 3,
    });
  });

  test("one with CIP Security adds item 0x0086 of seven octets and 0x0087, inside the length of the frame", () => {
    const found = items(Command.listIdentity, discoveryFacts({ security, ianaPorts: 0x1f }));
    expect(found.map(({ type }) => type)).toEqual([ItemType.listIdentity, 0x0086, 0x0087]);
    // The reference's example: Confidentiality only, factory default, all ports open.
    expect(toHex(found[1]?.data ?? noOctets)).toBe("02000000 1f 0200".replaceAll(" ", ""));
    expect(toHex(found[2]?.data ?? noOctets)).toBe("c7000000");
    const plain = items(Command.listIdentity, discoveryFacts({ security, ianaPorts: 0x0f }));
    expect(toHex(plain[2]?.data ?? noOctets)).toBe("05000000");
  });

  test("states and ports are those of the moment", () => {
    const facts = discoveryFacts({ security: { ...security, cipState: 2, ethernetIpState: 3 }, ianaPorts: 0x08 });
    const item = items(Command.listIdentity, facts).find(({ type }) => type === ItemType.cipSecurity);
    expect(decode(CipSecurityItem, item?.data ?? noOctets)).toMatchObject({
      cipSecurityState: 2,
      ethernetIpSecurityState: 3,
      ianaPortState: 0x08,
    });
  });

  test("the longest name makes no large reply", () => {
    const facts = discoveryFacts({ security, identity: { ...identity, productName: "x".repeat(32) } });
    expect(answerList(frameOf(frame(Command.listIdentity)), facts)?.length).toBeLessThan(150);
  });
});

test.each([
  { io: false, capabilities: 0x0020 },
  { io: true, capabilities: 0x0120 },
])("ListServices: Communications, CIP over TCP, I/O $io", ({ io, capabilities }) => {
  const [item] = items(Command.listServices, discoveryFacts({ io }));
  expect(item?.type).toBe(ItemType.listServices);
  expect(decode(ListServicesItem, item?.data ?? noOctets)).toEqual({
    version: 1,
    capabilities,
    name: "Communications",
  });
});

test("ListInterfaces: none", () => expect(items(Command.listInterfaces)).toEqual([]));

test("other commands are not answered here", () => {
  expect(answerList(frameOf(frame(Command.sendRRData)), discoveryFacts())).toBeUndefined();
});

describe("electronic key, ethernet-ip.md 3.6", () => {
  // The device is vendor 0xFFF0, type 0x2B, product 7, revision 2.5.
  const exact = {
    vendorId: 0xfff0,
    deviceType: 0x2b,
    productCode: 7,
    compatibility: false,
    majorRevision: 2,
    minorRevision: 5,
  };
  const any = { vendorId: 0, deviceType: 0, productCode: 0, compatibility: false, majorRevision: 0, minorRevision: 0 };
  test.each([
    { name: "exact", key: exact, mismatch: undefined },
    { name: "anything", key: any, mismatch: undefined },
    { name: "any revision, whatever the minor", key: { ...any, minorRevision: 9 }, mismatch: undefined },
    { name: "any minor", key: { ...exact, minorRevision: 0 }, mismatch: undefined },
    { name: "another vendor", key: { ...exact, vendorId: 1 }, mismatch: 0x0114 },
    { name: "another product", key: { ...exact, productCode: 8 }, mismatch: 0x0114 },
    { name: "another type", key: { ...exact, deviceType: 1 }, mismatch: 0x0115 },
    { name: "vendor is told before type", key: { ...exact, vendorId: 1, deviceType: 1 }, mismatch: 0x0114 },
    { name: "another major", key: { ...exact, majorRevision: 1 }, mismatch: 0x0116 },
    { name: "another minor", key: { ...exact, minorRevision: 4 }, mismatch: 0x0116 },
    { name: "its serial number", key: { ...exact, serialNumber: 0x0102_0304 }, mismatch: undefined },
    { name: "any serial number", key: { ...exact, serialNumber: 0 }, mismatch: undefined },
    { name: "another serial number", key: { ...exact, serialNumber: 5 }, mismatch: 0x0114 },
    { name: "compatible, exact", key: { ...exact, compatibility: true }, mismatch: undefined },
    { name: "compatible, older minor", key: { ...exact, compatibility: true, minorRevision: 1 }, mismatch: undefined },
    { name: "compatible, newer minor", key: { ...exact, compatibility: true, minorRevision: 6 }, mismatch: 0x0116 },
    { name: "compatible, minor 0", key: { ...exact, compatibility: true, minorRevision: 0 }, mismatch: 0x0116 },
    { name: "compatible, major 0", key: { ...exact, compatibility: true, majorRevision: 0 }, mismatch: 0x0116 },
    { name: "compatible, vendor 0", key: { ...exact, compatibility: true, vendorId: 0 }, mismatch: 0x0114 },
    { name: "compatible, product 0", key: { ...exact, compatibility: true, productCode: 0 }, mismatch: 0x0114 },
    { name: "compatible, type 0", key: { ...exact, compatibility: true, deviceType: 0 }, mismatch: 0x0115 },
  ])("$name", ({ key, mismatch }) => expect(keyMismatch(key, identity)).toBe(mismatch));
});

test.each([
  { address: "192.168.1.20", number: 0xc0a8_0114 },
  { address: "255.255.255.255", number: 0xffff_ffff },
  { address: "0.0.0.0", number: 0 },
  { address: "1.2.3", number: 0 },
  { address: "1.2.3.256", number: 0 },
  { address: "::1", number: 0 },
])("$address as a number", ({ address, number }) => expect(addressNumber(address)).toBe(number));
