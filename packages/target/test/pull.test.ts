import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  PullModelStatus,
  TcpIpInterface,
} from "@cipsec/objects";
import { approveHeld, makeKeyPair, parseCertificate, selfSigned, toPem } from "@cipsec/pki";
import { EtherNetIpSecurityState, SecurityProfile, StateError, encode, USINT } from "@cipsec/wire";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SecuritySettingsInput } from "../src/security/security.ts";
import { afterToolMs, startDelayMs } from "../src/security/pull-machine.ts";
import { birth, issueToAll, pullOf, startPlant, until, type Plant } from "./pull-support.ts";
import { begin, channels, must, ok, startDevice, temporaryFolder, type Device } from "./security-device.ts";

const day = 86_400_000;
const { factoryDefault, inProgress, pullInProgress, pullCompleted, pullDisabled } = EtherNetIpSecurityState;
const withPull = SecurityProfile.confidentiality | SecurityProfile.pullModel;

/** The plant's clock is that of the device under test. */
let device: Device | undefined;
let plant: Plant;

beforeAll(async () => {
  plant = await startPlant("127.41.1.1", () => new Date(device?.clock.wallNow() ?? Date.UTC(2026, 10, 20)));
}, 60_000);

beforeEach(() => {
  plant.policy = issueToAll;
});

/** A device out of its box, five seconds after its start. */
async function unbox(
  changed: Partial<SecuritySettingsInput> = {},
  folder = temporaryFolder(),
  kind: "with pull" | "without pull" = "with pull",
): Promise<Device> {
  device?.security.close();
  // The maker and the server are back in the present with the next device.
  device = undefined;
  const serial = Math.floor(Math.random() * 0xffff_ffff)
    .toString(16)
    .padStart(8, "0")
    .toUpperCase();
  device = await startDevice(folder, {
    profiles: withPull,
    ...(kind === "with pull" ? { pull: pullOf(plant) } : {}),
    defaultCertificate: await birth(plant, serial),
    ...changed,
  });
  await device.clock.pass(startDelayMs);
  return device;
}

const state = async (from: Device): Promise<number> => await from.get(EtherNetIpSecurity, 1, "state");
const status = async (from: Device): Promise<number> => await from.get(EtherNetIpSecurity, 1, "pullModelStatus");
const inState = async (from: Device, wanted: number): Promise<void> =>
  await until(`state ${wanted}`, async () => (await state(from)) === wanted);
const withStatus = async (from: Device, wanted: number): Promise<void> =>
  await until(`status ${wanted}`, async () => (await status(from)) === wanted);

/** The certificate that the next TLS session shows. */
function shown({ security }: Device): ReturnType<typeof parseCertificate> {
  const [own] = security.tlsPolicy().certificates;
  return parseCertificate(own?.chain[0] ?? new Uint8Array());
}

