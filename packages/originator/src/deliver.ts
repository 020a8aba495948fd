import { randomBytes } from "node:crypto";
import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileObject } from "@cipsec/objects";
import { crlToPem, verifyChain, type Certificate, type Crl } from "@cipsec/pki";
import { objectPath, PeerError, UsageError, type Segment } from "@cipsec/wire";
import { certificateFile, chooseEncoding, crlFile, type PushedFile, type PushEncoding } from "./commission-files.ts";
import { setCrl } from "./commission-settings.ts";
import { configure } from "./configure.ts";
import { putFile } from "./file.ts";
import type { Session } from "./session.ts";
import { bestEffort, readCertificates, readCrls } from "./settings.ts";

/** What a device is to trust from now on. What it trusts beside that stays. */
export interface TrustDelivery {
  /** Authorities to trust as well. */
  readonly add?: readonly Certificate[];
  /** Says of an authority that it is to be trusted no more. */
  readonly drop?: (authority: Certificate) => boolean;
  /** Revocation lists, in place of those of the same authorities. */
  readonly crls?: readonly Crl[];
}

/** How it is brought there. */
export interface DeliverOptions {
  /** Our own chain: the device must still trust us afterwards. */
  readonly own?: readonly Certificate[];
  /** Begins the names of files; default `trust`. */
  readonly label?: string;
  readonly signal?: AbortSignal;
}

/** What a delivery did. */
export interface DeliveryResult {
  /** `already`: the device had all of it, and was not touched. */
  readonly outcome: "delivered" | "already";
  /** What it trusts now. */
  readonly authorities: readonly Certificate[];
  readonly crls: readonly Crl[];
}

/**
 * Changes what a configured device trusts: authorities by attribute 7 and revocation lists by attribute 8 of EtherNet/IP Security, as
 * files of its own, in one configuration session. Connections stay open; new handshakes go by the new trust. Done again, it does
 * only what is left: so a delivery to many devices that was interrupted is simply begun again.
 *
 * @throws {UsageError} `usage/state` where the device would no longer trust us, is not configured, or is being configured.
 * @throws {PeerError} `cip/status`; `cip/mismatch` when it has not taken what it said it took.
 * @see reference cip-security.md 2.4, 3.5
 */
export async function deliverTrust(
  session: Session,
  delivery: TrustDelivery,
  options: DeliverOptions = {},
): Promise<DeliveryResult> {
  const before = await readTrust(session);
  const plan = planDelivery(before, delivery);
  if (plan.authorities === undefined && plan.crls === undefined) return { outcome: "already", ...flat(before) };
  requireOwn(plan, before, options.own);
  const object = session.object(EtherNetIpSecurity, 1);
  await configure(
    session,
    async (signal) => {
      const flags = await session.class(CertificateManagement).get("encodings");
      const encoding = chooseEncoding(flags, undefined);
      const put = fileMaker(session, options.label ?? "trust", signal);
      const { authorities, crls } = plan;
      if (authorities !== undefined)
        await object.set("trustedAuthorities", [
          ...authorities.kept,
          ...(await put("ca", authorities.added, (all) => certificateFile(all, encoding))),
        ]);
      if (crls !== undefined)
        await setCrl(session, object, [
          ...crls.kept,
          ...(await put("crl", crls.added, (all) => listFile(all, encoding))),
        ]);
    },
    options.signal,
  );
  // Files that nothing leads to any more.
  await bestEffort(session.object(CipSecurity, 1).call("objectCleanup"));
  const after = flat(await readTrust(session));
  requireTaken(after, delivery);
  return { outcome: "delivered", ...after };
}

/** Entries of a list of paths that stay, and what goes into a file of its own. */
interface Rewrite<T> {
  readonly kept: readonly (readonly Segment[])[];
  readonly added: readonly T[];
}

/** What is to be written; nothing where all is as it should be. */
export interface DeliveryPlan {
  readonly authorities: Rewrite<Certificate> | undefined;
  readonly crls: Rewrite<Crl> | undefined;
}

/** What a path leads to. */
interface Held<T> {
  readonly path: readonly Segment[];
  readonly items: readonly T[];
}

/** What a device trusts, path by path. */
export interface HeldTrust {
  readonly authorities: readonly Held<Certificate>[];
  readonly crls: readonly Held<Crl>[];
}

