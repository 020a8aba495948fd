import { CipSecurity, EtherNetIpSecurity, PullModelStatus } from "@cipsec/objects";
import { approveHeld } from "@cipsec/pki";
import { EtherNetIpSecurityState } from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  commission,
  commissionByPull,
  connect,
  identify,
  isPlaintext,
  judgeVendorIdentity,
  verifyVendorIdentity,
  type PullOptions,
} from "../src/index.ts";
import { net } from "./addresses.ts";
import { isBetweenAttempts, phaseOf, pullError, pullWords, type PullPhase } from "../src/commission-pull-status.ts";
import { certificatePlan } from "./real-target.ts";
import {
  issueToAll,
  makePullPlant,
  pullOptions,
  pushedClock,
  startPullDevice,
  type PullDeviceWish,
  type PullPlant,
} from "./pull-plant.ts";

/** Not those of other files of tests, which run beside this one. */

let plant: PullPlant;
let next = 1;

beforeAll(async () => {
  plant = await makePullPlant(`${net}.1`);
});
afterAll(() => plant[Symbol.asyncDispose]());

/** A device from its box at an address of its own. */
async function fromBox(wish: Partial<PullDeviceWish> = {}) {
  next += 1;
  const address = `${net}.${next}`;
  const clock = pushedClock();
  const wanted = { address, serialNumber: 0x100 + next, ...wish };
  const start = () => startPullDevice(plant, clock, wanted);
  let target = await start();
  return {
    at: { host: address },
    plain: { scheme: "eip", host: address } as const,
    clock,
    commission: (more: Partial<PullOptions> = {}) =>
      commissionByPull({ host: address }, pullOptions(plant, clock, more)),
    async powerCycle() {
      await target.stop();
      target = await start();
    },
    [Symbol.asyncDispose]: () => target.stop(),
  };
}

test("a device from its box: its vendor verified, watched, enrolled, proven with the plant's certificates", async () => {
  plant.policy = issueToAll;
  await using device = await fromBox({ serialNumber: 0xc0ffee });
  const options = pullOptions(plant, device.clock);
  const result = await commissionByPull(device.at, options);
  expect(result).toMatchObject({
    address: device.at.host,
    mode: "pull",
    start: "by-itself",
    before: { cipState: "factory-default", ethernetIpState: "factory-default" },
    after: { cipState: "factory-default", ethernetIpState: "pull-completed" },
    firstTrust: { kind: "accepted-any" },
    vendorIdentity: { verified: true, serialNumber: "00C0FFEE", reason: null },
    deviceCertificate: { selfSigned: false, issuer: expect.stringContaining("Plant") },
    channel: { protocol: "tls", peer: { verified: true } },
    posture: { verifyClient: true, pullModel: true },
  });
  expect(result.vendorIdentity.vendor).toContain("Vendor");
  expect(options.phases.at(0)).toBe("connect");
  expect(options.phases.at(-1)).toBe("prove");
  expect(options.phases).toContain("waiting");
  // Push sets the rest, as the plant trusts the device now.
  const pushed = await commission(device.at, {
    plan: certificatePlan,
    security: plant.security,
    issue: (csr) => plant.issue(csr),
  });
  expect(pushed).toMatchObject({
    before: { ethernetIpState: "pull-completed" },
    after: { ethernetIpState: "configured" },
    vendorIdentity: { verified: false, reason: expect.stringContaining("no vendor's root") },
  });
});

test("one whose pull model was disabled is told to begin; once it is enrolled only --erase begins anew", async () => {
  plant.policy = issueToAll;
  await using device = await fromBox();
  {
    await using session = await connect(device.plain);
    await session.object(EtherNetIpSecurity, 1).call("reset", false);
    expect(await session.object(EtherNetIpSecurity, 1).get("pullModelEnable")).toBe(false);
  }
  const told = await device.commission();
  expect(told).toMatchObject({ start: "reset", before: { ethernetIpState: "pull-disabled" } });
  const again = await device.commission({ requireVendor: false });
  expect(again).toMatchObject({ start: "already-enrolled", vendorIdentity: { verified: false } });
  expect(again.deviceCertificate.sha256).toBe(told.deviceCertificate.sha256);
  await expect(device.commission()).rejects.toMatchObject({
    code: "trust/refused",
    message: expect.stringContaining("cannot be proven"),
    fix: expect.stringContaining("--erase"),
  });
  const anew = await device.commission({ erase: true });
  expect(anew).toMatchObject({ start: "erased", vendorIdentity: { verified: true } });
  expect(anew.deviceCertificate.sha256).not.toBe(told.deviceCertificate.sha256);
});

