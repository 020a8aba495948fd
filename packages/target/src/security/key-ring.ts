import type { KeyObject } from "node:crypto";
import type { Store } from "../store.ts";
import type { Configuration } from "./configuration.ts";

/**
 * Private keys of Certificate Management instances by the name that entries use. A new key is in memory only, under a name
 * that no key file can have, until the configuration that uses it is saved.
 */
export class KeyRing {
  readonly #keys = new Map<string, KeyObject>();
  readonly #store: Store;
  #made = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Reads the keys that a saved configuration names. @throws {StateError} `state/corrupt` when one is missing. */
  async load(configuration: Configuration): Promise<void> {
    for (const name of namesIn(configuration)) this.#keys.set(name, await this.#store.loadKey(name));
  }

  /** Takes a new key and gives it a name for the pending configuration. */
  add(key: KeyObject): string {
    this.#made += 1;
    const name = `pending-${this.#made}`;
    this.#keys.set(name, key);
    return name;
  }

  /** The key of this name. */
  get(name: string): KeyObject | undefined {
    return this.#keys.get(name);
  }

  /**
   * Writes the keys that are in memory only, and returns the configuration with the names of their files.
   *
   * @throws {StateError} `state/write`
   */
  async store(configuration: Configuration): Promise<Configuration> {
    const renamed = new Map<string, string>();
    for (const name of namesIn(configuration)) {
      const key = this.#keys.get(name);
      if (key === undefined || !name.startsWith("pending-")) continue;
      const stored = await this.#store.saveKey(key);
      renamed.set(name, stored);
      this.#keys.set(stored, key);
    }
    if (renamed.size === 0) return configuration;
    const certificates = new Map(
      [...configuration.certificates].map(([id, entry]) => {
        const key = entry.key === undefined ? undefined : renamed.get(entry.key);
        return [id, key === undefined ? entry : { ...entry, key }];
      }),
    );
    return { ...configuration, certificates };
  }

  /** Forgets every key that none of these configurations uses. */
  keepOnly(configurations: readonly (Configuration | undefined)[]): void {
    const used = new Set(configurations.flatMap((c) => (c === undefined ? [] : namesIn(c))));
    for (const name of this.#keys.keys()) if (!used.has(name)) this.#keys.delete(name);
  }
}

function namesIn(configuration: Configuration): readonly string[] {
  return [...configuration.certificates.values()].flatMap(({ key }) => (key === undefined ? [] : [key]));
}
