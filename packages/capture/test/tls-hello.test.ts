import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readClientHello, readServerHello } from "../src/tls-hello.ts";
import { hex } from "./frames.ts";

const random = "11".repeat(32);

// By hand from RFC 5246, 7.4.1, RFC 6066, 3 and RFC 7366.
test.each([
  {
    name: "without extensions",
    body: `0303 ${random} 00 0004 c023 00ff 01 00`,
    is: { suites: [0xc023, 0xff], serverName: undefined, offersEarlyData: false },
  },
  {
    name: "with a server name and early data",
    body: `0303 ${random} 01aa 0002 1301 01 00 0012 0000 000a 0008 00 0005 612e636f6d 002a 0000`,
    is: { suites: [0x1301], serverName: "a.com", offersEarlyData: true },
  },
  {
    name: "with a name that does not print",
    body: `0303 ${random} 00 0002 1301 01 00 000b 0000 0007 0005 00 0002 1b5b`,
    is: { suites: [0x1301], serverName: undefined, offersEarlyData: false },
  },
  { name: "cut in its random", body: "0303 1111", is: undefined },
  { name: "with an odd list of suites", body: `0303 ${random} 00 0003 c02300 01 00`, is: undefined },
  { name: "with octets after the extensions", body: `0303 ${random} 00 0002 c023 01 00 0000 ff`, is: undefined },
  { name: "with an extension past its list", body: `0303 ${random} 00 0002 c023 01 00 0004 0000 0009`, is: undefined },
])("ClientHello $name", ({ body, is }) => {
  const read = readClientHello(hex(body));
  expect(read && { suites: read.suites, serverName: read.serverName, offersEarlyData: read.offersEarlyData }).toEqual(
    is,
  );
});

test.each([
  {
    name: "with Encrypt-then-MAC",
    body: `0303 ${random} 00 c023 00 0004 0016 0000`,
    is: { suite: 0xc023, version: 0x0303, encryptThenMac: true, retry: false },
  },
  {
    name: "without extensions",
    body: `0303 ${random} 00 c006 00`,
    is: { suite: 0xc006, version: 0x0303, encryptThenMac: false, retry: false },
  },
  {
    name: "of TLS 1.3",
    body: `0303 ${random} 00 1301 00 0006 002b 0002 0304`,
    is: { suite: 0x1301, version: 0x0304, encryptThenMac: false, retry: false },
  },
  {
    name: "that asks again",
    body: "0303 cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c 00 1301 00 0006 002b 0002 0304",
    is: { suite: 0x1301, version: 0x0304, encryptThenMac: false, retry: true },
  },
  { name: "cut before its suite", body: `0303 ${random} 00 c0`, is: undefined },
])("ServerHello $name", ({ body, is }) => {
  const read = readServerHello(hex(body));
  expect(
    read && { suite: read.suite, version: read.version, encryptThenMac: read.encryptThenMac, retry: read.retry },
  ).toEqual(is);
});

test("any octets give a hello or nothing", () => {
  const start = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(start, (bytes) => {
      for (const read of [readClientHello(bytes), readServerHello(bytes)])
        expect(read === undefined || read.random.length === 32).toBe(true);
    }),
  );
});