test("what a tool has configured is left alone, or erased when told to, its plain ports closed all along", async () => {
  plant.policy = issueToAll;
  await using device = await fromBox();
  const { vendorAnchors } = pullOptions(plant, device.clock);
  const pushed = await commission(device.at, {
    plan: certificatePlan,
    security: plant.security,
    issue: (csr) => plant.issue(csr),
    requireVendor: true,
    ...(vendorAnchors === undefined ? {} : { vendorAnchors }),
  });
  expect(pushed).toMatchObject({ vendorIdentity: { verified: true }, plaintextClosed: true });
  await expect(device.commission({ requireVendor: false })).rejects.toMatchObject({
    code: "usage/state",
    fix: expect.stringContaining("--erase"),
  });
  {
    await using session = await connect(device.at, { security: plant.security });
    expect(await session.object(CipSecurity, 1).get("state")).toBe(2);
  }
  const erased = await device.commission({ erase: true });
  expect(erased).toMatchObject({
    start: "erased",
    before: { cipState: "configured", ethernetIpState: "configured" },
    after: { cipState: "factory-default", ethernetIpState: "pull-completed" },
    vendorIdentity: { verified: true },
  });
});

test("waits for a person over a power cycle; at the deadline says how to let it through", async () => {
  plant.policy = { rules: [{ name: "by hand", callers: ["birth"], action: "hold", takeNames: "request" }] };
  await using device = await fromBox();
  const phases: string[] = [];
  const watching = device.commission({
    progress: ({ phase }) => {
      phases.push(phase);
      if (phase === "unreachable") device.clock.pass(5000);
    },
  });
  const held = async () => (await plant.register.list()).filter(({ state }) => state === "waiting");
  await until(async () => phases.includes("pending"));
  const [waiting] = await held();
  await expect(device.commission({ waitMs: 1 })).rejects.toMatchObject({
    code: "pull/pending",
    fix: expect.stringContaining("est approve"),
  });
  await device.powerCycle();
  await approveHeld(plant.register, waiting?.id ?? "", { now: new Date() });
  expect(await watching).toMatchObject({ start: "by-itself", after: { ethernetIpState: "pull-completed" } });
});

test("over a plain channel, which the device closes with its first certificate", async () => {
  plant.policy = issueToAll;
  await using device = await fromBox({ pull: { url: plant.url, closePlaintext: true } });
  const options = pullOptions(plant, device.clock, {
    requireVendor: false,
    allowPlain: true,
    connect: { reconnect: false },
  });
  const { vendorAnchors: _, ...plainly } = options;
  const done = await commissionByPull(device.plain, { ...plainly, pollMs: 200 });
  expect(done).toMatchObject({ firstTrust: null, channel: { peer: { verified: true } } });
  expect(done.posture.ports.filter(isPlaintext)).toEqual([]);
});

test("a refusal ends it at once; the next run has the device try again at once", async () => {
  plant.policy = { rules: [{ name: "nobody", callers: ["birth"], action: "refuse" }] };
  await using device = await fromBox();
  await expect(device.commission()).rejects.toMatchObject({ code: "pull/refused", facts: { phase: "refused" } });
  plant.policy = issueToAll;
  expect(await device.commission()).toMatchObject({ start: "reset" });
});

test.each([
  {
    name: "no server",
    wish: { pull: { url: `https://${net}.250:9` } },
    more: { waitMs: 1500 },
    error: { code: "pull/no-server", fix: expect.stringContaining("est serve") },
  },
  { name: "a server that it does not believe", wish: { foreign: true }, more: {}, error: { code: "pull/tls" } },
  {
    name: "no pull model",
    wish: { pull: null },
    more: {},
    error: { code: "usage/state", fix: expect.stringContaining("without --pull") },
  },
])("ends in words: $name", async ({ wish: { foreign, ...wish }, more, error }) => {
  plant.policy = issueToAll;
  await using device = await fromBox({ ...wish, ...(foreign === true ? { anchors: [plant.vendor.root] } : {}) });
  await expect(device.commission(more)).rejects.toMatchObject(error);
});

