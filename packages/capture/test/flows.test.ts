import { WireError } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readCapture } from "../src/flows.ts";
import type { CaptureEvent } from "../src/events.ts";
import { KeyLog } from "../src/key-log.ts";
import { captureFiles, conversation, hex, ipFrame, missing, pcapOf, readShared, tcpFrame, toHex } from "./frames.ts";

const show = (event: CaptureEvent): string => {
  const detail =
    event.kind === "data" || event.kind === "sealed"
      ? toHex(event.bytes)
      : event.kind === "gap"
        ? event.octets
        : "message" in event
          ? event.message
          : "";
  return `${event.n} ${event.transport} ${event.kind} ${event.src.port} ${detail}`.trim();
};
const read = (frames: readonly Uint8Array[], linkType = 1): string[] =>
  [...readCapture(pcapOf(frames, linkType))].map(show);

test("a plain connection: data in order, both ends closed", () => {
  const frames = conversation(
    [
      { from: 0, bytes: hex("65000400") },
      { from: 1, bytes: hex("65000401") },
    ],
    1400,
    [50_000, 44_818],
  );
  expect(read(frames)).toEqual([
    "3 tcp data 50000 65000400",
    "4 tcp data 44818 65000401",
    "5 tcp closed 50000",
    "6 tcp closed 44818",
  ]);
  const [first] = readCapture(pcapOf(frames));
  expect(first).toMatchObject({
    n: 3,
    time: "1700000002.000000000",
    src: { address: "10.0.0.1", port: 50_000 },
    dst: { address: "10.0.0.2", port: 44_818 },
    flow: 1,
  });
});

test("an octet at a time, sequence numbers wrapping", () => {
  const bytes = Uint8Array.from({ length: 600 }, (_, index) => index & 0x7f);
  const events = [...readCapture(pcapOf(conversation([{ from: 0, bytes }], 1, [50_000, 44_818])))].filter(
    ({ kind }) => kind === "data",
  );
  expect(events.map((event) => toHex(event.bytes)).join("")).toBe(toHex(bytes));
});

const tcp = (flags: string, sequence: number, payload = "", from: 0 | 1 = 0, acknowledgement = 0): Uint8Array =>
  tcpFrame({ from, flags, sequence, payload: hex(payload), acknowledgement });

test.each([
  {
    name: "ports used again",
    frames: [tcp("S", 9), tcp("A", 10, "aa"), tcp("S", 500), tcp("A", 501, "bb")],
    is: ["2 tcp data 50000 aa", "4 tcp data 50000 bb"],
  },
  {
    name: "SYN repeated",
    frames: [tcp("S", 9), tcp("S", 9), tcp("A", 10, "aa"), tcp("S", 9), tcp("A", 11, "bb")],
    is: ["3 tcp data 50000 aa", "5 tcp data 50000 bb"],
  },
  {
    name: "reset ends the connection",
    frames: [tcp("S", 9), tcp("A", 12, "cc"), tcp("R", 10), tcp("A", 10, "aa")],
    is: ["3 tcp gap 50000 2", "3 tcp data 50000 cc", "3 tcp reset 50000"],
  },
  {
    name: "reset from far outside",
    frames: [tcp("S", 9), tcp("R", 0x2000_0000), tcp("A", 10, "aa")],
    is: ["2 tcp notice 50000 TCP: a reset outside the window was passed over", "3 tcp data 50000 aa"],
  },
  {
    name: "the other side's start is known from its acknowledged SYN",
    frames: [tcp("SA", 99, "", 1, 10), tcp("A", 11, "bb")],
    is: ["2 tcp gap 50000 1", "2 tcp data 50000 bb"],
  },
  {
    name: "a lost question: the gap and the next question stand before the answer",
    frames: [tcp("S", 9), tcp("SA", 99, "", 1, 10), tcp("A", 12, "cc"), tcp("A", 100, "dd", 1, 13)],
    is: ["4 tcp gap 50000 2", "4 tcp data 50000 cc", "4 tcp data 44818 dd"],
  },
])("TCP: $name", ({ frames, is }) => expect(read(frames)).toEqual(is));

test.each([
  {
    name: "plain data on the secure port",
    bytes: "65000400",
    ports: [50_000, 2221] as const,
    is: ["3 tcp notice 50000 TCP: port 2221 carries no TLS here", "3 tcp data 50000 65000400"],
  },
  {
    name: "TLS on another port",
    bytes: "15030300020228",
    ports: [50_000, 44_818] as const,
    is: ["3 tls tls-info 50000"],
  },
  {
    name: "two octets that could be TLS",
    bytes: "1603",
    ports: [50_000, 44_818] as const,
    is: ["4 tcp closed 50000", "5 tcp closed 44818", "5 tcp data 50000 1603"],
  },
])("$name", ({ bytes, ports, is }) => {
  const given = read(conversation([{ from: 0, bytes: hex(bytes) }], 1400, ports)).filter(
    (line) => bytes === "1603" || !line.includes("closed"),
  );
  expect(given).toEqual(is);
});

test("port 2221 in the middle of a connection counts as TLS, and says that its handshake is missing", () => {
  const frame = (payload: string): Uint8Array =>
    tcpFrame({ from: 0, flags: "A", sequence: 10, payload: hex(payload), ports: [50_000, 2221] });
  expect(read([frame("a1b2c3d4e5f6")])).toEqual([
    expect.stringContaining("tls error 50000 TLS: no TLS record starts with"),
  ]);
  expect(read([frame("17030300021234")])).toEqual([expect.stringContaining("the handshake is not in the capture")]);
});

