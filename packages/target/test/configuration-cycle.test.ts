import { CertificateManagement, CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { Service, decode } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { channels, createCertificate, from, must, ok, startDevice, type Device } from "./security-device.ts";

const { plain, anonymous, psk, certificate } = channels;

/** Ways to bring a device into each state of CIP Security, over the channel that the state allows. */
const cipStates: Readonly<Record<string, (device: Device) => Promise<void>>> = {
  factoryDefault: async () => undefined,
  inProgress: async (device) => must(device.call(CipSecurity, 1, "beginConfig")),
  configured: async (device) => {
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await must(device.call(CipSecurity, 1, "endConfig"));
  },
  incomplete: async (device) => {
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await device.clock.pass(10_000);
  },
};

/** Reference cip-security.md 3.1: state before, service, channel, status and state after. */
describe("CIP Security", () => {
  test.each([
    ["factoryDefault", "beginConfig", plain, ok, 1],
    ["factoryDefault", "kickTimer", plain, "0x0C", 0],
    ["factoryDefault", "endConfig", plain, "0x0C", 0],
    ["factoryDefault", "reset", plain, ok, 0],
    ["inProgress", "beginConfig", plain, "0x0C", 1],
    ["inProgress", "kickTimer", plain, ok, 1],
    ["inProgress", "endConfig", plain, ok, 2],
    ["inProgress", "reset", plain, ok, 0],
    ["configured", "beginConfig", plain, "0x0F", 2],
    ["configured", "beginConfig", anonymous, ok, 1],
    ["configured", "kickTimer", anonymous, "0x0C", 2],
    ["configured", "endConfig", anonymous, "0x0C", 2],
    ["configured", "reset", plain, "0x0F", 2],
    ["configured", "reset", anonymous, ok, 0],
    ["incomplete", "beginConfig", plain, ok, 1],
    ["incomplete", "kickTimer", plain, "0x0C", 3],
    ["incomplete", "endConfig", plain, "0x0C", 3],
    ["incomplete", "reset", plain, ok, 0],
  ] as const)("%s: %s", async (state, service, channel, status, after) => {
    const device = await startDevice();
    await cipStates[state]?.(device);
    device.channel = channel;
    expect(await device.call(CipSecurity, 1, service)).toBe(status);
    expect(await device.get(CipSecurity, 1, "state")).toBe(after);
  });

  test("Kick_Timer keeps a session open, silence ends it", async () => {
    const device = await startDevice(undefined, { configTimerMs: 4000 });
    await must(device.call(CipSecurity, 1, "beginConfig"));
    for (let i = 0; i < 3; i += 1) {
      await device.clock.pass(3999);
      await must(device.call(CipSecurity, 1, "kickTimer"));
    }
    await device.clock.pass(4000);
    expect(await device.get(CipSecurity, 1, "state")).toBe(3);
    expect((await startDevice(device.store.folder)).security.facts().cipState).toBe(3);
  });

  test("services take no data", async () => {
    const device = await startDevice();
    for (const name of ["reset", "beginConfig", "objectCleanup"])
      expect(await device.call(CipSecurity, 1, name, Uint8Array.of(0))).toBe("0x15");
  });
});

const ethernetIpStates: Readonly<Record<string, (device: Device) => Promise<void>>> = {
  factoryDefault: async () => undefined,
  inProgress: async (device) => must(device.call(EtherNetIpSecurity, 1, "beginConfig")),
  configured: async (device) => {
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await must(device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
    await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  },
  // No client is asked for a proof, so none can give one: TLS is what remains.
  askingNoProof: async (device) => {
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  },
  pullDisabled: async (device) => must(device.call(EtherNetIpSecurity, 1, "reset", Uint8Array.of(0))),
};

/** Reference cip-security.md 3.2. */
describe("EtherNet/IP Security", () => {
  test.each([
    ["factoryDefault", "beginConfig", plain, ok, 1],
    ["factoryDefault", "kickTimer", plain, "0x0C", 0],
    ["factoryDefault", "applyConfig", plain, "0x0C", 0],
    ["factoryDefault", "abortConfig", plain, "0x0C", 0],
    ["factoryDefault", "reset", plain, ok, 0],
    ["inProgress", "beginConfig", plain, "0x0C", 1],
    ["inProgress", "kickTimer", plain, ok, 1],
    ["inProgress", "applyConfig", plain, ok, 2],
    ["inProgress", "abortConfig", plain, ok, 0],
    ["inProgress", "reset", plain, ok, 0],
    ["configured", "beginConfig", plain, "0x0F", 2],
    ["configured", "beginConfig", anonymous, "0x0F", 2],
    ["configured", "beginConfig", psk, ok, 1],
    ["configured", "beginConfig", certificate, ok, 1],
    ["askingNoProof", "beginConfig", plain, "0x0F", 2],
    ["askingNoProof", "beginConfig", anonymous, ok, 1],
    ["askingNoProof", "reset", anonymous, ok, 0],
    ["configured", "kickTimer", certificate, "0x0C", 2],
    ["configured", "applyConfig", certificate, "0x0C", 2],
    ["configured", "abortConfig", certificate, "0x0C", 2],
    ["configured", "reset", plain, "0x0F", 2],
    ["configured", "reset", certificate, ok, 0],
    ["pullDisabled", "beginConfig", plain, ok, 1],
    ["pullDisabled", "applyConfig", plain, "0x0C", 5],
    ["pullDisabled", "reset", plain, ok, 0],
  ] as const)("%s: %s", async (state, service, channel, status, after) => {
    const device = await startDevice();
    await ethernetIpStates[state]?.(device);
    device.channel = channel;
    expect(await device.call(EtherNetIpSecurity, 1, service)).toBe(status);
    expect(await device.get(EtherNetIpSecurity, 1, "state")).toBe(after);
    expect((await startDevice(device.store.folder)).security.facts().ethernetIpState).not.toBe(1);
  });

  test.each([
    ["factoryDefault", 0],
    ["configured", 2],
    ["pullDisabled", 5],
  ] as const)("Abort_Config and silence lead back to %s", async (state, before) => {
    const device = await startDevice();
    await ethernetIpStates[state]?.(device);
    device.channel = certificate;
    for (const end of ["abort", "silence"] as const) {
      await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
      await must(device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 77));
      if (end === "abort") await must(device.call(EtherNetIpSecurity, 1, "abortConfig"));
      else await device.clock.pass(10_000);
      expect(await device.get(EtherNetIpSecurity, 1, "state")).toBe(before);
      expect(await device.get(EtherNetIpSecurity, 1, "dtlsTimeout")).toBe(12);
    }
  });

  test("Reset sets the pull model by its optional parameter, and every attribute to default", async () => {
    const device = await startDevice();
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await must(device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 77));
    await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
    device.channel = certificate;
    await must(device.call(EtherNetIpSecurity, 1, "reset", Uint8Array.of(0)));
    expect(await device.get(EtherNetIpSecurity, 1, "pullModelEnable")).toBe(false);
    expect(await device.get(EtherNetIpSecurity, 1, "pullModelStatus")).toBe(0xffff);
    expect(await device.get(EtherNetIpSecurity, 1, "dtlsTimeout")).toBe(12);
    await must(device.call(EtherNetIpSecurity, 1, "reset", Uint8Array.of(1)));
    expect(await device.get(EtherNetIpSecurity, 1, "state")).toBe(0);
    expect(await device.get(EtherNetIpSecurity, 1, "pullModelEnable")).toBe(true);
    expect(await device.get(EtherNetIpSecurity, 1, "pullModelStatus")).toBe(0);
    expect(await device.call(EtherNetIpSecurity, 1, "reset", Uint8Array.of(1, 1))).toBe("0x15");
  });

  test("its session is needed to set its attributes; that of CIP Security is not enough", async () => {
    const device = await startDevice();
    expect(await device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 5)).toBe(0x0c);
    await must(device.call(CipSecurity, 1, "beginConfig"));
    expect(await device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 5)).toBe(0x0c);
  });
});

