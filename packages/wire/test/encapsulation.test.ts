import { describe, expect, test } from "vitest";
import {
  Command,
  Encapsulation,
  FrameHeader,
  RegisterSession,
  SendData,
  decode,
  encode,
  frame,
  headerSize,
  maxFrameData,
  maxResponseDelayMs,
  noOctets,
  zeroContext,
  type Frame,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex, toHex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

/** Reference ethernet-ip.md 1.1: command, length, session, status, context, options. */
const header = "6300 0200 44332211 64000000 0102030405060708 01000000";
const message: Frame = {
  command: 0x63,
  session: 0x1122_3344,
  status: 0x64,
  context: hex("0102030405060708"),
  options: 1,
  data: hex("aabb"),
};

test.each([
  good("a message", Encapsulation, `${header} aabb`, message),
  good("RegisterSession", RegisterSession, "0100 0000", { version: 1, options: 0 }),
  good("SendRRData with its items", SendData, "00000000 0a00 0100 b200 0100 55", {
    interfaceHandle: 0,
    timeoutS: 10,
    items: [{ type: 0xb2, data: hex("55") }],
  }),
  good(
    "the answer of a device without interfaces to ListInterfaces",
    Encapsulation,
    "6400 0200 00000000 00000000 0000000000000000 00000000 0000",
    {
      ...message,
      command: Command.listInterfaces,
      session: 0,
      status: 0,
      context: zeroContext,
      options: 0,
      data: hex("0000"),
    },
  ),
])("$name", ({ holds }) => holds());

describe("refuses", () => {
  test.each([
    { name: "a header cut short", bytes: header.slice(0, -2), code: "wire/truncated" },
    { name: "data shorter than the length", bytes: `${header} aa`, code: "wire/truncated" },
    { name: "data longer than the length", bytes: `${header} aabbcc`, code: "wire/trailing" },
    { name: "a length of 65,512", bytes: header.replace("0200", "e8ff"), code: "wire/length" },
  ])("$name", ({ bytes, code }) =>
    expect(() => decode(Encapsulation, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test("to write more data than a frame holds, or another context than eight octets", () => {
    const code = "wire/length";
    expect(() => encode(Encapsulation, { ...message, data: new Uint8Array(maxFrameData + 1) })).toThrow(
      expect.objectContaining({ code }),
    );
    expect(() => encode(Encapsulation, { ...message, context: hex("01") })).toThrow(expect.objectContaining({ code }));
  });
});

test("the largest frame goes both ways", () => {
  const largest = { ...message, data: new Uint8Array(maxFrameData).fill(7) };
  const bytes = encode(Encapsulation, largest);
  expect(bytes).toHaveLength(65_535);
  expect(decode(Encapsulation, bytes)).toEqual(largest);
});

test("a frame is built from what differs from zero", () => {
  expect(toHex(frame(Command.nop))).toBe("00".repeat(headerSize));
  expect(toHex(frame(Command.nop, { data: hex("01") }))).toBe(`00000100${"00".repeat(20)}01`);
  expect(frame(0x63, message)).toEqual(hex(`${header} aabb`));
});

test.each([
  { asked: "0000", delay: 2000 },
  { asked: "0100", delay: 500 },
  { asked: "f401", delay: 500 },
  { asked: "f501", delay: 501 },
  { asked: "ffff", delay: 65_535 },
])("a ListIdentity request that allows $asked is answered within $delay ms", ({ asked, delay }) => {
  const context = hex(`${asked} 000000000000`);
  expect(maxResponseDelayMs({ ...message, context, data: noOctets })).toBe(delay);
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(FrameHeader, [header]);
  refusesOrReturns(Encapsulation, [`${header} aabb`]);
  refusesOrReturns(RegisterSession, ["0100 0000"]);
  refusesOrReturns(SendData, ["00000000 0a00 0100 b200 0100 55"]);
});
