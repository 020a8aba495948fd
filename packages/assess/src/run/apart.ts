/** How the items of a list are kept apart. */
export interface ApartOptions<T> {
  /** How many are worked on at once. */
  readonly width: number;
  /** Where an item is: two that have a place in common are never worked on at once. */
  readonly placesOf: (item: T) => readonly string[];
  /** When it is aborted nothing more is begun. */
  readonly signal: AbortSignal;
}

/**
 * Works on the items of a list, several at once. They are begun in their order, but for those that wait until a place is free.
 *
 * @throws the first error of the work, after all that was begun has ended; nothing is begun after it.
 */
export async function eachApart<T>(
  items: readonly T[],
  { width, placesOf, signal }: ApartOptions<T>,
  work: (item: T, at: number) => Promise<void>,
): Promise<void> {
  const waiting = items.map((item, at) => ({ item, at, places: placesOf(item) }));
  const taken = new Set<string>();
  const running = new Set<Promise<void>>();
  const errors: unknown[] = [];
  for (;;) {
    const mayBegin = running.size < width && !signal.aborted && errors.length === 0;
    const next = mayBegin ? waiting.findIndex(({ places }) => !places.some((place) => taken.has(place))) : -1;
    const [one] = next < 0 ? [] : waiting.splice(next, 1);
    if (one !== undefined) {
      for (const place of one.places) taken.add(place);
      const done = work(one.item, one.at)
        .catch((error: unknown) => void errors.push(error))
        .finally(() => {
          for (const place of one.places) taken.delete(place);
          running.delete(done);
        });
      running.add(done);
    } else if (running.size > 0) await Promise.race(running);
    else break;
  }
  if (errors.length > 0) throw errors[0];
}
