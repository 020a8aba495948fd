import { DtlsError } from "../errors.ts";
import type { NativeLibrary, Pointer } from "./native-library.ts";

/** Where things lie in the memory that all calls share. A call returns before the next begins, so one memory is enough. */
export const places = { data: 0, nonce: 512, key: 576, written: 640, digest: 704, tag: 832, body: 1024 } as const;

/** The longest body of a record. @see RFC 5246 6.2.3 */
export const maxOctets = 16_384 + 2048;

/** Memory outside of the collector's heap, where calls find their input and leave their output. */
export class Workspace {
  readonly library: NativeLibrary;
  readonly memory = Buffer.allocUnsafeSlow(places.body + maxOctets + 512).fill(0);
  readonly #base: Pointer;

  constructor(library: NativeLibrary) {
    this.library = library;
    this.#base = library.addressOf(this.memory);
  }

  address(place: number): Pointer {
    return this.#base + place;
  }

  /** Puts octets where calls find them. */
  put(octets: Uint8Array, place: number): void {
    this.memory.set(octets, place);
  }

  copyOf(place: number, length: number): Buffer {
    const copy = Buffer.allocUnsafe(length);
    this.memory.copy(copy, 0, place, place + length);
    return copy;
  }

  /** Shows a key to one call, and wipes it. */
  withKey(key: Uint8Array, use: (at: Pointer) => number): void {
    this.put(key, places.key);
    const done = use(this.address(places.key));
    this.memory.fill(0, places.key, places.key + key.length);
    this.check(done);
  }

  /** What a call gave. @throws {DtlsError} `bug/unreachable` where it gave nothing: it was told nothing wrong. */
  check(done: number | boolean): number {
    const given = Number(done);
    if (given > 0) return given;
    this.library.clearErrors();
    throw new DtlsError("bug/unreachable", "OpenSSL refused what it was told");
  }

  /** @throws {DtlsError} `bug/unreachable` for more than a record holds. */
  checkRoom(octets: number): void {
    if (octets > maxOctets) throw new DtlsError("bug/unreachable", `a record of ${octets} octets was asked for`);
  }
}

/** A context of OpenSSL's with its key. It is wiped and freed by `dispose`, or when nobody can reach it any more. */
export class Context {
  readonly #free: (pointer: Pointer) => unknown;
  #pointer: Pointer;

  constructor(pointer: Pointer, free: (pointer: Pointer) => unknown) {
    this.#pointer = pointer;
    this.#free = free;
    forgotten.register(this, { pointer, free }, this);
  }

  /** @throws {DtlsError} `dtls/closed` after `dispose`. */
  get pointer(): Pointer {
    if (this.#pointer === 0) throw new DtlsError("dtls/closed", "the keys of this association are wiped");
    return this.#pointer;
  }

  dispose(): void {
    if (this.#pointer === 0) return;
    forgotten.unregister(this);
    this.#free(this.#pointer);
    this.#pointer = 0;
  }
}

const forgotten = new FinalizationRegistry<{ pointer: Pointer; free: (pointer: Pointer) => unknown }>(
  ({ pointer, free }) => free(pointer),
);
