import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions, TlsOptions } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { readCapture } from "../src/flows.ts";
import { KeyLog } from "../src/key-log.ts";
import { writePcapng } from "../src/pcapng-write.ts";
import { TlsDecoder } from "../src/tls-decoder.ts";
import type { TlsEvent, TlsInfo } from "../src/tls-decoder.ts";
import { concat, conversation, hex, missing, toHex, tshark } from "./frames.ts";
import type { Tapped } from "./frames.ts";
import { makeCertificates, tapOpensslClient, tapSession } from "./tls-peers.ts";
import type { KeyPair, Session } from "./tls-peers.ts";

const cannot = missing("openssl");
let pairs: { readonly ecdsa: KeyPair; readonly rsa: KeyPair };
beforeAll(() => {
  if (cannot === undefined) pairs = makeCertificates();
});

/** From one octet to more than a record holds. */
const messages = [1, 28, 1400, 40_000].map(
  (size) => [new Uint8Array(randomBytes(size)), new Uint8Array(randomBytes(size + 1))] as [Uint8Array, Uint8Array],
);

interface Decoded {
  readonly data: readonly [string, string];
  readonly facts: readonly TlsInfo[];
  readonly trouble: readonly string[];
  readonly authenticated: boolean;
}

function decode(
  tapped: readonly Tapped[],
  keyLog: string,
  alter: (decoder: TlsDecoder, index: number) => readonly TlsEvent[] = () => [],
): Decoded {
  const decoder = new TlsDecoder(new KeyLog(keyLog));
  const events = tapped.flatMap(({ from, bytes }, index) =>
    [...alter(decoder, index), ...decoder.push(from, bytes)].map((event) => ({ from: event.from, event })),
  );
  const data = ([0, 1] as const).map((side) =>
    toHex(concat(events.map(({ from, event }) => (from === side && event.kind === "data" ? event.bytes : hex(""))))),
  );
  return {
    data: [data[0]!, data[1]!],
    facts: events.flatMap(({ event }) => (event.kind === "tls-info" ? [event.info] : [])),
    trouble: events.flatMap(({ event }) => ("message" in event ? [event.message] : [])),
    authenticated: events.every(({ event }) => event.kind !== "data" || event.authenticated),
  };
}

const sentHex = ({ sent }: Session): readonly string[] => sent.map(toHex);

function settings(name: string, version: "TLSv1.2" | "TLSv1.3"): { server: TlsOptions; client: ConnectionOptions } {
  // A list of TLS 1.3 suites alone is no list to OpenSSL; the level admits NULL and CCM_8.
  const ciphers = version === "TLSv1.3" ? `${name}:DEFAULT:@SECLEVEL=0` : `${name}:@SECLEVEL=0`;
  const common = { minVersion: version, maxVersion: version, ciphers } as const;
  if (/PSK/u.test(name)) {
    const psk = new Uint8Array(32).fill(7);
    return {
      server: { ...common, pskCallback: () => psk, pskIdentityHint: "hint" },
      client: { ...common, pskCallback: () => ({ psk, identity: "device-1" }) },
    };
  }
  const pair = /ECDSA|TLS_/u.test(name) ? pairs.ecdsa : pairs.rsa;
  return {
    server: { ...common, ...pair, requestCert: true, rejectUnauthorized: false, dhparam: "auto" },
    client: { ...common },
  };
}

const authentications = ["ECDHE-ECDSA-", "ECDHE-RSA-", "", "ECDHE-PSK-", "PSK-", "DHE-RSA-"];
const tls12 = [
  ...["ECDHE-ECDSA-", "ECDHE-RSA-", "", "ECDHE-PSK-", "PSK-"].map((who) => `${who}NULL-SHA`),
  ...["", "ECDHE-PSK-", "PSK-"].map((who) => `${who}NULL-SHA256`),
  ...["ECDHE-PSK-", "PSK-"].map((who) => `${who}NULL-SHA384`),
  ...["ECDHE-ECDSA-", "ECDHE-RSA-", ""].flatMap((who) => [
    `${who}AES128-SHA`,
    `${who}AES256-SHA`,
    `${who}AES128-SHA256`,
  ]),
  ...["ECDHE-ECDSA-", "ECDHE-RSA-"].map((who) => `${who}AES256-SHA384`),
  ...["", "DHE-RSA-"].map((who) => `${who}AES256-SHA256`),
  "DHE-RSA-AES128-SHA256",
  ...["ECDHE-PSK-", "PSK-"].flatMap((who) =>
    ["128-CBC-SHA", "256-CBC-SHA", "128-CBC-SHA256", "256-CBC-SHA384"].map((cipher) => `${who}AES${cipher}`),
  ),
  ...authentications
    .filter((who) => who !== "ECDHE-PSK-")
    .flatMap((who) => [`${who}AES128-GCM-SHA256`, `${who}AES256-GCM-SHA384`]),
  ...["ECDHE-ECDSA-", "", "PSK-"].flatMap((who) =>
    ["128-CCM", "256-CCM", "128-CCM8", "256-CCM8"].map((cipher) => `${who}AES${cipher}`),
  ),
  ...["ECDHE-ECDSA-", "ECDHE-RSA-", "ECDHE-PSK-", "PSK-"].map((who) => `${who}CHACHA20-POLY1305`),
];

