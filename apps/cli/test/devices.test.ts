import { readFileSync, statSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { broadcastsFrom, ownBroadcasts } from "../src/interfaces.ts";
import { cipsec, document, startDevice, temporaryFolder } from "./support.ts";

const modern = "127.28.10.1";
const legacy = "127.28.10.2";
const folder = temporaryFolder();
const data = join(folder.path, "data");
const devices: Target[] = [];

beforeAll(async () => {
  devices.push(
    await startDevice(folder.path, "modern", modern),
    await startDevice(folder.path, "legacy", legacy, "legacy"),
  );
});

afterAll(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  folder.remove();
});

describe("get", () => {
  test("reads by name and by number, as a table or as one document", async () => {
    const words = ["get", `eip://${modern}`, "Identity/1/productName", "1/1/6", "0x5E/1/state"];
    const told = await cipsec(words, { data });
    expect(told).toMatchObject({ code: 0, err: "" });
    expect(told.out).toMatch(/^attribute +value\n[- ]+\nIdentity\/1\/productName {2}Test modern\n1\/1\/6 +12648430\n/);
    expect(document(await cipsec([...words, "--json"], { data }))).toEqual({
      "Identity/1/productName": "Test modern",
      "1/1/6": 0x00c0_ffee,
      "0x5E/1/state": "factory-default",
    });
  });

  test("--all reads what the device has of a class; a list takes a row for each entry", async () => {
    const told = await cipsec(["get", `eip://${modern}`, "0x5E/1", "--all"], { data });
    expect(told.code).toBe(0);
    expect(told.out).toMatch(/allowedCipherSuites +TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n +TLS_ECDHE_ECDSA/);
    expect(Math.max(...told.out.split("\n").map((line) => line.length))).toBeLessThan(100);
    const all = document(await cipsec(["get", `eip://${modern}`, "0x5E/1", "--all", "--json"], { data }));
    expect(all).toMatchObject({ state: "factory-default", verifyClientCertificate: false, dtlsTimeout: 12 });
    const two = document(await cipsec(["get", `eip://${modern}`, "0x5E/1", "Identity/1", "--all", "--json"], { data }));
    expect(two).toMatchObject({ "0x5E/1/state": "factory-default", "Identity/1/productName": "Test modern" });
    const ofClass = document(await cipsec(["get", `eip://${modern}`, "0x5F/0", "--all", "--json"], { data }));
    expect(ofClass).toMatchObject({ revision: expect.any(Number) });
  });

  test("a class that the device does not have is its refusal: exit 3, with the status", async () => {
    const ran = await cipsec(["get", `eip://${modern}`, "0x77/1/1", "--json"], { data });
    expect(ran.code).toBe(3);
    expect(document(ran)).toMatchObject({
      error: { code: "cip/status", message: expect.stringContaining("no such class") },
    });
  });

  test("a secure channel without anything to trust by is wrong usage, and says what to give", async () => {
    const ran = await cipsec(["get", modern, "1/1/1"], { data });
    expect(ran.code).toBe(2);
    expect(ran.err).toContain("--ca");
  });

  test("--verbose says which channel it is", async () => {
    const { err } = await cipsec(["get", legacy, "1/1/1", "--verbose"], { data });
    expect(err).toBe(`eip://${legacy}:44818: plain, not protected\n`);
  });
});

describe("set", () => {
  const path = "TcpIpInterface/1/encapsulationInactivityTimeout";

  test("writes by value and by octets", async () => {
    const set = await cipsec(["set", `eip://${legacy}`, path, "60"], { data });
    expect(set).toEqual({ code: 0, out: `${path} is set.\n`, err: "" });
    expect(document(await cipsec(["get", `eip://${legacy}`, path, "--json"], { data }))).toEqual({ [path]: 60 });
    const raw = await cipsec(["set", `eip://${legacy}`, path, "--raw", "5A 00", "--json"], { data });
    expect(document(raw)).toEqual({ set: path });
    expect(document(await cipsec(["get", `eip://${legacy}`, path, "--json"], { data }))).toEqual({ [path]: 90 });
  });

  test("what the device does not take is its refusal", async () => {
    const ran = await cipsec(["set", `eip://${legacy}`, "Identity/1/productName", '"mine"'], { data });
    expect(ran.code).toBe(3);
    expect(ran.err).toMatch(/not settable/);
  });
});

