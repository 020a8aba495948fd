import { randomInt } from "node:crypto";

/** What the device keeps of an encapsulation session. */
export interface SessionEntry {
  readonly handle: number;
  /** Ends the session's channel. */
  readonly close: () => void;
}

/**
 * The device's table of encapsulation sessions. Handles are random, so that one cannot be guessed from another,
 * never 0, and unique among live sessions; each is good only on the channel that obtained it.
 *
 * @see CIP Vol 2, 2-4.4; reference ethernet-ip.md 1.5
 */
export class SessionTable {
  readonly #entries = new Map<number, SessionEntry>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A new session, or `undefined` when the table is full. */
  open(close: () => void): SessionEntry | undefined {
    if (this.#entries.size >= this.#max) return undefined;
    let handle = randomInt(1, 0xffff_ffff);
    while (this.#entries.has(handle)) handle = randomInt(1, 0xffff_ffff);
    const entry = { handle, close };
    this.#entries.set(handle, entry);
    return entry;
  }

  drop(handle: number): void {
    this.#entries.delete(handle);
  }

  /** Ends every session. */
  closeAll(): void {
    for (const entry of this.#entries.values()) entry.close();
  }
}
