import type { KeyObject } from "node:crypto";
import { pkcs7ToPem, writePkcs7 } from "./pkcs7.ts";
import { toPem, type Certificate } from "./certificate.ts";
import {
  addsTo,
  firstTiers,
  isSignedByTier,
  rowOf,
  type IndexRow,
  type LiveIndex,
  type Profile,
  type Tiers,
} from "./ca-index.ts";
import { createLedger, openLedger } from "./ca-ledger.ts";
import { repairLedger } from "./ca-repair.ts";
import {
  makeCaFolders,
  readIssued,
  readTierCertificate,
  readTierKey,
  hasTierKey,
  sweep,
  writeIssued,
  writeTier,
  type Tier,
} from "./ca-store.ts";
import { anchorsOf, bundleOf, chainAbove, openTiers, publishedOf, type AuthorityCertificates } from "./ca-tiers.ts";
import { createCrl, type Crl } from "./crl.ts";
import { checkCrlBase, crlUrlOf } from "./crl-place.ts";
import type { RevocationReason } from "./crl-entry.ts";
import type { CertificateRequest } from "./csr.ts";
import { TrustError, UsageError } from "./errors.ts";
import { makeKeyPair, samePublicKey } from "./keys.ts";
import { withLock, type Pause } from "./lock.ts";
import {
  checkDays,
  dayMs,
  makeCertificate,
  randomSerial,
  validity,
  type CertificateContent,
  type Usage,
} from "./make-certificate.ts";
import { printable, type AlternativeNamesInput, type Subject } from "./names.ts";
import { defaultStrength, keyFacts, keyWeakness } from "./strength.ts";

/** How an authority is opened. */
export interface CaOptions {
  /** The caller's clock. */
  readonly now: () => Date;
  /** Opens the private keys, where they are wrapped. */
  readonly passphrase?: string;
  /** How to wait while another process changes the folder; without it that is refused as `state/locked`. */
  readonly pause?: Pause;
}

/** How an authority is made. */
export interface CaInitOptions extends CaOptions {
  /** Stands in the subjects of both authorities, for example the plant's name; up to 48 characters. */
  readonly name: string;
  /** Default 20 years. */
  readonly rootDays?: number;
  /** Default 10 years. */
  readonly issuingDays?: number;
  /** As for {@link CertificateAuthority.setCrlBase}; default none. */
  readonly crlBase?: string;
}

/** What to issue: a request's own subject and names, or those given here instead. */
export interface IssueRequest {
  readonly profile: Profile;
  readonly csr?: CertificateRequest;
  readonly publicKey?: KeyObject;
  readonly subject?: Subject;
  readonly san?: AlternativeNamesInput;
  /** Default two years; cut to the days of the issuing authority. */
  readonly days?: number;
  /** `tool` only: also accepted as a TLS server, for tools that listen. */
  readonly server?: boolean;
  /** `tool` only: may ask for certificates of others, as a registration authority; never from a request alone. */
  readonly registrar?: boolean;
}

/** An issued certificate. */
export interface Issued {
  readonly certificate: Certificate;
  /** Leaf first, then the issuing authority; the root is what peers already have. */
  readonly chain: readonly Certificate[];
  readonly pem: string;
  readonly chainPem: string;
}

/** A row of the index with its state at the time of asking. */
export interface IssuedEntry extends IndexRow {
  readonly status: "good" | "revoked" | "expired";
}

/** What {@link CertificateAuthority.export} hands out. */
export interface ExportChoice {
  /**
   * `anchors`: what peers are told to trust (root, then issuing, during a change the others too); `chain`: what a leaf needs beside
   * it (issuing); `published`: all that an EST server hands out.
   */
  readonly what: "anchors" | "chain" | "published";
  readonly as: "pem" | "pkcs7" | "pkcs7-pem";
}

