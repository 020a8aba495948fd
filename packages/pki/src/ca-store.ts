import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { KeyObject } from "node:crypto";
import { makePrivateFolder, readChecked, writeChecked, writeFileAtomic } from "./atomic-file.ts";
import { parseCertificate, toPem, type Certificate } from "./certificate.ts";
import { revocationReasons, type RevocationReason } from "./crl.ts";
import { StateError, systemCode, UsageError } from "./errors.ts";
import { readKeyFile, writeKeyFile } from "./keys.ts";

/** What a certificate was issued for. */
export type Profile = "device" | "tool" | "user" | "vendor-device";

/** One issued certificate in the index. Times are ISO 8601. */
export interface IndexRow {
  readonly serial: string;
  readonly profile: Profile | "issuing-ca";
  readonly subject: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly sha256: string;
  readonly revoked?: { readonly at: string; readonly reason: RevocationReason };
}

/** What an authority remembers: every certificate it signed, and the number of its last revocation list. */
export interface CaIndex {
  readonly name: string;
  readonly crlNumber: number;
  readonly issued: readonly IndexRow[];
}

/** The two authorities of a plant. */
export type Tier = "root" | "issuing";

const format = { format: "ca-index", version: 1 } as const;

/** Every certificate of the index has its own file, so that the index stays small. */
const issuedFolder = "issued";

/** Makes the folders of an authority, for their owner alone. */
export async function makeCaFolders(folder: string): Promise<void> {
  await makePrivateFolder(folder);
  await makePrivateFolder(join(folder, issuedFolder));
}

/** Removes what a crash left behind; only under the lock. */
export async function sweep(folder: string): Promise<void> {
  for (const place of [folder, join(folder, issuedFolder)]) {
    const left = (await readdir(place)).filter((name) => /\.(tmp|old|free)$/.test(name));
    await Promise.all(left.map(async (name) => await rm(join(place, name), { force: true })));
  }
}

/** Reads the index, or nothing when there is no authority in the folder. */
export async function readIndex(
  folder: string,
): Promise<{ readonly index: CaIndex; readonly recovered: boolean } | undefined> {
  const stored = await readChecked(join(folder, "index"), { ...format, parse: parseIndex });
  return stored === undefined ? undefined : { index: stored.value, recovered: stored.generation === "previous" };
}

/** Stores the index, durably. */
export async function writeIndex(folder: string, index: CaIndex): Promise<void> {
  await writeChecked(join(folder, "index"), format, index);
}

/** Stores the key, then the certificate of a tier. */
export async function writeTier(
  folder: string,
  tier: Tier,
  certificate: Certificate,
  key: KeyObject,
  passphrase?: string,
): Promise<void> {
  await writeKeyFile(join(folder, `${tier}.key.pem`), key, passphrase);
  await writeFileAtomic(join(folder, `${tier}.cert.pem`), toPem(certificate), { mode: 0o644 });
}

/** Reads the certificate of a tier. */
export async function readTierCertificate(folder: string, tier: Tier): Promise<Certificate> {
  return await readCertificate(join(folder, `${tier}.cert.pem`));
}

/** Reads the private key of a tier. */
export async function readTierKey(folder: string, tier: Tier, passphrase: string | undefined): Promise<KeyObject> {
  return await readKeyFile(join(folder, `${tier}.key.pem`), passphrase === undefined ? {} : { passphrase });
}

/** Keeps a copy of an issued certificate beside the index. */
export async function writeIssued(folder: string, certificate: Certificate): Promise<void> {
  await writeFileAtomic(join(folder, issuedFolder, `${certificate.facts.serialHex}.pem`), toPem(certificate));
}

/** Reads the copy of an issued certificate. */
export async function readIssued(folder: string, serialHex: string): Promise<Certificate> {
  return await readCertificate(join(folder, issuedFolder, `${serialHex}.pem`));
}

/** The certificates that are kept but not in the index: what a lost generation of it alone knew. */
export async function readUnlisted(folder: string, index: CaIndex): Promise<readonly Certificate[]> {
  const listed = new Set(index.issued.map(({ serial }) => `${serial}.pem`));
  const names = (await readdir(join(folder, issuedFolder))).filter(
    (name) => /^[0-9a-f]+\.pem$/.test(name) && !listed.has(name),
  );
  return await Promise.all(names.map(async (name) => await readCertificate(join(folder, issuedFolder, name))));
}

/** The row of a certificate. */
export function rowOf(certificate: Certificate, profile: IndexRow["profile"]): IndexRow {
  const { serialHex, subject, notBefore, notAfter, sha256 } = certificate.facts;
  return {
    serial: serialHex,
    profile,
    subject,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    sha256,
  };
}

async function readCertificate(path: string): Promise<Certificate> {
  let text;
  try {
    text = await readFile(path);
  } catch (error) {
    throw new StateError("state/corrupt", `'${path}' cannot be read (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
  try {
    return parseCertificate(text);
  } catch (error) {
    throw new StateError("state/corrupt", `'${path}' does not hold a certificate`, { facts: { path }, cause: error });
  }
}

const profiles: readonly string[] = [
  "device",
  "tool",
  "user",
  "vendor-device",
  "issuing-ca",
] satisfies readonly IndexRow["profile"][];

function parseIndex(value: unknown): CaIndex {
  const { name, crlNumber, issued } = fields(value);
  if (
    typeof name !== "string" ||
    typeof crlNumber !== "number" ||
    !Number.isSafeInteger(crlNumber) ||
    !Array.isArray(issued)
  )
    throw notAnIndex();
  return { name, crlNumber, issued: issued.map(parseRow) };
}

function parseRow(value: unknown): IndexRow {
  const { serial, profile, subject, notBefore, notAfter, sha256, revoked } = fields(value);
  if (
    !isText(serial) ||
    !isProfile(profile) ||
    !isText(subject) ||
    !isText(notBefore) ||
    !isText(notAfter) ||
    !isText(sha256)
  )
    throw notAnIndex();
  const row = { serial, profile, subject, notBefore, notAfter, sha256 };
  if (revoked === undefined) return row;
  const { at, reason } = fields(revoked);
  if (!isText(at) || !isReason(reason)) throw notAnIndex();
  return { ...row, revoked: { at, reason } };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw notAnIndex();
  return Object.fromEntries(Object.entries(value));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isProfile(value: unknown): value is IndexRow["profile"] {
  return isText(value) && profiles.includes(value);
}

function isReason(value: unknown): value is RevocationReason {
  return isText(value) && Object.hasOwn(revocationReasons, value);
}

function notAnIndex(): UsageError {
  return new UsageError("usage/file", "the index of the certificate authority has an unknown shape");
}