test("another tool comes first: waits until its session is over, which the device's timer ends", async () => {
  plant.policy = issueToAll;
  await using device = await fromBox();
  await using tool = await connect(device.plain);
  await tool.object(CipSecurity, 1).call("beginConfig");
  await expect(device.commission({ waitMs: 1 })).rejects.toMatchObject({
    code: "usage/state",
    fix: expect.stringContaining("other tool"),
  });
  const phases: string[] = [];
  const done = await device.commission({
    progress: ({ phase }) => {
      phases.push(phase);
      // The device's timer, and what it leaves a tool that may come back.
      if (phase === "tool-busy") device.clock.pass(11_000);
      if (phase === "waiting") device.clock.pass(30_000);
    },
  });
  expect(phases).toContain("tool-busy");
  expect(done.after).toEqual({ cipState: "incomplete", ethernetIpState: "pull-completed" });
});

test("another tool disables the pull model meanwhile", async () => {
  plant.policy = { rules: [{ name: "by hand", callers: ["birth"], action: "hold" }] };
  await using device = await fromBox();
  await using tool = await connect(device.plain);
  const resets: Promise<unknown>[] = [];
  const watching = device.commission({
    progress: ({ phase }) => {
      if (phase === "pending") resets.push(tool.object(EtherNetIpSecurity, 1).call("reset", false));
    },
  });
  await expect(watching).rejects.toMatchObject({ code: "usage/state", message: expect.stringContaining("meanwhile") });
  // Its answer may come after the state has been seen.
  await Promise.all(resets);
});

test("enrolled, and yet not trusted here: with another authority, or without its address in the certificate", async () => {
  plant.policy = { rules: [{ name: "no names", callers: ["birth"], action: "issue" }] };
  await using device = await fromBox();
  await expect(device.commission()).rejects.toMatchObject({
    code: "trust/refused",
    facts: { refusal: "trust/name" },
    fix: expect.stringContaining("takeNames"),
  });
  const strange = { ...plant.security, anchors: [plant.vendor.root] };
  await expect(device.commission({ security: strange })).rejects.toMatchObject({
    code: "trust/refused",
    facts: { refusal: "trust/unknown-authority" },
    fix: expect.stringContaining("--ca"),
  });
  // Who erases it has to know by something that it is this device: its serial number will do.
  plant.policy = issueToAll;
  expect(await device.commission({ erase: true })).toMatchObject({ start: "erased" });
});

test("a certificate that names neither address nor serial number erases nothing", async () => {
  const takeSubject = { commonName: "anybody" };
  plant.policy = { rules: [{ name: "no names", callers: ["birth"], action: "issue", takeSubject }] };
  await using device = await fromBox();
  await expect(device.commission()).rejects.toMatchObject({ facts: { refusal: "trust/name" } });
  await expect(device.commission({ erase: true })).rejects.toMatchObject({
    code: "trust/refused",
    message: expect.stringContaining("neither"),
  });
});

