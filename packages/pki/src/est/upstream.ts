import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { entryOf, type CaOptions, type CertificateAuthority, type IssuedEntry } from "../ca.ts";
import { cmpClient, isCmpUrl, type CmpClientOptions } from "../cmp.ts";
import { firstTiers, rowOf, type CaRecord } from "../ca-index.ts";
import { createLedger, openLedger } from "../ca-ledger.ts";
import { makeCaFolders, readIssued, writeIssued } from "../ca-store.ts";
import { readChecked, writeChecked, writeFileAtomic } from "../atomic-file.ts";
import { parseCertificates, toPem, type Certificate } from "../certificate.ts";
import { isCrlSignedBy, parseCrls, supersedes, type Crl } from "../crl.ts";
import type { RevocationReason } from "../crl-entry.ts";
import type { CertificateRequest } from "../csr.ts";
import { unjudgedParts } from "../csr-beyond.ts";
import { PeerError, UsageError } from "../errors.ts";
import { objectOf, textOf } from "../json-shape.ts";
import { readKeyFile, writeKeyFile } from "../keys.ts";
import { withLock } from "../lock.ts";
import { printable, type AlternativeNames, type Subject } from "../names.ts";
import { pkcs7ToPem, writePkcs7 } from "../pkcs7.ts";
import type { EstAuthority } from "./authority.ts";
import { estClient, type EstClient, type EstClientOptions } from "./client.ts";
import { sameNames, sameSubject } from "./policy.ts";
import type { TlsIdentity } from "./session.ts";
import { sortCaCerts } from "./trust.ts";

/** Where the authority above is, whom to trust there, and as whom to ask. */
export interface UpstreamSettings {
  /** Of the plant, for people. */
  readonly name: string;
  /** Of its EST server, or `cmp+http…` of its CMP server. */
  readonly url: string;
  /** What `cacerts` gave, or a person: roots and what is below them. */
  readonly authorities: readonly Certificate[];
  /** Known to the authority above as a registrar. */
  readonly registrar: TlsIdentity;
}

/** How an authority above is reached: the caller's clock and randomness. */
export type UpstreamOptions = CaOptions &
  Pick<EstClientOptions, "randomBytes"> &
  Partial<Pick<EstClientOptions, "timeoutMs" | "signal" | "dial">> &
  Pick<CmpClientOptions, "program">;

/** What a registration authority needs of the authority above, by whichever protocol. */
export interface UpstreamClient extends Pick<EstClient, "enroll"> {
  /** Missing where the protocol cannot: EST has no word for it. */
  revoke?(certificate: Certificate, reason: RevocationReason): Promise<void>;
}

/** The authority above, opened as if it were one of one's own. */
export interface UpstreamCa extends CertificateAuthority {
  /** Roots and what is below them. */
  readonly authorities: readonly Certificate[];
  /** What is issued can be revoked from here. */
  readonly canRevoke: boolean;
}

const format = { format: "ca-upstream", version: 1 } as const;

/**
 * Puts another authority behind an EST server of ours, which then is its registration authority. What the request says is what is
 * issued: rules can refuse, but change nothing, as the request is signed by the device.
 *
 * @see RFC 7030 1, 3.7
 */
export function upstreamAuthority(
  ca: Pick<UpstreamCa, "authorities" | "canRevoke" | "issue" | "list" | "revoke">,
): EstAuthority {
  return {
    caCertificates: () => Promise.resolve(ca.authorities),
    async issue({ request, profile, subject, san }) {
      try {
        const { chain } = await ca.issue({ profile, csr: request, subject, san });
        return { status: "issued", chain };
      } catch (error) {
        if (!(error instanceof PeerError) || error.code !== "est/pending") throw error;
        const { retryAfterMs } = error.facts;
        return { status: "pending", retryAfterS: Math.max(30, Math.ceil(Number(retryAfterMs ?? 0) / 1000)) };
      }
    },
    // What its own operator revoked is told by its revocation lists, which callers are judged by.
    async isRevoked(serialHex) {
      return (await ca.list()).some(({ serial, status }) => serial === serialHex && status === "revoked");
    },
    async supersede(serialHex) {
      if (ca.canRevoke) await ca.revoke(serialHex, "superseded");
    },
  };
}

/**
 * Keeps in a folder how the authority above is reached, in place of an authority of one's own.
 *
 * @throws {UsageError} `usage/ca-exists`
 */
