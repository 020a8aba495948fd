import { Reader, Writer } from "./cursor.ts";
import { WireError } from "./errors.ts";

/** Octets to a value and back, side by side. Pure: no clock, session or logger. */
export interface Codec<T> {
  /** The type's name as the standard prints it. */
  readonly type: string;
  read(r: Reader): T;
  write(w: Writer, value: T): void;
}

/** The value a codec reads. */
export type Value<C> = C extends Codec<infer T> ? T : never;

/**
 * Reads one value from exactly these octets.
 *
 * @throws {WireError} `wire/truncated`, `wire/length`, `wire/value`, `wire/segment` from the codec; `wire/trailing` when octets follow.
 */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const r = new Reader(bytes);
  const value = codec.read(r);
  r.end(codec.type);
  return value;
}

/** Writes one value as octets. @throws {WireError} `wire/value` or `wire/length` when the value does not fit its type. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const w = spare ?? new Writer();
  // A codec may encode inside: until this one is done, that one takes a writer of its own.
  spare = undefined;
  codec.write(w, value);
  const bytes = w.finish();
  if (bytes.length <= maxSpare) {
    w.clear();
    spare = w;
  }
  return bytes;
}

/** Octets of a writer that is worth keeping: messages are shorter, and a rare long value must not hold memory. */
const maxSpare = 4096;

/** Buffers are what encoding costs most, so the last writer serves again. */
let spare: Writer | undefined;

type Fields = Readonly<Record<string, Codec<never>>>;
type FieldValues<F> = { readonly [K in keyof F]: Value<F[K]> };

/** A fixed sequence of named fields, in the order of the declaration. */
export function struct<const F extends { readonly [K in keyof F]: Codec<any> }>(
  type: string,
  fields: F,
): Codec<FieldValues<F>> {
  const entries = Object.entries(fields as unknown as Fields) as unknown as readonly (readonly [
    string,
    Codec<unknown>,
  ])[];
  return {
    type,
    read(r) {
      const value: Record<string, unknown> = {};
      for (const [name, codec] of entries) value[name] = codec.read(r);
      return value as FieldValues<F>;
    },
    write(w, value) {
      for (const [name, codec] of entries) codec.write(w, (value as Record<string, unknown>)[name]);
    },
  };
}

/** A count in `count`, then that many of `item`; at most `max`, which bounds the work that one message can ask for. */
export function list<T>(count: Codec<number>, item: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    type: `${count.type} n, ${item.type}[n]`,
    read(r) {
      const n = count.read(r);
      if (n > max) throw tooMany(item.type, n, max);
      const values: T[] = [];
      while (values.length < n) values.push(item.read(r));
      return values;
    },
    write(w, values) {
      if (values.length > max) throw tooMany(item.type, values.length, max);
      count.write(w, values.length);
      for (const value of values) item.write(w, value);
    },
  };
}

/** As many of `item` as the octets hold; at most `max`. */
export function repeated<T>(item: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    type: `${item.type}[]`,
    read(r) {
      const values: T[] = [];
      while (r.remaining > 0) {
        if (values.length === max) throw tooMany(item.type, max + 1, max);
        values.push(item.read(r));
      }
      return values;
    },
    write(w, values) {
      if (values.length > max) throw tooMany(item.type, values.length, max);
      for (const value of values) item.write(w, value);
    },
  };
}

/** Exactly `count` octets. */
export function octets(count: number): Codec<Uint8Array> {
  return {
    type: `BYTE[${count}]`,
    read: (r) => r.octets(count, `BYTE[${count}]`),
    write(w, bytes) {
      if (bytes.length !== count) {
        throw new WireError("wire/length", `${bytes.length} octets given, exactly ${count} needed`, {
          facts: { given: bytes.length, needed: count },
        });
      }
      w.octets(bytes);
    },
  };
}

/** All octets that remain. */
export const REST: Codec<Uint8Array> = {
  type: "BYTE[]",
  read: (r) => r.rest(),
  write: (w, bytes) => w.octets(bytes),
};

/** Nothing at all: the data of services that take or return none. */
export const EMPTY: Codec<void> = { type: "none", read: () => undefined, write: () => undefined };

/** A value that may be left out at the end of a message. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    type: `[${codec.type}]`,
    read: (r) => (r.remaining > 0 ? codec.read(r) : undefined),
    write: (w, value) => {
      if (value !== undefined) codec.write(w, value);
    },
  };
}

/** The same octets seen as another value. `to` may refuse by throwing a {@link WireError}. */
export function mapped<A, B>(type: string, codec: Codec<A>, to: (a: A) => B, from: (b: B) => A): Codec<B> {
  return { type, read: (r) => to(codec.read(r)), write: (w, value) => codec.write(w, from(value)) };
}

function tooMany(what: string, count: number, max: number): WireError {
  return new WireError("wire/length", `${what}: ${count} entries are above the bound of ${max}`, {
    facts: { what, count, max },
  });
}