const udp = (ports: string, payload: string): Uint8Array =>
  ipFrame(0, 17, hex(`${ports} ${(8 + hex(payload).length).toString(16).padStart(4, "0")} 0000 ${payload}`));

test.each([
  { name: "class 1 I/O", frame: udp("08ae08ae", "0200"), is: ["1 udp data 2222 0200"] },
  { name: "port 2221", frame: udp("08ad08ad", "00"), is: ["1 dtls sealed 2221 00"] },
  {
    name: "StartDTLS on 44818",
    frame: udp("af12af12", "17 fefd 0001 000000000000 0001 ff"),
    is: ["1 dtls sealed 44818 17fefd00010000000000000001ff"],
  },
  {
    name: "damaged",
    frame: udp("08ae08ae", "0200").slice(0, 36),
    is: [expect.stringMatching(/^1 none notice 0 UDP header/u)],
  },
  {
    name: "cut by the snap length",
    frame: udp("08ae08ae", "0200").slice(0, -1),
    is: ["1 udp notice 2222 UDP: the last 1 octets of the datagram were not captured", "1 udp data 2222 02"],
  },
])("UDP: $name", ({ frame, is }) => expect(read([frame])).toEqual(is));

test("an unknown link type is told once", () => {
  expect(read([hex("00"), hex("00")], 147)).toEqual([
    "1 none notice 0 link type 147 is not decoded; its frames are passed over",
  ]);
});

test("fragments that miss a part are told at the end", () => {
  expect(read([ipFrame(0, 17, hex("08ae08ae00180000"), 0x2000, 1)])).toEqual([
    "1 none notice 0 1 fragmented packets are not complete in the capture",
  ]);
});

test("connections followed at a time are bounded", () => {
  const frames = Array.from({ length: 5000 }, (_, index) =>
    tcpFrame({ from: 0, flags: "S", sequence: 1, ports: [10_000 + index, 44_818] }),
  );
  const put = read(frames);
  expect(put).toHaveLength(5000 - 4096);
  expect(put[0]).toContain("connection 1 is followed no further");
});

describe("hostile captures", () => {
  const small = captureFiles.filter(
    (name) => /tls2221|dtls|cisagov__(?:multiple|set)|bad_length/u.test(name) && !name.includes("keys"),
  );
  const keyLog = captureFiles.includes("gen_tls2221_eip_c023_c006.pcap")
    ? new KeyLog(readShared("gen_tls2221_eip_c023_c006.keys"))
    : new KeyLog();
  const own = pcapOf(
    conversation(
      [
        { from: 0, bytes: hex("16030300080100000400000000") },
        { from: 1, bytes: hex("150303000202281703030001") },
      ],
      3,
    ),
  );
  const seeds = [own, ...small.map(readShared)];
  const change = fc.record({
    at: fc.nat(),
    octet: fc.nat(255),
    kind: fc.constantFrom("set", "set", "set", "cut", "drop", "double"),
  });
  const plan = fc.record({
    seed: fc.nat(seeds.length - 1),
    changes: fc.array(change, { minLength: 1, maxLength: 12 }),
  });

  const survives = (bytes: Uint8Array): void => {
    let last = 0;
    try {
      for (const { n } of readCapture(bytes, { keyLog })) {
        expect(n).toBeGreaterThanOrEqual(last);
        last = n;
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  };

  test("a mutated file gives events in frame order, or a WireError", () => {
    fc.assert(
      fc.property(plan, ({ seed, changes }) => {
        let bytes = seeds[seed]!;
        for (const { at, octet, kind } of changes) {
          const place = at % bytes.length;
          if (kind === "set") bytes = bytes.with(place, octet);
          else if (kind === "cut" && place > 24) bytes = bytes.subarray(0, place);
          else
            bytes = new Uint8Array([
              ...bytes.subarray(0, place),
              ...bytes.subarray(kind === "drop" ? place + octet : Math.max(0, place - octet)),
            ]);
          if (bytes.length === 0) return;
        }
        survives(bytes);
      }),
      { numRuns: 1500 },
    );
  });

  test("mutated, dropped, doubled and reordered frames of a sound file give events in frame order", () => {
    const frames = seeds.map(framesOf);
    const shuffle = fc.record({
      seed: fc.nat(seeds.length - 1),
      order: fc.array(fc.nat(), { minLength: 1, maxLength: 120 }),
      changes: fc.array(change, { maxLength: 12 }),
    });
    fc.assert(
      fc.property(shuffle, ({ seed, order, changes }) => {
        const from = frames[seed]!;
        const chosen = order.map((index, place) => from[(place + (index % 7)) % from.length]!.slice());
        for (const { at, octet } of changes) {
          const frame = chosen[at % chosen.length]!;
          frame[(at >> 3) % frame.length] = octet;
        }
        survives(pcapOf(chosen));
      }),
      { numRuns: 1500 },
    );
  });

  test("the captures took part", ({ skip }) => {
    const reason = missing("captures");
    if (reason !== undefined) skip(reason);
    expect(seeds.length).toBeGreaterThan(6);
  });
});

/** The frames of a little-endian pcap file; of a pcapng one, its whole content as one frame. */
function framesOf(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0, true) === 0x0a0d0d0a) return [file];
  const frames: Uint8Array[] = [];
  for (let at = 24; at + 16 <= file.length;) {
    const length = view.getUint32(at + 8, true);
    frames.push(file.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}
