import { expect, test } from "vitest";
import { formatTarget, parseRange, parseTarget } from "../src/index.ts";

test.each([
  ["10.0.0.7", { host: "10.0.0.7" }],
  ["10.0.0.7:2221", { host: "10.0.0.7", port: 2221 }],
  ["eip://10.0.0.7", { scheme: "eip", host: "10.0.0.7" }],
  ["eips://plc-3.line:4000", { scheme: "eips", host: "plc-3.line", port: 4000 }],
  ["eipd://h", { scheme: "eipd", host: "h" }],
  ["fe80::1", { host: "fe80::1" }],
  ["[fe80::1]", { host: "fe80::1" }],
  ["eips://[2001:db8::7]:2221", { scheme: "eips", host: "2001:db8::7", port: 2221 }],
])("reads %s", (text, address) => {
  expect(parseTarget(text)).toEqual(address);
  expect(parseTarget(formatTarget(parseTarget(text)))).toEqual(address);
});

test.each([
  "",
  "http://10.0.0.7",
  "10.0.0.7:0",
  "10.0.0.7:65536",
  "10.0.0.7:x",
  "10.0.0",
  "10.0.0.256",
  "[10.0.0.7]",
  "[fe80::1]x",
  "[fe80::1",
  "a b",
  "-a",
  "eips://",
  "a".repeat(300),
])("refuses '%s'", (text) =>
  expect(() => parseTarget(text)).toThrow(expect.objectContaining({ code: "usage/argument" })),
);

test.each([
  { text: "10.0.0.7", count: 1, first: "10.0.0.7", last: "10.0.0.7" },
  { text: "10.0.0.0/30", count: 2, first: "10.0.0.1", last: "10.0.0.2" },
  { text: "10.0.0.9/31", count: 2, first: "10.0.0.8", last: "10.0.0.9" },
  { text: "10.0.0.9/32", count: 1, first: "10.0.0.9", last: "10.0.0.9" },
  { text: "192.168.77.3/24", count: 254, first: "192.168.77.1", last: "192.168.77.254" },
  { text: "10.1.2.3/16", count: 65_534, first: "10.1.0.1", last: "10.1.255.254" },
  { text: "10.0.0.250-253", count: 4, first: "10.0.0.250", last: "10.0.0.253" },
  { text: "10.0.0.250-10.0.1.2", count: 9, first: "10.0.0.250", last: "10.0.1.2" },
  { text: "255.255.255.255", count: 1, first: "255.255.255.255", last: "255.255.255.255" },
  { text: "plc-3", count: 1, first: "plc-3", last: "plc-3" },
  { text: "::1", count: 1, first: "::1", last: "::1" },
])("range $text has $count hosts", ({ text, count, first, last }) => {
  const range = parseRange(text);
  const hosts = [...range.hosts()];
  expect([range.count, hosts.length, hosts[0], hosts.at(-1)]).toEqual([count, count, first, last]);
});

test.each([
  "10.0.0.0/15",
  "10.0.0.0/33",
  "10.0.0.0/x",
  "10.0.0/24",
  "10.0.0.7-3",
  "10.0.0.7-300",
  "10.0.0.0-10.2.0.0",
  "1.2.3.4-x",
  "a_b!",
])("refuses range '%s'", (text) =>
  expect(() => parseRange(text)).toThrow(expect.objectContaining({ code: "usage/argument" })),
);
