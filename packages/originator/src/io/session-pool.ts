import type { Session } from "../session.ts";

/** A session that several users share; the last one to give it back closes it. */
export interface Lease {
  readonly session: Session;
  release(): Promise<void>;
}

interface Shared {
  readonly opening: Promise<Session>;
  /** Once it is open. */
  session?: Session;
  users: number;
}

/** One session for each device, however many connections go there. */
export class SessionPool {
  readonly #shared = new Map<string, Shared>();

  /** Sessions that are open or opening. */
  get size(): number {
    return this.#shared.size;
  }

  /** The session of this key, opened by `open` where there is none. */
  async lease(key: string, open: () => Promise<Session>): Promise<Lease> {
    const shared = this.#shared.get(key) ?? { opening: open(), users: 0 };
    this.#shared.set(key, shared);
    shared.users += 1;
    try {
      const session = await shared.opening;
      shared.session = session;
      let isReleased = false;
      return {
        session,
        release: async () => {
          if (isReleased) return;
          isReleased = true;
          if (this.#giveBack(key, shared)) await session.close();
        },
      };
    } catch (error) {
      this.#giveBack(key, shared);
      throw error;
    }
  }

  /** Whoever asks from now on gets another session than this one; who has it keeps it. */
  retire(key: string, session: Session): void {
    if (this.#shared.get(key)?.session === session) this.#shared.delete(key);
  }

  /** Closes all sessions, whoever uses them. */
  async close(): Promise<void> {
    const all = [...this.#shared.values()];
    this.#shared.clear();
    await Promise.allSettled(all.map(async ({ opening }) => (await opening).close()));
  }

  /** Whether it was the last user. */
  #giveBack(key: string, shared: Shared): boolean {
    shared.users -= 1;
    if (shared.users > 0) return false;
    if (this.#shared.get(key) === shared) this.#shared.delete(key);
    return true;
  }
}
