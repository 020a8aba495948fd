import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { listenDtls, type Channel, type Listener } from "@cipsec/transport";
import {
  Cpf,
  MessageRouterReply,
  MessageRouterRequest,
  PskUsage,
  UnconnectedMessage,
  decode,
  encode,
  type Request,
} from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cipsec, descriptionOf, document, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const net = `127.38.${process.pid % 256}`;
const key = Buffer.alloc(32, 9);
const requests: Request[] = [];
let device: Target;
let responder: Listener;

/** Answers every request over DTLS with a number, and notes it. */
function answer(channel: Channel): void {
  channel.receive((bytes) => {
    const [item] = decode(Cpf, bytes);
    const { transactionId, message } = decode(UnconnectedMessage, item!.data);
    const request = decode(MessageRouterRequest, message);
    requests.push(request);
    const reply = { service: request.service, status: 0, extended: [], data: Uint8Array.of(0x2a, 0) };
    const data = encode(UnconnectedMessage, {
      type: 0x8001,
      transactionId,
      status: 0,
      message: encode(MessageRouterReply, reply),
    });
    channel.send(encode(Cpf, [{ type: item!.type, data }]));
  });
}

beforeAll(async () => {
  mkdirSync(join(folder.path, "device"), { recursive: true });
  const description = {
    ...descriptionOf("press", `${net}.1`, "modern"),
    assemblies: [
      { instance: 100, kind: "input", size: 8, name: "in" },
      { instance: 150, kind: "output", size: 4, name: "out" },
    ],
    connections: [{ name: "owner", type: "exclusive-owner", consume: 150, produce: 100 }],
  };
  device = await startTarget({ description: readDescription(description), stateDir: join(folder.path, "device") });
  responder = await listenDtls({
    address: `${net}.2`,
    port: 2221,
    accept: answer,
    tls: () => ({
      suites: [0xc037],
      certificates: [],
      sendChain: false,
      psks: [{ identity: Buffer.from("plant"), key, usage: PskUsage.any }],
      verifyPeer: false,
    }),
  });
  writeFileSync(join(folder.path, "key"), key.toString("hex"));
});
afterAll(async () => {
  await responder[Symbol.asyncDispose]();
  await device[Symbol.asyncDispose]();
  folder.remove();
});

const points = ["--o-to-t", "150:4", "--t-to-o", "100:8", "--rpi", "20", "--timeout-multiplier", "7"];

