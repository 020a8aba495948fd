/** One fragment: its place in the whole payload, in octets, and whether others follow it. */
export interface Fragment {
  readonly offset: number;
  readonly more: boolean;
  readonly bytes: Uint8Array;
}

/** No IP payload is longer; a fragment that ends behind it is an attack or damage. */
const maxPayloadOctets = 65_535;

/** Payloads under way at the same time; the oldest goes first. A plant network has close to none. */
const maxPayloads = 64;

/** Fragments of one payload: enough for 65,535 octets at an MTU of 576. */
const maxFragments = 128;

/** Fragments of one payload arrive within this time or not at all (RFC 8200, 4.5). */
const maxAgeSeconds = 60;

interface Partial {
  readonly since: number;
  /** Sorted by offset, without overlap. */
  readonly pieces: Fragment[];
  end: number | undefined;
}

/** Puts IP fragments together. Overlaps keep the copy that came first. Memory is bounded; what was given up is counted. */
export class FragmentStore {
  readonly #partials = new Map<string, Partial>();
  #dropped = 0;

  /** Payloads that were given up or never completed, so far. */
  get incomplete(): number {
    return this.#dropped + this.#partials.size;
  }

  /** @returns The whole payload when this fragment completes it, the reason when it is refused, else `undefined`. */
  add(key: string, fragment: Fragment, seconds: number): Uint8Array | { readonly damaged: string } | undefined {
    const end = fragment.offset + fragment.bytes.length;
    if (end > maxPayloadOctets)
      return { damaged: `IP fragment: it ends at ${end}, above the bound of ${maxPayloadOctets}` };
    const partial = this.#partial(key, seconds);
    if (partial.pieces.length >= maxFragments) {
      this.#drop(key);
      return { damaged: `IP fragments: more than ${maxFragments} for one payload` };
    }
    if (!fragment.more) partial.end ??= end;
    place(partial.pieces, fragment);
    const whole = join(partial);
    if (whole !== undefined) this.#partials.delete(key);
    return whole;
  }

  #partial(key: string, seconds: number): Partial {
    const known = this.#partials.get(key);
    if (known !== undefined && seconds - known.since <= maxAgeSeconds) return known;
    if (known !== undefined) this.#drop(key);
    const oldest = this.#partials.keys().next();
    if (this.#partials.size >= maxPayloads && oldest.done !== true) this.#drop(oldest.value);
    const fresh: Partial = { since: seconds, pieces: [], end: undefined };
    this.#partials.set(key, fresh);
    return fresh;
  }

  #drop(key: string): void {
    this.#partials.delete(key);
    this.#dropped++;
  }
}

/** Inserts those parts of `fragment` that no earlier piece covers. */
function place(pieces: Fragment[], fragment: Fragment): void {
  let from = fragment.offset;
  const end = fragment.offset + fragment.bytes.length;
  const fresh: Fragment[] = [];
  const take = (to: number): void => {
    if (to > from)
      fresh.push({
        offset: from,
        more: true,
        bytes: fragment.bytes.subarray(from - fragment.offset, to - fragment.offset),
      });
  };
  for (const piece of pieces) {
    take(Math.min(piece.offset, end));
    from = Math.max(from, Math.min(end, piece.offset + piece.bytes.length));
  }
  take(end);
  pieces.push(...fresh);
  pieces.sort((a, b) => a.offset - b.offset);
}

function join({ pieces, end }: Partial): Uint8Array | undefined {
  if (end === undefined) return undefined;
  let covered = 0;
  for (const piece of pieces) {
    if (piece.offset !== covered) return undefined;
    covered += piece.bytes.length;
  }
  if (covered < end) return undefined;
  const whole = new Uint8Array(covered);
  for (const piece of pieces) whole.set(piece.bytes, piece.offset);
  return whole.subarray(0, end);
}
