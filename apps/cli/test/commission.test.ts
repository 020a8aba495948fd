import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cipsec, document, startDevice, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const data = join(folder.path, "data");
const modern = "127.28.12.1";
const cbc = "127.28.12.2";
const legacy = "127.28.12.3";
const devices: Target[] = [];

beforeAll(async () => {
  devices.push(
    await startDevice(folder.path, "modern", modern),
    await startDevice(folder.path, "cbc", cbc, "cbc-psk"),
    await startDevice(folder.path, "legacy", legacy, "legacy"),
  );
});

afterAll(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  folder.remove();
});

test("a device from the factory is not trusted without a word", async () => {
  const ran = await cipsec(["commission", modern], { data });
  expect(ran.code).toBe(4);
  expect(ran.err).toContain("There was no authority yet");
  expect(ran.err).toContain("the device is as it was");
});

test("commission, get, posture, commission again, decommission, commission", async () => {
  const words = ["commission", modern, "--insecure-accept-any"];
  const first = await cipsec(words, { data });
  expect(first.code).toBe(0);
  expect(first.out).toMatch(
    new RegExp(`^${modern.replaceAll(".", "\\.")}: Test modern is configured \\(certificate\\); proven over TLSv1\\.`),
  );
  expect(first.out).toContain("The plaintext ports are closed.");
  expect(first.err).toContain("1/16 ");
  expect(statSync(data).mode & 0o777).toBe(0o700);

  const got = await cipsec(["get", modern, "0x5D/1/state", "--json", "--verbose"], { data });
  expect(document(got)).toEqual({ "0x5D/1/state": "configured" });
  expect(got.err).toContain("TLSv1.");
  const plain = await cipsec(["get", `eip://${modern}`, "1/1/1"], { data });
  expect(plain).toMatchObject({ code: 3, err: expect.stringContaining("nothing listens") });
  const set = await cipsec(["set", modern, "TcpIpInterface/1/encapsulationInactivityTimeout", "77"], { data });
  expect(set.code).toBe(0);

  const posture = await cipsec(["posture", modern, "--json", "--fail-on", "high"], { data });
  expect(posture.code).toBe(0);
  expect(document(posture)).toMatchObject({
    verifyClient: true,
    deviceCertificate: { selfSigned: false },
    channel: { peer: { verified: true } },
  });

  const keyLog = join(folder.path, "keys.log");
  const second = await cipsec(["commission", modern, "--keylog", keyLog, "--json"], { data });
  expect(second).toMatchObject({ code: 0 });
  expect(document(second)).toMatchObject({
    address: modern,
    mode: "certificate",
    before: { cipState: "configured" },
    after: { cipState: "configured", ethernetIpState: "configured" },
    plaintextClosed: true,
  });
  expect(readFileSync(keyLog, "utf8")).toMatch(
    /^(CLIENT_RANDOM [\da-f]{64} [\da-f]{96}\n|\w+ [\da-f]{64} [\da-f]+\n)+$/,
  );
  expect(statSync(keyLog).mode & 0o777).toBe(0o600);

  const stranger = join(folder.path, "stranger");
  await cipsec(["ca", "init"], { data: stranger });
  expect((await cipsec(["get", modern, "1/1/1"], { data: stranger })).code).toBe(4);
  expect((await cipsec(["commission", modern, "--insecure-accept-any"], { data: stranger })).code).toBe(4);
  expect((await cipsec(["decommission", modern], { data: stranger })).code).toBe(4);

  const back = await cipsec(["decommission", modern, "--json"], { data });
  expect(back.code).toBe(0);
  expect(document(back)).toMatchObject({ address: modern, after: { cipState: "factory-default" } });
  expect((await cipsec(["get", `eip://${modern}`, "0x5D/1/state"], { data })).out).toContain("factory-default");
  expect((await cipsec(words, { data })).code).toBe(0);
  expect((await cipsec(["decommission", modern], { data })).out).toBe(`${modern} is at factory default again.\n`);
});

test("by pre-shared key, which stands in no output", async () => {
  const file = join(folder.path, "cell.key");
  const key = randomBytes(32).toString("hex");
  writeFileSync(file, `${key}\n`);
  const me = ["--psk-identity", "cell-4", "--psk-file", file];
  const done = await cipsec(["commission", cbc, "--psk", ...me, "--insecure-accept-any", "--json", "--verbose"], {
    data,
  });
  expect(done.code).toBe(0);
  expect(document(done)).toMatchObject({
    mode: "psk",
    deviceCertificate: null,
    channel: { suite: expect.stringContaining("PSK") },
  });
  const posture = await cipsec(["posture", cbc, ...me, "--json"], { data });
  expect(document(posture)).toMatchObject({ preSharedKeys: [{ identity: "cell-4" }] });
  const all = await cipsec(["get", cbc, "0x5E/1", "--all", ...me], { data });
  for (const { out, err } of [done, posture, all]) {
    expect(`${out}${err}`.toLowerCase()).not.toContain(key);
    expect(`${out}${err}`).not.toContain(Buffer.from(key, "hex").toString("base64"));
  }
  writeFileSync(file, "not hexadecimal: swordfish");
  const bad = await cipsec(["get", cbc, "1/1/1", ...me], { data });
  expect(bad.code).toBe(2);
  expect(bad.err).not.toContain("swordfish");
  writeFileSync(file, randomBytes(32).toString("hex"));
  expect((await cipsec(["get", cbc, "1/1/1", ...me], { data })).code).toBe(4);
  writeFileSync(file, key);
  expect((await cipsec(["decommission", cbc, ...me], { data })).code).toBe(0);
});

