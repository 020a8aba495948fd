/** Keeps apart what must not run at once: many share, or one has it alone. */
export interface Turns {
  /**
   * Waits for a turn. First come, first served, so that who needs it alone is not kept waiting by those who share.
   *
   * @returns Gives the turn back.
   * @throws what the signal was aborted with, while it waits.
   */
  take(isAlone: boolean, signal: AbortSignal): Promise<() => void>;
}

interface Waiter {
  readonly isAlone: boolean;
  readonly end: (isGranted: boolean) => void;
}

/** Turns that nobody has taken yet. */
export function makeTurns(): Turns {
  const waiting: Waiter[] = [];
  let sharing = 0;
  let isTakenAlone = false;
  const grant = (): void => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      if (isTakenAlone || (first.isAlone && sharing > 0)) return;
      waiting.shift();
      if (first.isAlone) isTakenAlone = true;
      else sharing += 1;
      first.end(true);
    }
  };
  return {
    async take(isAlone, signal) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const waiter: Waiter = { isAlone, end: resolve };
      const giveUp = (): void => {
        const at = waiting.indexOf(waiter);
        if (at < 0) return;
        waiting.splice(at, 1);
        resolve(false);
        grant();
      };
      signal.addEventListener("abort", giveUp, { once: true });
      waiting.push(waiter);
      grant();
      const isGranted = await promise;
      signal.removeEventListener("abort", giveUp);
      if (!isGranted) signal.throwIfAborted();
      let isGivenBack = false;
      return () => {
        if (isGivenBack) return;
        isGivenBack = true;
        if (isAlone) isTakenAlone = false;
        else sharing -= 1;
        grant();
      };
    },
  };
}