describe("a device out of its box", () => {
  test("configures itself, shows how, and is so after a power cycle", async () => {
    const folder = temporaryFolder();
    const defaultCertificate = await birth(plant, "00C0FFEE");
    plant.policy = { rules: [{ name: "names", callers: ["birth"], action: "issue", takeNames: "request" }] };
    const first = await unbox({ defaultCertificate }, folder);
    expect(await first.get(EtherNetIpSecurity, 1, "pullModelEnable")).toBe(true);
    expect(await first.get(CipSecurity, 1, "securityProfilesConfigured")).toBe(SecurityProfile.confidentiality);
    await inState(first, pullInProgress);
    await inState(first, pullCompleted);
    const look = async (from: Device): Promise<void> => {
      expect(await status(from)).toBe(PullModelStatus.ok);
      expect(await from.get(CipSecurity, 1, "securityProfilesConfigured")).toBe(withPull);
      expect(await from.get(CertificateManagement, 2, "name")).toBe("EST");
      expect(await from.get(CertificateManagement, 2, "state")).toBe(3);
      expect(await from.get(EtherNetIpSecurity, 1, "verifyClientCertificate")).toBe(true);
      const { verifyPeer, suites } = from.security.tlsPolicy();
      expect([verifyPeer, suites]).toEqual([true, [0xc02b, 0xc02c]]);
      expect(shown(from).facts.issuer).toContain("Plant");
      expect(shown(from).facts.san.ip).toEqual(["127.21.0.1"]);
    };
    await look(first);
    const { sha256 } = shown(first).facts;
    const again = await unbox({ defaultCertificate }, folder);
    expect(await state(again)).toBe(pullCompleted);
    await look(again);
    expect(shown(again).facts.sha256).toBe(sha256);
    expect(again.events).not.toContain("pull/search");
  });

  test("says that it has the pull model, and the domain that it looks in", async () => {
    const without = await unbox({ profiles: SecurityProfile.confidentiality }, temporaryFolder(), "without pull");
    expect(await without.ask(CertificateManagement.classId, 0, 0x0e, undefined, 8)).toMatchObject({
      data: Uint8Array.of(1, 0, 0, 0),
    });
    expect(without.events).toEqual([]);
    const pull = { ...pullOf(plant), domain: "plant.example" };
    const has = await unbox({ pull });
    expect(await has.ask(CertificateManagement.classId, 0, 0x0e, undefined, 8)).toMatchObject({
      data: Uint8Array.of(3, 0, 0, 0),
    });
    expect(await has.get(TcpIpInterface, 1, "interfaceConfiguration")).toMatchObject({ domainName: "plant.example" });
  });

  test("waits for a person with one key, also over a power cycle", async () => {
    plant.policy = { rules: [{ name: "ask", callers: ["birth"], action: "hold" }] };
    const folder = temporaryFolder();
    const defaultCertificate = await birth(plant, "00C0FF01");
    const first = await unbox({ defaultCertificate }, folder);
    await withStatus(first, PullModelStatus.pending);
    expect(await state(first)).toBe(pullInProgress);
    const again = await unbox({ defaultCertificate }, folder);
    await until("asked again", () => again.events.includes("pull/pending"));
    const held = (await plant.register.list()).filter(({ identity }) => identity.endsWith("00C0FF01"));
    expect(held).toHaveLength(1);
    await approveHeld(plant.register, held[0]?.id ?? "", { now: new Date(again.clock.wallNow()) });
    await again.clock.pass(70_000);
    await inState(again, pullCompleted);
  });

  test.each([
    {
      name: "a counterfeit is refused",
      change: async (): Promise<Partial<SecuritySettingsInput>> => {
        const { privateKey } = await makeKeyPair();
        const certificate = await selfSigned({
          subject: { organization: "Vendor", commonName: "Test device", serialNumber: "00C0FF02" },
          privateKey,
          now: new Date(Date.UTC(2026, 10, 1)),
        });
        const keyPem = privateKey.export({ type: "pkcs8", format: "pem" });
        return { defaultCertificate: { kind: "vendor", chainPem: toPem([certificate]), keyPem } };
      },
      expected: PullModelStatus.refused,
    },
    {
      name: "a server that another authority vouches for is not believed",
      change: async () => ({ pull: { ...pullOf(plant), anchors: [plant.vendor.root] } }),
      expected: PullModelStatus.tlsFailure,
    },
    {
      name: "a server without the fingerprint is not believed",
      change: async () => ({ pull: { ...pullOf(plant), anchors: [], fingerprint: "00".repeat(32) } }),
      expected: PullModelStatus.tlsFailure,
    },
    {
      name: "no server is believed where there is nothing to know it by",
      change: async () => ({ pull: { ...pullOf(plant), anchors: [] } }),
      expected: PullModelStatus.tlsFailure,
    },
    {
      name: "a certificate of another device is not taken",
      change: () => {
        const takeSubject = { commonName: "pump", serialNumber: "00C0FFFF" };
        plant.policy = { rules: [{ name: "other", callers: ["birth"], action: "issue", takeSubject }] };
        return Promise.resolve({});
      },
      expected: PullModelStatus.badCertificate,
    },
    {
      name: "a certificate that peers would refuse is not taken",
      change: () => {
        plant.policy = { rules: [{ name: "tool", callers: ["birth"], action: "issue", profile: "tool" }] };
        return Promise.resolve({});
      },
      expected: PullModelStatus.badCertificate,
    },
    {
      name: "nobody listens there",
      change: async () => ({ pull: { ...pullOf(plant), url: "https://127.41.1.250:9" } }),
      expected: PullModelStatus.noServer,
    },
  ])("$name, and it says so and stays as it was", async ({ change, expected }) => {
    const refused = await unbox(await change());
    await withStatus(refused, expected);
    expect([await state(refused), shown(refused).facts.issuer.includes("Plant")]).toEqual([factoryDefault, false]);
    const tries = refused.events.length;
    await refused.clock.pass(35_000);
    await until("another try", () => refused.events.length > tries);
  });

  test.each([
    { name: "the fingerprint of the root", trust: () => ({ fingerprint: plant.ca.root.facts.sha256 }) },
    { name: "first use, where it may", trust: () => ({ trustOnFirstUse: true }) },
  ])("knows the server by $name", async ({ trust }) => {
    const own = await unbox({ pull: { ...pullOf(plant), anchors: [], ...trust() } });
    await inState(own, pullCompleted);
  });

  test("whose store is full stays as it was, and enrols with the same key once it is not", async () => {
    const full = await unbox({}, temporaryFolder());
    full.store.failing = true;
    await withStatus(full, PullModelStatus.badCertificate);
    expect([await state(full), shown(full).facts.issuer.includes("Plant")]).toEqual([factoryDefault, false]);
    full.store.failing = false;
    await full.clock.pass(35_000);
    await inState(full, pullCompleted);
  });
});

