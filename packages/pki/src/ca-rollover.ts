import {
  isSignedByTier,
  rowOf,
  type CaRecord,
  type IndexRow,
  type LiveIndex,
  type TierChange,
  type Tiers,
} from "./ca-index.ts";
import { openLedger, type Ledger } from "./ca-ledger.ts";
import { repairLedger } from "./ca-repair.ts";
import {
  hasTierKey,
  readTierCertificate,
  readTierKey,
  removeTierKey,
  writeIssued,
  writeLinks,
  writeTier,
} from "./ca-store.ts";
import { entryOf, type CaOptions, type IssuedEntry } from "./ca.ts";
import { certificateSubject, type Certificate } from "./certificate.ts";
import type { RevocationReason } from "./crl-entry.ts";
import { crlUrlOf } from "./crl-place.ts";
import { UsageError } from "./errors.ts";
import { makeKeyPair } from "./keys.ts";
import { withLock } from "./lock.ts";
import { checkDays, makeCertificate, randomSerial, validity } from "./make-certificate.ts";
import { linkRoots, type RootPair } from "./rollover.ts";

/** How long the new authorities live. */
export interface RolloverOptions extends CaOptions {
  /** Default 20 years. */
  readonly rootDays?: number;
  /** Default 10 years. */
  readonly issuingDays?: number;
}

/** Where a change of authority ends. */
export interface WithdrawOptions extends CaOptions {
  /** End it although certificates of the old authority are in use: who has one of them is refused from then on. */
  readonly force?: boolean;
  /** Others may have the old authority's key: no device is believed by it any more, also none that was away. */
  readonly compromised?: boolean;
}

/**
 * First step of a change of authority: makes a new root with an issuing authority below it, or a new issuing authority below the
 * same root, beside what is there. The old one goes on issuing; the new one and the links between both roots are published, so
 * that devices can learn of it. A crash on the way leaves no change, and this can be called again; called when it is done, it
 * does nothing.
 *
 * @throws {UsageError} `usage/argument` while another kind of change is under way, or where the root's key is elsewhere
 * @see RFC 4210 4.4; RFC 7030 4.1.3
 */
export async function beginRollover(
  folder: string,
  kind: TierChange["kind"],
  options: RolloverOptions,
): Promise<TierChange> {
  const { now, passphrase, rootDays = 20 * 365, issuingDays = 10 * 365 } = options;
  checkDays(rootDays);
  checkDays(issuingDays);
  return await changing(folder, options, async (ledger) => {
    const { tiers, change, name, crlBase } = ledger.index;
    if (change !== undefined) {
      if (change.kind === kind) return change;
      throw new UsageError("usage/argument", `a change of the ${words[change.kind]} is under way`, {
        fix: "End that one first: see 'cipsec ca rollover'.",
      });
    }
    if (!hasTierKey(folder, "root", tiers.root))
      throw new UsageError("usage/argument", "the root's key is not in this folder: its owner changes it", {
        fix: "Have the root's owner sign a new issuing authority ('cipsec ca init --offline' in another data folder), and commission the devices with it.",
      });
    const old: RootPair = {
      certificate: await readTierCertificate(folder, "root", tiers.root),
      key: await readTierKey(folder, "root", tiers.root, passphrase),
      ...crlUrlOf(crlBase, "root", tiers.root),
    };
    const next: Tiers = { root: kind === "root" ? tiers.root + 1 : tiers.root, issuing: tiers.issuing + 1 };
    const root =
      kind === "root"
        ? { ...(await makeRoot(old.certificate, now(), rootDays)), ...crlUrlOf(crlBase, "root", next.root) }
        : old;
    const issuing = await makeIssuing(name, next.issuing, root, now(), issuingDays);
    if (kind === "root") {
      await writeTier(folder, "root", next.root, root, passphrase);
      const { oldWithNew, newWithOld } = await linkRoots(old, root);
      await writeLinks(folder, next.root, [oldWithNew, newWithOld]);
    }
    await writeTier(folder, "issuing", next.issuing, issuing, passphrase);
    await writeIssued(folder, issuing.certificate);
    const begun: TierChange = { kind, phase: "prepared", other: next, at: now().toISOString() };
    // The row first: an authority that is in service is always listed.
    await ledger.append([
      { op: "issued", row: rowOf(issuing.certificate, "issuing-ca", next.root) },
      { op: "tiers", tiers, change: begun },
    ]);
    return begun;
  });
}

/**
 * Second step: the new authority issues from now on, in this and in every process that has the folder open. The old one stays
 * trusted. Done twice, it does nothing more.
 *
 * @throws {UsageError} `usage/argument` where no change is under way
 */
export async function switchRollover(folder: string, options: CaOptions): Promise<TierChange> {
  return await changing(folder, options, async (ledger) => {
    const { tiers, change } = ledger.index;
    if (change === undefined) throw noChange();
    if (change.phase === "switched") return change;
    const switched: TierChange = { ...change, phase: "switched", other: tiers, at: options.now().toISOString() };
    await ledger.append([{ op: "tiers", tiers: change.other, change: switched }]);
    return switched;
  });
}

/**
 * Last step: the old authority is not published, not trusted and not asked any more, and its keys are deleted. Below the same root
 * the old issuing authority is revoked. Done twice, it does nothing more.
 *
 * @returns The authority that was withdrawn, by number; nothing where no change was under way.
 * @throws {UsageError} `usage/argument` before the switch, and while certificates of the old authority are in use, unless forced
 */