describe("both sessions together", () => {
  test("what was made before 0x5E began outlives its abort, and End_Config saves it", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    const first = await createCertificate(device, "first");
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await createCertificate(device, "second");
    await must(device.call(EtherNetIpSecurity, 1, "abortConfig"));
    await must(device.call(CipSecurity, 1, "endConfig"));
    const again = await startDevice(device.store.folder);
    const names = await certificateNames(again);
    expect(names).toEqual(["Default Device Certificate", "first"]);
    expect(first).toBe(2);
  });

  test("End_Config with 0x5E in progress saves what is not 0x5E's, and leaves that open", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await createCertificate(device, "first");
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await createCertificate(device, "second");
    await must(device.call(CipSecurity, 1, "endConfig"));
    expect(device.security.facts()).toMatchObject({ cipState: 2, ethernetIpState: 1 });
    expect(await certificateNames(await startDevice(device.store.folder))).toEqual([
      "Default Device Certificate",
      "first",
    ]);
    await device.clock.pass(10_000);
    expect(await certificateNames(device)).toEqual(["Default Device Certificate", "first"]);
    expect(device.security.facts()).toMatchObject({ cipState: 2, ethernetIpState: 0 });
  });

  test("silence of 0x5D alone leaves 0x5E open, and what it held is taken back by 0x5E's abort", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await createCertificate(device, "first");
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await device.clock.pass(9000);
    await must(device.call(EtherNetIpSecurity, 1, "kickTimer"));
    await device.clock.pass(1000);
    expect(device.security.facts()).toMatchObject({ cipState: 3, ethernetIpState: 1 });
    await must(device.call(EtherNetIpSecurity, 1, "abortConfig"));
    expect(await certificateNames(device)).toEqual(["Default Device Certificate"]);
  });

  test("Reset of 0x5D ends both and resets both; Reset of 0x5E keeps 0x5D's session", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await must(device.call(EtherNetIpSecurity, 1, "reset"));
    expect(device.security.facts()).toMatchObject({ cipState: 1, ethernetIpState: 0 });
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await must(device.call(CipSecurity, 1, "reset"));
    expect(device.security.facts()).toMatchObject({ cipState: 0, ethernetIpState: 0 });
  });

  test("the tool that began may keep alive and end its session after Apply_Config has locked the device", async () => {
    const device = await startDevice();
    device.channel = anonymous;
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    await must(device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
    await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
    device.channel = from(anonymous, 50_001);
    expect(await device.call(CipSecurity, 1, "endConfig")).toBe("0x0F");
    device.channel = anonymous;
    expect(await device.call(CipSecurity, 1, "kickTimer")).toBe(ok);
    expect(await device.call(EtherNetIpSecurity, 1, "beginConfig")).toBe("0x0F");
    expect(await device.call(CipSecurity, 1, "endConfig")).toBe(ok);
    expect(await device.call(CipSecurity, 1, "beginConfig")).toBe("0x0F");
  });

  test("on a slow disk, nobody is refused for a write that the device began by itself", async () => {
    for (const next of ["beginConfig", "reset"] as const) {
      const device = await startDevice();
      await must(device.call(CipSecurity, 1, "beginConfig"));
      await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
      await device.clock.pass(6000);
      await must(device.call(EtherNetIpSecurity, 1, "kickTimer"));
      device.store.slowMs = 80;
      const expiring = device.clock.pass(4000);
      // CIP Security is being saved as Incomplete; EtherNet/IP Security goes on meanwhile.
      await must(device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 33));
      expect(await device.call(CipSecurity, 1, next)).toBe(ok);
      expect(await device.get(CipSecurity, 1, "state")).toBe(next === "reset" ? 0 : 1);
      await expiring;
      expect((await startDevice(device.store.folder)).security.facts().cipState).toBe(next === "reset" ? 0 : 3);
    }
  });

  test("silence that ends during Apply_Config does not undo it", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    device.store.slowMs = 80;
    const applying = device.call(EtherNetIpSecurity, 1, "applyConfig");
    await new Promise((resolve) => setImmediate(resolve));
    await device.clock.pass(10_000);
    expect(await applying).toBe(ok);
    expect(device.security.facts()).toMatchObject({ cipState: 3, ethernetIpState: 2 });
    await device.clock.pass(0);
    expect((await startDevice(device.store.folder)).security.facts()).toMatchObject({
      cipState: 3,
      ethernetIpState: 2,
    });
  });

  test("nothing else changes while a configuration is being saved", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
    device.store.slowMs = 50;
    const applying = device.call(EtherNetIpSecurity, 1, "applyConfig");
    await new Promise((resolve) => setImmediate(resolve));
    const during = await Promise.all([
      device.call(EtherNetIpSecurity, 1, "abortConfig"),
      device.set(EtherNetIpSecurity, 1, "dtlsTimeout", 33),
      // The session is gone once its turn comes.
      device.call(EtherNetIpSecurity, 1, "applyConfig"),
    ]);
    expect(during).toEqual(["0x0C", 0x0c, "0x0C"]);
    expect(await applying).toBe(ok);
  });
});

async function certificateNames(device: Device): Promise<readonly string[]> {
  const { certificateList } = CertificateManagement.classAttributes;
  const { data } = await device.ask(0x5f, 0, Service.getAttributeSingle, undefined, certificateList.id);
  return decode(certificateList.type, data).map(({ name }) => name);
}
