import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { StateError } from "@cipsec/wire";
import { writeFileAtomic } from "@cipsec/pki";

/** No single piece of evidence is larger: a long capture fits, a runaway command does not. */
export const maxEvidenceOctets = 256 * 1024 * 1024;

/** Octets by their SHA-256, below one folder. What is there was written whole, also after a crash at any instant. */
export interface EvidenceStore {
  /** Stores octets, once however often they come; returns their hash in hex. */
  put(octets: Uint8Array): Promise<string>;
  /** @throws {StateError} `state/corrupt` when they are missing or not what their name says. */
  get(sha256: string): Promise<Uint8Array>;
  /** Every hash that the store has a file for. */
  list(): Promise<readonly string[]>;
  remove(sha256: string): Promise<void>;
}

/** SHA-256 in hex. */
export function sha256Of(octets: Uint8Array | string): string {
  return createHash("sha256").update(octets).digest("hex");
}

/** Where a hash's octets lie below a store's folder. */
export function storePath(sha256: string): string {
  return join(sha256.slice(0, 2), sha256);
}

/** The store below a folder, which is made when the first octets come. */
export function evidenceStore(folder: string): EvidenceStore {
  const pathOf = (sha256: string): string => join(folder, storePath(checkedHash(sha256)));
  return {
    async put(octets) {
      const sha256 = sha256Of(octets);
      if (octets.length > maxEvidenceOctets)
        throw new StateError("state/write", `evidence of ${octets.length} octets is more than ${maxEvidenceOctets}`);
      const path = pathOf(sha256);
      if ((await sizeOf(path)) === octets.length) return sha256;
      await mkdir(join(folder, sha256.slice(0, 2)), { recursive: true, mode: 0o700 });
      await writeFileAtomic(path, octets);
      return sha256;
    },
    async get(sha256) {
      const octets = await readFile(pathOf(sha256)).catch(() => undefined);
      if (octets === undefined) throw damaged(sha256, "is missing");
      if (sha256Of(octets) !== sha256) throw damaged(sha256, "was changed");
      return octets;
    },
    async list() {
      const groups = (await readdir(folder).catch(() => [])).filter((name) => /^[0-9a-f]{2}$/.test(name));
      const names = await Promise.all(groups.map(async (group) => await readdir(join(folder, group))));
      return names.flat().sort();
    },
    async remove(name) {
      // By its name as it lies there, which after a crash may be that of a file half made.
      await rm(join(folder, name.slice(0, 2), name.replaceAll("/", "")), { force: true });
    },
  };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

function checkedHash(sha256: string): string {
  if (/^[0-9a-f]{64}$/.test(sha256)) return sha256;
  throw new StateError("state/corrupt", `'${sha256.slice(0, 80)}' is not the hash of evidence`);
}

function damaged(sha256: string, how: string): StateError {
  return new StateError("state/corrupt", `the evidence ${sha256} ${how}`, { facts: { sha256 } });
}
