import { createHash, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import {
  makeKeyPair,
  makePrivateFolder,
  publicHalf,
  readKeyFile,
  withLock,
  writeFileAtomic,
  writeKeyFile,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { sha256Of } from "../evidence/store.ts";
import { isNumber, isText, listOf, shape } from "./guards.ts";

/** Every file of a run with its hash, as it stood when the run was finished. */
export interface Manifest {
  readonly format: "cipsec-assessment-manifest-1";
  readonly run: string;
  readonly createdAt: string;
  readonly files: readonly ManifestFile[];
}

export interface ManifestFile {
  /** Relative to the run's folder, with `/`. */
  readonly path: string;
  readonly octets: number;
  readonly sha256: string;
}

/** What is wrong with a run's folder; empty lists where nothing is. */
export interface Verification {
  readonly holds: boolean;
  readonly files: number;
  readonly changed: readonly string[];
  readonly missing: readonly string[];
  /** Files that were not there when the run was finished. */
  readonly added: readonly string[];
  /** `unknown`: sound, but by the key of another installation. */
  readonly signature: "good" | "bad" | "missing" | "unknown";
  /** SHA-256 of the public key that the run names as its signer. */
  readonly signer: string | null;
}

const manifestName = "manifest.json";
const signatureName = "manifest.sig";
const signerName = "signer.pem";

/** Files that cannot be in the manifest. A lock is nobody's evidence. */
const isOutside = (path: string): boolean =>
  path === manifestName || path === signatureName || /^lock\.\d+(\.free)?$/.test(path);

const isManifest = shape<Manifest>({
  format: (value) => value === "cipsec-assessment-manifest-1",
  run: isText,
  createdAt: isText,
  files: listOf(shape<ManifestFile>({ path: isText, octets: isNumber, sha256: isText })),
});

/** The key of this installation that runs are signed with; made, and kept with mode 0600, when it is first needed. */
export async function signingKey(folder: string): Promise<KeyObject> {
  await makePrivateFolder(folder);
  const path = join(folder, "signing-key.pem");
  // Only who makes it needs the lock, which another process may hold just now.
  if ((await stat(path).catch(() => undefined)) !== undefined) return await readKeyFile(path);
  return await withLock(folder, undefined, async () => {
    if ((await stat(path).catch(() => undefined)) === undefined)
      await writeKeyFile(path, (await makeKeyPair("ecdsa-p256")).privateKey);
    return await readKeyFile(path);
  });
}

/** SHA-256 of a key's public half, by which people compare signers. */
export function keyFingerprint(key: KeyObject): string {
  return createHash("sha256")
    .update(publicHalf(key).export({ type: "spki", format: "der" }))
    .digest("hex");
}

/** Writes the manifest of a finished run and signs it. */
export async function sealRun(folder: string, run: string, key: KeyObject, now: Date): Promise<void> {
  await writeFileAtomic(join(folder, signerName), publicHalf(key).export({ type: "spki", format: "pem" }));
  const files: ManifestFile[] = [];
  for (const path of await filesBelow(folder)) {
    if (isOutside(path)) continue;
    const octets = await readFile(join(folder, path));
    files.push({ path, octets: octets.length, sha256: sha256Of(octets) });
  }
  const manifest: Manifest = { format: "cipsec-assessment-manifest-1", run, createdAt: now.toISOString(), files };
  const text = `${JSON.stringify(manifest, undefined, 1)}\n`;
  const signature = sign("sha256", Buffer.from(text), key).toString("base64");
  await writeFileAtomic(join(folder, manifestName), text);
  await writeFileAtomic(join(folder, signatureName), `${signature}\n`);
}

/** Whether a run's folder has its manifest and signature: the last files that are written. */
export async function isSealed(folder: string): Promise<boolean> {
  const names: readonly string[] = await readdir(folder).catch(() => []);
  return names.includes(manifestName) && names.includes(signatureName);
}

/**
 * Compares a run's folder with its manifest, and the manifest with its signature. Any file that was changed, taken away or added
 * is named.
 *
 * @param trusted Fingerprints of the keys whose signature is believed.
 * @throws {UsageError} `usage/state` for a run that was never finished; `usage/file` for a manifest that is none.
 */
export async function verifyRun(folder: string, trusted: readonly string[]): Promise<Verification> {
  const text = await readFile(join(folder, manifestName), "utf8").catch(() => undefined);
  if (text === undefined)
    throw new UsageError("usage/state", `'${folder}' holds no finished run: it has no manifest`, {
      fix: "Finish the run with --resume, or name another one.",
    });
  const manifest = parseJson(text);
  if (!isManifest(manifest)) throw new UsageError("usage/file", `the manifest of '${folder}' is not one`);
  const expected = new Map(manifest.files.map((file) => [file.path, file]));
  const found = (await filesBelow(folder)).filter((path) => !isOutside(path));
  const changed: string[] = [];
  for (const path of found) {
    const file = expected.get(path);
    if (file !== undefined && sha256Of(await readFile(join(folder, path))) !== file.sha256) changed.push(path);
  }
  const missing = [...expected.keys()].filter((path) => !found.includes(path));
  const added = found.filter((path) => !expected.has(path));
  const { signature, signer } = await checkSignature(folder, text, trusted);
  const holds = changed.length + missing.length + added.length === 0 && signature === "good";
  return { holds, files: manifest.files.length, changed, missing, added, signature, signer };
}

async function checkSignature(
  folder: string,
  text: string,
  trusted: readonly string[],
): Promise<Pick<Verification, "signature" | "signer">> {
  const stored = await readFile(join(folder, signatureName), "latin1").catch(() => undefined);
  const pem = await readFile(join(folder, signerName), "latin1").catch(() => undefined);
  if (stored === undefined || pem === undefined) return { signature: "missing", signer: null };
  try {
    const key = createPublicKey(pem);
    const signer = keyFingerprint(key);
    if (!verify("sha256", Buffer.from(text), key, Buffer.from(stored, "base64"))) return { signature: "bad", signer };
    return { signature: trusted.includes(signer) ? "good" : "unknown", signer };
  } catch {
    // Not a key, or not one that signs: whatever it is, nobody has signed with it.
    return { signature: "bad", signer: null };
  }
}

/** Paths of all files below a folder, with `/`, sorted. */
async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/** Parsed JSON, or nothing where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
