import { CookieJar, createClientEngine, createServerEngine, judgeHello } from "@cipsec/dtls";
import type { Engine, EngineInput } from "@cipsec/dtls";
import { array, assert, constantFrom, property, tuple, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { KeyLog, dissect, readCapture } from "../src/index.ts";
import type { CaptureEvent, MessageLine } from "../src/index.ts";
import { concat, hex, ipFrame, missing, pcapOf, readShared, toHex } from "./frames.ts";

describe("DTLS captures of other stacks", () => {
  const cannot = missing("captures");
  const keyLog = (): KeyLog => new KeyLog(readShared("gen_dtls2221.keys"));

  test.each([
    "gen_dtls2221_ECDHE-ECDSA-AES128-SHA256.pcap",
    "gen_dtls2221_ECDHE-ECDSA-NULL-SHA.pcap",
    "gen_dtls2221_ECDHE-PSK-AES128-CBC-SHA256.pcap",
    "gen_dtls2221_ECDHE-PSK-NULL-SHA256.pcap",
  ])("%s opens with its key log, down to the Forward_Open and the I/O", (name) => {
    if (cannot !== undefined) return expect(cannot).toMatch(/captures/u);
    const lines = [...dissect(readCapture(readShared(name), { keyLog: keyLog() }))];
    expect(lines.filter(({ error }) => error !== null)).toEqual([]);
    expect(lines.every(({ transport }) => transport === "dtls")).toBe(true);
    expect(lines.flatMap(({ cip }) => cip).map(({ service, class: id }) => [service, id])).toContainEqual([0x54, 6]);
    const io = lines.filter(({ items }) => items[0]?.sequence !== undefined);
    expect(io.map(({ items }) => items[0]?.sequence)).toEqual([1, 2, 3]);
  });

  test("without a key log what is encrypted stays closed, and a NULL suite is read unverified", () => {
    if (cannot !== undefined) return expect(cannot).toMatch(/captures/u);
    const closed = [...dissect(readCapture(readShared("gen_dtls2221_ECDHE-PSK-AES128-CBC-SHA256.pcap")))];
    expect(closed.map(({ error }) => error?.code)).toEqual(Array.from({ length: 5 }, () => "dtls/not-opened"));
    const open = [...readCapture(readShared("gen_dtls2221_ECDHE-PSK-NULL-SHA256.pcap"))];
    const data = open.filter((event) => event.kind === "data");
    expect(data.map(({ authenticated }) => authenticated)).toEqual(Array.from({ length: 5 }, () => false));
    expect([...dissect(open)].every(({ error }) => error === null)).toBe(true);
  });

  test("the capture with connection ids is told apart, suite and all; its secret was not kept", () => {
    if (cannot !== undefined) return expect(cannot).toMatch(/captures/u);
    const events = [...readCapture(readShared("gen_dtls12_cid_mbedtls.pcap"), { keyLog: keyLog() })];
    expect(infos(events)).toContainEqual(
      expect.objectContaining({ fact: "negotiated", suiteId: 0xc023, keys: "missing" }),
    );
    const sealed = events.filter((event) => event.kind === "sealed");
    expect(sealed.length).toBeGreaterThan(4);
    expect(sealed.every(({ bytes, reason }) => reason === "not-opened" && bytes.includes(25))).toBe(true);
  });
});

describe("associations of our own", () => {
  const payload = hex("0200 0280 0800 01001111 01000000 b100 0400 0100 0a0b");

  test.each([0xc037, 0xc03a, 0xd001, 0xccac])(
    "suite %i with connection ids opens, also after a change of address",
    (suite) => {
      const { frames, say, keys } = associated(suite, true);
      frames.push(
        frame(0, say("client", payload)),
        frame(0, say("client", payload), 50_111),
        frame(1, say("server", payload)),
      );
      const events = [...readCapture(pcapOf(frames), { keyLog: new KeyLog(keys()) })];
      expect(events.filter(({ kind }) => kind === "data").map(({ bytes }) => toHex(bytes))).toEqual(
        Array.from({ length: 3 }, () => toHex(payload)),
      );
      expect(events.filter(({ kind }) => kind === "sealed" || kind === "error")).toEqual([]);
      expect(linesOf(events).map(({ error, items }) => [error, items[0]?.connectionId])).toEqual(
        Array.from({ length: 3 }, () => [null, 0x1111_0001]),
      );
    },
  );

  test("a copy, an altered record and a stranger's are lines that say which they are", () => {
    const { frames, say, keys } = associated(0xd001, false);
    const record = say("client", payload);
    const altered = record.with(record.length - 1, (record.at(-1) ?? 0) ^ 1);
    frames.push(frame(0, record), frame(0, record), frame(0, altered.with(10, 9)), frame(0, record, 50_111));
    const lines = linesOf(readCapture(pcapOf(frames), { keyLog: new KeyLog(keys()) }));
    expect(lines.map(({ error }) => error?.code)).toEqual([
      undefined,
      "dtls/replayed",
      "dtls/unauthentic",
      "dtls/not-opened",
    ]);
  });

  test("an encapsulation frame in DTLS on 44818 is read as one", () => {
    const { frames, say, keys } = associated(0xd001, false, 44_818);
    frames.push(frame(0, say("client", hex("6300 0000 00000000 00000000 0000000000000000 00000000")), 50_000, 44_818));
    expect(linesOf(readCapture(pcapOf(frames), { keyLog: new KeyLog(keys()) }))).toMatchObject([
      { transport: "dtls", command: 0x63, session: 0, error: null },
    ]);
  });

  test("a new handshake between the same ends, and alerts, are read too", () => {
    const first = associated(0xd001, false);
    const second = associated(0xccac, false);
    const frames = [
      ...first.frames,
      ...second.frames,
      frame(0, second.say("client", payload)),
      frame(0, second.close()),
    ];
    const events = [...readCapture(pcapOf(frames), { keyLog: new KeyLog(`${first.keys()}\n${second.keys()}`) })];
    expect(events.filter(({ kind }) => kind === "data")).toHaveLength(1);
    expect(infos(events).filter(({ fact }) => fact === "negotiated")).toMatchObject([
      { suiteId: 0xd001 },
      { suiteId: 0xccac },
    ]);
    expect(infos(events)).toContainEqual({ fact: "alert", level: "warning", alert: "close_notify", encrypted: true });
  });

  test("hostile datagrams among them throw nothing, and what is genuine still opens", () => {
    const { frames, say, keys } = associated(0xd001, true);
    const records = frames.map((bytes) => bytes.subarray(42));
    const genuine = frame(0, say("client", payload));
    assert(
      property(
        array(
          tuple(constantFrom<0 | 1>(0, 1), constantFrom(...records, hex("16fefd")), uint8Array({ maxLength: 60 })),
          {
            maxLength: 8,
          },
        ),
        (noise) => {
          const bad = noise.map(([from, record, tail]) => {
            const bytes = concat([record.subarray(0, record.length - Math.min(record.length, tail.length)), tail]);
            return frame(from, bytes);
          });
          const capture = pcapOf([...frames, ...bad.filter((bytes) => bytes[42] !== 22), genuine]);
          const events = [...readCapture(capture, { keyLog: new KeyLog(keys()) })];
          expect(events.filter(({ kind }) => kind === "data").length).toBeGreaterThanOrEqual(1);
          for (const line of linesOf(readCapture(pcapOf([...bad, ...frames, ...bad]))))
            expect(line.transport).toBe("dtls");
        },
      ),
      { numRuns: 60 },
    );
  });
});

const linesOf = (events: Iterable<CaptureEvent>): MessageLine[] => [...dissect(events)];

const infos = (events: readonly CaptureEvent[]) =>
  events.flatMap((event) => (event.kind === "tls-info" ? [event.info] : []));

function frame(from: 0 | 1, payload: Uint8Array, clientPort = 50_000, serverPort = 2221): Uint8Array {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(from === 0 ? clientPort : serverPort, 0);
  header.writeUInt16BE(from === 0 ? serverPort : clientPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return ipFrame(from, 17, concat([header, payload]));
}

/** Two engines that have shaken hands by a pre-shared key, and the frames that it took. */
function associated(suite: number, hasIds: boolean, port = 2221) {
  const frames: Uint8Array[] = [];
  const lines: string[] = [];
  const key = new Uint8Array(16).fill(7);
  const identity = new TextEncoder().encode("tool");
  const common = { suites: [suite], keyLog: true };
  const id = (octet: number) => (hasIds ? { connectionId: new Uint8Array(4).fill(octet) } : {});
  const cookies = new CookieJar();
  const client = createClientEngine({ ...common, ...id(0xc1), credentials: { psk: { identity, key } } });
  let server: Engine | undefined;
  const queue: { readonly from: 0 | 1; readonly bytes: Uint8Array }[] = [];
  const tell = (side: "client" | "server", input: EngineInput): readonly Uint8Array[] => {
    const engine = side === "client" ? client : server;
    const output = engine?.handle(input, 1000);
    for (const event of output?.events ?? []) if (event.type === "keylog") lines.push(event.line);
    return output?.send ?? [];
  };
  const put = (from: 0 | 1, sent: readonly Uint8Array[]): void => {
    for (const bytes of sent) queue.push({ from, bytes });
  };
  put(0, tell("client", { type: "start" }));
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { from, bytes } = next;
    frames.push(frame(from, bytes, 50_000, port));
    if (from === 1) put(0, tell("client", { type: "datagram", bytes }));
    else if (server !== undefined) put(1, tell("server", { type: "datagram", bytes }));
    else {
      const verdict = judgeHello(bytes, "client", cookies, 1000);
      if (verdict.kind === "answer") put(1, [verdict.bytes]);
      if (verdict.kind !== "admit") continue;
      server = createServerEngine({ ...common, ...id(0x5e), credentials: { findPsk: () => key } }, verdict.hello);
      put(1, tell("server", { type: "datagram", bytes }));
    }
  }
  const say = (side: "client" | "server", octets: Uint8Array): Uint8Array =>
    concat(tell(side, { type: "send", payload: octets }));
  return { frames, say, keys: () => lines.join("\n"), close: () => concat(tell("client", { type: "close" })) };
}
