import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readCapture } from "../src/flows.ts";
import type { CaptureEvent } from "../src/events.ts";
import { KeyLog } from "../src/key-log.ts";
import { readRecords } from "../src/pcap.ts";
import { captureFiles, captureFolder, concat, missing, readShared, toHex, tshark } from "./frames.ts";

const cannot = missing("captures", "tshark");

/** Without captures or tshark the one case below tells why, rather than none at all. */
const files = cannot === undefined ? captureFiles : ["(no capture)"];

const keysOf = (name: string): string => join(captureFolder, name.replace(/\.pcap$/u, ".keys"));
const eventsOf = (name: string): CaptureEvent[] => [
  ...readCapture(
    readShared(name),
    existsSync(keysOf(name)) ? { keyLog: new KeyLog(readShared(name.replace(/\.pcap$/u, ".keys"))) } : {},
  ),
];

const fields = [
  "frame.number",
  "frame.time_epoch",
  "frame.cap_len",
  "ip.proto",
  "ip.src",
  "ip.dst",
  "udp.srcport",
  "udp.dstport",
  "udp.payload",
  "tcp.srcport",
  "tcp.dstport",
  "tcp.payload",
  "tcp.analysis.flags",
] as const;
type Row = Readonly<Record<(typeof fields)[number], string>>;

/** One run a file, since starting takes most of the time. The first occurrence is the outer one of an ICMP message. */
function rowsOf(name: string): Row[] {
  const options = ["-n", "-r", join(captureFolder, name), "-T", "fields", "-E", "occurrence=f"];
  return tshark(...options, ...fields.flatMap((field) => ["-e", field]))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const values = line.split("\t");
      return Object.fromEntries(fields.map((field, index) => [field, values[index] ?? ""])) as Row;
    });
}

describe.each(files)("%s", (name) => {
  test("frames, datagrams and segments as tshark sees them", ({ skip }) => {
    if (cannot !== undefined) skip(cannot);
    compare(name);
  });
});

function compare(name: string): void {
  const rows = rowsOf(name);
  const frames = [...readRecords(readShared(name))].map((record) =>
    record.kind === "frame" ? [String(record.n), record.time, String(record.bytes.length)] : [record.kind],
  );
  expect(frames).toEqual(rows.map((row) => [row["frame.number"], row["frame.time_epoch"], row["frame.cap_len"]]));

  const events = eventsOf(name).filter(({ kind }) => kind === "data");
  const datagrams = events.filter(({ transport }) => transport === "udp");
  expect(
    datagrams.map(({ n, src, dst, bytes }) => [
      String(n),
      src.address,
      String(src.port),
      dst.address,
      String(dst.port),
      toHex(bytes),
    ]),
  ).toEqual(
    rows
      .filter((row) => row["ip.proto"] === "17" && row["udp.srcport"] !== "2221" && row["udp.dstport"] !== "2221")
      .map((row) => [
        row["frame.number"],
        row["ip.src"],
        row["udp.srcport"],
        row["ip.dst"],
        row["udp.dstport"],
        row["udp.payload"],
      ]),
  );

  // Repeated and out of order segments are where a reassembly differs from a list of segments; all others stand in
  // both, in the same order, ours at most a few frames later where a hole had to be judged.
  const segments = rows.filter(
    (row) =>
      row["ip.proto"] === "6" &&
      row["tcp.payload"] !== "" &&
      row["tcp.srcport"] !== "2221" &&
      row["tcp.dstport"] !== "2221",
  );
  const given = new Map<string, { n: number; hex: string }[]>();
  for (const { n, transport, src, dst, bytes } of events) {
    if (transport !== "tcp") continue;
    const key = `${src.address} ${src.port} ${dst.address} ${dst.port}`;
    given.set(key, [...(given.get(key) ?? []), { n, hex: toHex(bytes) }]);
  }
  const absent = segments
    .filter((row) => row["tcp.analysis.flags"] === "")
    .filter((row) => {
      const list = given.get(`${row["ip.src"]} ${row["tcp.srcport"]} ${row["ip.dst"]} ${row["tcp.dstport"]}`) ?? [];
      const n = Number(row["frame.number"]);
      return !list.some((each) => each.n >= n && each.n < n + 100 && each.hex === row["tcp.payload"]);
    });
  expect(absent.map((row) => row["frame.number"])).toEqual([]);
  expect(events.filter(({ transport }) => transport === "tcp").length).toBeLessThanOrEqual(segments.length);
}

describe("EtherNet/IP over TLS 1.2", () => {
  const name = "gen_tls2221_eip_c023_c006.pcap";

  test("opens fully, both suites, to what tshark opens", ({ skip }) => {
    if (cannot !== undefined) skip(cannot);
    const events = eventsOf(name);
    const suites = events.flatMap((event) =>
      event.kind === "tls-info" && event.info.fact === "negotiated" && event.info.keys === "found"
        ? [event.info.suite]
        : [],
    );
    expect(suites).toEqual(["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_NULL_SHA"]);
    expect(events.filter(({ kind }) => kind === "error")).toEqual([]);

    const opened = events.filter((event) => event.kind === "data" && event.transport === "tls");
    expect(opened.every((event) => event.kind === "data" && event.authenticated)).toBe(true);
    const flows = [...new Set(opened.map(({ flow }) => flow))];
    expect(flows).toHaveLength(2);
    for (const [index, flow] of flows.entries()) {
      const [near, far] = [true, false].map((toDevice) =>
        toHex(
          concat(
            opened
              .filter((event) => event.flow === flow && (event.dst.port === 2221) === toDevice)
              .map(({ bytes }) => bytes),
          ),
        ),
      );
      const follow = tshark(
        "-r",
        join(captureFolder, name),
        "-o",
        `tls.keylog_file:${keysOf(name)}`,
        "-q",
        "-z",
        `follow,tls,raw,${index}`,
      );
      const lines = follow.split("\n").filter((line) => /^\t?[0-9a-f]+$/u.test(line));
      expect(near).toBe(lines.filter((line) => !line.startsWith("\t")).join(""));
      expect(far).toBe(
        lines
          .filter((line) => line.startsWith("\t"))
          .map((line) => line.trim())
          .join(""),
      );
      // RegisterSession comes first in each.
      expect(near?.slice(0, 4)).toBe("6500");
    }
  });

  test("the session whose secret is not in the log is told, not guessed", ({ skip }) => {
    if (cannot !== undefined) skip(cannot);
    expect(eventsOf(name).flatMap((event) => (event.kind === "notice" ? [event.message] : []))).toEqual([
      "TLS: the key log has no secret of this session; it stays closed",
    ]);
  });
});
