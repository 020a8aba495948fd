import { CertificateManagement, FileObject } from "@cipsec/objects";
import { makeKeyPair, parseCertificate, parseCertificates, parseCsr, privateKeyToPem } from "@cipsec/pki";
import { decode } from "@cipsec/wire";
import { expect, test } from "vitest";
import { openStore } from "../src/store.ts";
import {
  begin,
  createCertificate,
  emptyCsr,
  makeAuthority,
  startDevice,
  take,
  temporaryFolder,
} from "./security-device.ts";

const ca = await makeAuthority("Vendor");
const { privateKey, publicKey } = await makeKeyPair();
const subject = { commonName: "Drive 1", organization: "Vendor", country: "DE", serialNumber: "0000ABCD" };
const { chainPem, chain } = await ca.issue({ profile: "vendor-device", publicKey, subject });
const vendor = { kind: "vendor", chainPem, keyPem: privateKeyToPem(privateKey) } as const;

test("a vendor's certificate is presented, and shown as files of its own", async () => {
  const device = await startDevice(undefined, { defaultCertificate: vendor });
  expect(device.security.tlsPolicy().certificates[0]?.chain).toEqual(chain.map(({ der }) => der));
  expect(parseCertificate(await take(device, 0x100)).facts.subject).toContain("Drive 1");
  expect(parseCertificates(await take(device, 0x101))).toHaveLength(1);
  expect(await device.get(CertificateManagement, 1, "state")).toBe(3);
});

test("a vendor's key that belongs to another certificate is refused at start", async () => {
  const keyPem = privateKeyToPem((await makeKeyPair()).privateKey);
  const start = startDevice(undefined, { defaultCertificate: { kind: "vendor", chainPem, keyPem } });
  await expect(start).rejects.toMatchObject({ code: "usage/file", fix: expect.stringContaining("first") });
});

test("a self-signed certificate names the device, and without a clock is old enough for every start", async () => {
  const device = await startDevice(undefined, { hasClock: false });
  const { facts } = parseCertificate(await take(device, 0x100));
  expect(facts).toMatchObject({ selfSigned: true, san: { ip: ["127.21.0.1"], dns: ["test-device"] } });
  expect(facts.subject).toContain("Test device 0000ABCD");
  expect(facts.notBefore.getUTCFullYear()).toBe(2019);
  expect(facts.notAfter.getUTCFullYear()).toBeGreaterThan(2060);
});

test("a saved certificate that is damaged stops the start", async () => {
  const folder = temporaryFolder();
  const store = await openStore(folder);
  const key = await store.saveKey((await makeKeyPair()).privateKey);
  for (const saved of [7, { pem: "x" }, { pem: 1, key: 2 }, { pem: "x", key }, { pem: chainPem, key }]) {
    await store.write({ "default-certificate": saved });
    await expect(startDevice(folder)).rejects.toMatchObject({ code: "state/corrupt" });
  }
});

test("empty fields of Create_CSR come from the default certificate and the device", async () => {
  const device = await startDevice(undefined, { defaultCertificate: vendor });
  await begin(device);
  const instance = await createCertificate(device, "one");
  const { createCsr } = CertificateManagement.services;
  const answer = await device.ask(CertificateManagement.classId, instance, createCsr.code, emptyCsr);
  const file = decode(createCsr.response, answer.data)[1];
  if (file?.kind !== "instance") throw new Error("no file");
  const csr = parseCsr(await take(device, file.value));
  expect(csr.subject).toMatchObject(subject);
  expect(csr.san).toEqual({ ip: ["127.21.0.1"], dns: ["test-device"], uri: [] });
  expect(await device.get(FileObject, file.value, "accessRule")).toBe(1);
});

test("every attribute of every file reads", async () => {
  const device = await startDevice(undefined, { eds: Buffer.from("[File]") });
  for (const id of [0xc8, 0x100])
    for (const name of Object.keys(FileObject.attributes) as readonly (keyof (typeof FileObject)["attributes"])[])
      expect(await device.get(FileObject, id, name), name).toBeDefined();
  expect(Buffer.from(await take(device, 0xc8)).toString()).toBe("[File]");
});

test.each([
  ["a suite that the device lacks", { defaultAllowedSuites: [0x1301] }],
  ["a suite that does not encrypt", { defaultAllowedSuites: [0xc006] }],
  ["a PSK suite", { defaultAllowedSuites: [0xc037] }],
  ["no open port", { ports: {} }],
])("settings with %s are refused", async (_, settings) => {
  await expect(startDevice(undefined, settings)).rejects.toMatchObject({ code: "usage/argument" });
});
