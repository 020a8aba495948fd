import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cipsec, document, startDevice, temporaryFolder, type Ran } from "./support.ts";

/* Two devices and their plant over a change of root: each step by the command, each of them done twice. */

const net = "127.35.41";
const hosts = [`${net}.1`, `${net}.2`] as const;
const nobody = `${net}.9`;
const folder = temporaryFolder();
const data = join(folder.path, "data");
const devices = join(folder.path, "plant.txt");
let targets: readonly Target[];

const run = (...words: readonly string[]): Promise<Ran> => cipsec([...words, "--json"], { data });
const rollover = (...words: readonly string[]): Promise<Ran> => run("ca", "rollover", ...words, "--devices", devices);

beforeAll(async () => {
  writeFileSync(devices, `# the plant\n${hosts[0]}\n\n${hosts[1]} # the second\n${hosts[0]}\n`);
  targets = await Promise.all(hosts.map(async (host, n) => await startDevice(folder.path, `device${n}`, host)));
  for (const host of hosts) expect((await run("commission", host, "--insecure-accept-any")).code).toBe(0);
}, 60_000);

afterAll(async () => {
  await Promise.all(targets.map(async (target) => await target.stop()));
  folder.remove();
});

const outcomes = (ran: Ran): unknown => {
  const told = document(ran) as { devices: readonly { target: string; outcome?: string; ok: boolean }[] };
  return told.devices.map(({ target, ok, outcome }) => [target, ok, outcome?.split(" ")[0]]);
};

test("a list that a device cannot be given is told with it; the others have it, and once is enough", async () => {
  const first = await run("ca", "crl", "--deliver", ...hosts, nobody);
  expect(first.code).toBe(3);
  expect(outcomes(first)).toEqual([
    [hosts[0], true, "delivered"],
    [hosts[1], true, "delivered"],
    [nobody, false, undefined],
  ]);
  const again = await run("ca", "crl", "--deliver", ...hosts);
  expect([again.code, outcomes(again)]).toEqual([0, hosts.map((host) => [host, true, "already"])]);
  const people = await cipsec(["ca", "crl", "--deliver", hosts[0]], { data });
  expect(people.out).toMatch(/^device +result\n.*\n127\.35\.\d+\.1 +had it already\n$/);
});

test("a timer brings it until it is interrupted", async () => {
  const stop = new AbortController();
  const out = join(folder.path, "plant.crl");
  const running = cipsec(["ca", "crl", "--every", "1", "--out", out, "--devices", devices, "--json"], {
    data,
    signal: stop.signal,
    onProgress: (text) => {
      if (text.includes("next look")) stop.abort();
    },
  });
  const ran = await running;
  const [line = ""] = ran.out.split("\n");
  expect(JSON.parse(line)).toMatchObject({ lists: [{ revoked: 0 }], devices: [{ ok: true }, { ok: true }] });
  expect(ran.code).toBe(0);
});

test("a forecast names what a person has to do, and where", async () => {
  const near = await run("ca", "forecast", "--days", "3", ...hosts);
  expect(near.code).toBe(0);
  const told = document(near) as { rows: readonly { address: string | null; what: string }[]; clock: unknown };
  expect(told.rows.filter(({ address }) => address === hosts[0]).map(({ what }) => what)).toEqual(["crl", "device"]);
  expect(told.clock).toEqual([]);
  const far = await run("ca", "forecast", "--days", "800");
  expect([far.code, document(far)]).toMatchObject([1, { due: 3 }]);
  expect((await run("ca", "forecast", nobody, "--timeout", "500")).code).toBe(3);
});

test("rehearsed, begun, delivered, switched, reissued, withdrawn: each step twice, and the devices meet all the time", async () => {
  const before = await rollover("--rehearse");
  expect([before.code, document(before)]).toMatchObject([0, { kind: "root", holds: true }]);
  expect(document(await rollover())).toMatchObject({ phase: "none" });
  expect((await rollover("--deliver")).code).toBe(2);
  expect((await rollover("--begin", "--switch")).code).toBe(2);

  for (const _ of [1, 2])
    expect(document(await rollover("--begin"))).toMatchObject({ phase: "prepared", kind: "root" });
  expect(outcomes(await rollover("--deliver"))).toEqual(hosts.map((host) => [host, true, "delivered"]));
  expect(outcomes(await rollover("--deliver"))).toEqual(hosts.map((host) => [host, true, "already"]));
  // Known to both, but nothing is reissued: at the withdrawal they would lose each other.
  const rehearsed = await rollover("--rehearse", "--withdraw-in", "100");
  expect([rehearsed.code, document(rehearsed)]).toMatchObject([
    1,
    {
      holds: false,
      losses: hosts.map((host, n) => ({
        device: host,
        loses: [hosts[1 - n]],
        why: expect.stringContaining("withdrawn"),
      })),
    },
  ]);

  const missing = await run("ca", "rollover", "--switch", nobody, "--timeout", "500");
  expect([missing.code, document(missing)]).toMatchObject([1, { phase: "prepared" }]);
  for (const _ of [1, 2]) expect(document(await rollover("--switch"))).toMatchObject({ phase: "switched" });
  expect((await rollover("--abandon")).code).toBe(2);
  const early = await rollover("--withdraw");
  expect([early.code, document(early)]).toMatchObject([1, { phase: "switched", left: { length: 2 } }]);

  expect(outcomes(await rollover("--reissue"))).toEqual(hosts.map((host) => [host, true, "reissued"]));
  expect(outcomes(await rollover("--reissue"))).toEqual(hosts.map((host) => [host, true, "already"]));
  expect((await rollover("--rehearse")).code).toBe(0);
  const done = await rollover("--withdraw");
  expect([done.code, document(done)]).toMatchObject([0, { phase: "none", other: null, left: [] }]);
  expect(outcomes(done)).toEqual(hosts.map((host) => [host, true, "delivered"]));
  expect(outcomes(await rollover("--withdraw"))).toEqual(hosts.map((host) => [host, true, "already"]));
  const posture = document(await run("posture", hosts[0])) as {
    trustedAuthorities: readonly { subject: string }[];
    deviceCertificate: { issuer: string };
  };
  expect(
    posture.trustedAuthorities.map(({ subject }) => subject).every((subject) => /Root CA|Issuing CA 2$/.test(subject)),
  ).toBe(true);
  expect(posture.deviceCertificate.issuer).toMatch(/Issuing CA 2$/);
}, 60_000);
