import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { KeyObject } from "node:crypto";
import { makePrivateFolder, writeFileAtomic } from "./atomic-file.ts";
import { parseCertificate, parseCertificates, toPem, type Certificate } from "./certificate.ts";
import { StateError, systemCode } from "./errors.ts";
import { readKeyFile, writeKeyFile } from "./keys.ts";

/** The two authorities of a plant. */
export type Tier = "root" | "issuing";

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

/** Stores the key, then the certificate of a tier. @param number Of the key pair. */
export async function writeTier(
  folder: string,
  tier: Tier,
  number: number,
  { certificate, key }: { readonly certificate: Certificate; readonly key: KeyObject },
  passphrase?: string,
): Promise<void> {
  await writeKeyFile(tierPath(folder, tier, number, "key"), key, passphrase);
  await writeTierCertificate(folder, tier, number, certificate);
}

/** Stores the certificate of a tier whose key is elsewhere, or here already. */
export async function writeTierCertificate(
  folder: string,
  tier: Tier,
  number: number,
  certificate: Certificate,
): Promise<void> {
  await writeFileAtomic(tierPath(folder, tier, number, "cert"), toPem(certificate), { mode: 0o644 });
}

/** Reads the certificate of a tier. */
export async function readTierCertificate(folder: string, tier: Tier, number: number): Promise<Certificate> {
  return await readCertificate(tierPath(folder, tier, number, "cert"));
}

/** Reads the private key of a tier. */
export async function readTierKey(
  folder: string,
  tier: Tier,
  number: number,
  passphrase: string | undefined,
): Promise<KeyObject> {
  return await readKeyFile(tierPath(folder, tier, number, "key"), passphrase === undefined ? {} : { passphrase });
}

/** Whether the private key of a tier is in this folder; the root's may be another organisation's. */
export function hasTierKey(folder: string, tier: Tier, number: number): boolean {
  return existsSync(tierPath(folder, tier, number, "key"));
}

/** Deletes a private key that nothing is signed with any more. */
export async function removeTierKey(folder: string, tier: Tier, number: number): Promise<void> {
  await rm(tierPath(folder, tier, number, "key"), { force: true });
}

/** Stores the certificates that link two roots. @param number Of the newer root. */
export async function writeLinks(folder: string, number: number, links: readonly Certificate[]): Promise<void> {
  await writeFileAtomic(join(folder, `links-${number}.pem`), toPem(links), { mode: 0o644 });
}

/** Reads the certificates that link two roots: the old root's key by the new root, then the new root's by the old. */
export async function readLinks(folder: string, number: number): Promise<readonly Certificate[]> {
  const path = join(folder, `links-${number}.pem`);
  try {
    return parseCertificates(await readFile(path));
  } catch (error) {
    throw new StateError("state/corrupt", `'${path}' cannot be read`, { facts: { path }, cause: error });
  }
}

/** The first pair's files have no number: they are older than the others. */
function tierPath(folder: string, tier: Tier, number: number, what: "key" | "cert"): string {
  return join(folder, `${tier}${number === 1 ? "" : `-${number}`}.${what}.pem`);
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
export async function readUnlisted(
  folder: string,
  listed: ReadonlyMap<string, unknown>,
): Promise<readonly Certificate[]> {
  const names = (await readdir(join(folder, issuedFolder))).filter(
    (name) => /^[0-9a-f]+\.pem$/.test(name) && !listed.has(name.slice(0, -4)),
  );
  return await Promise.all(names.map(async (name) => await readCertificate(join(folder, issuedFolder, name))));
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
