import type { KeyObject } from "node:crypto";
import { pkcs7ToPem, writePkcs7 } from "./pkcs7.ts";
import { toPem, type Certificate } from "./certificate.ts";
import {
  makeCaFolders,
  readIndex,
  readIssued,
  readTierCertificate,
  readTierKey,
  readUnlisted,
  rowOf,
  sweep,
  writeIndex,
  writeIssued,
  writeTier,
  type CaIndex,
  type IndexRow,
  type Profile,
  type Tier,
} from "./ca-store.ts";
import { createCrl, type Crl, type RevocationReason } from "./crl.ts";
import type { CertificateRequest } from "./csr.ts";
import { TrustError, UsageError } from "./errors.ts";
import { makeKeyPair, samePublicKey } from "./keys.ts";
import { withLock, type Pause } from "./lock.ts";
import { dayMs, makeCertificate, randomSerial, validity, type Usage } from "./make-certificate.ts";
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
  /** `anchors`: what peers are told to trust (root, then issuing); `chain`: what a leaf needs beside it (issuing). */
  readonly what: "anchors" | "chain";
  readonly as: "pem" | "pkcs7" | "pkcs7-pem";
}

/** A plant's certificate authority: root and issuing, ECDSA P-256, in a folder. Several processes may use it at once. */
export interface CertificateAuthority {
  readonly folder: string;
  readonly name: string;
  readonly root: Certificate;
  readonly issuing: Certificate;
  /** The index had to be taken from its previous generation; what that lacked was put back from the kept copies. */
  readonly recovered: boolean;
  /**
   * Issues a certificate. Its serial number is in the index on disk before this returns.
   *
   * @throws {UsageError} `usage/argument`; {@link TrustError} `trust/weak`, `trust/expired`; {@link StateError}
   */
  issue(request: IssueRequest): Promise<Issued>;
  /**
   * Revokes a certificate of this authority, also the issuing one; doing it twice changes nothing.
   *
   * @throws {UsageError} `usage/serial`
   */
  revoke(serialHex: string, reason?: RevocationReason): Promise<IndexRow>;
  /** Makes the issuing authority's revocation list; default for 7 days. */
  crl(days?: number): Promise<Crl>;
  /** Makes the root's revocation list, which covers the issuing authority; default for 90 days. */
  rootCrl(days?: number): Promise<Crl>;
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
  if (name.length === 0 || name.length > 48)
    throw new UsageError("usage/argument", "the name of the authority must have 1 to 48 characters");
  checkDays(rootDays);
  checkDays(issuingDays);
  await makeCaFolders(folder);
  await withLock(folder, pause, async () => {
    if ((await readIndex(folder)) !== undefined)
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
    });
    await writeTier(folder, "root", root, rootKeys.privateKey, passphrase);
    await writeTier(folder, "issuing", issuing, issuingKeys.privateKey, passphrase);
    // Last: without an index there is no authority.
    await writeIndex(folder, { name, crlNumber: 0, issued: [rowOf(issuing, "issuing-ca")] });
  });
  return await openCa(folder, options);
}

/**
 * Opens the authority in a folder.
 *
 * @throws {UsageError} `usage/ca-missing`, `usage/key` for a wrong passphrase; {@link StateError} `state/corrupt`
 */