test("a device of the CBC generation gets the best that it has, and is told apart from one that has nothing that was named", async () => {
  const words = ["commission", cbc, "--insecure-accept-any"];
  const refused = await cipsec([...words, "--suites", "C02B"], { data });
  expect(refused).toMatchObject({ code: 3, err: expect.stringContaining("allowedCipherSuites") });
  expect((await cipsec(words, { data })).code).toBe(0);
  expect(document(await cipsec(["get", cbc, "0x5E/1/4", "--json"], { data }))).toEqual({
    "0x5E/1/4": ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"],
  });
  expect((await cipsec(["decommission", cbc], { data })).code).toBe(0);
});

test("certificates for two types of key as PKCS#7; a new revocation list by one command, or nothing at all", async () => {
  const words = ["commission", cbc, "--insecure-accept-any", "--key-types"];
  expect((await cipsec([...words, "dsa"], { data })).err).toContain("'dsa' is not a type of key");
  const done = document(await cipsec([...words, "ecdsa", "rsa", "--pkcs7", "--json"], { data }));
  expect(done).toMatchObject({ deviceCertificates: [{ keyType: "ecdsa" }, { keyType: "rsa" }] });

  const posture = await cipsec(["posture", cbc, "--json"], { data });
  expect(document(posture)).toMatchObject({ deviceCertificates: [{ keyType: "ecdsa" }, { keyType: "rsa" }] });
  const crl: unknown = Object(Object(document(posture)).crl)[0];
  const instance = String(Object(crl).file);
  const list = join(folder.path, "new.crl");
  expect((await cipsec(["ca", "crl", "--out", list], { data })).code).toBe(0);
  const put = ["file", cbc, "put", instance];
  const refused = await cipsec([...put, list], { data });
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining("--apply") });
  const applied = await cipsec([...put, list, "--apply", "--json"], { data });
  expect(document(applied)).toMatchObject({ instance: Number(instance), applied: true });
  const got = await cipsec(["file", cbc, "get", instance], { data });
  expect(got.out.trim()).toBe(readFileSync(list, "utf8").trim());

  const garbage = join(folder.path, "garbage.crl");
  writeFileSync(garbage, "no list");
  expect((await cipsec([...put, garbage, "--apply"], { data })).code).toBe(3);
  expect((await cipsec(["file", cbc, "get", instance], { data })).out).toBe(got.out);
  expect(document(await cipsec(["get", cbc, "0x5D/1/state", "--json"], { data }))).toEqual({
    "0x5D/1/state": "configured",
  });
  expect((await cipsec(["decommission", cbc], { data })).code).toBe(0);
  const fresh = await cipsec(["file", `eip://${cbc}`, "put", instance, list, "--apply"], { data });
  expect(fresh).toMatchObject({ code: 2, err: expect.stringContaining("cipsec commission") });
});

test("suites by name or number; what the device does not have, or nobody knows, is refused", async () => {
  const words = ["commission", modern, "--insecure-accept-any", "--suites"];
  expect((await cipsec([...words, "TLS_MADE_UP"], { data })).code).toBe(2);
  const done = await cipsec([...words, "C02C", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], { data });
  expect(done.code).toBe(0);
  const suites = document(await cipsec(["get", modern, "0x5E/1/4", "--json"], { data }));
  expect(suites).toEqual({
    "0x5E/1/4": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
  });
  expect((await cipsec(["decommission", modern], { data })).code).toBe(0);
});

test("a device without CIP Security cannot be commissioned, and the command says why", async () => {
  const ran = await cipsec(["commission", legacy, "--insecure-accept-any", "--allow-plain", "--json"], { data });
  expect([2, 3]).toContain(ran.code);
  expect(document(ran)).toMatchObject({ error: { message: expect.stringContaining("as it was") } });
});

test("an interrupted commissioning leaves the device as it was", async () => {
  const stop = new AbortController();
  const ran = await cipsec(["commission", modern, "--insecure-accept-any"], {
    data,
    signal: stop.signal,
    onProgress: (text) => void (text.startsWith("7/16 ") && stop.abort()),
  });
  const states = document(await cipsec(["get", `eip://${modern}`, "0x5D/1/1", "0x5E/1/1", "--json"], { data }));
  expect(ran.code).toBe(130);
  expect(states).toEqual({ "0x5D/1/1": "factory-default", "0x5E/1/1": "factory-default" });
});

test("a tool certificate that a crash left unmade is made with the next command", async () => {
  rmSync(join(data, "tool"), { recursive: true });
  expect((await cipsec(["commission", modern, "--insecure-accept-any"], { data })).code).toBe(0);
  expect((await cipsec(["decommission", modern], { data })).code).toBe(0);
});