/** A plant's certificate authority: root and issuing, ECDSA P-256, in a folder. Several processes may use it at once. */
export interface CertificateAuthority {
  readonly folder: string;
  readonly name: string;
  /** The root above {@link CertificateAuthority.issuing}. */
  readonly root: Certificate;
  /** The authority that issues. A change of authority by another process shows after {@link CertificateAuthority.refresh} and every other call. */
  readonly issuing: Certificate;
  /** All that are in service: during a change of authority there are two of a kind. */
  readonly inService: AuthorityCertificates;
  /** What tools and devices of the plant have to trust now. */
  readonly anchors: readonly Certificate[];
  /** What a device keeps as the authority of its certificate: issuing authority first. */
  readonly bundle: readonly Certificate[];
  /** The address below which certificates say that revocation lists are found; nothing where they say nothing. */
  readonly crlBase: string | undefined;
  /** The index had to be taken from its previous generation; what that lacked was put back from the kept copies. */
  readonly recovered: boolean;
  /** Takes in what other processes have changed. */
  refresh(): Promise<void>;
  /**
   * Issues a certificate. Its serial number is in the index on disk before this returns.
   *
   * @throws {UsageError} `usage/argument`; {@link TrustError} `trust/weak`, `trust/expired`; {@link StateError}
   */
  issue(request: IssueRequest): Promise<Issued>;
  /**
   * Revokes a certificate of this authority, also the issuing one; doing it twice changes nothing, but that a key which others may have
   * is the graver reason.
   *
   * @throws {UsageError} `usage/serial`
   */
  revoke(serialHex: string, reason?: RevocationReason): Promise<IndexRow>;
  /** Makes the issuing authority's revocation list; default for 7 days. */
  crl(days?: number): Promise<Crl>;
  /**
   * Makes a root's revocation list, which covers the issuing authority; default for 90 days.
   *
   * @param number Of the root's key; default the root above {@link CertificateAuthority.issuing}.
   */
  rootCrl(days?: number, number?: number): Promise<Crl>;
  /**
   * Makes the lists that a device needs: one of each issuing authority in service, and the root's where that has revoked an
   * issuing authority. Default for 7 days, the root's for 90.
   */
  crls(days?: number): Promise<readonly Crl[]>;
  /**
   * Has certificates that are signed from now on name the place of their issuer's revocation list, below this address:
   * `BASE/crl/issuing-1.crl` and so on, as `crlDocuments` hands them out. Nothing ends that.
   *
   * @throws {UsageError} `usage/argument`
   * @see RFC 5280 4.2.1.13
   */
  setCrlBase(base: string | undefined): Promise<void>;
  /** What the authority knows of one certificate. */
  find(serialHex: string): Promise<IssuedEntry | undefined>;
  list(): Promise<readonly IssuedEntry[]>;
  /** The kept copy of an issued certificate. */
  certificate(serialHex: string): Promise<Certificate>;
  export(choice?: ExportChoice): string | Uint8Array;
}

const leafUsages: Readonly<Record<Profile, Usage>> = {
  device: { server: true, client: true },
  "vendor-device": { server: true, client: true },
  tool: { server: false, client: true },
  user: { server: false, client: true },
};

/**
 * Makes a new authority in a folder. A crash on the way leaves no authority, and this can be called again.
 *
 * @throws {UsageError} `usage/ca-exists`, `usage/argument`
 */
export async function initCa(folder: string, options: CaInitOptions): Promise<CertificateAuthority> {
  const { name, now, passphrase, pause, rootDays = 20 * 365, issuingDays = 10 * 365 } = options;
  const crlBase = options.crlBase === undefined ? undefined : checkCrlBase(options.crlBase);
  if (name.length === 0 || name.length > 48)
    throw new UsageError("usage/argument", "the name of the authority must have 1 to 48 characters");
  checkDays(rootDays);
  checkDays(issuingDays);
  await makeCaFolders(folder);
  await withLock(folder, pause, async () => {
    if ((await openLedger(folder)) !== undefined)
      throw new UsageError("usage/ca-exists", `'${folder}' holds an authority already`, { facts: { folder } });
    const [rootKeys, issuingKeys] = await Promise.all([makeKeyPair(), makeKeyPair()]);
    const root = await makeCertificate({
      serialHex: randomSerial(),
      subject: { organization: name, commonName: `${name} Root CA` },
      san: {},
      publicKey: rootKeys.publicKey,
      ...validity(now(), rootDays),
      usage: { pathLength: 1, server: false, client: false },
      issuerKey: rootKeys.privateKey,
    });
    const issuing = await makeCertificate({
      serialHex: randomSerial(),
      subject: { organization: name, commonName: `${name} Issuing CA` },
      san: {},
      publicKey: issuingKeys.publicKey,
      ...validity(now(), issuingDays, root),
      usage: { pathLength: 0, server: false, client: false },
      issuer: root,
      issuerKey: rootKeys.privateKey,
      ...crlUrlOf(crlBase, "root", firstTiers.root),
    });
    const made = { certificate: root, key: rootKeys.privateKey };
    await writeTier(folder, "root", firstTiers.root, made, passphrase);
    await writeTier(
      folder,
      "issuing",
      firstTiers.issuing,
      { certificate: issuing, key: issuingKeys.privateKey },
      passphrase,
    );
    // Last: without an index there is no authority.
    await createLedger(folder, {
      name,
      crlNumber: 0,
      tiers: firstTiers,
      change: undefined,
      issued: [rowOf(issuing, "issuing-ca")],
      ...(crlBase === undefined ? {} : { crlBase }),
    });
  });
  return await openCa(folder, options);
}

