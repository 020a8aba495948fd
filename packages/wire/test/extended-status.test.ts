import { expect, test } from "vitest";
import { extendedStatusText } from "@cipsec/wire";

/** Reference ethernet-ip.md 6.16, 7.6, 8.7; cip-security.md 3.1 to 3.4. */
test.each<{
  at: readonly [number | undefined, number, number];
  extended?: readonly number[];
  text: string | undefined;
}>([
  { at: [0x06, 0x54, 0x01], extended: [0x0107], text: "target connection not found (0x0107)" },
  { at: [0x06, 0x54, 0x01], extended: [0x0127, 32], text: "invalid O→T size (0x0127): the target takes 32" },
  { at: [0x06, 0x54, 0x01], extended: [0x0128], text: "invalid T→O size (0x0128)" },
  {
    at: [0x06, 0x54, 0x01],
    extended: [0x0112, 0x0302, 0x2710, 0, 0x86a0, 1],
    text: "RPI not acceptable (0x0112): O→T too small, at least 10000 µs, T→O too large, at most 100000 µs",
  },
  {
    at: [0x06, 0x54, 0x01],
    extended: [0x0112, 0x0900, 0, 0, 0, 0],
    text: "RPI not acceptable (0x0112): O→T acceptable, T→O refused for reason 9",
  },
  { at: [0x06, 0x54, 0x01], extended: [0x0112], text: "RPI not acceptable (0x0112)" },
  { at: [0x06, 0x54, 0x04], extended: [2], text: "at word 2 of the connection path" },
  { at: [0x06, 0x54, 0x05], extended: [3], text: "at word 3 of the connection path" },
  { at: [0x06, 0x54, 0x09], extended: [4], text: "at octet 4 of the configuration data" },
  { at: [0x06, 0x54, 0x02], extended: [4], text: "extended status 0x0004" },
  { at: [0x06, 0x54, 0x01], text: undefined },
  { at: [0x37, 0x4b, 0x0c], extended: [1], text: "the file is in state 'empty'" },
  { at: [0x37, 0x4b, 0x0c], text: undefined },
  { at: [0x37, 0x50, 0xd0], text: "the checksum does not match the octets" },
  { at: [0x37, 0x50, 0x20], extended: [0x06], text: "the packet is out of sequence (0x0006)" },
  { at: [0x37, 0x50, 0x20], extended: [0x0b], text: "the packet came twice (0x000B)" },
  { at: [0x37, 0x08, 0x20], extended: [0x0b], text: "the name is taken (0x000B)" },
  { at: [0x37, 0x08, 0x20], extended: [0x0a], text: "the name is empty (0x000A)" },
  { at: [0x37, 0x4d, 0x20], extended: [0x02], text: "the offset is out of range (0x0002)" },
  { at: [0x37, 0x4c, 0x20], extended: [0x02], text: "too many languages (0x0002)" },
  {
    at: [0x37, 0x4d, 0x02],
    extended: [0xff],
    text: "the file does not exist, or nothing is free to transfer it (0x00FF)",
  },
  { at: [0x37, 0x4c, 0x15], extended: [0x01], text: "the file name is too long (0x0001)" },
  { at: [0x37, 0x4c, 0x13], extended: [0x01], text: "extended status 0x0001" },
  { at: [0x5d, 0x4e, 0xd0], text: "no orphan objects were found" },
  { at: [0x5d, 0x4b, 0xd0], text: undefined },
  { at: [0x5d, 0x4e, 0x0c], text: undefined },
  {
    at: [0x5e, 0x4d, 0xd0],
    extended: [0x01],
    text: "only PSK cipher suites are allowed, but no pre-shared key is configured (0x0001)",
  },
  { at: [0x5e, 0x4d, 0xd0], extended: [0x04], text: "no cipher suite is allowed (0x0004)" },
  { at: [0x5e, 0x4d, 0xd0], extended: [0x05], text: "extended status 0x0005" },
  { at: [0x5e, 0x4d, 0x0c], text: undefined },
  { at: [0x5e, 0x4b, 0x0c], extended: [0x01], text: "extended status 0x0001" },
  { at: [0x5f, 0x4c, 0xd0], text: "the certificate failed verification" },
  { at: [0x5f, 0x4b, 0xd0], text: undefined },
  { at: [0x5f, 0x4c, 0x0c], text: undefined },
  { at: [0x6b, 0x4c, 0xff], extended: [0x2105], text: "the elements run past the end of the tag (0x2105)" },
  { at: [undefined, 0x4c, 0x10], extended: [0x2101], text: "the key switch forbids changing the mode (0x2101)" },
  { at: [undefined, 0x4c, 0x05], extended: [0], text: "extended status 0x0000" },
  { at: [0x01, 0x0e, 0xff], extended: [0x2105, 1], text: "extended status 0x2105 0x0001" },
  { at: [0x01, 0x0e, 0x05], text: undefined },
])("class $at.0, service $at.1, status $at.2, $extended: $text", ({ at, extended = [], text }) =>
  expect(extendedStatusText(...at, extended)).toBe(text),
);