export async function initUpstreamCa(
  folder: string,
  settings: UpstreamSettings,
  options: UpstreamOptions,
): Promise<UpstreamCa> {
  const { name, url, authorities, registrar } = settings;
  await makeCaFolders(folder);
  await withLock(folder, options.pause, async () => {
    if ((await openLedger(folder)) !== undefined)
      throw new UsageError("usage/ca-exists", `'${folder}' holds an authority already`, { facts: { folder } });
    await writeKeyFile(join(folder, "registrar.key.pem"), registrar.key, options.passphrase);
    await writeFileAtomic(join(folder, "registrar.cert.pem"), toPem(registrar.chain));
    await writeChecked(join(folder, "upstream"), format, { name, url, authorities: toPem(authorities) });
    // Last: without an index there is no authority.
    await createLedger(folder, { name, crlNumber: 0, tiers: firstTiers, change: undefined, issued: [] });
  });
  return await openUpstreamCa(folder, options);
}

/** Tells whether the authority of a folder is one above. */
export function hasUpstream(folder: string): boolean {
  return existsSync(join(folder, "upstream"));
}

async function readPlace(folder: string): Promise<Omit<UpstreamSettings, "registrar">> {
  const stored = await readChecked(join(folder, "upstream"), {
    ...format,
    parse(value) {
      const field = objectOf({ path: "upstream", value }, ["name", "url", "authorities"]);
      return {
        name: textOf(field("name")),
        url: textOf(field("url")),
        authorities: parseCertificates(textOf(field("authorities"), 128 * 1024)),
      };
    },
  });
  if (stored === undefined)
    throw new UsageError("usage/ca-missing", `'${folder}' names no authority above`, { facts: { folder } });
  return stored.value;
}

/** Reads how the authority above is reached. */
export async function readUpstream(folder: string, passphrase?: string): Promise<UpstreamSettings> {
  const place = await readPlace(folder);
  const key = await readKeyFile(join(folder, "registrar.key.pem"), passphrase === undefined ? {} : { passphrase });
  const chain = parseCertificates(await readFile(join(folder, "registrar.cert.pem")));
  return { ...place, registrar: { chain, key } };
}

/** A client for the authority above, as its registrar. */
export function upstreamClient(
  { url, authorities, registrar }: UpstreamSettings,
  options: UpstreamOptions,
): UpstreamClient {
  const { timeoutMs, signal, dial, now, randomBytes, program } = options;
  if (isCmpUrl(url)) {
    const cmp = cmpClient({
      url,
      authorities,
      identity: { certificate: registrar },
      now,
      randomBytes,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
      ...(program === undefined ? {} : { program }),
    });
    return { ...cmp, enroll: async (build) => await cmp.request(await build({ challengePassword: undefined })) };
  }
  return estClient({
    url,
    trust: { explicit: authorities },
    identity: { certificate: registrar },
    now,
    randomBytes,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(signal === undefined ? {} : { signal }),
    ...(dial === undefined ? {} : { dial }),
  });
}

/**
 * Opens the authority above as if it were one of one's own: what is issued for requests is kept in the same index. It needs a
 * request. By CMP it can be asked to revoke; by EST only its own operator can.
 *
 * @throws {UsageError} `usage/ca-missing`
 */
