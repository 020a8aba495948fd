import fs from "node:fs/promises";
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { previousOf, readChecked, writeChecked } from "../src/atomic-file.ts";
import { initCa, openCa, type CertificateAuthority } from "../src/ca.ts";
import { applyRecord, firstTiers, liveIndex, parseRecord, type IndexRow } from "../src/ca-index.ts";
import { createLedger, openLedger } from "../src/ca-ledger.ts";
import { beginRollover, switchRollover, withdrawRollover } from "../src/ca-rollover.ts";
import { appendJournal, journalStart, readJournal } from "../src/journal.ts";
import { makeKeyPair, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
const now = (): Date => new Date("2026-06-01T10:00:00Z");
const { publicKey } = await makeKeyPair();
const device = { publicKey, profile: "device", subject: { commonName: "pump" } } as const;
const folder = join(base, "ca");
let first: string;

beforeAll(async () => {
  const ca = await initCa(folder, { name: "Plant", now });
  first = (await ca.issue(device)).certificate.facts.serialHex;
});

let copies = 0;
function copyOf(from: string): string {
  const copy = join(base, `copy ${(copies += 1)}`);
  cpSync(from, copy, { recursive: true });
  // A lock of the copied process counts as that of a dead one.
  for (const name of readdirSync(copy)) if (name.startsWith("lock.")) rmSync(join(copy, name));
  return copy;
}

const row = (serial: string): IndexRow => ({
  serial,
  profile: "device",
  subject: "CN=x",
  notBefore: "2026-06-01T10:00:00.000Z",
  notAfter: "2028-06-01T10:00:00.000Z",
  sha256: "00",
});

async function ledgerOf(path: string) {
  const ledger = await openLedger(path);
  if (ledger === undefined) throw new RangeError("there is no ledger");
  return ledger;
}

describe("the journal", () => {
  const path = join(base, "journal");

  test("lines follow each other, and are read from any place", async () => {
    expect(await readJournal(path)).toBeUndefined();
    const one = await appendJournal(path, journalStart, ["a", { b: 2 }]);
    const two = await appendJournal(path, one, ["ü"]);
    expect(await readJournal(path)).toEqual({ values: ["a", { b: 2 }, "ü"], end: two, damaged: false });
    expect(await readJournal(path, one)).toEqual({ values: ["ü"], end: two, damaged: false });
    expect(await readJournal(path, two)).toEqual({ values: [], end: two, damaged: false });
  });

  test("cut at any octet it holds the first lines, and goes on from there", async () => {
    const cut = join(base, "cut");
    const whole = readFileSync(path);
    for (let octets = 0; octets < whole.length; octets += 3) {
      writeFileSync(cut, whole);
      truncateSync(cut, octets);
      const lines = whole.subarray(0, octets).toString("latin1").split("\n").length - 1;
      const tail = await readJournal(cut);
      expect(tail).toMatchObject({ values: ["a", { b: 2 }, "ü"].slice(0, lines), damaged: false });
      await appendJournal(cut, tail?.end ?? journalStart, ["new"]);
      expect((await readJournal(cut))?.values).toEqual([...["a", { b: 2 }, "ü"].slice(0, lines), "new"]);
    }
  });

  test("one flipped bit anywhere is noticed, and takes no other line with it", async () => {
    const spoilt = join(base, "spoilt");
    const whole = readFileSync(path);
    for (let octet = 0; octet < whole.length; octet++) {
      const octets = Buffer.from(whole);
      octets[octet] = (octets[octet] ?? 0) ^ 0x01;
      writeFileSync(spoilt, octets);
      const tail = await readJournal(spoilt);
      // The end of the last line makes it an unfinished one.
      expect(tail?.damaged, `octet ${octet}`).toBe(octet !== whole.length - 1);
      expect(tail?.values.length).toBeGreaterThanOrEqual(1);
      for (const value of tail?.values ?? []) expect(["a", { b: 2 }, "ü"]).toContainEqual(value);
    }
  });

  test("a line that stands twice, or out of order, counts once and is noticed", async () => {
    const twice = join(base, "twice");
    const lines = readFileSync(path, "utf8").split(/(?<=\n)/);
    writeFileSync(twice, [lines[1], lines[0], lines[1], lines[2]].join(""));
    expect(await readJournal(twice)).toMatchObject({ values: [{ b: 2 }, "ü"], damaged: true });
  });

  test("what cannot be read or written says so", async () => {
    await expect(readJournal(base)).rejects.toMatchObject({ code: "state/corrupt" });
    await expect(appendJournal(base, journalStart, [1])).rejects.toMatchObject({ code: "state/write" });
  });
});

describe("records", () => {
  test("applied twice they do no more than once", () => {
    const index = liveIndex({ name: "x", crlNumber: 3, tiers: firstTiers, change: undefined, issued: [] });
    const change = { kind: "root", phase: "prepared", other: { root: 2, issuing: 2 }, at: "2026-06-01" } as const;
    const records = [
      { op: "issued", row: row("1") },
      { op: "revoked", serial: "1", at: "2026-06-02", reason: "keyCompromise" },
      { op: "crl", number: 2 },
      { op: "tiers", tiers: firstTiers, change },
      { op: "crl-base", base: null },
      { op: "crl-base", base: "http://pki.example" },
    ] as const;
    for (const record of [...records, ...records]) applyRecord(index, parseRecord(JSON.parse(JSON.stringify(record))));
    applyRecord(index, { op: "revoked", serial: "9", at: "", reason: "superseded" });
    expect([...index.rows.values()]).toEqual([{ ...row("1"), revoked: { at: "2026-06-02", reason: "keyCompromise" } }]);
    expect(index).toMatchObject({ crlNumber: 3, change, crlBase: "http://pki.example" });
  });

  test.each([
    { name: "nothing", value: null },
    { name: "an unknown change", value: { op: "forgotten" } },
    { name: "a change of nothing", value: { op: "tiers", tiers: { root: 1 }, change: null } },
    {
      name: "a phase that is none",
      value: { op: "tiers", tiers: firstTiers, change: { kind: "root", phase: "x", other: firstTiers, at: "" } },
    },
    { name: "a place that is no address", value: { op: "crl-base", base: "ldap://x" } },
    { name: "a place that is no text", value: { op: "crl-base", base: 7 } },
    { name: "a revocation without reason", value: { op: "revoked", serial: "1", at: "" } },
  ])("refuses: $name", ({ value }) =>
    expect(() => parseRecord(value)).toThrow(expect.objectContaining({ code: "usage/file" })),
  );
});

describe("the ledger", () => {
  test("several readers and a writer see the same, over snapshots", async () => {
    const path = join(base, "ledger");
    await fs.mkdir(path);
    await createLedger(path, { name: "x", crlNumber: 0, tiers: firstTiers, change: undefined, issued: [] });
    const [writer, reader] = [await ledgerOf(path), await ledgerOf(path)];
    for (let block = 0; block < 6; block++) {
      const records = Array.from({ length: 700 }, (_, n) => ({ op: "issued", row: row(`${block}-${n}`) }) as const);
      await writer.append(records);
      await reader.refresh();
      expect(reader.index.rows.size).toBe((block + 1) * 700);
    }
    const late = await ledgerOf(path);
    expect([...late.index.rows.keys()]).toEqual([...reader.index.rows.keys()]);
    // A snapshot after 1,400 lines and another after 2,800: the journals before the previous one are gone.
    expect(readdirSync(path).filter((name) => name.startsWith("journal"))).toEqual(["journal.2", "journal.3"]);
    // The snapshot before and its journal lead to the same.
    writeFileSync(join(path, "index"), "damaged");
    const recovered = await ledgerOf(path);
    expect(recovered.damaged).toBe(true);
    expect([...recovered.index.rows.keys()]).toEqual([...reader.index.rows.keys()]);
    await recovered.repair([{ op: "crl", number: 9 }]);
    await late.refresh();
    expect(late).toMatchObject({ damaged: false, index: { crlNumber: 9 } });
    await late.append([{ op: "issued", row: row("last") }]);
    writeFileSync(join(path, "index"), "damaged again");
    expect((await ledgerOf(path)).index.rows.size).toBe(6 * 700 + 1);
  });

  test("a folder of version 1 is taken over at the first change", async () => {
    const path = copyOf(folder);
    for (const name of readdirSync(path)) if (/^(index|journal)/.test(name)) rmSync(join(path, name));
    const old = {
      name: "Plant",
      crlNumber: 5,
      issued: [row("a1"), { ...row("b2"), revoked: { at: "2026", reason: "superseded" } }],
    };
    await writeChecked(join(path, "index"), { format: "ca-index", version: 1 }, old);
    const ca = await openCa(path, { now });
    expect((await ca.list()).map(({ serial, status }) => [serial, status])).toEqual([
      ["a1", "good"],
      ["b2", "revoked"],
    ]);
    expect(readFileSync(join(path, "index"), "utf8")).toContain("cipsec-state ca-index 1 ");
    expect((await ca.crl()).number).toBe("06");
    for (const name of ["index", previousOf("index")])
      expect(readFileSync(join(path, name), "utf8")).toContain("cipsec-state ca-index 2 ");
    expect((await (await openCa(path, { now })).list()).length).toBe(2);
  });

  test("a revocation outlives any one damaged line", async () => {
    const path = copyOf(folder);
    const ca = await openCa(path, { now });
    const journal = join(path, "journal.1");
    const before = readFileSync(journal).length;
    await ca.revoke(first);
    const late = (await ca.issue(device)).certificate.facts.serialHex;
    const whole = readFileSync(journal);
    for (let octet = before; octet < whole.length - 1; octet += 37) {
      const copy = copyOf(path);
      const octets = Buffer.from(whole);
      octets[octet] = (octets[octet] ?? 0) ^ 0x10;
      writeFileSync(join(copy, "journal.1"), octets);
      const rows = new Map((await (await openCa(copy, { now })).list()).map((one) => [one.serial, one.status]));
      expect([rows.get(first), rows.get(late)]).toEqual(["revoked", "good"]);
    }
  });
});

test("a look that was held up does not take back what was written meanwhile", async () => {
  const path = join(base, "held up");
  await fs.mkdir(path);
  await createLedger(path, { name: "x", crlNumber: 0, tiers: firstTiers, change: undefined, issued: [] });
  const ledger = await ledgerOf(path);
  await ledger.append([{ op: "issued", row: row("first") }]);
  for (const what of ["the journal", "everything"] as const) {
    const reader = what === "the journal" ? ledger : await ledgerOf(path);
    // One more snapshot by somebody else has all of it read again.
    if (what === "everything") {
      const other = await ledgerOf(path);
      await other.repair([]);
      await other.append([{ op: "crl", number: 1 }]);
    }
    const { arrived, letGo } = holdUp();
    const look = reader.refresh();
    await arrived;
    const serial = `during ${what}`;
    await reader.refresh();
    await reader.append([{ op: "issued", row: row(serial) }]);
    await reader.refresh();
    letGo();
    await look;
    await reader.append([{ op: "issued", row: row(`after ${what}`) }]);
    expect([...(await ledgerOf(path)).index.rows.keys()]).toContain(serial);
  }
});

/** Holds up the first file that is opened for reading from now on just before it is closed again. */
function holdUp(): { readonly arrived: Promise<void>; letGo(): void } {
  const { open } = fs;
  const [arrival, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  fs.open = async (...args: Parameters<typeof fs.open>) => {
    const file = await open(...args);
    if (args[1] !== "r") return file;
    fs.open = open;
    syncBuiltinESMExports();
    const close = file.close.bind(file);
    return Object.assign(file, {
      close: async () => {
        arrival.resolve();
        await release.promise;
        await close();
      },
    });
  };
  syncBuiltinESMExports();
  return { arrived: arrival.promise, letGo: release.resolve };
}

/** Stops this process's work on files for good at its n-th step, as kill -9 would, before or after the step is done. */
function freezeAt(step: number, when: "before" | "after"): { readonly frozen: Promise<void>; thaw(): Promise<void> } {
  const originals = { ...fs };
  const handles = new Set<fs.FileHandle>();
  let count = 0;
  let freeze = (): void => undefined;
  const frozen = new Promise<void>((resolve) => void (freeze = resolve));
  const never = new Promise<never>(() => undefined);
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    count += 1;
    if (count > step || (count === step && when === "before")) {
      freeze();
      return await never;
    }
    const done = await work();
    if (count !== step) return done;
    freeze();
    return await never;
  };
  Object.assign(fs, {
    rename: async (...args: Parameters<typeof fs.rename>) => await guard(() => originals.rename(...args)),
    link: async (...args: Parameters<typeof fs.link>) => await guard(() => originals.link(...args)),
    rm: async (...args: Parameters<typeof fs.rm>) => await guard(() => originals.rm(...args)),
    writeFile: async (...args: Parameters<typeof fs.writeFile>) => await guard(() => originals.writeFile(...args)),
    open: async (...args: Parameters<typeof fs.open>) => {
      const open = async (): Promise<fs.FileHandle> => {
        const opened = await originals.open(...args);
        handles.add(opened);
        return opened;
      };
      const file = await (args[1] === "r" ? open() : guard(open));
      const [writeFile, truncate, close] = [file.writeFile.bind(file), file.truncate.bind(file), file.close.bind(file)];
      return Object.assign(file, {
        close: async () => {
          handles.delete(file);
          await close();
        },
        writeFile: async (...octets: Parameters<typeof file.writeFile>) => await guard(() => writeFile(...octets)),
        truncate: async (...size: Parameters<typeof file.truncate>) => await guard(() => truncate(...size)),
      });
    },
  });
  syncBuiltinESMExports();
  return {
    frozen,
    thaw: async () => {
      Object.assign(fs, originals);
      syncBuiltinESMExports();
      for (const file of handles) await file.close();
    },
  };
}

describe("stopped at each step on files", () => {
  let thaw = async (): Promise<void> => undefined;
  afterEach(async () => await thaw());

  const actions = [
    { name: "issue", work: (ca: CertificateAuthority) => ca.issue(device) },
    { name: "revoke", work: (ca: CertificateAuthority) => ca.revoke(first) },
    { name: "revocation list", work: (ca: CertificateAuthority) => ca.crl() },
  ];

  test.each(actions.flatMap(({ name, work }) => (["before", "after"] as const).map((when) => ({ name, work, when }))))(
    "$name, $when: the old or the new, and the next one works",
    async ({ work, when }) => {
      const [steps, outcomes] = await everyStep(when, work, () => undefined);
      expect(steps).toBeGreaterThan(5);
      expect(outcomes).toEqual(new Set(["old", "new"]));
    },
  );

  const begin = async (path: string): Promise<void> => void (await beginRollover(path, "root", { now }));
  const switchOver = async (path: string): Promise<void> => {
    await begin(path);
    await switchRollover(path, { now });
  };

  test.each([
    { name: "begun", work: begin, prepare: () => undefined, next: begin },
    {
      name: "switched",
      work: async (path: string) => await switchRollover(path, { now }),
      prepare: begin,
      next: switchOver,
    },
    {
      name: "withdrawn",
      work: async (path: string) => await withdrawRollover(path, { now, force: true }),
      prepare: switchOver,
      next: async (path: string) => await withdrawRollover(path, { now, force: true }),
    },
  ])("a change of root, $name: the old or the new, and the step can be done again", async ({ work, prepare, next }) => {
    const [, outcomes, last] = await everyStep("after", async (ca) => await work(ca.folder), prepare, next);
    expect(outcomes).toEqual(new Set(["old", "new"]));
    // A key is there for each authority in service, and for no other.
    const keys = readdirSync(last).filter((name) => name.endsWith(".key.pem"));
    const { change } = (await ledgerOf(last)).index;
    expect(keys).toHaveLength(change === undefined ? 2 : 4);
  });

  test("a snapshot: nothing is lost at any step", async () => {
    // With a journal so full that this change writes a snapshot.
    const fill = async (path: string): Promise<void> => {
      const ledger = await ledgerOf(path);
      // All but the issuing authority's row is in the journal.
      const lines = 999 - (ledger.index.rows.size - 1);
      await ledger.append(Array.from({ length: lines }, (_, n) => ({ op: "issued", row: row(`f${n}`) })));
    };
    const [steps, outcomes] = await everyStep("after", (ca) => ca.issue(device), fill);
    expect(steps).toBeGreaterThan(12);
    expect(outcomes).toEqual(new Set(["old", "new"]));
  });

  async function everyStep(
    when: "before" | "after",
    work: (ca: CertificateAuthority) => Promise<unknown>,
    prepare: (path: string) => Promise<void> | void,
    next: (path: string) => Promise<unknown> = () => Promise.resolve(),
  ): Promise<readonly [steps: number, outcomes: ReadonlySet<string>, last: string]> {
    const start = copyOf(folder);
    await prepare(start);
    const old = await stateOf(start);
    const outcomes = new Set<string>();
    for (let step = 1; ; step++) {
      const path = copyOf(start);
      const ca = await openCa(path, { now });
      const freezer = freezeAt(step, when);
      ({ thaw } = freezer);
      const done = work(ca).then(() => "done");
      const end = await Promise.race([done, freezer.frozen]);
      await freezer.thaw();
      const copy = copyOf(path);
      const state = await stateOf(copy);
      // What was issued but not answered may be listed: nobody has it.
      expect(state.rows.slice(0, old.rows.length).map(([serial]) => serial)).toEqual(
        old.rows.map(([serial]) => serial),
      );
      expect(state.rows.length - old.rows.length).toBeLessThanOrEqual(1);
      outcomes.add(JSON.stringify(state) === JSON.stringify(old) ? "old" : "new");
      await next(copy);
      const again = await openCa(copy, { now });
      expect(again.recovered).toBe(false);
      const { certificate } = await again.issue(device);
      expect((await again.find(certificate.facts.serialHex))?.status).toBe("good");
      if (end === "done") return [step - 1, outcomes, copy];
    }
  }

  async function stateOf(path: string) {
    const { rows, crlNumber, tiers, change } = (await ledgerOf(path)).index;
    const all = [...rows.values()].map((one) => [one.serial, one.revoked !== undefined] as const);
    return { rows: all, crlNumber, tiers, change };
  }
});

test("a program of version 1 does not open what is newer than it", async () => {
  const asked = readChecked(join(folder, "index"), { format: "ca-index", version: 1, parse: (value) => value });
  await expect(asked).rejects.toMatchObject({
    message: expect.stringContaining("version 2 is newer than this program"),
  });
});