/**
 * Opens the authority in a folder.
 *
 * @throws {UsageError} `usage/ca-missing`, `usage/key` for a wrong passphrase; {@link StateError} `state/corrupt`
 */
export async function openCa(folder: string, { now, passphrase, pause }: CaOptions): Promise<CertificateAuthority> {
  const ledger = await openLedger(folder);
  if (ledger === undefined)
    throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority`, { facts: { folder } });
  const recovered = ledger.damaged;
  let open = await openTiers(folder, ledger.index, passphrase);
  let swept = false;

  /** Reads the authorities again where the index names others. */
  const follow = async (): Promise<void> => {
    const { tiers, change } = ledger.index;
    const isSame = JSON.stringify([tiers, change]) === JSON.stringify([open.tiers, open.change]);
    if (!isSame) open = await openTiers(folder, ledger.index, passphrase);
  };

  const look = async (): Promise<LiveIndex> => {
    await ledger.refresh();
    await follow();
    return ledger.index;
  };

  const change = async <T>(work: (index: LiveIndex) => Promise<T>): Promise<T> =>
    await withLock(folder, pause, async () => {
      await ledger.refresh();
      if (!swept) await sweep(folder);
      swept = true;
      await repairLedger(folder, ledger);
      await follow();
      return await work(ledger.index);
    });
  if (recovered) await change(() => Promise.resolve());

  const makeList = async (tier: Tier, numbers: Tiers, days: number): Promise<Crl> => {
    const number = ledger.index.crlNumber + 1;
    const thisUpdate = validity(now(), 0).notAfter;
    const entries = [...ledger.index.rows.values()].flatMap((row) =>
      row.revoked === undefined || !isSignedByTier(row, tier, numbers[tier])
        ? []
        : [{ serialHex: row.serial, revokedAt: new Date(row.revoked.at), reason: row.revoked.reason }],
    );
    const issuer = await readTierCertificate(folder, tier, numbers[tier]);
    const issuerKey = await readTierKey(folder, tier, numbers[tier], passphrase);
    await ledger.append([{ op: "crl", number }]);
    const nextUpdate = new Date(thisUpdate.getTime() + days * dayMs);
    return await createCrl({ issuer, issuerKey, number, thisUpdate, nextUpdate, entries });
  };

  return {
    folder,
    name: ledger.index.name,
    get root() {
      return open.root;
    },
    get issuing() {
      return open.issuing;
    },
    get inService() {
      return open;
    },
    get anchors() {
      return anchorsOf(open);
    },
    get bundle() {
      return bundleOf(open);
    },
    get crlBase() {
      return ledger.index.crlBase;
    },
    recovered,
    async refresh() {
      await look();
    },
    async issue(request) {
      return await change(async ({ crlBase }) => {
        const certificate = await makeCertificate({
          ...settle(request, now(), open.issuing),
          serialHex: randomSerial(),
          issuer: open.issuing,
          issuerKey: open.issuingKey,
          ...crlUrlOf(crlBase, "issuing", open.tiers.issuing),
        });
        await writeIssued(folder, certificate);
        await ledger.append([{ op: "issued", row: rowOf(certificate, request.profile, open.tiers.issuing) }]);
        const chain = [certificate, ...chainAbove(open)];
        return { certificate, chain, pem: toPem(certificate), chainPem: toPem(chain) };
      });
    },
    async revoke(serialHex, reason = "unspecified") {
      return await change(async (index) => {
        const serial = cleanSerial(serialHex);
        const row = index.rows.get(serial);
        if (row === undefined) throw unknownSerial(serialHex);
        if (!addsTo(row.revoked?.reason, reason)) return row;
        const record = { op: "revoked", serial, at: validity(now(), 0).notAfter.toISOString(), reason } as const;
        // Twice, as a damaged line must not bring a revoked certificate back.
        await ledger.append([record, record]);
        return index.rows.get(serial) ?? row;
      });
    },
    async crl(days = 7) {
      checkDays(days);
      return await change(async ({ tiers }) => await makeList("issuing", tiers, days));
    },
    async rootCrl(days = 90, number) {
      checkDays(days);
      return await change(async ({ tiers }) => await makeList("root", { ...tiers, root: number ?? tiers.root }, days));
    },
    async setCrlBase(base) {
      const record = { op: "crl-base", base: base === undefined ? null : checkCrlBase(base) } as const;
      // Twice, as a damaged line must not send anybody elsewhere.
      await change(async () => await ledger.append([record, record]));
    },
    async crls(days = 7) {
      checkDays(days);
      return await change(async ({ tiers, change: under, rows }) => {
        const lists = [await makeList("issuing", tiers, days)];
        if (under !== undefined) lists.push(await makeList("issuing", under.other, days));
        const isRevoked = [...rows.values()].some(
          (row) => row.revoked !== undefined && isSignedByTier(row, "root", tiers.root),
        );
        if (isRevoked && hasTierKey(folder, "root", tiers.root))
          lists.push(await makeList("root", tiers, Math.max(days, 90)));
        return lists;
      });
    },
    async find(serialHex) {
      const row = (await look()).rows.get(cleanSerial(serialHex));
      return row === undefined ? undefined : entryOf(row, now());
    },
    async list() {
      const time = now();
      return [...(await look()).rows.values()].map((row) => entryOf(row, time));
    },
    async certificate(serialHex) {
      const wanted = cleanSerial(serialHex);
      const row = (await look()).rows.get(wanted);
      if (row === undefined) throw unknownSerial(serialHex);
      const known = anchorsOf(open).find(({ facts }) => facts.serialHex === wanted);
      return known ?? (await readIssued(folder, wanted));
    },
    export({ what, as } = { what: "anchors", as: "pem" }) {
      const certificates = { anchors: anchorsOf, chain: chainAbove, published: publishedOf }[what](open);
      if (as === "pem") return toPem(certificates);
      const der = writePkcs7({ certificates: certificates.map((c) => c.der) });
      return as === "pkcs7" ? der : pkcs7ToPem(der);
    },
  };
}

/** A row with its state at a time. */
export function entryOf(row: IndexRow, time: Date): IssuedEntry {
  const isOver = Date.parse(row.notAfter) < time.getTime();
  return { ...row, status: row.revoked !== undefined ? "revoked" : isOver ? "expired" : "good" };
}

/** Checks what is asked for and fills in the rest; the lock is not held yet. */
function settle(
  request: IssueRequest,
  now: Date,
  issuer: Certificate,
): Omit<CertificateContent, "serialHex" | "issuer" | "issuerKey" | "crlUrl"> {
  const { profile, csr, days = 730, server = false, registrar = false } = request;
  const subject = request.subject ?? csr?.subject ?? {};
  const publicKey = request.publicKey ?? csr?.publicKey;
  if (publicKey === undefined) throw new UsageError("usage/argument", "a certificate needs a request or a public key");
  if (csr !== undefined && request.publicKey !== undefined && !samePublicKey(csr.publicKey, request.publicKey)) {
    throw new UsageError("usage/argument", "the request and the public key are of different keys: give one of them");
  }
  if ((server || registrar) && profile !== "tool")
    throw new UsageError("usage/argument", "only the profile 'tool' has a choice of being a server or a registrar");
  if (profile === "vendor-device" && (subject.serialNumber ?? "") === "") {
    throw new UsageError(
      "usage/argument",
      "a vendor's device certificate needs the device's serial number in its subject",
    );
  }
  const weakness = keyWeakness(keyFacts(publicKey), defaultStrength);
  if (weakness !== undefined) throw new TrustError("trust/weak", `no certificate for this request: ${weakness}`);
  checkDays(days);
  const period = validity(now, days, issuer);
  if (period.notAfter <= now)
    throw new TrustError("trust/expired", "the issuing authority has expired: nothing can be issued", {
      fix: "Make a new authority, and enrol the plant again.",
    });
  return {
    subject,
    san: request.san ?? csr?.san ?? {},
    publicKey,
    ...period,
    usage: { ...leafUsages[profile], ...(server ? { server } : {}), ...(registrar ? { registrar } : {}) },
  };
}

function cleanSerial(text: string): string {
  return text.replaceAll(":", "").toLowerCase();
}

function unknownSerial(serialHex: string): UsageError {
  return new UsageError(
    "usage/serial",
    `no certificate with serial number '${printable(serialHex, 48)}' was issued here`,
  );
}
