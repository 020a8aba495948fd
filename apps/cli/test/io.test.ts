import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cipsec, document, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const address = `127.32.${process.pid % 256}.200`;
const target = `eip://${address}`;
/** A long watchdog: the machine that runs tests is busy with others. */
const patient = ["--timeout-multiplier", "7"];
const points = ["--o-to-t", "150:32", "--t-to-o", "100:32", "--config", "151", ...patient];
let device: Target;

beforeAll(async () => {
  const examples = new URL("../../../docs/examples/", import.meta.url);
  const read = async (name: string): Promise<object> => {
    const value: unknown = JSON.parse(await readFile(new URL(name, examples), "utf8"));
    if (typeof value !== "object" || value === null) throw new RangeError(name);
    return value;
  };
  const { tags, structs } = { tags: [], structs: [], ...(await read("tags.json")) };
  const description = {
    ...(await read("device.json")),
    address,
    security: null,
    broadcastAddresses: [],
    tags,
    structs,
  };
  device = await startTarget({ description: readDescription(description), stateDir: join(folder.path, "device") });
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  folder.remove();
});

const eds = `[File] DescText = "Press"; CreateDate = 01-01-2026; CreateTime = 00:00:00; Revision = 1.1;
[Device] VendCode = 65520; VendName = "Nobody"; ProdType = 43; ProdTypeStr = "Generic"; ProdCode = 1; MajRev = 1; MinRev = 2;
  ProdName = "Press controller"; Catalog = "P";
[Device Classification] Class1 = EtherNetIP;
[Connection Manager]
  Connection1 = 0x02010002, 0x44640305, , 0, , 10000, 32, , , , , , "Monitor", "", "20 04 2C FE 2C 64";
  Connection2 = 0x04010002, 0x44640405, 10000, 32, , 10000, 32, , , , , , "Owner", "", "20 04 24 97 2C 96 2C 64";
`;

describe("io", () => {
  test("by assemblies: what was granted, sent and received", async () => {
    const ran = await cipsec(["io", target, ...points, "--rpi", "20", "--seconds", "1", "--json"], {
      data: folder.path,
    });
    expect(ran).toMatchObject({ code: 0 });
    const result = document(ran);
    expect(result).toMatchObject({
      rpiMicros: 20_000,
      oToTRpiMicros: 20_000,
      seconds: expect.any(Number),
      sent: expect.any(Number),
      received: expect.any(Number),
      lost: 0,
      late: expect.any(Number),
      intervalMicros: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) },
      channel: { protocol: "udp", version: null, suite: null, peer: null },
    });
  });

  test("by the EDS: the exclusive owner, another by name; kept with --reconnect", async () => {
    const file = join(folder.path, "press.eds");
    writeFileSync(file, eds, "latin1");
    const owner = await cipsec(["io", target, "--eds", file, ...patient, "--seconds", "1"], { data: folder.path });
    expect(owner.err).toContain("O→T 10 ms with 32 octets");
    expect(owner).toMatchObject({ code: 0, out: expect.stringContaining("received") });
    const monitor = await cipsec(
      [
        "io",
        target,
        "--eds",
        file,
        "--connection",
        "Monitor",
        "--rpi",
        "50",
        "--seconds",
        "1",
        "--reconnect",
        "--json",
        ...patient,
      ],
      { data: folder.path },
    );
    expect(document(monitor)).toMatchObject({
      opens: 1,
      refusals: 0,
      timeouts: 0,
      rpiMicros: 10_000,
      oToTRpiMicros: 50_000,
    });
    expect(monitor.err).toContain("the EDS has T→O 10 ms");
    expect(monitor.err).toContain("running");
  });

  test.each([
    {
      words: ["--t-to-o", "101:32"],
      code: 3,
      error: { code: "cip/status", facts: { extended: "0x012B", field: "T→O path" } },
    },
    { words: ["--rpi", "1"], code: 3, error: { code: "cip/status", facts: { field: "RPI" } } },
    { words: ["--o-to-t", "150:32:loud"], code: 2, error: { code: "usage/argument" } },
    {
      words: ["--o-to-t", "150:32:redundant"],
      code: 2,
      error: { code: "usage/argument", message: expect.stringContaining("redundant ownership") },
    },
    {
      words: ["--o-to-t", "150:32:multicast"],
      code: 2,
      error: { code: "usage/argument", fix: expect.stringContaining("point to point") },
    },
    { words: ["--rpi", "soon"], code: 2, error: { code: "usage/argument" } },
    { words: ["--path", "20 0"], code: 2, error: { code: "usage/argument" } },
    { words: ["--eds", "/nowhere.eds"], code: 2, error: { code: "usage/file" } },
  ])("refuses $words", async ({ words, code, error }) => {
    const ran = await cipsec(["io", target, ...points, ...words, "--seconds", "1", "--json"], { data: folder.path });
    expect(ran.code).toBe(code);
    expect(document(ran)).toMatchObject({ error });
  });

  test("says what is missing", async () => {
    const ran = await cipsec(["io", target, "--json"], { data: folder.path });
    expect(ran.code).toBe(2);
    expect(document(ran)).toMatchObject({ error: { message: "--o-to-t is missing" } });
  });
});