/** Which paths stay and which files are made; pure. */
export function planDelivery(held: HeldTrust, { add = [], drop = keepAll, crls = [] }: TrustDelivery): DeliveryPlan {
  const isReplaced = (crl: Crl): boolean => crls.some((next) => sameIssuer(next, crl) && next.sha256 !== crl.sha256);
  const known = held.authorities.flatMap(({ items }) => items);
  const missing = add.filter(({ facts }) => !known.some((one) => one.facts.sha256 === facts.sha256));
  const lists = held.crls.flatMap(({ items }) => items);
  const newLists = crls.filter((next) => !lists.some((one) => one.sha256 === next.sha256));
  return {
    authorities: rewrite(held.authorities, drop, missing),
    crls: rewrite(held.crls, isReplaced, newLists),
  };
}

/** Paths without anything to remove stay; what is left of the others goes into the new file. */
function rewrite<T>(
  held: readonly Held<T>[],
  isGone: (item: T) => boolean,
  added: readonly T[],
): Rewrite<T> | undefined {
  const touched = held.filter(({ items }) => items.some(isGone));
  if (touched.length === 0 && added.length === 0) return undefined;
  return {
    kept: held.filter((one) => !touched.includes(one)).map(({ path }) => path),
    added: [...touched.flatMap(({ items }) => items.filter((item) => !isGone(item))), ...added],
  };
}

const keepAll = (): boolean => false;

function sameIssuer(a: Crl, b: Crl): boolean {
  if (a.issuerHex !== b.issuerHex) return false;
  return a.authorityKeyId === undefined || b.authorityKeyId === undefined || a.authorityKeyId === b.authorityKeyId;
}

async function readTrust(session: Session): Promise<HeldTrust> {
  const object = session.object(EtherNetIpSecurity, 1);
  const authorities: Held<Certificate>[] = [];
  for (const path of await object.get("trustedAuthorities"))
    authorities.push({ path, items: await readCertificates(session, path, "caCertificate") });
  const crls: Held<Crl>[] = [];
  for (const path of await object.get("certificateRevocationList"))
    crls.push({ path, items: await readCrls(session, path) });
  return { authorities, crls };
}

function flat({ authorities, crls }: HeldTrust): Omit<DeliveryResult, "outcome"> {
  return { authorities: authorities.flatMap(({ items }) => items), crls: crls.flatMap(({ items }) => items) };
}

/** Whoever locks himself out cannot put it right again. */
function requireOwn({ authorities }: DeliveryPlan, before: HeldTrust, own: readonly Certificate[] | undefined): void {
  const [leaf, ...chain] = own ?? [];
  if (authorities === undefined || leaf === undefined) return;
  const kept = before.authorities.filter(({ path }) => authorities.kept.includes(path)).flatMap(({ items }) => items);
  const verdict = verifyChain({
    leaf,
    chain,
    anchors: [...kept, ...authorities.added],
    time: undefined,
    purpose: "client",
  });
  if (verdict.ok) return;
  throw new UsageError("usage/state", `the device would no longer trust this tool: ${verdict.message}`, {
    fix: "Connect with a certificate of the authority that stays.",
  });
}

function requireTaken(
  after: Omit<DeliveryResult, "outcome">,
  { add = [], drop = keepAll, crls = [] }: TrustDelivery,
): void {
  const has = new Set(after.authorities.map(({ facts }) => facts.sha256));
  const lists = new Set(after.crls.map(({ sha256 }) => sha256));
  const isTaken =
    add.every(({ facts }) => has.has(facts.sha256)) &&
    !after.authorities.some(drop) &&
    crls.every(({ sha256 }) => lists.has(sha256));
  if (!isTaken)
    throw new PeerError("cip/mismatch", "the device does not hold what was brought to it", {
      fix: "Read it with 'cipsec posture', and try again.",
    });
}

function listFile(lists: readonly Crl[], encoding: PushEncoding): PushedFile {
  return crlFile(crlToPem(lists), encoding);
}

type PutFile = <T>(
  what: string,
  items: readonly T[],
  make: (items: readonly T[]) => PushedFile,
) => Promise<readonly (readonly Segment[])[]>;

/** Files of different deliveries must not have the same name. */
function fileMaker(session: Session, label: string, signal: AbortSignal): PutFile {
  const suffix = randomBytes(3).toString("hex");
  return async (what, items, make) => {
    if (items.length === 0) return [];
    const { encoding, octets } = make(items);
    const instance = await putFile(session, `${label}-${what}-${suffix}`, encoding, octets, { signal });
    return [objectPath(FileObject.classId, instance)];
  };
}
