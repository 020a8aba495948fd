import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { initCa, openCa, type CertificateAuthority } from "../src/ca.ts";
import { beginRollover, switchRollover } from "../src/ca-rollover.ts";
import { publishedCrls } from "../src/crl-publish.ts";
import { clockDoubts, forecast, type ForecastFacts } from "../src/forecast.ts";
import { rehearseRollover, renewsAt, type RehearsalPlan, type RehearsedDevice } from "../src/rehearsal.ts";
import { day, makeKeyPair, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
const start = new Date("2026-06-01T10:00:00Z");
let time = start;
const now = (): Date => time;
const after = (days: number): Date => new Date(start.getTime() + days * day);
const { publicKey } = await makeKeyPair();
const ca = await initCa(join(base, "ca"), { name: "Plant", now, rootDays: 1000 });
const oldAnchors = ca.anchors.map(({ facts }) => facts.sha256);
await beginRollover(ca.folder, "root", { now });
await ca.refresh();
const newAnchors = ca.anchors.map(({ facts }) => facts.sha256).filter((sha256) => !oldAnchors.includes(sha256));

const plan: RehearsalPlan = { kind: "root", switchAt: after(30), withdrawAt: after(300) };

function device(name: string, more: Partial<RehearsedDevice> = {}): RehearsedDevice {
  return {
    name,
    anchors: [...oldAnchors, ...newAnchors],
    certificate: { by: "old", notBefore: start, notAfter: after(730) },
    checksExpiration: true,
    renewsItself: false,
    ...more,
  };
}

const reissued = { certificate: { by: "new", notBefore: after(31), notAfter: after(1500) } } as const;

describe("a rehearsed change of root", () => {
  test.each([
    {
      name: "both know both, and have the new one: nothing is lost before the certificates end",
      devices: [
        device("a", { ...reissued, checksExpiration: false }),
        device("b", { ...reissued, checksExpiration: false }),
      ],
      losses: [],
    },
    {
      name: "not reissued: lost at the withdrawal by who has learned of the new one",
      devices: [device("a", reissued), device("b", { checksExpiration: false })],
      losses: [
        ["a", after(300), ["b"], /withdrawn/],
        ["b", undefined, undefined, undefined],
      ],
    },
    {
      name: "who knows only the old root is served by its link until it ends",
      devices: [
        device("a", { anchors: oldAnchors, ...reissued }),
        device("b", { ...reissued, checksExpiration: false }),
      ],
      losses: [["a", after(1000), ["b"], /old root, which ends/]],
    },
    {
      name: "who knows only the old issuing authority loses them with the switch",
      devices: [
        device("a", { anchors: ["issuing"], ...reissued }),
        device("b", { ...reissued, checksExpiration: false }),
      ],
      losses: [],
    },
    {
      name: "who fetches by itself is renewed in time, and learns of both",
      devices: [
        device("a", {
          anchors: oldAnchors,
          renewsItself: true,
          certificate: { by: "old", notBefore: start, notAfter: after(300) },
        }),
        device("b", { renewsItself: true, certificate: { by: "old", notBefore: start, notAfter: after(300) } }),
      ],
      losses: [],
    },
    {
      name: "who renews after the withdrawal is lost until then",
      devices: [device("a"), device("b", { renewsItself: true })],
      losses: [
        ["a", after(300), ["b"], /withdrawn/],
        ["b", after(300), ["a"], /withdrawn/],
      ],
    },
    {
      name: "a certificate that ends before all that",
      devices: [
        device("a"),
        device("b", { certificate: { by: "old", notBefore: start, notAfter: after(10) }, checksExpiration: false }),
      ],
      losses: [
        ["a", after(10), ["b"], /end/],
        ["b", after(300), ["a"], /withdrawn/],
      ],
    },
    {
      name: "who never trusted whom loses nothing",
      devices: [device("a", { anchors: [] }), device("b", { certificate: undefined })],
      losses: [["b", after(300), ["a"], /withdrawn/]],
    },
  ])("$name", ({ devices, losses }) => {
    const found = rehearseRollover(devices, ca.inService, plan);
    const wanted = losses.filter(([, when]) => when !== undefined);
    // The end of reissued certificates in years is not what these are about.
    const soon = found.filter(({ when }) => when < after(1400));
    expect(soon.map(({ device: name, when, loses }) => [name, when, loses])).toEqual(
      wanted.map(([a, b, c]) => [a, b, c]),
    );
    for (const [at, [, , , why]] of wanted.entries()) expect(soon[at]?.why).toMatch(why as RegExp);
  });

  test("before it is begun, and after the switch", async () => {
    const fresh = await initCa(join(base, "fresh"), { name: "Fresh", now });
    const anchors = fresh.anchors.map(({ facts }) => facts.sha256);
    const devices = ["a", "b"].map((name) => device(name, { anchors, checksExpiration: false }));
    // Nobody can have the new one yet: nobody is made to forget the old one.
    expect(rehearseRollover(devices, fresh.inService, plan)).toEqual([]);
    await beginRollover(fresh.folder, "issuing", { now });
    await switchRollover(fresh.folder, { now });
    await fresh.refresh();
    const losses = rehearseRollover(devices, fresh.inService, { ...plan, kind: "issuing" });
    expect(losses.map(({ device: name, when }) => [name, when])).toEqual([
      ["a", after(300)],
      ["b", after(300)],
    ]);
  });

  test("a thousand devices are said together", () => {
    const many = Array.from({ length: 300 }, (_, n) =>
      device(`d${n}`, n < 10 ? { checksExpiration: false } : { ...reissued, checksExpiration: false }),
    );
    const losses = rehearseRollover(many, ca.inService, plan);
    expect(losses).toHaveLength(300);
    expect(losses.every(({ loses }) => loses.length === 9 || loses.length === 10)).toBe(true);
  });
});

describe("a forecast", () => {
  const facts = async (more: Partial<ForecastFacts> = {}): Promise<ForecastFacts> => ({
    now: now(),
    withinDays: 30,
    entries: await plant.list(),
    inService: plant.inService,
    crls: (await publishedCrls(plant, { now })).lists,
    enrolled: new Set(),
    own: new Set(),
    ...more,
  });
  let plant: CertificateAuthority;
  beforeAll(async () => {
    plant = await initCa(join(base, "forecast"), { name: "Plant", now });
  });

  test("what renews by itself is not due, unless it is late; what was replaced is not shown", async () => {
    const issue = async (commonName: string, days: number): Promise<string> =>
      (await plant.issue({ publicKey, profile: "device", subject: { commonName }, days })).certificate.facts.serialHex;
    await issue("replaced", 5);
    await issue("replaced", 500);
    const [pushed, pulled, late, own] = [
      await issue("pushed", 20),
      await issue("pulled", 20),
      await issue("late", 100),
      await issue("own", 20),
    ];
    await plant.revoke(await issue("gone", 5));
    const rows = forecast(await facts({ enrolled: new Set([pulled]), own: new Set([own]) }));
    const bySubject = new Map(rows.map((row) => [row.subject, row]));
    expect(bySubject.get("CN=pushed")).toMatchObject({ serial: pushed, days: 20, renewal: "push", due: true });
    expect(bySubject.get("CN=pulled")).toMatchObject({ renewal: "itself", due: false, note: "renews on 2026-06-14" });
    expect(bySubject.get("CN=own")).toMatchObject({ renewal: "itself", due: false });
    expect(bySubject.get("CN=replaced")).toMatchObject({ days: 500, due: false });
    expect(bySubject.has("CN=gone")).toBe(false);
    expect(rows.map(({ until }) => until)).toEqual(rows.map(({ until }) => until).toSorted());
    expect(rows.find(({ what }) => what === "crl")).toMatchObject({ days: 7, due: true });
    time = after(80);
    const then = forecast(await facts({ enrolled: new Set([late, pulled]) }));
    expect(then.find(({ subject }) => subject === "CN=late")).toMatchObject({
      renewal: "push",
      due: true,
      note: expect.stringContaining("should have renewed on 2026-08-07"),
    });
    expect(then.find(({ subject }) => subject === "CN=pulled")).toMatchObject({ days: -60, due: true });
    time = start;
  });

  test("devices as they were found: where, foreign certificates, the age of their lists", async () => {
    const entries = await plant.list();
    const pushed = entries.find(({ subject }) => subject === "CN=pushed");
    const rows = forecast(
      await facts({
        devices: [
          {
            address: "192.0.2.7",
            certificate: { subject: "CN=pushed", sha256: pushed?.sha256 ?? "", notAfter: pushed?.notAfter ?? "" },
            renewsItself: true,
            crls: [
              { issuer: "CN=Plant", nextUpdate: after(2).toISOString() },
              { issuer: "CN=old", nextUpdate: null },
            ],
          },
          {
            address: "192.0.2.8",
            certificate: { subject: "CN=foreign", sha256: "00", notAfter: after(3).toISOString() },
            renewsItself: false,
            crls: [],
          },
        ],
      }),
    );
    expect(rows.filter(({ address }) => address === "192.0.2.7")).toMatchObject([
      { what: "crl", due: true, note: "cipsec ca crl --deliver 192.0.2.7" },
      { what: "device", renewal: "itself", due: false },
    ]);
    expect(rows.filter(({ address }) => address === "192.0.2.8")).toMatchObject([
      { note: "was not issued here", due: true },
    ]);
  });

  test("authorities: what ends, and that a short one cuts what it issues", async () => {
    const rows = forecast({ ...(await facts({ now: after(10 * 365 - 100) })), inService: ca.inService });
    expect(rows.filter(({ what }) => what === "link")).toHaveLength(1);
    expect(
      rows
        .filter(({ what }) => what === "root")
        .map(({ renewal }) => renewal)
        .toSorted(),
    ).toEqual(["itself", "rollover"]);
    expect(rows.find(({ note }) => note.includes("end with it"))).toBeDefined();
  });

  test("during a change: what is to take over, and what is being withdrawn", async () => {
    const folder = join(base, "forecast of a change");
    await initCa(folder, { name: "Plant", now });
    const rowsOf = async (): Promise<readonly string[]> => {
      const { inService } = await openCa(folder, { now });
      const rows = forecast({ ...(await facts()), entries: [], crls: [], inService });
      return rows.map(({ what, renewal, note }) => `${what}, ${renewal}: ${note}`).toSorted();
    };
    await beginRollover(folder, "issuing", { now });
    expect(await rowsOf()).toEqual([
      "issuing-ca, itself: is to take over",
      "issuing-ca, rollover: cipsec ca rollover --begin --issuing",
      "root, rollover: cipsec ca rollover --begin",
    ]);
    await switchRollover(folder, { now });
    expect(await rowsOf()).toContain("issuing-ca, itself: is being withdrawn");
  });

  test("a device that pulls its certificate from elsewhere renews it itself; a person asks for a tool's", async () => {
    await plant.issue({
      profile: "tool",
      subject: { commonName: "laptop" },
      publicKey,
    });
    const foreign = { subject: "CN=foreign", sha256: "00", notAfter: after(3).toISOString() };
    const devices = [{ address: "192.0.2.8", certificate: foreign, renewsItself: true, crls: [] }];
    const rows = forecast(await facts({ entries: await plant.list(), devices }));
    expect(rows.find(({ subject }) => subject === "CN=foreign")).toMatchObject({ renewal: "itself" });
    expect(rows.find(({ subject }) => subject === "CN=laptop")).toMatchObject({
      renewal: "person",
      note: "a new request: cipsec ca issue",
    });
  });

  test("a clock that is behind what was issued, or beyond the root, is doubted", async () => {
    expect(clockDoubts(await facts())).toEqual([]);
    expect(clockDoubts(await facts({ now: after(-1) }))).toEqual([
      expect.stringContaining("something was issued here at 2026-"),
    ]);
    expect(clockDoubts(await facts({ now: after(21 * 365) }))).toEqual([expect.stringContaining("the root ended")]);
  });

  test("two thirds of the lifetime", () => {
    expect(renewsAt({ notBefore: start, notAfter: after(300) })).toEqual(after(200));
  });
});