describe("call", () => {
  test("a common service by name, to an object or to an attribute", async () => {
    const all = document(
      await cipsec(["call", `eip://${legacy}`, "Identity/1", "get-attributes-all", "--json"], { data }),
    );
    expect(all).toEqual({ service: "getAttributesAll", response: expect.stringMatching(/^ffff2b000700/) });
    const one = document(await cipsec(["call", `eip://${legacy}`, "Identity/1/vendorId", "14", "--json"], { data }));
    expect(one).toEqual({ service: "0x0E", response: "ffff" });
  });

  test("a service with arguments", async () => {
    const uri = `eip://${modern}`;
    const said = await cipsec(["call", uri, "0x5E/1", "0x4C", "--raw", "00"], { data });
    expect(said.code).toBe(3);
    const reset = await cipsec(["call", `eip://${legacy}`, "Identity/1", "reset", "0"], { data });
    expect(reset).toEqual({ code: 0, out: "Done.\n", err: "" });
  });
});

describe("posture", () => {
  const words = ["posture", modern, "--insecure-accept-any"];

  test("of a device from the factory: settings, findings, and the certificate that nobody vouches for", async () => {
    const told = await cipsec(words, { data });
    expect(told.code).toBe(0);
    expect(told.err).toMatch(/^warning: .*accepted without trust/);
    expect(told.out).toContain("The device is at factory default");
    const json = await cipsec([...words, "--json"], { data });
    expect(document(json)).toMatchObject({
      address: modern,
      security: { cipState: "factory-default", ethernetIpState: "factory-default", securePortsOnly: false },
      verifyClient: false,
      channel: { protocol: "tls" },
      findings: expect.arrayContaining([expect.objectContaining({ severity: "high", fix: expect.any(String) })]),
    });
  });

  test("findings fail a script only where it asks", async () => {
    expect((await cipsec([...words, "--fail-on", "high"], { data })).code).toBe(1);
    expect((await cipsec(["posture", legacy, "--fail-on", "low", "--json"], { data })).code).toBe(1);
    expect((await cipsec(["posture", legacy], { data })).code).toBe(0);
  });

  test("of a device without CIP Security", async () => {
    expect(document(await cipsec(["posture", legacy, "--json"], { data }))).toMatchObject({
      security: null,
      suites: null,
      deviceCertificate: null,
      channel: { protocol: "tcp" },
      findings: [expect.objectContaining({ severity: "high" })],
    });
  });
});

