import { describe, expect, test } from "vitest";
import {
  CapabilityItem,
  CipSecurityItem,
  ConnectedAddress,
  Cpf,
  ItemType,
  ListIdentityItem,
  ListServicesItem,
  SequencedAddress,
  Sockaddr,
  UnconnectedMessage,
  decode,
  encode,
  findItem,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const socket = "0002 af12 c0a80114 0000000000000000";
const identity = `0100 ${socket} ffff 2b00 0101 0102 3000 04030201 04 44656d6f`;
const device = {
  protocolVersion: 1,
  socket: { family: 2, port: 44_818, address: 0xc0a8_0114 },
  vendorId: 0xffff,
  deviceType: 0x2b,
  productCode: 0x0101,
  revision: { major: 1, minor: 2 },
  status: 0x30,
  serialNumber: 0x0102_0304,
  productName: "Demo",
};
const services = "0100 2001 436f6d6d756e69636174696f6e73 0000";
const security = { profiles: 2, cipSecurityState: 0, ethernetIpSecurityState: 1, ianaPortState: 0x1f };

/** Reference ethernet-ip.md 2.1 to 2.6; cip-security.md 2.6 and 4. */
test.each([
  good("no items", Cpf, "0000", []),
  good("two items, one of an unknown type", Cpf, "0200 0000 0000 3412 0200 abcd", [
    { type: ItemType.nullAddress, data: hex("") },
    { type: 0x1234, data: hex("abcd") },
  ]),
  good("a socket address, big-endian", Sockaddr, socket, device.socket),
  good("ListIdentity", ListIdentityItem, `${identity} 03`, { ...device, state: 3 }),
  good("ListIdentity without a state", ListIdentityItem, identity, device),
  good("ListIdentity with octets behind the state", ListIdentityItem, `${identity} 03 aabb`, {
    ...device,
    state: 3,
    extra: hex("aabb"),
  }),
  good("ListServices", ListServicesItem, services, { version: 1, capabilities: 0x0120, name: "Communications" }),
  good("ListServices with a name of sixteen characters", ListServicesItem, `0100 2000 ${"61".repeat(16)}`, {
    version: 1,
    capabilities: 0x20,
    name: "a".repeat(16),
  }),
  good("CIP Security, five octets", CipSecurityItem, "0200 00 01 1f", security),
  good("CIP Security, seven octets", CipSecurityItem, "0200 00 01 1f 0200", { ...security, profilesConfigured: 2 }),
  good("CIP Security of a later edition", CipSecurityItem, "0200 00 01 1f 0200 01", {
    ...security,
    profilesConfigured: 2,
    extra: hex("01"),
  }),
  good("CIP Security, six octets", CipSecurityItem, "0200 00 01 1f 07", { ...security, extra: hex("07") }),
  good("EtherNet/IP capability", CapabilityItem, "45000000", 0x45),
  good("the address of a connected message", ConnectedAddress, "01006655", 0x5566_0001),
  good("the address of I/O", SequencedAddress, "01006655 02000000", { connectionId: 0x5566_0001, sequence: 2 }),
  good("a message over DTLS", UnconnectedMessage, "0180 05000000 00000000 8e000000", {
    type: 0x8001,
    transactionId: 5,
    status: 0,
    message: hex("8e000000"),
  }),
])("$name", ({ holds }) => holds());

describe("refuses", () => {
  test.each([
    { name: "count says two, one follows", bytes: "0200 0000 0000", code: "wire/truncated" },
    { name: "an item longer than the data", bytes: "0100 b200 0300 0102", code: "wire/truncated" },
    { name: "octets after the last item", bytes: "0000 ff", code: "wire/trailing" },
    { name: "seventeen items", bytes: `1100 ${"00000000".repeat(17)}`, code: "wire/length" },
    { name: "no count", bytes: "00", code: "wire/truncated" },
  ])("$name", ({ bytes, code }) => expect(() => decode(Cpf, hex(bytes))).toThrow(expect.objectContaining({ code })));

  test("to write seventeen items, or a service name that does not fit", () => {
    const items = Array.from({ length: 17 }, () => ({ type: 0, data: hex("") }));
    expect(() => encode(Cpf, items)).toThrow(expect.objectContaining({ code: "wire/length" }));
    const named = { version: 1, capabilities: 0, name: "a".repeat(17) };
    expect(() => encode(ListServicesItem, named)).toThrow(expect.objectContaining({ code: "wire/length" }));
  });

  test("a message over DTLS without its status", () => {
    expect(() => decode(UnconnectedMessage, hex("0100 05000000 0000"))).toThrow(
      expect.objectContaining({ code: "wire/truncated" }),
    );
  });
});

test("a reader ignores what stands where zeros should: behind a socket address, behind a service name", () => {
  expect(decode(Sockaddr, hex("0002 af12 c0a80114 0000000000000001"))).toEqual(device.socket);
  expect(decode(ListServicesItem, hex(services.replace(/0000$/u, "0041"))).name).toBe("Communications");
});

test("the first item of a type is found", () => {
  const items = [1, 2, 2].map((type, i) => ({ type, data: Uint8Array.of(i) }));
  expect(findItem(items, 2)).toBe(items[1]);
  expect(findItem(items, 3)).toBeUndefined();
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(Cpf, ["0000", "0200 0000 0000 b200 0200 0e03"]);
  refusesOrReturns(CipSecurityItem, ["0200 00 01 1f", "0200 00 01 1f 0200"]);
  refusesOrReturns(CapabilityItem, ["45000000"]);
  refusesOrReturns(ConnectedAddress, ["01006655"]);
  refusesOrReturns(SequencedAddress, ["01006655 02000000"]);
  refusesOrReturns(UnconnectedMessage, ["0100 05000000 00000000 0e0120"]);
  refusesOrReturns(Sockaddr, [socket], "value");
  refusesOrReturns(ListIdentityItem, [identity, `${identity} 03`], "value");
  refusesOrReturns(ListServicesItem, [services], "value");
});
