import { TransportError, type Segment, type Triad } from "@cipsec/wire";
import type { Session } from "../session.ts";
import { forwardClose } from "./forward-close.ts";

/** More than one life of a connection can leave; the oldest goes first. Each is held by a target for seconds only. */
const maxUnanswered = 8;

interface Unanswered {
  readonly triad: Triad;
  readonly path: readonly Segment[];
}

/**
 * Forward_Opens that no answer came to. The target may have opened them, and would hold their outputs for an owner that does not
 * know it, until its wait for a first packet is over: so they are closed before the next is opened.
 */
export class UnansweredOpens {
  readonly #list: Unanswered[] = [];

  get size(): number {
    return this.#list.length;
  }

  /** Notes an open whose answer did not come. */
  add(triad: Triad, path: readonly Segment[]): void {
    this.#list.push({ triad, path });
    if (this.#list.length > maxUnanswered) this.#list.shift();
  }

  /**
   * Closes them all. What the target does not know stays noted: the request may still be on its way.
   *
   * @throws {TransportError} where the session does not answer either.
   */
  async closeAll(session: Session): Promise<void> {
    for (const one of this.#list.slice()) {
      const isClosed = await forwardClose(session, one.triad, one.path).catch((error: unknown) => {
        if (error instanceof TransportError) throw error;
        return false;
      });
      if (isClosed) this.#remove(one);
    }
  }

  /** Forgets them: the target has opened what they stood in the way of. */
  forget(): void {
    this.#list.length = 0;
  }

  #remove(one: Unanswered): void {
    const index = this.#list.indexOf(one);
    if (index >= 0) this.#list.splice(index, 1);
  }
}