describe("TLS 1.2 between node:tls peers", () => {
  test.each(tls12)("%s", async (name) => {
    const { server, client } = settings(name, "TLSv1.2");
    const session = await tapSession(server, client, messages);
    const decoded = decode(session.tapped, session.keyLog);
    expect(decoded.trouble).toEqual([]);
    expect(decoded.data).toEqual(sentHex(session));
    expect(decoded.authenticated).toBe(true);
    expect(decoded.facts).toContainEqual(
      expect.objectContaining({ fact: "negotiated", version: "TLSv1.2", suite: session.suite, keys: "found" }),
    );
    expect(decoded.facts).toContainEqual({ fact: "alert", level: "warning", alert: "close_notify", encrypted: true });
  });

  test.each(tls12.filter((name) => /NULL|-SHA|AES...-SHA/u.test(name) && !/GCM|POLY/u.test(name)))(
    "%s without Encrypt-then-MAC",
    async (name) => {
      const { server, client } = settings(name, "TLSv1.2");
      const noEncryptThenMac = 1 << 19;
      const session = await tapSession(server, { ...client, secureOptions: noEncryptThenMac }, messages.slice(0, 3));
      const decoded = decode(session.tapped, session.keyLog);
      expect(decoded.trouble).toEqual([]);
      expect(decoded.data).toEqual(sentHex(session));
      expect(decoded.facts).toContainEqual(expect.objectContaining({ fact: "negotiated", encryptThenMac: false }));
    },
  );

  test.each(tls12.filter((name) => name.includes("NULL")))(
    "%s is readable, unverified, without its key",
    async (name) => {
      const { server, client } = settings(name, "TLSv1.2");
      const session = await tapSession(server, client, messages.slice(0, 2));
      const decoded = decode(session.tapped, "");
      expect(decoded.data).toEqual(sentHex(session));
      expect(decoded.authenticated).toBe(false);
      expect(decoded.trouble).toEqual([expect.stringContaining("unverified")]);
    },
  );

  test.each(["TLSv1.2", "TLSv1.3"] as const)("a resumed session of %s", async (version) => {
    const { server, client } = settings(
      version === "TLSv1.2" ? "ECDHE-ECDSA-AES128-SHA256" : "TLS_AES_128_GCM_SHA256",
      version,
    );
    const keyed = { ...server, requestCert: false, ticketKeys: Buffer.alloc(48, 9) };
    const first = await tapSession(keyed, client, messages.slice(0, 1));
    const second = await tapSession(
      keyed,
      { ...client, ...(first.ticket && { session: first.ticket }) },
      messages.slice(0, 2),
    );
    expect(second.resumed).toBe(true);
    const decoded = decode(second.tapped, second.keyLog);
    expect(decoded.trouble).toEqual([]);
    expect(decoded.data).toEqual(sentHex(second));
  });

  test("a client certificate, asked for and sent or not", async () => {
    const { server, client } = settings("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2");
    const session = await tapSession(server, { ...client, ...pairs.ecdsa }, messages.slice(0, 1));
    expect(decode(session.tapped, session.keyLog).facts).toContainEqual({
      fact: "client-certificate",
      requested: true,
      sent: true,
    });
    const without = await tapSession(server, client, messages.slice(0, 1));
    expect(decode(without.tapped, without.keyLog).facts).toContainEqual({
      fact: "client-certificate",
      requested: true,
      sent: false,
    });
  });
});