describe("tag", () => {
  const tag = (...words: readonly string[]) => cipsec(["tag", target, ...words, "--json"], { data: folder.path });

  test("lists, reads and writes; a 64-bit integer loses no digit", async () => {
    const listed = await tag("list", "--route", "1,0");
    expect(document(listed)).toMatchObject({
      tags: expect.arrayContaining([
        { name: "Count", type: "DINT", dimensions: [], access: "read/write" },
        { name: "Temperatures", type: "REAL[2,3]", dimensions: [2, 3], access: "read/write" },
        { name: "Total", type: "LINT", dimensions: [], access: "read" },
      ]),
    });
    const before = await tag("read", "Count", "Total", "Temperatures{3}", "Line1");
    expect(document(before)).toMatchObject({
      tags: [
        { name: "Count", type: "DINT", value: 258 },
        { value: "9007199254740993" },
        { type: "REAL[3]", value: [20.5, 21, 22] },
        { type: "Line", value: { Label: "press" } },
      ],
    });
    expect(document(await tag("write", "Line1", '{"Label":"saw","Motors":[{"Speed":3}]}'))).toEqual({
      written: "Line1",
    });
    expect(document(await tag("write", "Count.0", "true"))).toEqual({ written: "Count.0" });
    expect(document(await tag("read", "Line1", "Count"))).toMatchObject({
      tags: [{ value: { Label: "saw", Motors: [{ Running: true, Speed: 3 }, { Speed: 7 }] } }, { value: 259 }],
    });
  });

  test("over a class 3 connection, along a route too", async () => {
    expect(document(await tag("write", "Line1", '{"Motors":[{"Speed":5}]}', "--connected"))).toEqual({
      written: "Line1",
    });
    const read = await tag("read", "Line1", "Total", "--connected", "--route", "1,0");
    expect(document(read)).toMatchObject({
      tags: [{ value: { Motors: [{ Speed: 5 }, { Speed: 7 }] } }, { value: "9007199254740993" }],
    });
    expect(read.code).toBe(0);
    const astray = await tag("read", "Total", "--connected", "--route", "2,5");
    expect(astray.code).toBe(3);
    expect(document(astray)).toMatchObject({ error: { code: "cip/status", facts: { status: 1 } } });
  });

  test("one tag that is missing stands beside the others; its exit code is the device's refusal", async () => {
    const ran = await tag("read", "Count", "Nothing");
    expect(ran.code).toBe(3);
    expect(document(ran)).toMatchObject({
      tags: [
        { name: "Count" },
        { name: "Nothing", error: { code: "cip/status", fix: expect.stringContaining("tag TARGET list") } },
      ],
    });
  });

  test.each([
    { words: ["write", "Total", "5"], code: 4 },
    { words: ["write", "Count", "fast"], code: 2 },
    { words: ["write", "Count"], code: 2 },
    { words: ["read"], code: 2 },
    { words: ["erase", "Count"], code: 2 },
    { words: ["read", "Count", "--route", "1"], code: 2 },
  ])("$words ends with $code", async ({ words, code }) => {
    expect((await tag(...words)).code).toBe(code);
  });
});
