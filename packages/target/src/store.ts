import { randomBytes, type KeyObject } from "node:crypto";
import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  makePrivateFolder,
  previousOf,
  readChecked,
  readKeyFile,
  writeChecked,
  writeKeyFile,
  type CheckedReader,
} from "@cipsec/pki";
import { StateError } from "@cipsec/wire";

/** Named parts of a device's saved state. Values are plain JSON; who reads one parses it as hostile input. */
export type Sections = Readonly<Record<string, unknown>>;

/**
 * What a device keeps over a power cycle: one document that is replaced whole, and private keys in files of their own.
 * A crash at any instant leaves the old document or the new one, and every key that it names.
 */
export interface Store {
  readonly folder: string;
  /** `previous` when the newest document was damaged and the one before it is in use; `none` on the very first start. */
  readonly generation: "current" | "previous" | "none";
  /** Counts writes, those before the last start included, and starts over after 65,535: it differs when anything saved does. */
  readonly changes: number;
  /** The section as last written, or `undefined` when there is none. */
  read(section: string): unknown;
  /**
   * Replaces these sections and keeps the others, in one step. Writes take turns.
   *
   * @throws {StateError} `state/write`; nothing has changed then.
   */
  write(sections: Sections): Promise<void>;
  /**
   * Puts a private key into a file of mode 0600 and returns the name that a document may now use.
   *
   * @throws {StateError} `state/write`
   */
  saveKey(key: KeyObject): Promise<string>;
  /** @throws {StateError} `state/corrupt` when there is no good key file of this name. */
  loadKey(name: string): Promise<KeyObject>;
  /** Deletes key files that neither generation of the document names: what a crash or a deletion left behind. */
  removeOrphanKeys(): Promise<void>;
  /** Makes the present document both generations, so that deleted secrets are gone from the older one too. */
  forgetPrevious(): Promise<void>;
}

const format: CheckedReader<Sections> = { format: "target-state", version: 1, parse: parseSections };

/** Section of the count of writes. */
const changesSection = "changes";

/** What a crash in the middle of a write leaves beside the document. */
const leftover = /^state\..*\.(tmp|old)$/;

const keyFile = /^([0-9a-f]{32})\.pem$/;

/**
 * Opens, and on first use makes, the state folder of one device.
 *
 * @throws {StateError} `state/corrupt` when no generation of the document is good; `state/write` when the folder cannot be made.
 */
export async function openStore(folder: string): Promise<Store> {
  const path = join(folder, "state");
  const keys = join(folder, "keys");
  await makePrivateFolder(folder);
  await makePrivateFolder(keys);
  const found = await readChecked(path, format);
  let sections: Sections = found?.value ?? {};
  let turn: Promise<unknown> = Promise.resolve();

  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work, work);
    turn = mine.catch(() => undefined);
    return mine;
  };

  let generation: Store["generation"] = found?.generation ?? "none";
  const changes = (): number => {
    const saved = sections[changesSection];
    return typeof saved === "number" && Number.isInteger(saved) ? saved & 0xffff : 0;
  };

  const store: Store = {
    folder,
    get generation() {
      return generation;
    },
    get changes() {
      return changes();
    },
    read: (section) => (Object.hasOwn(sections, section) ? sections[section] : undefined),
    write: async (changed) =>
      inTurn(async () => {
        const next = { ...sections, ...changed, [changesSection]: (changes() + 1) & 0xffff };
        await writeChecked(path, format, next);
        sections = next;
        generation = "current";
      }),
    saveKey: async (key) =>
      inTurn(async () => {
        const name = randomBytes(16).toString("hex");
        await writeKeyFile(join(keys, `${name}.pem`), key);
        return name;
      }),
    async loadKey(name) {
      if (!keyFile.test(`${name}.pem`)) throw missingKey(folder, name);
      try {
        return await readKeyFile(join(keys, `${name}.pem`));
      } catch (error) {
        throw missingKey(folder, name, error);
      }
    },
    removeOrphanKeys: async () =>
      inTurn(async () => {
        const named = JSON.stringify(sections) + (await readFile(previousOf(path), "utf8").catch(() => ""));
        for (const file of await readdir(keys)) {
          const name = keyFile.exec(file)?.[1];
          // Anything else in there is what a crash left of a write.
          if (name === undefined || !named.includes(name)) await remove(join(keys, file));
        }
      }),
    forgetPrevious: async () => {
      await store.write({});
      await store.removeOrphanKeys();
    },
  };
  for (const file of await readdir(folder)) if (leftover.test(file)) await remove(join(folder, file));
  await store.removeOrphanKeys();
  return store;
}

async function remove(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw new StateError("state/write", `'${path}' cannot be deleted`, { facts: { path }, cause: error });
  }
}

function parseSections(value: unknown): Sections {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new StateError("state/corrupt", "the saved state is not a set of sections");
  return { ...value };
}

function missingKey(folder: string, name: string, cause?: unknown): StateError {
  return new StateError("state/corrupt", `a private key that the saved state in '${folder}' names cannot be read`, {
    facts: { folder, key: name.slice(0, 32) },
    cause,
    fix: "Restore the 'keys' folder from a backup, or reset the device to factory default.",
  });
}