describe("TLS 1.3 between node:tls peers", () => {
  test.each([
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
  ])("%s", async (name) => {
    const { server, client } = settings(name, "TLSv1.3");
    const session = await tapSession(server, { ...client, ...pairs.ecdsa }, messages);
    const decoded = decode(session.tapped, session.keyLog);
    expect(decoded.trouble).toEqual([]);
    expect(decoded.data).toEqual(sentHex(session));
    expect(decoded.facts).toContainEqual(
      expect.objectContaining({ fact: "negotiated", version: "TLSv1.3", suite: name, keys: "found" }),
    );
    expect(decoded.facts).toContainEqual({ fact: "client-certificate", requested: true, sent: true });
    expect(decoded.facts).toContainEqual({ fact: "alert", level: "warning", alert: "close_notify", encrypted: true });
  });

  test("HelloRetryRequest", async () => {
    const { server, client } = settings("TLS_AES_128_GCM_SHA256", "TLSv1.3");
    const session = await tapSession(
      { ...server, ecdhCurve: "P-384" },
      { ...client, ecdhCurve: "P-256:P-384", servername: "plc.example" },
      messages,
    );
    const decoded = decode(session.tapped, session.keyLog);
    expect(decoded.trouble).toEqual([]);
    expect(decoded.data).toEqual(sentHex(session));
    expect(decoded.facts.filter(({ fact }) => fact === "client-hello")).toEqual([
      expect.objectContaining({ serverName: "plc.example" }),
    ]);
    expect(
      session.tapped.filter(({ from, bytes }) => from === 0 && bytes[0] === 22).length +
        session.tapped.filter(({ bytes }) => bytes[0] === 20).length,
    ).toBeGreaterThan(1);
  });

  test("KeyUpdate from OpenSSL's client, answered by the server", async () => {
    const { server } = settings("TLS_AES_256_GCM_SHA384", "TLSv1.3");
    const session = await tapOpensslClient(server, ["before", "K", "between", "K", "after"]);
    const decoded = decode(session.tapped, session.keyLog);
    expect(decoded.trouble).toEqual([]);
    expect(Buffer.from(decoded.data[0], "hex").toString()).toBe("before\nbetween\nafter\n");
    expect(decoded.data).toEqual(sentHex(session));
  });
});

describe("what can be wrong", () => {
  const names = [
    "ECDHE-ECDSA-NULL-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_AES_128_GCM_SHA256",
  ];
  const record = async (name: string): Promise<Session> => {
    const { server, client } = settings(name, name.startsWith("TLS_") ? "TLSv1.3" : "TLSv1.2");
    return tapSession(server, client, [
      [hex("01020304"), hex("05060708")],
      [hex("0a0b0c0d"), hex("0e0f")],
    ]);
  };
  /** Index of the tapped chunk that carries the client's first application data. */
  const firstData = ({ tapped }: Session): number =>
    tapped.findLastIndex(({ from, bytes }) => from === 0 && bytes[0] === 23) - 2;

  test.each(names)("%s: a changed octet is an error, what follows still opens", async (name) => {
    const session = await record(name);
    const at = session.tapped.findIndex(
      ({ from, bytes }, index) => from === 0 && bytes[0] === 23 && index >= firstData(session),
    );
    const broken = session.tapped.map(({ from, bytes }, index) => ({
      from,
      bytes: index === at ? bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1) : bytes,
    }));
    const decoded = decode(broken, session.keyLog);
    expect(decoded.trouble).toEqual([
      expect.stringMatching(
        /^TLS: a record does not open: the (MAC|authentication tag) of record \d+ does not match$/u,
      ),
    ]);
    expect(decoded.data[1]).toBe("050607080e0f");
    expect(["01020304", "0a0b0c0d"]).toContain(decoded.data[0]);
  });

  test.each(names.slice(1))("%s: without its secret the session stays closed, and says so", async (name) => {
    const session = await record(name);
    const decoded = decode(session.tapped, "");
    expect(decoded.data).toEqual(["", ""]);
    expect(decoded.trouble).toEqual([expect.stringContaining("the key log has no secret of this session")]);
  });

  test("the secret of another session is an error for each record", async () => {
    const session = await record("ECDHE-ECDSA-AES128-GCM-SHA256");
    const decoded = decode(session.tapped, session.keyLog.replace(/[0-9a-f]{96}/u, "ab".repeat(48)));
    expect(decoded.data).toEqual(["", ""]);
    expect(decoded.trouble.length).toBeGreaterThan(4);
    expect(decoded.trouble.join("")).not.toContain("abab");
  });

  test("octets missing close one direction, not the other", async () => {
    const session = await record("ECDHE-ECDSA-AES128-GCM-SHA256");
    const at = session.tapped.findLastIndex(({ from, bytes }) => from === 0 && bytes[0] === 23);
    const decoded = decode(session.tapped, session.keyLog, (decoder, index) => (index === at ? decoder.gap(0, 7) : []));
    expect(decoded.data).toEqual(["01020304", "050607080e0f"]);
    expect(decoded.trouble).toEqual(["TLS: 7 octets are not in the capture; the rest of this direction stays closed"]);
  });

  test("a client's records that stand before the ServerHello wait for it", async () => {
    const session = await record("ECDHE-ECDSA-AES128-GCM-SHA256");
    const clientFirst = [...session.tapped].sort((a, b) => a.from - b.from);
    const decoded = decode(clientFirst, session.keyLog);
    expect(decoded.trouble).toEqual([]);
    expect(decoded.data).toEqual(sentHex(session));
    expect(decoded.facts.filter(({ fact }) => fact === "negotiated")).toHaveLength(1);
  });

  test("early data is told and passed over, what follows opens", async () => {
    const session = await record("TLS_AES_128_GCM_SHA256");
    const [hello, ...others] = session.tapped;
    const early = { from: 0 as const, bytes: hex(`17 0303 0020 ${"ee".repeat(32)}`) };
    const decoded = decode([{ from: 0, bytes: withEarlyData(hello!.bytes) }, early, ...others], session.keyLog);
    expect(decoded.trouble).toEqual(["TLS: a record of early data (0-RTT) was passed over"]);
    expect(decoded.data).toEqual(sentHex(session));
  });

  test("a handshake that is not in the capture", async () => {
    const session = await record("TLS_AES_128_GCM_SHA256");
    const late = session.tapped.filter(({ bytes }) => bytes[0] === 23);
    const decoded = decode(late, session.keyLog);
    expect(decoded.trouble).toContain("TLS: the handshake is not in the capture; this direction stays closed");
  });

  test("a refusal in clear is named", () => {
    const decoded = decode([{ from: 1, bytes: hex("15 0303 0002 0228") }], "");
    expect(decoded.facts).toEqual([{ fact: "alert", level: "fatal", alert: "handshake_failure", encrypted: false }]);
  });

  test("octets that are no TLS", () => {
    expect(decode([{ from: 0, bytes: hex("65 0004 0000 00") }], "").trouble).toEqual([
      "TLS: no TLS record starts with type 101, version 0.4, length 0; the rest of this direction stays closed",
    ]);
  });
});

