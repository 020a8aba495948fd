import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { Reassembly } from "../src/flight/reassembly.ts";
import { extensionTypes, readConnectionId } from "../src/handshake/extensions.ts";
import { readClientHello } from "../src/handshake/client-hello.ts";
import { readFragments, writeMessage } from "../src/handshake/message.ts";
import { readServerHello } from "../src/handshake/server-hello.ts";
import { trafficKeys, verifyData } from "../src/key-schedule.ts";
import { recordCipher } from "../src/record/cipher.ts";
import { contentTypes, readRecords } from "../src/record/header.ts";
import { RecordLayer } from "../src/record/layer.ts";
import { cipherSuite } from "../src/suites.ts";
import { capturesThere, datagrams, keyLog } from "./capture-datagrams.ts";

const captures = [
  { name: "gen_dtls2221_ECDHE-ECDSA-AES128-SHA256.pcap", suite: 0xc023 },
  { name: "gen_dtls2221_ECDHE-ECDSA-NULL-SHA.pcap", suite: 0xc006 },
  { name: "gen_dtls2221_ECDHE-PSK-AES128-CBC-SHA256.pcap", suite: 0xc037 },
  { name: "gen_dtls2221_ECDHE-PSK-NULL-SHA256.pcap", suite: 0xc03a },
];

if (!capturesThere) {
  test("captures of other stacks are not beside this checkout: nothing to compare with", () => {
    expect(capturesThere).toBe(false);
  });
} else {
  test.each(captures)("opens every record of $name", ({ name, suite }) => {
    const seen = openCapture(name);
    expect(seen.suite).toBe(suite);
    expect(seen.dropped).toEqual([]);
    expect(seen.finished).toEqual(["client", "server"]);
    expect(seen.payloads.length).toBeGreaterThan(4);
    // What is inside is Common Packet Format: I/O begins with a sequenced address item.
    const items = new Set(seen.payloads.map((payload) => Buffer.from(payload).readUInt16LE(2)));
    expect(items).toContain(0x8002);
  });

  test("parses every record of the capture with connection ids; protected ones carry the id that was agreed", () => {
    const all = datagrams("gen_dtls12_cid_mbedtls.pcap");
    const cids = new Map<number, Uint8Array>();
    let withId = 0;
    for (const { payload, from, to } of all) {
      const records = readRecords(payload, cids.get(to)?.length ?? 0);
      expect(records.length).toBeGreaterThan(0);
      for (const { header, body } of records) {
        if (header.type === contentTypes.handshake && header.epoch === 0) {
          for (const { type, bytes, length } of readFragments(body)) {
            if (bytes.length !== length || (type !== 1 && type !== 2)) continue;
            const hello = type === 1 ? readClientHello(bytes) : readServerHello(bytes);
            const cid = readConnectionId(hello.extensions.get(extensionTypes.connectionId));
            if (cid !== undefined) cids.set(from, cid);
          }
        }
        if (header.type === contentTypes.connectionId) {
          withId++;
          expect(header.cid).toEqual(cids.get(to));
        }
      }
    }
    expect(withId).toBeGreaterThan(2);
  });
}

interface Seen {
  readonly suite: number;
  readonly dropped: readonly string[];
  readonly finished: readonly string[];
  readonly payloads: readonly Uint8Array[];
}

/** Follows one association with the secret of the key log, both directions, and checks both Finished. */
function openCapture(name: string): Seen {
  const secrets = keyLog();
  const layers = { client: new RecordLayer(2 ** 48), server: new RecordLayer(2 ** 48) };
  const reassembly = { client: new Reassembly(), server: new Reassembly() };
  const dropped: string[] = [];
  const payloads: Uint8Array[] = [];
  const finished: string[] = [];
  const transcript: Uint8Array[] = [];
  let chosen = 0;
  let master: Uint8Array | undefined;
  let clientRandom = new Uint8Array(0);
  let clientPort = 0;
  for (const { from, payload } of datagrams(name)) {
    for (const record of readRecords(payload, 0)) {
      if (record.header.type === contentTypes.handshake && clientPort === 0) clientPort = from;
      const sender = from === clientPort ? "client" : "server";
      const opened = layers[sender].open(record);
      if ("dropped" in opened) {
        dropped.push(`${sender} ${opened.dropped}`);
        continue;
      }
      if (opened.type === contentTypes.applicationData) payloads.push(opened.content);
      if (opened.type !== contentTypes.handshake) continue;
      for (const fragment of readFragments(opened.content)) {
        reassembly[sender].accept(fragment);
        const message = reassembly[sender].next();
        if (message === undefined) continue;
        const { type, seq, body: bytes } = message;
        if (type === 1) {
          const hello = readClientHello(bytes);
          clientRandom = new Uint8Array(hello.random);
          transcript.length = 0;
        }
        if (type === 3) continue;
        if (type === 20) {
          const suite = cipherSuite(chosen);
          if (suite === undefined || master === undefined) throw new Error("Finished before ServerHello");
          const hash = createHash(suite.prf).update(Buffer.concat(transcript)).digest();
          expect(Buffer.from(bytes)).toEqual(Buffer.from(verifyData(suite, master, sender, hash)));
          finished.push(sender);
        }
        transcript.push(writeMessage({ type, seq, body: bytes }));
        if (type !== 2) continue;
        const hello = readServerHello(bytes);
        chosen = hello.suite;
        const suite = cipherSuite(chosen);
        master = secrets.get(Buffer.from(clientRandom).toString("hex"));
        if (suite === undefined || master === undefined) throw new Error("no suite or secret");
        const keys = trafficKeys(suite, master, clientRandom, hello.random);
        const choice = { encryptThenMac: hello.extensions.has(extensionTypes.encryptThenMac) };
        layers.client.unprotect(recordCipher(suite.bulk, keys.client, choice), new Uint8Array(0));
        layers.server.unprotect(recordCipher(suite.bulk, keys.server, choice), new Uint8Array(0));
      }
    }
  }
  return { suite: chosen, dropped, finished, payloads };
}