export async function openUpstreamCa(folder: string, options: UpstreamOptions): Promise<UpstreamCa> {
  const { passphrase, pause, now } = options;
  const settings = await readUpstream(folder, passphrase);
  const { name, url, authorities } = settings;
  const client = upstreamClient(settings, options);
  const { anchors, intermediates } = sortCaCerts(authorities);
  const root = anchors[0];
  if (root === undefined) throw new UsageError("usage/ca-missing", `'${folder}' has no authority to trust`);
  const issuing = intermediates[0] ?? root;
  const elsewhere = (what: string): UsageError =>
    new UsageError("usage/argument", `${what} is the task of the authority above, ${url}`, {
      fix: "Ask its operator; a revocation list from there is taken in with 'cipsec ca crl --import FILE'.",
    });
  const ledger = await openLedger(folder);
  if (ledger === undefined)
    throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority`, { facts: { folder } });
  const recovered = ledger.damaged;
  const keep = async (record: () => Promise<CaRecord>): Promise<void> =>
    await withLock(folder, pause, async () => {
      await ledger.refresh();
      if (ledger.damaged) await ledger.repair([]);
      await ledger.append([await record()]);
    });
  const entries = async (): Promise<readonly IssuedEntry[]> => {
    await ledger.refresh();
    return [...ledger.index.rows.values()].map((row) => entryOf(row, now()));
  };
  return {
    folder,
    name,
    root,
    issuing,
    authorities,
    canRevoke: client.revoke !== undefined,
    crlBase: undefined,
    recovered,
    inService: {
      tiers: firstTiers,
      root,
      issuing,
      change: undefined,
      other: undefined,
      oldWithNew: undefined,
      newWithOld: undefined,
    },
    anchors: authorities,
    bundle: [...intermediates, ...anchors],
    refresh: () => Promise.resolve(),
    async issue({ csr, subject, san, profile }) {
      if (csr === undefined)
        throw new UsageError("usage/argument", `the authority above, ${url}, needs a certificate request`);
      requireJudged(csr);
      requireUnchanged(csr, { subject: subject ?? csr.subject, san: { ...csr.san, ...san } });
      const answer = await client.enroll(() => Promise.resolve(csr));
      if (answer.status === "pending")
        throw new PeerError("est/pending", `the request waits for a person at ${url}`, {
          facts: { retryAfterMs: answer.retryAfterMs },
        });
      const { certificate, chain } = answer;
      await keep(async () => {
        await writeIssued(folder, certificate);
        return { op: "issued", row: rowOf(certificate, profile) };
      });
      return { certificate, chain, pem: toPem(certificate), chainPem: toPem(chain) };
    },
    async revoke(serialHex, reason = "unspecified") {
      if (client.revoke === undefined) throw elsewhere("revoking");
      const serial = serialHex.replaceAll(":", "").toLowerCase();
      const row = (await entries()).find((one) => one.serial === serial);
      if (row === undefined)
        throw new UsageError(
          "usage/serial",
          `no certificate with serial number '${printable(serialHex, 48)}' came here`,
        );
      if (row.revoked !== undefined) return row;
      await client.revoke(await readIssued(folder, serial), reason);
      const at = now().toISOString();
      await keep(() => Promise.resolve({ op: "revoked", serial, at, reason }));
      return { ...row, revoked: { at, reason } };
    },
    crl: async () => (await readUpstreamCrl(folder)) ?? Promise.reject(elsewhere("making a revocation list")),
    rootCrl: () => Promise.reject(elsewhere("making a revocation list")),
    setCrlBase: () => Promise.reject(elsewhere("saying where revocation lists stand")),
    crls: async () => {
      const crl = await readUpstreamCrl(folder);
      return crl === undefined ? await Promise.reject(elsewhere("making a revocation list")) : [crl];
    },
    find: async (serialHex) => (await entries()).find(({ serial }) => serial === serialHex.toLowerCase()),
    list: entries,
    certificate: async (serialHex) => await readIssued(folder, serialHex.replaceAll(":", "").toLowerCase()),
    export({ what, as } = { what: "anchors", as: "pem" }) {
      const certificates = what === "chain" ? intermediates : authorities;
      if (as === "pem") return toPem(certificates);
      const der = writePkcs7({ certificates: certificates.map((one) => one.der) });
      return as === "pkcs7" ? der : pkcs7ToPem(der);
    },
  };
}

/**
 * Takes in a revocation list of the authority above.
 *
 * @throws {UsageError} `usage/crl` for one that none of its certificates signed, or that is older than the one that is there
 */
export async function importUpstreamCrl(folder: string, pem: Uint8Array | string): Promise<Crl> {
  const [crl, ...more] = parseCrls(pem);
  if (crl === undefined || more.length > 0)
    throw new UsageError("usage/crl", "the file does not hold one revocation list");
  const { authorities } = await readPlace(folder);
  if (!authorities.some((authority) => isCrlSignedBy(crl, authority)))
    throw new UsageError(
      "usage/crl",
      `no authority above that is known here signed the list in the name of '${crl.issuer}'`,
      {
        fix: "Take the list from where the certificates say, and name all authorities above when the data folder is made (--ca).",
      },
    );
  const before = await readUpstreamCrl(folder);
  if (before?.issuerHex === crl.issuerHex && supersedes(before, crl))
    throw new UsageError(
      "usage/crl",
      `the list is older than the one of ${before.thisUpdate.toISOString()} that is there`,
    );
  await writeFileAtomic(join(folder, "upstream.crl"), crl.der, { mode: 0o644 });
  return crl;
}

async function readUpstreamCrl(folder: string): Promise<Crl | undefined> {
  const der = await readFile(join(folder, "upstream.crl")).catch(() => undefined);
  return der === undefined ? undefined : parseCrls(der)[0];
}

/** What nobody looked at here would be vouched for all the same: the authority above believes its registrar. */
function requireJudged(request: CertificateRequest): void {
  const [part] = unjudgedParts(request);
  if (part === undefined) return;
  throw new UsageError(
    "usage/argument",
    `the request asks for ${part}, which nobody here decides on: it is not passed on`,
    {
      facts: { part },
      fix: "Ask with a subject of usual parts, each once, and no other names and uses than a device has.",
    },
  );
}

function requireUnchanged(
  request: CertificateRequest,
  { subject, san }: { readonly subject: Subject; readonly san: AlternativeNames },
): void {
  if (sameSubject(request.subject, subject) && sameNames(request.san, san)) return;
  throw new UsageError(
    "usage/argument",
    "the authority above issues what the request says, and the rules say otherwise",
    {
      fix: "Let the rules take subject and names from the request, and have the device ask for what it is to get.",
    },
  );
}
