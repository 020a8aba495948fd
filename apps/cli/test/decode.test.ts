import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writePcapng } from "@cipsec/capture";
import {
  Command,
  MessageRouterReply,
  MessageRouterRequest,
  encode,
  frame,
  objectPath,
  type Segment,
} from "@cipsec/wire";
import { afterAll, describe, expect, test } from "vitest";
import { conversation, type Tapped } from "../../../packages/capture/test/frames.ts";
import { cipsec, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** SendRRData with one CIP message. */
function message(cip: Uint8Array): Uint8Array {
  const items = Buffer.alloc(16);
  items.writeUInt16LE(2, 6);
  items.writeUInt16LE(0xb2, 12);
  items.writeUInt16LE(cip.length, 14);
  return frame(Command.sendRRData, { session: 7, data: Buffer.concat([items, cip]) });
}

function ask(service: number, path: readonly Segment[], data = new Uint8Array(0)): Tapped {
  return { from: 0, bytes: message(encode(MessageRouterRequest, { service, path, data })) };
}

function answer(service: number, status: number, extended: readonly number[] = []): Tapped {
  return {
    from: 1,
    bytes: message(encode(MessageRouterReply, { service, status, extended, data: new Uint8Array(0) })),
  };
}

const tapped: readonly Tapped[] = [
  ask(0x0e, objectPath(1, 1, 7)),
  answer(0x0e, 0),
  ask(0x4b, objectPath(0x5e, 1)),
  answer(0x4b, 0x0c),
  ask(0x4b, objectPath(0x300, 9)),
  answer(0x4b, 1, [0x0107]),
  { from: 0, bytes: frame(0x6f00, { session: 0 }) },
];

function captureFile(name: string): string {
  const path = join(folder.path, name);
  const frames = conversation(tapped, 1400, [50_000, 44_818]).map((bytes, i) => ({
    timeNanos: BigInt(i) * 1_000_000n,
    bytes,
  }));
  writeFileSync(path, writePcapng({ linkType: 1, frames }));
  return path;
}

describe("decode", () => {
  test("a sentence for each message: services and classes by their names, replies by what they answer", async () => {
    const { code, out, err } = await cipsec(["decode", captureFile("a.pcapng")]);
    expect(code).toBe(0);
    const lines = out.trimEnd().split("\n");
    const way = "10.0.0.1:50000 → 10.0.0.2:44818 tcp sendRRData";
    const back = "10.0.0.2:44818 → 10.0.0.1:50000 tcp sendRRData";
    expect(lines.map((line) => line.replace(/^\d+ /, ""))).toEqual([
      `${way} getAttributeSingle Identity/1/7`,
      `${back} getAttributeSingle: success (0x00)`,
      `${way} beginConfig EtherNetIpSecurity/1`,
      expect.stringMatching(/sendRRData beginConfig: .*\(0x0C\)$/i),
      `${way} service 0x4b 0x300/9`,
      expect.stringMatching(/service 0x4b: .*\(0x01\) \(extended 0x107\)$/),
      expect.stringContaining("command 0x6f00"),
    ]);
    expect(err).toBe("7 messages, 0 with an error\n");
  });

  test("--json: one document a line, in the shape that checks read", async () => {
    const { out } = await cipsec(["decode", captureFile("b.pcapng"), "--json"]);
    const lines: unknown[] = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(tapped.length);
    expect(lines[0]).toEqual({
      n: 3,
      time: expect.stringMatching(/^\d+\.\d{9}$/),
      src: "10.0.0.1:50000",
      dst: "10.0.0.2:44818",
      transport: "tcp",
      command: 0x6f,
      session: 7,
      status: 0,
      items: [
        { type: 0, length: 0, dataHex: "" },
        { type: 0xb2, length: 8, dataHex: "" },
      ],
      cip: [
        {
          service: 0x0e,
          response: false,
          class: 1,
          instance: 1,
          attribute: 7,
          status: null,
          extended: [],
          dataHex: "",
        },
      ],
      error: null,
    });
  });

  test.each([
    { name: "no capture", content: "just text, and long enough to hold a header", says: /not a capture/ },
    { name: "nothing", content: "", says: /not a capture/ },
  ])("a file that holds $name is wrong input", async ({ content, says }) => {
    const path = join(folder.path, "wrong");
    writeFileSync(path, content);
    const ran = await cipsec(["decode", path]);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(says);
    expect(ran.err).toContain("fix:");
  });

  test("an interruption is heard in the middle of a long capture", async () => {
    const path = join(folder.path, "long.pcapng");
    const many = Array.from({ length: 2000 }, () => ask(0x0e, objectPath(1, 1, 7)));
    const frames = conversation(many, 1400, [50_000, 44_818]).map((bytes) => ({ timeNanos: 0n, bytes }));
    writeFileSync(path, writePcapng({ linkType: 1, frames }));
    const stop = new AbortController();
    setImmediate(() => stop.abort());
    const ran = await cipsec(["decode", path, "--json"], { signal: stop.signal });
    expect(ran.code).toBe(130);
    expect(ran.out.split("\n").length).toBeLessThan(2000);
  });
});

/** Captures shared between projects, beside the repository; absent on a fresh clone. */
const shared = join(import.meta.dirname, "../../../../shared/captures");
const files = existsSync(shared) ? readdirSync(shared).filter((name) => /\.pcap(ng)?$/.test(name)) : [];

test.runIf(files.length > 0)(
  "shared captures: each decodes, as a table and as JSON, with the same number of messages",
  async () => {
    for (const name of files) {
      const path = join(shared, name);
      const json = await cipsec(["decode", path, "--json"]);
      const told = await cipsec(["decode", path]);
      expect({ name, codes: [json.code, told.code] }).toEqual({ name, codes: [0, 0] });
      const count = json.out.split("\n").length - 1;
      expect(told.out.split("\n").length - 1, name).toBe(count);
      expect(told.err, name).toBe(json.err);
      expect(told.err).toContain(`${count} messages`);
    }
  },
);

test.runIf(files.includes("gen_tls2221_eip_c023_c006.pcap"))("a key log opens TLS", async () => {
  const path = join(shared, "gen_tls2221_eip_c023_c006.pcap");
  const keys = join(shared, "gen_tls2221_eip_c023_c006.keys");
  const { out } = await cipsec(["decode", path, "--keylog", keys]);
  expect(readFileSync(keys, "utf8")).toContain("CLIENT_RANDOM");
  expect(out).toMatch(/ tls sendRRData /);
});
