import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { initCa, openCa, type CertificateAuthority } from "../src/ca.ts";
import { openLedger } from "../src/ca-ledger.ts";
import { repairLedger } from "../src/ca-repair.ts";
import { beginRollover, switchRollover } from "../src/ca-rollover.ts";
import { makeKeyPair, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
const now = (): Date => new Date("2026-06-01T10:00:00Z");
const { publicKey } = await makeKeyPair();

async function issue(ca: CertificateAuthority, profile: "device" | "tool", commonName: string) {
  return (await ca.issue({ publicKey, profile, subject: { commonName } })).certificate.facts.serialHex;
}

/** Every single line of the journal damaged in turn, in a copy. */
function* damaged(folder: string): Generator<string> {
  const name = readdirSync(folder).find((one) => one.startsWith("journal.")) ?? "";
  const lines = readFileSync(join(folder, name), "latin1").split("\n");
  for (let n = 1; n < lines.length - 1; n++) {
    const copy = join(base, `damaged ${n} of ${lines.length}`);
    cpSync(folder, copy, { recursive: true });
    for (const one of readdirSync(copy)) if (one.startsWith("lock.")) rmSync(join(copy, one));
    const changed = lines.map((line, at) =>
      at === n ? line.replace(/[0-9a-f]/, (c) => (c === "0" ? "1" : "0")) : line,
    );
    writeFileSync(join(copy, name), changed.join("\n"), "latin1");
    yield copy;
  }
}

test("a whole index is left alone", async () => {
  const folder = join(base, "whole");
  await initCa(folder, { name: "Plant", now });
  const ledger = await openLedger(folder);
  if (ledger === undefined) throw new RangeError("there is no ledger");
  const before = readdirSync(folder);
  await repairLedger(folder, ledger);
  expect(readdirSync(folder)).toEqual(before);
});

test.each(["issuing", "root"] as const)(
  "certificates that an unreadable line alone knew come back as what they are, also beside a change of %s",
  async (kind) => {
    const folder = join(base, kind);
    const ca = await initCa(folder, { name: "Plant", now });
    await beginRollover(folder, kind, { now });
    await ca.refresh();
    const device = await issue(ca, "device", "pump");
    await switchRollover(folder, { now });
    await ca.refresh();
    const tool = await issue(ca, "tool", "laptop");
    const expected = new Map((await ca.list()).map(({ serial, profile, status }) => [serial, { profile, status }]));
    expect(expected.get(device)?.profile).toBe("device");
    expect(expected.get(tool)?.profile).toBe("tool");
    let copies = 0;
    for (const copy of damaged(folder)) {
      copies += 1;
      const opened = await openCa(copy, { now });
      expect(opened.recovered).toBe(true);
      // The next change writes down what was put together.
      await issue(opened, "device", "mixer");
      const again = await openCa(copy, { now });
      expect(again.recovered).toBe(false);
      const found = new Map((await again.list()).map(({ serial, profile, status }) => [serial, { profile, status }]));
      for (const [serial, entry] of expected) expect(found.get(serial), `${copy}: ${serial}`).toEqual(entry);
    }
    expect(copies).toBeGreaterThan(3);
  },
);
