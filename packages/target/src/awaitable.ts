/** A value that is there, or still under way. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Goes on with a value: at once where it is there. Nearly every request is answered from memory, and to wait for a promise at
 * each step would cost more than the answer.
 */
export function proceed<T, U>(value: Awaitable<T>, further: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(further) : further(value);
}

/** Takes one step after another; each begins when the one before has ended. */
export function inTurn<T>(items: readonly T[], step: (item: T) => Awaitable<void>): Awaitable<void> {
  for (const [i, item] of items.entries()) {
    const done = step(item);
    if (done instanceof Promise) return done.then(() => inTurn(items.slice(i + 1), step));
  }
}