export async function withdrawRollover(folder: string, options: WithdrawOptions): Promise<Tiers | undefined> {
  return await changing(folder, options, async (ledger) => {
    const { tiers, change } = ledger.index;
    if (change === undefined) {
      await sweepKeys(folder, tiers);
      return undefined;
    }
    if (change.phase === "prepared")
      throw new UsageError("usage/argument", "the new authority does not issue yet: there is nothing to withdraw", {
        fix: "Switch first ('cipsec ca rollover --switch'), or give the change up ('--abandon').",
      });
    const left = unreplaced(ledger.index, options.now());
    if (left.length > 0 && options.force !== true)
      throw new UsageError(
        "usage/argument",
        `${left.length} certificates of the old authority are in use: ${left
          .slice(0, 5)
          .map(({ subject }) => subject)
          .join("; ")}`,
        { fix: "Reissue them first; 'cipsec ca rollover' lists them.", facts: { left: left.length } },
      );
    const { other } = change;
    const reason = options.compromised === true ? "cACompromise" : "superseded";
    const retired = await retirement(folder, other, options.now(), reason);
    await ledger.append([...retired, { op: "tiers", tiers, change: null }]);
    await sweepKeys(folder, tiers);
    return other;
  });
}

/**
 * Gives a change up before the switch: the new authority's keys are deleted.
 *
 * @throws {UsageError} `usage/argument` after the switch
 */
export async function abandonRollover(folder: string, options: CaOptions): Promise<void> {
  await changing(folder, options, async (ledger) => {
    const { tiers, change } = ledger.index;
    if (change === undefined) return await sweepKeys(folder, tiers);
    if (change.phase === "switched")
      throw new UsageError("usage/argument", "the new authority issues already: the change can only go on", {
        fix: "Reissue, then withdraw the old authority.",
      });
    const { other } = change;
    await ledger.append([...(await retirement(folder, other, options.now())), { op: "tiers", tiers, change: null }]);
    await sweepKeys(folder, tiers);
  });
}

/**
 * Certificates that a withdrawal would make useless: of the old authority, good, and without a later one for the same subject of the
 * new authority.
 */
export async function leftToReissue(folder: string, options: CaOptions): Promise<readonly IssuedEntry[]> {
  const ledger = await openLedger(folder);
  return ledger === undefined ? [] : unreplaced(ledger.index, options.now());
}

function unreplaced({ change, rows, tiers }: LiveIndex, now: Date): readonly IssuedEntry[] {
  if (change === undefined) return [];
  const old = change.phase === "switched" ? change.other.issuing : tiers.issuing;
  const next = change.phase === "switched" ? tiers.issuing : change.other.issuing;
  const all = [...rows.values()].map((row) => entryOf(row, now)).filter(({ status }) => status === "good");
  const replaced = new Set(all.filter((row) => isSignedByTier(row, "issuing", next)).map(keyOf));
  return all.filter((row) => isSignedByTier(row, "issuing", old) && !replaced.has(keyOf(row)));
}

function keyOf({ profile, subject }: IndexRow): string {
  return `${profile} ${subject}`;
}

const words = { root: "root", issuing: "issuing authority" } as const;

async function changing<T>(folder: string, { pause }: CaOptions, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  return await withLock(folder, pause, async () => {
    const ledger = await openLedger(folder);
    if (ledger === undefined)
      throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority`, { facts: { folder } });
    await repairLedger(folder, ledger);
    return await work(ledger);
  });
}

/** The same name as the old one: only so does a link between both not count as an authority more in the chain. */
async function makeRoot(old: Certificate, now: Date, days: number): Promise<RootPair> {
  const { publicKey, privateKey } = await makeKeyPair();
  const certificate = await makeCertificate({
    serialHex: randomSerial(),
    subject: certificateSubject(old),
    san: {},
    publicKey,
    ...validity(now, days),
    usage: { pathLength: 1, server: false, client: false },
    issuerKey: privateKey,
  });
  return { certificate, key: privateKey };
}

/** A name of its own, so that revocation lists of both cannot be mistaken for each other. */
async function makeIssuing(name: string, number: number, root: RootPair, now: Date, days: number): Promise<RootPair> {
  const { publicKey, privateKey } = await makeKeyPair();
  const certificate = await makeCertificate({
    serialHex: randomSerial(),
    subject: { organization: name, commonName: `${name} Issuing CA ${number}` },
    san: {},
    publicKey,
    ...validity(now, days, root.certificate),
    usage: { pathLength: 0, server: false, client: false },
    issuer: root.certificate,
    issuerKey: root.key,
    ...(root.crlUrl === undefined ? {} : { crlUrl: root.crlUrl }),
  });
  return { certificate, key: privateKey };
}

/** Revokes the issuing authority of a pair: below a root that stays, the root's list then says so. Twice, as every revocation. */
async function retirement(
  folder: string,
  { issuing }: Tiers,
  now: Date,
  reason: RevocationReason = "superseded",
): Promise<readonly CaRecord[]> {
  const certificate = await readTierCertificate(folder, "issuing", issuing);
  // The first one is kept in its tier's file only, which has no reader any more.
  await writeIssued(folder, certificate);
  const serial = certificate.facts.serialHex;
  const at = validity(now, 0).notAfter.toISOString();
  const record: CaRecord = { op: "revoked", serial, at, reason };
  return [record, record];
}

/** Deletes the keys of all pairs but the one in service; also those that a crash left after the end of a change was noted. */
async function sweepKeys(folder: string, { root, issuing }: Tiers): Promise<void> {
  const others = (count: number): readonly number[] =>
    Array.from({ length: count + 1 }, (_, n) => n + 1).filter((n) => n !== count);
  for (const number of others(issuing)) await removeTierKey(folder, "issuing", number);
  for (const number of others(root)) await removeTierKey(folder, "root", number);
}

function noChange(): UsageError {
  return new UsageError("usage/argument", "no change of authority is under way", {
    fix: "Begin one with 'cipsec ca rollover --begin'.",
  });
}
