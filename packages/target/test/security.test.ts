import type { KeyObject } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileObject, TcpIpInterface } from "@cipsec/objects";
import { makeKeyPair } from "@cipsec/pki";
import { ApplyConfigRequest, SetPortAdminRequest, UINT, encode, objectPath } from "@cipsec/wire";
import { expect, test } from "vitest";
import {
  begin,
  channels,
  enrol,
  give,
  makeAuthority,
  must,
  ok,
  startDevice,
  take,
  type Device,
} from "./security-device.ts";

const ca = await makeAuthority();

test("a whole push sequence secures the device and survives a restart", async () => {
  const device = await startDevice();
  await begin(device);
  const { instance, caFile } = await enrol(device, ca, "plant");
  expect(await device.get(CertificateManagement, instance, "state")).toBe(3);

  await must(device.set(EtherNetIpSecurity, 1, "allowedCipherSuites", [0xc02b]));
  const certificate = objectPath(CertificateManagement.classId, instance);
  await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [certificate]));
  await must(device.set(EtherNetIpSecurity, 1, "trustedAuthorities", [objectPath(FileObject.classId, caFile)]));
  for (const name of ["verifyClientCertificate", "sendCertificateChain", "checkExpiration"] as const)
    await must(device.set(EtherNetIpSecurity, 1, name, true));
  await must(device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 20));
  const closePlain = encode(SetPortAdminRequest, [
    { port: 44818, protocol: 6, open: false },
    { port: 44818, protocol: 17, open: false },
  ]);
  await must(device.call(TcpIpInterface, 1, "setPortAdminState", closePlain));
  expect(device.portsTold).toEqual([]);
  expect(device.security.tlsPolicy().verifyPeer).toBe(false);

  const flags = encode(ApplyConfigRequest, { flags: 3, closeDelayMs: 700 });
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig", flags));
  expect(device.closings).toEqual([700]);
  expect(device.portsTold).toEqual([{ eip: false, eipUdp: false, io: false, eips: true, eipd: false }]);
  expect(device.security.facts()).toMatchObject({ cipState: 1, ethernetIpState: 2 });
  // Object_Cleanup came with Apply_Config: the request's file is gone, certificate and authority stay.
  expect(await device.get(FileObject, caFile, "state")).toBe(2);
  expect(device.security.facts().profilesConfigured).toBe(2);

  device.channel = channels.certificate;
  await must(device.call(CipSecurity, 1, "endConfig"));
  expect(device.security.facts()).toMatchObject({ cipState: 2, ethernetIpState: 2 });

  const again = await startDevice(device.store.folder);
  expect(again.security.facts()).toMatchObject({ cipState: 2, ethernetIpState: 2 });
  expect(again.security.ports()).toMatchObject({ eip: false, eips: true });
  expect(again.security.dtlsTimeoutS()).toBe(20);
  expect(await again.get(CertificateManagement, instance, "state")).toBe(3);
  const policy = again.security.tlsPolicy();
  expect(again.security.tlsPolicy()).toBe(policy);
  expect(policy).toMatchObject({ suites: [0xc02b], sendChain: true, verifyPeer: true, psks: [] });
  expect(policy.certificates).toHaveLength(1);
  const peer = { role: "client", remote: { address: "127.21.0.9", port: 1 } } as const;
  const tool = await ca.issue({ profile: "tool", ...(await toolKey()), subject: { commonName: "tool" } });
  expect(policy.verify?.({ ...peer, chain: tool.chain.map(({ der }) => der) })).toMatchObject({ ok: true });
  const stranger = await (
    await makeAuthority("Other")
  ).issue({
    profile: "tool",
    ...(await toolKey()),
    subject: { commonName: "tool" },
  });
  expect(policy.verify?.({ ...peer, chain: stranger.chain.map(({ der }) => der) })).toMatchObject({ ok: false });
  await again.clock.pass(800 * 24 * 3600 * 1000);
  expect(policy.verify?.({ ...peer, chain: tool.chain.map(({ der }) => der) })).toMatchObject({
    ok: false,
    error: { code: "trust/expired" },
  });
});

async function toolKey(): Promise<{ publicKey: KeyObject }> {
  return { publicKey: (await makeKeyPair()).publicKey };
}

test("keys are in files that only the owner reads, and go with their instance", async () => {
  const device = await startDevice();
  await begin(device);
  const { instance } = await enrol(device, ca, "one");
  const keys = join(device.store.folder, "keys");
  // The default certificate's key; the new one is in memory until Apply_Config.
  expect(readdirSync(keys)).toHaveLength(1);
  const path = objectPath(CertificateManagement.classId, instance);
  await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [path]));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  expect(readdirSync(keys)).toHaveLength(2);
  for (const file of readdirSync(keys)) expect(statSync(join(keys, file)).mode & 0o777).toBe(0o600);
  expect(statSync(device.store.folder).mode & 0o777).toBe(0o700);
  await device.security.reset(1);
  expect(readdirSync(keys)).toHaveLength(1);
});