describe("over DTLS", () => {
  const psk = ["--psk-identity", "plant", "--psk-file", join(folder.path, "key")];
  const target = `eipd://${net}.2`;

  test("get, set and call: each is one unconnected message", async () => {
    const got = await cipsec(["get", target, "Identity/1/vendorId", "--json", "--verbose", ...psk], {
      data: folder.path,
    });
    expect(got).toMatchObject({ code: 0, err: expect.stringContaining("DTLSv1.2") });
    expect(document(got)).toEqual({ "Identity/1/vendorId": 42 });
    const set = await cipsec(["set", target, "TcpIpInterface/1/encapsulationInactivityTimeout", "60", ...psk], {
      data: folder.path,
    });
    expect(set).toMatchObject({ code: 0 });
    const called = await cipsec(["call", target, "0x64/1", "0x4B", "--raw", "0102", "--json", ...psk], {
      data: folder.path,
    });
    expect(document(called)).toEqual({ service: "0x4B", response: "2a00" });
    expect(requests.map(({ service }) => service)).toEqual([0x0e, 0x10, 0x4b]);
    expect(requests.at(-1)!.data).toEqual(Uint8Array.of(1, 2));
  });

  test("a secured target needs credentials", async () => {
    const ran = await cipsec(["get", target, "Identity/1/vendorId", "--json"], { data: join(folder.path, "empty") });
    expect(ran.code).toBe(2);
    expect(document(ran)).toMatchObject({ error: { code: "usage/argument" } });
  });

  test("io: data both ways, the channel, and a key log that only its owner reads", async () => {
    const keyLog = join(folder.path, "keys.log");
    const words = ["io", `eipd://${net}.1`, ...points, "--insecure-accept-any", "--seconds", "1", "--json"];
    const ran = await cipsec([...words, "--keylog", keyLog], { data: folder.path });
    expect(ran).toMatchObject({ code: 0 });
    const result = document(ran);
    expect(result).toMatchObject({
      lost: 0,
      channel: { protocol: "dtls", version: "DTLSv1.2", suite: expect.stringContaining("ECDHE_ECDSA") },
    });
    expect(Reflect.get(Object(result), "received")).toBeGreaterThan(3);
    expect(readFileSync(keyLog, "latin1")).toMatch(/^CLIENT_RANDOM [\da-f]{64} [\da-f]{96}$/mu);
    expect(statSync(keyLog).mode & 0o077).toBe(0);
  });

  test.each([
    { target: "eipd://HOST", way: "an association" },
    { target: "eipd://HOST:44818", way: "StartDTLS" },
  ])("posture by $way: all that TLS tells, files of certificates too", async ({ target }) => {
    const words = ["--json", "--insecure-accept-any"];
    const ran = await cipsec(["posture", target.replace("HOST", `${net}.1`), ...words], { data: folder.path });
    expect(ran).toMatchObject({ code: 0 });
    const { channel, unread, ...posture } = Object(document(ran));
    expect(unread).toEqual([]);
    expect(channel).toMatchObject({ protocol: "dtls", version: "DTLSv1.2", peer: { verified: false } });
    expect(posture).toMatchObject({
      deviceCertificate: { selfSigned: true },
      ports: expect.arrayContaining([expect.objectContaining({ port: 2221, protocol: "udp", open: true })]),
    });
    const byTls = await cipsec(["posture", `eips://${net}.1`, ...words], { data: folder.path });
    const { channel: _c, unread: _u, ...overTls } = Object(document(byTls));
    expect(posture).toEqual(overTls);
  });

  test("io with a protection of its own: as asked for, or refused with what the device had to allow", async () => {
    const words = ["io", `eipd://${net}.1`, ...points, "--insecure-accept-any", "--seconds", "1", "--json"];
    const encrypted = await cipsec([...words, "--protection", "encrypted"], { data: folder.path });
    expect(document(encrypted)).toMatchObject({
      channel: { protocol: "dtls", suite: expect.not.stringContaining("NULL") },
    });
    const integrity = await cipsec([...words, "--protection", "integrity"], { data: folder.path });
    expect(integrity.code).toBe(3);
    expect(document(integrity)).toMatchObject({
      error: { code: "tls/alert", facts: { protection: "integrity" }, fix: expect.stringContaining("C006") },
    });
    const overTls = words.map((word) => word.replace("eipd", "eips"));
    const elsewhere = await cipsec([...overTls, "--protection", "encrypted"], { data: folder.path });
    expect(elsewhere.code).toBe(2);
    expect(document(elsewhere)).toMatchObject({
      error: { code: "usage/state", fix: expect.stringContaining("eipd://") },
    });
    expect((await cipsec([...words, "--protection", "none"], { data: folder.path })).code).toBe(2);
  });

  test("io, kept: the same over a scanner; multicast cannot be and is not tried again", async () => {
    const words = ["io", `eipd://${net}.1`, ...points, "--insecure-accept-any", "--seconds", "1", "--reconnect"];
    const kept = await cipsec([...words, "--json"], { data: folder.path });
    expect(document(kept)).toMatchObject({ opens: 1, timeouts: 0, channel: { protocol: "dtls" } });
    const multicast = await cipsec([...words, "--t-to-o", "100:8:multicast", "--json"], { data: folder.path });
    expect(multicast.code).toBe(2);
    expect(document(multicast)).toMatchObject({
      error: { code: "usage/argument", fix: expect.stringContaining("point to point") },
    });
  });
});