export async function openCa(folder: string, { now, passphrase, pause }: CaOptions): Promise<CertificateAuthority> {
  const first = await readIndex(folder);
  if (first === undefined)
    throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority`, { facts: { folder } });
  const [root, issuing] = await Promise.all([
    readTierCertificate(folder, "root"),
    readTierCertificate(folder, "issuing"),
  ]);
  const issuingKey = await readTierKey(folder, "issuing", passphrase);
  if (!samePublicKey(issuingKey, issuing.publicKey)) {
    throw new TrustError("trust/key-mismatch", `the issuing key in '${folder}' does not belong to its certificate`, {
      facts: { folder },
    });
  }
  if (first.recovered) await withLock(folder, pause, async () => await restore(folder));
  let swept = false;

  const change = async <T>(work: (index: CaIndex) => Promise<T>): Promise<T> =>
    await withLock(folder, pause, async () => {
      if (!swept) await sweep(folder);
      swept = true;
      return await work(await loadIndex(folder));
    });

  const makeList = async (tier: Tier, days: number): Promise<Crl> => {
    checkDays(days);
    const issuerKey = tier === "issuing" ? issuingKey : await readTierKey(folder, "root", passphrase);
    return await change(async (index) => {
      const number = index.crlNumber + 1;
      const rows = index.issued.filter(({ profile }) => (profile === "issuing-ca") === (tier === "root"));
      const thisUpdate = validity(now(), 0).notAfter;
      const entries = rows.flatMap(({ serial, revoked }) =>
        revoked === undefined ? [] : [{ serialHex: serial, revokedAt: new Date(revoked.at), reason: revoked.reason }],
      );
      await writeIndex(folder, { ...index, crlNumber: number });
      return await createCrl({
        issuer: tier === "issuing" ? issuing : root,
        issuerKey,
        number,
        thisUpdate,
        nextUpdate: new Date(thisUpdate.getTime() + days * dayMs),
        entries,
      });
    });
  };

  return {
    folder,
    name: first.index.name,
    root,
    issuing,
    recovered: first.recovered,
    async issue(request) {
      const wish = settle(request, now(), issuing);
      return await change(async (index) => {
        const certificate = await makeCertificate({
          ...wish,
          serialHex: randomSerial(),
          issuer: issuing,
          issuerKey: issuingKey,
        });
        await writeIssued(folder, certificate);
        await writeIndex(folder, { ...index, issued: [...index.issued, rowOf(certificate, request.profile)] });
        const chain = [certificate, issuing];
        return { certificate, chain, pem: toPem(certificate), chainPem: toPem(chain) };
      });
    },
    async revoke(serialHex, reason = "unspecified") {
      return await change(async (index) => {
        const wanted = cleanSerial(serialHex);
        const row = index.issued.find(({ serial }) => serial === wanted);
        if (row === undefined) throw unknownSerial(serialHex);
        if (row.revoked !== undefined) return row;
        const revoked: IndexRow = { ...row, revoked: { at: validity(now(), 0).notAfter.toISOString(), reason } };
        const next = { ...index, issued: index.issued.map((other) => (other === row ? revoked : other)) };
        // Twice, so that both generations know it: a damaged file must not bring a revoked certificate back.
        await writeIndex(folder, next);
        await writeIndex(folder, next);
        return revoked;
      });
    },
    crl: async (days = 7) => await makeList("issuing", days),
    rootCrl: async (days = 90) => await makeList("root", days),
    async list() {
      const time = now().getTime();
      return (await loadIndex(folder)).issued.map((row) => ({
        ...row,
        status: row.revoked !== undefined ? "revoked" : Date.parse(row.notAfter) < time ? "expired" : "good",
      }));
    },
    async certificate(serialHex) {
      const wanted = cleanSerial(serialHex);
      if (wanted === issuing.facts.serialHex) return issuing;
      if (!(await loadIndex(folder)).issued.some(({ serial }) => serial === wanted)) throw unknownSerial(serialHex);
      return await readIssued(folder, wanted);
    },
    export({ what, as } = { what: "anchors", as: "pem" }) {
      const certificates = what === "anchors" ? [root, issuing] : [issuing];
      if (as === "pem") return toPem(certificates);
      const der = writePkcs7({ certificates: certificates.map((c) => c.der) });
      return as === "pkcs7" ? der : pkcs7ToPem(der);
    },
  };
}

/** Checks what is asked for and fills in the rest; the lock is not held yet. */
function settle(
  request: IssueRequest,
  now: Date,
  issuer: Certificate,
): Omit<Parameters<typeof makeCertificate>[0], "serialHex" | "issuer" | "issuerKey"> {
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

async function loadIndex(folder: string): Promise<CaIndex> {
  const stored = await readIndex(folder);
  if (stored === undefined)
    throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority any more`, {
      facts: { folder },
    });
  return stored.index;
}

/** Puts back what the lost generation of the index alone knew; the profile of such a certificate shows in its usage. */
async function restore(folder: string): Promise<void> {
  const index = await loadIndex(folder);
  const rows = (await readUnlisted(folder, index)).map((certificate) =>
    rowOf(certificate, certificate.facts.extendedKeyUsage?.length === 1 ? "tool" : "device"),
  );
  await writeIndex(folder, { ...index, issued: [...index.issued, ...rows] });
}

function checkDays(days: number): void {
  if (!Number.isInteger(days) || days < 1 || days > 36_500)
    throw new UsageError("usage/argument", `${days} days: give a whole number from 1 to 36500`, { facts: { days } });
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