test("Abort_Config and silence take back everything that the session made", async () => {
  for (const end of ["abort", "silence"] as const) {
    const device = await startDevice();
    const before = JSON.stringify(await everything(device));
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    const { instance } = await enrol(device, ca, "short-lived");
    const path = objectPath(CertificateManagement.classId, instance);
    await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [path]));
    await must(device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
    expect(JSON.stringify(await everything(device))).not.toBe(before);
    if (end === "abort") await must(device.call(EtherNetIpSecurity, 1, "abortConfig"));
    else await device.clock.pass(10_000);
    expect(JSON.stringify(await everything(device))).toBe(before);
  }
});

async function everything(device: Device): Promise<unknown> {
  const values: unknown[] = [];
  for (const [object, instance, ids] of [
    [EtherNetIpSecurity, 1, [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 17]],
    [CertificateManagement, 0, [2, 3, 9]],
    [FileObject, 0, [2, 3, 32]],
    [TcpIpInterface, 1, [13, 14]],
  ] as const)
    for (const id of ids) {
      const { status, data } = await device.ask(object.classId, instance, 0x0e, undefined, id);
      values.push([status, Buffer.from(data).toString("hex")]);
    }
  return values;
}

test("a full disk refuses with 0x19 and changes nothing; the session goes on", async () => {
  const device = await startDevice();
  await begin(device);
  await must(device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 99));
  device.store.failing = true;
  expect(await device.call(EtherNetIpSecurity, 1, "applyConfig")).toBe("0x19");
  expect(await device.call(CipSecurity, 1, "endConfig")).toBe("0x19");
  expect(device.security.facts()).toMatchObject({ cipState: 1, ethernetIpState: 1 });
  expect(device.security.dtlsTimeoutS()).toBe(12);
  device.store.failing = false;
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  expect(device.security.dtlsTimeoutS()).toBe(99);
});

test("power lost between Apply_Config and End_Config leaves an incomplete device; before it, what was", async () => {
  const device = await startDevice();
  await begin(device);
  expect((await startDevice(device.store.folder)).security.facts()).toMatchObject({ cipState: 0, ethernetIpState: 0 });
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  expect((await startDevice(device.store.folder)).security.facts()).toMatchObject({ cipState: 3, ethernetIpState: 2 });
});

test("factory reset: only a proven tool, and then everything is as it came", async () => {
  const device = await startDevice();
  expect(device.security.resetRefusal(1, channels.plain)).toBeUndefined();
  await begin(device);
  await must(device.set(EtherNetIpSecurity, 1, "preSharedKeys", [psk("a")]));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  await must(device.call(CipSecurity, 1, "endConfig"));
  for (const [channel, refusal] of [
    [channels.plain, 0x0f],
    [channels.anonymous, 0x0f],
    [channels.psk, undefined],
    [channels.certificate, undefined],
  ] as const)
    expect(device.security.resetRefusal(1, channel)).toBe(refusal);
  expect(device.security.resetRefusal(0, channels.plain)).toBeUndefined();
  await device.security.reset(0);
  expect(device.security.facts().cipState).toBe(2);
  await device.security.reset(1);
  expect(device.security.facts()).toMatchObject({ cipState: 0, ethernetIpState: 0 });
  for (const generation of ["state", "state.previous"]) {
    expect(readFileSync(join(device.store.folder, generation), "utf8")).not.toContain(
      Buffer.from("0123456789abcdef").toString("base64"),
    );
  }
});

function psk(identity: string) {
  return { identity: Buffer.from(identity), key: Buffer.from("0123456789abcdef"), usage: 2 };
}

test("Object_Cleanup deletes what nothing refers to, on class and instance, and says when there is nothing", async () => {
  const device = await startDevice();
  expect(await device.call(CipSecurity, 0, "objectCleanup")).toBe("0xD0");
  await begin(device);
  const { instance } = await enrol(device, ca, "unused");
  expect(await device.call(CipSecurity, 1, "objectCleanup")).toBe(ok);
  expect(await device.call(CertificateManagement, instance, "verifyCertificate", encode(UINT, 3))).toBe("0x05");
  expect(await device.call(CipSecurity, 0, "objectCleanup")).toBe("0xD0");
});

test("the default certificate can be read as a file, and neither changed nor deleted", async () => {
  const device = await startDevice();
  const { path } = await device.get(CertificateManagement, 1, "deviceCertificate");
  expect(path).toMatchObject([{ value: 0x37 }, { value: 0x100 }]);
  expect(Buffer.from(await take(device, 0x100)).toString()).toContain("BEGIN CERTIFICATE");
  await begin(device);
  expect(await give(device, 0x100, new Uint8Array(3))).toBe("0x0C/2");
  expect(await device.call(FileObject, 0x100, "delete")).toBe("0x2D");
  expect(await device.call(CertificateManagement, 1, "delete")).toBe("0x2D");
  expect(await device.call(CertificateManagement, 1, "verifyCertificate", encode(UINT, 3))).toBe(ok);
  const again = await startDevice(device.store.folder);
  expect(again.security.tlsPolicy().certificates[0]?.chain).toEqual(device.security.tlsPolicy().certificates[0]?.chain);
});
