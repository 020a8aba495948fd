import { describe, expect, test } from "vitest";
import {
  ConnectionData,
  ConnectionFailure,
  ConnectionNumber,
  ConnectionOwnerReply,
  ConnectionOwnerRequest,
  ConnectionTriad,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  LargeForwardOpen,
  UnconnectedSend,
  decode,
  encode,
  objectPath,
  requestTimeoutMs,
  timeoutFactor,
  type NetworkParameters,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const triad = { connectionSerial: 7, originatorVendor: 0xffff, originatorSerial: 0x0a0b_0c0d };
const triadOctets = "0700 ffff 0d0c0b0a";
const parameters: NetworkParameters = { redundantOwner: false, type: 2, priority: 0, variable: true, size: 500 };
const open = {
  priorityTick: 6,
  timeoutTicks: 0x9c,
  oToTConnectionId: 0,
  tToOConnectionId: 0x00aa_0002,
  ...triad,
  timeoutMultiplier: 1,
  oToTRpiMicros: 2_000_000,
  oToT: parameters,
  tToORpiMicros: 2_000_000,
  tToO: parameters,
  transport: 0xa3,
  path: objectPath(2, 1),
};
const small = `06 9c 00000000 0200aa00 ${triadOctets} 01 000000 80841e00 f443 80841e00 f443 a3 02 20022401`;
const large = `06 9c 00000000 0200aa00 ${triadOctets} 01 000000 80841e00 a00f0042 80841e00 a00f0042 a3 02 20022401`;
const close = { priorityTick: 6, timeoutTicks: 0x9c, ...triad, path: objectPath(2, 1) };
const closeOctets = `06 9c ${triadOctets} 02 00 20022401`;
const send = "06 9c 0300 4c0000 00 01 00 0103";
const openReply = `02006655 0200aa00 ${triadOctets} 80841e00 80841e00 01 00 abcd`;
const data = `0100 0200 0300 0400 ${triadOctets} 05000000 06000000 02 000000 10270000 10270000 07000000 08000000 03 000000 204e0000 204e0000`;

/** Reference ethernet-ip.md 6.2 to 6.6, 6.17, 6.18; also vectors V7 to V14 and V17. */
test.each([
  good("Forward_Open", ForwardOpen, small, open),
  good("Forward_Open with reserved octets set", ForwardOpen, small.replace("01 000000", "01 000102"), {
    ...open,
    reserved: hex("000102"),
  }),
  good("Large_Forward_Open", LargeForwardOpen, large, {
    ...open,
    oToT: { ...parameters, size: 4000 },
    tToO: { ...parameters, size: 4000 },
  }),
  good("Forward_Open reply", ForwardOpenReply, openReply, {
    oToTConnectionId: 0x5566_0002,
    tToOConnectionId: 0x00aa_0002,
    ...triad,
    oToTApiMicros: 2_000_000,
    tToOApiMicros: 2_000_000,
    applicationReply: hex("abcd"),
  }),
  good("a failure with the remaining path", ConnectionFailure, `${triadOctets} 01 00`, {
    ...triad,
    remainingPath: hex("0100"),
  }),
  good("a failure without it", ConnectionFailure, triadOctets, { ...triad, remainingPath: hex("") }),
  good("Forward_Close", ForwardClose, closeOctets, close),
  good("Forward_Close reply", ForwardCloseReply, `${triadOctets} 00 00`, { ...triad, applicationReply: hex("") }),
  good("Unconnected_Send of an odd message", UnconnectedSend, send, {
    priorityTick: 6,
    timeoutTicks: 0x9c,
    message: hex("4c0000"),
    route: [{ kind: "port", port: 1, link: hex("03") }],
  }),
  good("Unconnected_Send of an even message without a route", UnconnectedSend, "06 9c 0200 4c00 00 00", {
    priorityTick: 6,
    timeoutTicks: 0x9c,
    message: hex("4c00"),
    route: [],
  }),
  good("connection data", ConnectionData, data, {
    connectionNumber: 1,
    state: 2,
    originatorPort: 3,
    targetPort: 4,
    ...triad,
    originatorOtoTId: 5,
    targetOtoTId: 6,
    oToTTimeoutMultiplier: 2,
    oToTReserved: hex("000000"),
    oToTRpiMicros: 10_000,
    oToTApiMicros: 10_000,
    originatorTtoOId: 7,
    targetTtoOId: 8,
    tToOTimeoutMultiplier: 3,
    tToOReserved: hex("000000"),
    tToORpiMicros: 20_000,
    tToOApiMicros: 20_000,
  }),
  good("connection number", ConnectionNumber, "0500", 5),
  good("connection triad", ConnectionTriad, triadOctets, triad),
  good("whose connection", ConnectionOwnerRequest, "00 02 20022401", objectPath(2, 1)),
  good("its owner", ConnectionOwnerReply, `02 01 00 02 ${triadOctets}`, {
    connections: 2,
    claimingOwnership: 1,
    readyForOwnership: 0,
    lastAction: 2,
    ...triad,
  }),
])("$name", ({ holds }) => holds());

describe("network parameters: each field in its bits", () => {
  test.each<{ word: string; double: string; differs: Partial<NetworkParameters> }>([
    { word: "f4c3", double: "f40100c2", differs: { redundantOwner: true } },
    { word: "f423", double: "f4010022", differs: { type: 1 } },
    { word: "f463", double: "f4010062", differs: { type: 3 } },
    { word: "f44b", double: "f401004a", differs: { priority: 2 } },
    { word: "f441", double: "f4010040", differs: { variable: false } },
    { word: "ff43", double: "ff010042", differs: { size: 511 } },
  ])("$differs", ({ word, double, differs }) => {
    const value = { ...open, oToT: { ...parameters, ...differs } };
    good("", ForwardOpen, small.replace("f443", word), value).holds();
    good("", LargeForwardOpen, large.replaceAll("a00f0042", "f4010042").replace("f4010042", double), value).holds();
  });

  test("reserved bits are kept in their place", () => {
    good("", ForwardOpen, small.replace("f443", "f453"), {
      ...open,
      oToT: { ...parameters, reservedBits: 0x1000 },
    }).holds();
    const value = { ...open, oToT: { ...parameters, reservedBits: 0x10ab_0000 }, tToO: { ...parameters, size: 4000 } };
    good("", LargeForwardOpen, large.replace("a00f0042", "f401ab52"), value).holds();
  });

  test.each<Partial<NetworkParameters>>([
    { size: 512 },
    { size: -1 },
    { type: 4 },
    { type: -1 },
    { priority: 4 },
    { priority: -1 },
    { reservedBits: 0x2000 },
  ])("refuses to write %o, which would spill over", (differs) => {
    const value = { ...open, oToT: { ...parameters, ...differs } };
    expect(() => encode(ForwardOpen, value)).toThrow(expect.objectContaining({ code: "wire/value" }));
  });

  test("refuses to write 65,536 octets into a large one", () => {
    const value = { ...open, tToO: { ...parameters, size: 0x1_0000 } };
    expect(() => encode(LargeForwardOpen, value)).toThrow(expect.objectContaining({ code: "wire/value" }));
  });
});

describe("refuses", () => {
  test.each([
    {
      name: "Forward_Open whose path runs past the data",
      codec: ForwardOpen,
      bytes: small.slice(0, -2),
      code: "wire/truncated",
    },
    {
      name: "Forward_Open with octets behind its path",
      codec: ForwardOpen,
      bytes: `${small} 00`,
      code: "wire/trailing",
    },
    {
      name: "Forward_Open with a bad segment",
      codec: ForwardOpen,
      bytes: small.replace("20022401", "e0022401"),
      code: "wire/segment",
    },
  ])("$name", ({ codec, bytes, code }) =>
    expect(() => decode(codec, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test.each([
    {
      name: "Forward_Close with its reserved octet set",
      act: () => decode(ForwardClose, hex(closeOctets.replace("02 00", "02 01"))),
    },
    {
      name: "Unconnected_Send with its pad set",
      act: () => decode(UnconnectedSend, hex(send.replace("4c0000 00", "4c0000 01"))),
    },
    {
      name: "Unconnected_Send with its reserved octet set",
      act: () => decode(UnconnectedSend, hex(send.replace("01 00 0103", "01 01 0103"))),
    },
    {
      name: "Get_Connection_Owner with its reserved octet set",
      act: () => decode(ConnectionOwnerRequest, hex("01 00")),
    },
  ])("$name", ({ act }) => expect(act).toThrow(expect.objectContaining({ code: "wire/value" })));

  test("to write other than three reserved octets", () => {
    expect(() => encode(ForwardOpen, { ...open, reserved: hex("00") })).toThrow(
      expect.objectContaining({ code: "wire/length" }),
    );
  });
});

test.each([
  { multiplier: 0, factor: 4 },
  { multiplier: 1, factor: 8 },
  { multiplier: 7, factor: 512 },
  { multiplier: 8, factor: undefined },
])("timeout multiplier $multiplier stands for $factor intervals", ({ multiplier, factor }) =>
  expect(timeoutFactor(multiplier)).toBe(factor),
);

test("a request may take 2^tick times its ticks; the priority bit does not count", () => {
  expect(requestTimeoutMs(6, 0x9c)).toBe(9984);
  expect(requestTimeoutMs(0x16, 0x9c)).toBe(9984);
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(ForwardOpen, [small]);
  refusesOrReturns(LargeForwardOpen, [large]);
  refusesOrReturns(ForwardClose, [closeOctets]);
  refusesOrReturns(UnconnectedSend, [send]);
  refusesOrReturns(ConnectionFailure, [triadOctets, `${triadOctets} 0100`]);
  refusesOrReturns(ConnectionData, [data]);
  refusesOrReturns(ConnectionTriad, [triadOctets]);
  refusesOrReturns(ConnectionOwnerRequest, ["00 02 20022401"]);
  refusesOrReturns(ConnectionOwnerReply, [`02 01 00 02 ${triadOctets}`]);
  // The octet behind the size of an application reply is reserved and ignored.
  refusesOrReturns(ForwardOpenReply, [openReply], "value");
  refusesOrReturns(ForwardCloseReply, [`${triadOctets} 00 00`], "value");
});