describe("discover", () => {
  test("a range: the shape that checks read", async () => {
    const ran = await cipsec(["discover", "127.28.10.1-3", "--json"], { data });
    expect(ran.code).toBe(0);
    expect(document(ran)).toEqual({
      devices: [
        {
          address: modern,
          ports: { eip: true, eips: true, eipUdp: true, io: expect.any(Boolean), eipd: expect.any(Boolean) },
          identity: {
            vendorId: 0xffff,
            deviceType: 0x2b,
            productCode: 7,
            revision: "2.1",
            serial: "00c0ffee",
            name: "Test modern",
            state: expect.anything(),
          },
          security: {
            profiles: expect.any(Array),
            cipState: "factory-default",
            ethernetIpState: "factory-default",
            securePortsOnly: false,
          },
        },
        expect.objectContaining({ address: legacy, security: null }),
      ],
      secureOnly: [],
      scanned: 3,
      elapsedMs: expect.any(Number),
    });
    const told = await cipsec(["discover", legacy], { data });
    expect(told.out).toMatch(/Test legacy.*none/);
    expect(told.out).toMatch(/1 device found at 1 address in \d+\.\d s\.\n$/);
  });

  test("nobody there is no error", async () => {
    const ran = await cipsec(["discover", "127.28.10.200"], { data });
    expect(ran).toMatchObject({ code: 0, out: expect.stringMatching(/^0 devices found/) });
  });

  test("interfaces: every network of the machine, by name, by address, by address and destination", () => {
    const entry = (address: string, netmask: string, internal = false) =>
      ({ address, netmask, internal, family: "IPv4", mac: "", cidr: null }) as const;
    const six = {
      address: "fe80::1",
      netmask: "ffff::",
      internal: false,
      family: "IPv6",
      mac: "",
      cidr: null,
      scopeid: 1,
    } as const;
    const interfaces = {
      lo: [entry("127.0.0.1", "255.0.0.0", true)],
      eth0: [entry("192.0.2.5", "255.255.255.0"), six],
      eth1: [entry("198.51.100.70", "255.255.255.192")],
      ppp0: [entry("203.0.113.1", "255.255.255.255")],
    };
    const eth1 = { address: "198.51.100.70", to: "198.51.100.127" };
    expect(ownBroadcasts(interfaces)).toEqual([{ address: "192.0.2.5", to: "192.0.2.255" }, eth1]);
    expect(broadcastsFrom("eth1", interfaces)).toEqual([eth1]);
    expect(broadcastsFrom("198.51.100.70", interfaces)).toEqual([eth1]);
    expect(broadcastsFrom("192.0.2.5>255.255.255.255", interfaces)).toEqual([
      { address: "192.0.2.5", to: "255.255.255.255" },
    ]);
    expect(() => broadcastsFrom("ppp0", interfaces)).toThrow(/no interface/);
    expect(() => ownBroadcasts({ lo: interfaces.lo, ppp0: interfaces.ppp0 })).toThrow(/RANGE is missing/);
  });

  test("without a range it asks the machine's own networks, or says that there are none", async () => {
    const isOnline = Object.values(networkInterfaces()).some((entries) =>
      entries?.some(({ internal, family }) => !internal && family === "IPv4"),
    );
    const ran = await cipsec(["discover", "--json"], { data });
    if (isOnline) expect(ran.err).toMatch(/^asking everybody at /);
    else expect(ran.code).toBe(2);
    expect(document(ran)).toBeDefined();
  });
});

describe("file", () => {
  const uri = `eip://${modern}`;

  test("list, get to standard output and to a file, and what it refuses", async () => {
    const list = document(await cipsec(["file", uri, "list", "--json"], { data }));
    expect(list).toEqual(
      expect.arrayContaining([expect.objectContaining({ instance: 256, fileName: expect.any(String) })]),
    );
    const out = join(folder.path, "default.pem");
    const got = await cipsec(["file", uri, "get", "256", "--out", out, "--json"], { data });
    expect(got.code).toBe(0);
    const pem = readFileSync(out, "utf8");
    expect(pem).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(document(got)).toEqual({ instance: 256, octets: pem.length, file: out });
    expect((await cipsec(["file", uri, "get", "0x100"], { data })).out).toBe(`${pem.trimEnd()}\n`);
    expect((await cipsec(["file", uri, "get", "4000"], { data })).code).toBe(3);
  });

  test("put over a plain channel is refused by the device, as wrong rights: exit 3 or 4, never done", async () => {
    const file = join(folder.path, "new.pem");
    writeFileSync(file, "not a certificate");
    const put = await cipsec(["file", uri, "put", "256", file], { data });
    expect([3, 4]).toContain(put.code);
    expect(put.err).toMatch(/^(.* of .* octets\n)*error: .+\nfix: {3}.+\n$/);
  });
});

test("commands that only read leave no data folder behind", () => {
  expect(() => statSync(data)).toThrow(/ENOENT/);
});