describe("counterfeits: nothing is written to them, by pull or by push", () => {
  test.each<{ name: string; wish: Partial<PullDeviceWish>; stranger?: boolean; code: string; says: string }>([
    {
      name: "the certificate of another device",
      wish: { serialNumber: 0xbad, birth: { serialNumber: "00C0FFEE", commonName: "Under test 00C0FFEE" } },
      code: "trust/counterfeit",
      says: "'00C0FFEE' in its birth certificate, but '00000BAD' in its Identity Object",
    },
    {
      name: "another product of the same number",
      wish: { serialNumber: 0xbad, birth: { commonName: "Safety relay 00000BAD" } },
      code: "trust/counterfeit",
      says: "'Safety relay' in its birth certificate, but 'Under test'",
    },
    {
      name: "a certificate that could be any device's",
      wish: { birth: { serialNumber: null, commonName: "Under test" } },
      code: "trust/refused",
      says: "has no serial number",
    },
    { name: "a maker nobody named", wish: {}, stranger: true, code: "trust/refused", says: "no named vendor" },
    { name: "a certificate of its own", wish: { birth: null }, code: "trust/refused", says: "self-signed" },
  ])("$name", async ({ wish, stranger, code, says }) => {
    plant.policy = issueToAll;
    await using device = await fromBox({ ...wish, ...(stranger === true ? { maker: plant.ca } : {}) });
    const expected = { code, message: expect.stringContaining(says) };
    await expect(device.commission()).rejects.toMatchObject(expected);
    const { security, vendorAnchors = [] } = pullOptions(plant, device.clock);
    const issue = (csr: string) => plant.issue(csr);
    const push = { plan: certificatePlan, security, issue, vendorAnchors };
    await expect(commission(device.at, { ...push, requireVendor: true })).rejects.toMatchObject({
      ...expected,
      device: "untouched",
      step: "connect",
    });
    await using session = await connect(device.plain);
    expect(await session.object(CipSecurity, 1).get("state")).toBe(0);
    expect(await session.object(EtherNetIpSecurity, 1).get("state")).toBe(EtherNetIpSecurityState.factoryDefault);
  });

  test("serial numbers are compared as numbers; other names of the vendor's are its own business", async () => {
    plant.policy = issueToAll;
    await using device = await fromBox({ serialNumber: 0xab, birth: { serialNumber: "0xab", commonName: "D-7" } });
    expect(await device.commission()).toMatchObject({ vendorIdentity: { verified: true, serialNumber: "0xab" } });
  });

  test("a birth certificate that its maker has revoked", async () => {
    await using device = await fromBox();
    const [row] = (await plant.vendor.list()).slice(-1);
    await plant.vendor.revoke(row?.serial ?? "", "keyCompromise");
    const security = { ...plant.security, crls: [await plant.vendor.crl()] };
    await expect(device.commission({ security })).rejects.toMatchObject({
      code: "trust/refused",
      facts: { refusal: "trust/revoked" },
    });
  });

  test("what discovery says has to be the same device", async () => {
    await using device = await fromBox({ serialNumber: 0xab });
    const announced = await identify(device.at.host);
    if (announced === undefined) throw new RangeError("the device does not answer ListIdentity");
    await using session = await connect({ ...device.plain, scheme: "eips" }, { security: { acceptAny: true } });
    const asked = { anchors: [plant.vendor.root], announced };
    expect(await verifyVendorIdentity(session, asked)).toMatchObject({ verified: true, serialNumber: "000000AB" });
    const other = { ...announced, identity: { ...announced.identity, serialNumber: 0xac } };
    expect(await judgeVendorIdentity(session, { ...asked, announced: other })).toMatchObject({
      identity: { verified: false, vendor: null, reason: expect.stringContaining("'000000AC' in its discovery reply") },
      refusal: { code: "trust/counterfeit" },
    });
  });

  test("over a plain channel nothing is proven", async () => {
    await using device = await fromBox();
    const { security, vendorAnchors = [] } = pullOptions(plant, device.clock);
    const plainly = { security, vendorAnchors, requireVendor: true, allowPlain: true };
    await expect(commissionByPull(device.plain, plainly)).rejects.toMatchObject({
      code: "trust/refused",
      message: expect.stringContaining("without protection"),
    });
  });
});

test("what the objects say, as phases; each ends a wait that took too long with an error of its own", () => {
  const look = { cipState: 0, state: EtherNetIpSecurityState.factoryDefault as number, enabled: true, status: 0 };
  const phases = Object.values(PullModelStatus).map((status) => phaseOf({ ...look, status }));
  expect(phases).toEqual([
    "waiting",
    "searching",
    "no-server",
    "tls-failure",
    "refused",
    "pending",
    "bad-certificate",
    "waiting",
  ]);
  expect(phaseOf({ ...look, state: EtherNetIpSecurityState.pullInProgress })).toBe("enrolling");
  expect(phaseOf({ ...look, state: EtherNetIpSecurityState.inProgress })).toBe("tool-busy");
  // Another maker's status that is not public.
  expect(phaseOf({ ...look, status: 77 })).toBe("waiting");
  expect(isBetweenAttempts({ ...look, status: PullModelStatus.noServer })).toBe(true);
  expect(isBetweenAttempts({ ...look, status: PullModelStatus.pending })).toBe(false);
  const known: readonly PullPhase[] = Object.keys(pullWords).filter((name): name is PullPhase => name in pullWords);
  const codes = known.map((phase) => pullError("x", phase, 1000).code);
  expect(new Set(codes)).toEqual(
    new Set([
      "pull/timeout",
      "usage/state",
      "pull/no-server",
      "pull/tls",
      "pull/refused",
      "pull/pending",
      "pull/bad-certificate",
    ]),
  );
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await isSo()); waited += 10) {
    if (waited > 20_000) throw new RangeError("it did not happen within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
