/** Timers are kept to this many milliseconds: far below the first repetition of a flight. */
const slotMs = 8;

/**
 * Wakes many associations by one timer. An item stands in one slot; a later time than the one it has is ignored until
 * the slot comes, because traffic moves an idle deadline with each datagram.
 */
export class Wheel<T> {
  readonly #slots = new Map<number, Set<T>>();
  readonly #slotOf = new Map<T, number>();

  schedule(item: T, at: number): void {
    const slot = Math.ceil(at / slotMs);
    const earlier = this.#slotOf.get(item);
    if (earlier !== undefined) {
      if (earlier <= slot) return;
      this.remove(item);
    }
    const items = this.#slots.get(slot);
    if (items === undefined) this.#slots.set(slot, new Set([item]));
    else items.add(item);
    this.#slotOf.set(item, slot);
  }

  remove(item: T): void {
    const slot = this.#slotOf.get(item);
    if (slot === undefined) return;
    this.#slotOf.delete(item);
    const items = this.#slots.get(slot);
    items?.delete(item);
    if (items?.size === 0) this.#slots.delete(slot);
  }

  /** Takes out the items whose time has come; one that is not due after all is scheduled again by the caller. */
  take(now: number): readonly T[] {
    const due: T[] = [];
    for (const [slot, items] of this.#slots) {
      if (slot * slotMs > now) continue;
      due.push(...items);
      this.#slots.delete(slot);
    }
    for (const item of due) this.#slotOf.delete(item);
    return due;
  }

  /** When the first slot comes. */
  get next(): number | undefined {
    let first: number | undefined;
    for (const slot of this.#slots.keys()) if (first === undefined || slot < first) first = slot;
    return first === undefined ? undefined : first * slotMs;
  }
}