test("a device that enrolled and cannot note it is enrolled", async () => {
  const own = await unbox();
  const { write } = own.store;
  const isNote = (sections: object): boolean => "pull" in sections && sections.pull === undefined;
  Object.assign(own.store, {
    write: async (sections: Parameters<typeof write>[0]) =>
      await (isNote(sections) ? Promise.reject(new StateError("state/write", "no space left")) : write(sections)),
  });
  await until("enrolled", () => own.events.includes("pull/enrolled"), own.events);
  expect([await state(own), await status(own)]).toEqual([pullCompleted, PullModelStatus.ok]);
  expect(own.events).toContain("pull/request-not-forgotten");
});

describe("a tool", () => {
  test("that begins wins: nothing is applied, and what it gives up goes on later", async () => {
    const tool = await unbox();
    await begin(tool);
    expect([await state(tool), await status(tool)]).toEqual([inProgress, PullModelStatus.ok]);
    await until("stopped", () => tool.events.includes("pull/stopped"));
    await must(tool.call(EtherNetIpSecurity, 1, "abortConfig"));
    await must(tool.call(CipSecurity, 1, "endConfig"));
    expect(await state(tool)).toBe(factoryDefault);
    await tool.clock.pass(afterToolMs);
    await inState(tool, pullCompleted);
  });

  test("needs TLS once the device has enrolled, and then resets it to another life without pull, and with it", async () => {
    const tool = await unbox();
    await inState(tool, pullCompleted);
    expect(await tool.call(EtherNetIpSecurity, 1, "beginConfig")).toBe("0x0F");
    tool.channel = channels.certificate;
    expect(await tool.call(EtherNetIpSecurity, 1, "reset", encode(USINT, 0))).toBe(ok);
    expect([await state(tool), await status(tool)]).toEqual([pullDisabled, PullModelStatus.disabled]);
    expect(await tool.get(EtherNetIpSecurity, 1, "pullModelEnable")).toBe(false);
    expect(tool.security.facts().profilesConfigured).toBe(SecurityProfile.confidentiality);
    const searches = tool.events.filter((name) => name === "pull/search").length;
    await tool.clock.pass(day);
    expect(tool.events.filter((name) => name === "pull/search")).toHaveLength(searches);
    expect(await tool.call(EtherNetIpSecurity, 1, "reset", encode(USINT, 1))).toBe(ok);
    await tool.clock.pass(startDelayMs);
    await inState(tool, pullCompleted);
    expect(await tool.get(CertificateManagement, 2, "name")).toBe("EST");
  });
});

describe("renewal", () => {
  test("is done at two thirds of the lifetime, in place, for new sessions", async () => {
    const own = await unbox();
    await inState(own, pullCompleted);
    const before = { policy: own.security.tlsPolicy(), leaf: shown(own) };
    for (let days = 0; days < 62; days += 1) await own.clock.pass(day);
    await until("another certificate", () => shown(own).facts.sha256 !== before.leaf.facts.sha256);
    const after = shown(own);
    expect(after.facts.subject).toBe(before.leaf.facts.subject);
    expect(after.facts.san).toEqual(before.leaf.facts.san);
    expect(after.facts.notAfter.getTime() - before.leaf.facts.notAfter.getTime()).toBeGreaterThan(59 * day);
    expect(parseCertificate(before.policy.certificates[0]?.chain[0] ?? new Uint8Array()).facts.sha256).toBe(
      before.leaf.facts.sha256,
    );
    expect(await state(own)).toBe(pullCompleted);
    expect(await own.get(EtherNetIpSecurity, 1, "activeDeviceCertificates")).toHaveLength(1);
  });

  test("of a device without a clock is done after each start", async () => {
    const folder = temporaryFolder();
    device = undefined;
    const changed = { hasClock: false, defaultCertificate: await birth(plant, "00C0FF03") };
    const first = await unbox(changed, folder);
    await inState(first, pullCompleted);
    const { sha256 } = shown(first).facts;
    const again = await unbox(changed, folder);
    await until("another certificate", () => shown(again).facts.sha256 !== sha256);
  });

  test("that came too late is an enrolment with the default certificate", async () => {
    device = undefined;
    const changed = { defaultCertificate: await birth(plant, "00C0FF04") };
    const own = await unbox(changed);
    await inState(own, pullCompleted);
    const { sha256 } = shown(own).facts;
    const late = await unbox(changed, own.store.folder);
    await late.clock.pass(91 * day);
    await until("another certificate", () => shown(late).facts.sha256 !== sha256);
    expect(await state(late)).toBe(pullCompleted);
  });
});