test("a written capture with its key log inside opens in tshark and here alike", async ({ skip }) => {
  const reason = missing("tshark", "openssl");
  if (reason !== undefined) skip(reason);
  const { server, client } = settings("ECDHE-ECDSA-AES128-SHA256", "TLSv1.2");
  const session = await tapSession(server, client, messages);
  const frames = conversation(session.tapped).map((bytes, index) => ({
    timeNanos: 1_700_000_000_123_456_789n + BigInt(index),
    bytes,
  }));
  const file = writePcapng({ linkType: 1, frames, keyLog: session.keyLog, application: "cipsec test" });
  const events = [...readCapture(file)].filter(({ kind }) => kind === "data");
  const ours = [50_000, 2221].map((port) =>
    toHex(concat(events.filter(({ src }) => src.port === port).map(({ bytes }) => bytes))),
  );
  expect(ours).toEqual(sentHex(session));

  const folder = mkdtempSync(join(tmpdir(), "capture-"));
  writeFileSync(join(folder, "session.pcapng"), file);
  const lines = tshark("-r", join(folder, "session.pcapng"), "-q", "-z", "follow,tls,raw,0")
    .split("\n")
    .filter((line) => /^\t?[0-9a-f]+$/u.test(line));
  rmSync(folder, { recursive: true });
  expect(lines.filter((line) => !line.startsWith("\t")).join("")).toBe(ours[0]);
  expect(
    lines
      .filter((line) => line.startsWith("\t"))
      .map((line) => line.trim())
      .join(""),
  ).toBe(ours[1]);
});

/** The same ClientHello record with an early_data extension at its end; no decoder of records checks the transcript. */
function withEarlyData(hello: Uint8Array): Uint8Array {
  const bytes = Buffer.concat([hello, hex("002a0000")]);
  const session = 5 + 4 + 34;
  const suites = session + 1 + bytes[session]!;
  const compression = suites + 2 + bytes.readUInt16BE(suites);
  const extensions = compression + 1 + bytes[compression]!;
  for (const at of [3, 7, extensions]) bytes.writeUInt16BE(bytes.readUInt16BE(at) + 4, at);
  return new Uint8Array(bytes);
}
