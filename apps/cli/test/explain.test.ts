import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Refusals } from "../src/refusals.ts";
import { cipsec, document, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.remove());

test.each([
  { words: ["0x01", "0x0106"], holds: { status: expect.stringContaining("0x0106"), field: "O→T path" } },
  { words: ["5", "0", "--class", "tag"], holds: { cause: expect.stringContaining("no tag of this name") } },
  {
    words: ["0x0C", "2", "--class", "EtherNetIpSecurity", "--service", "0x4D"],
    holds: { cause: expect.stringContaining("certificates") },
  },
  { words: ["0x14", "--class", "0x01"], holds: { cause: expect.stringContaining("attribute") } },
  { words: ["unknown", "ca"], holds: { number: 48, name: "unknown_ca" } },
  { words: ["48", "--alert"], holds: { name: "unknown_ca" } },
])("explains $words", async ({ words, holds }) => {
  const ran = await cipsec(["explain", ...words, "--json"]);
  expect(ran.code).toBe(0);
  expect(document(ran)).toMatchObject({ ...holds, fix: expect.any(String) });
  const told = await cipsec(["explain", ...words]);
  expect(told.out).toMatch(/Cause: .+\n(?:.*\n)*Fix: /u);
});

/** Vectors V7 and V22 of the reference: 38 octets asked for, 32 taken. */
test("a Forward_Open and its reply, octet by octet", async () => {
  const request = `54 02 20 06 24 01 06 9c 00 00 00 00 01 00 aa 00 07 00 ff ff 0d 0c 0b 0a 02 00 00 00 10 27 00 00
    26 48 10 27 00 00 22 48 01 09 34 04 00 00 00 00 00 00 00 00 20 04 24 97 2c 96 2c 64`;
  const reply = "d4 00 01 02 27 01 20 00 07 00 ff ff 0d 0c 0b 0a 00 00";
  const ran = await cipsec(["explain", "--request", request, "--reply", reply, "--json"]);
  expect(document(ran)).toMatchObject({
    fields: [
      { field: "O→T size", asked: "38 octets", expected: "32 octets", why: expect.stringContaining("run/idle") },
    ],
  });
});

describe("wrong usage", () => {
  test.each([
    { words: [] },
    { words: ["0x0106"] },
    { words: ["0x01", "--capture", "x.pcap"] },
    { words: ["--request", "00"] },
    { words: ["--request", "zz", "--reply", "00"] },
    { words: ["certificate_sad"] },
    { words: ["1", "--class", "Nothing"] },
    { words: ["1", "--service", "open"] },
    { words: ["--capture", "/nowhere.pcap"] },
  ])("$words", async ({ words }) => {
    const ran = await cipsec(["explain", ...words, "--json"]);
    expect(ran.code).toBe(2);
    expect(document(ran)).toMatchObject({ error: { fix: expect.stringMatching(/.+/u) } });
  });

  test("a file that is no capture", async () => {
    const file = join(folder.path, "not.pcap");
    writeFileSync(file, "hello, this is text");
    expect((await cipsec(["explain", "--capture", file])).code).toBe(2);
  });
});

const line = {
  n: 1,
  time: "0",
  transport: "tcp",
  command: 0x6f,
  session: 1,
  status: 0,
  items: [],
  error: null,
} as const;
const message = { class: null, instance: null, attribute: null, status: null, extended: [], dataHex: "" };

describe("refusals of a capture", () => {
  const asked = { ...line, src: "a", dst: "b", cip: [{ ...message, service: 0x4c, response: false }] };
  const answer = (status: number, service = 0x4c) => ({
    ...line,
    src: "b",
    dst: "a",
    cip: [{ ...message, service, response: true, status }],
  });

  test("a reply is paired with its request; partial transfers and packets are no refusals", () => {
    const refusals = new Refusals();
    expect(refusals.of(asked)).toEqual([]);
    expect(refusals.of(asked)).toEqual([]);
    expect(refusals.of(answer(0))).toEqual([]);
    expect(refusals.of(answer(5))).toMatchObject([
      { service: 0x4c, explained: { cause: expect.stringContaining("no tag") } },
    ]);
    expect(refusals.of(answer(6))).toEqual([]);
    expect(refusals.of(answer(0x1e, 0x0a))).toEqual([]);
    // Its request was not captured.
    expect(refusals.of(answer(8))).toMatchObject([
      { class: null, explained: { status: expect.stringContaining("0x08") } },
    ]);
  });

  test("encapsulation statuses", () => {
    expect(new Refusals().of({ ...line, status: 0x64, src: "b", dst: "a", cip: [] })).toMatchObject([
      { service: null, explained: { fix: "Register again." } },
    ]);
  });
});

/** Class 0x68 and 0x6D of a ControlLogix, and statuses of its own. */
const capture = new URL("../../../../shared/captures/ITI__EIP-SoftwareUpload.pcap", import.meta.url);
test.skipIf(!existsSync(capture))("a capture of a controller: each refusal has cause and fix", async () => {
  const ran = await cipsec(["explain", "--capture", capture.pathname, "--json"]);
  const lines = ran.out
    .trimEnd()
    .split("\n")
    .map((text): unknown => JSON.parse(text));
  expect(lines).toHaveLength(5);
  for (const refusal of lines)
    expect(refusal).toMatchObject({ explained: { cause: expect.any(String), fix: expect.any(String) } });
  expect(ran.err).toContain("791 messages, 5 refused");
});
