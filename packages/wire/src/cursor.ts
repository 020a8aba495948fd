import { WireError } from "./errors.ts";

/**
 * Reads little-endian fields from octets. Each read names its field, so that an error says what was missing;
 * no read ever returns short.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = 0;
  }

  /** Offset of the next octet from the start of this reader's octets. */
  get offset(): number {
    return this.#at;
  }

  /** Octets not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** The next octet without moving, or `undefined` at the end. */
  peek(ahead = 0): number | undefined {
    return this.#bytes[this.#at + ahead];
  }

  u8(field: string, max = 0xff): number {
    return this.#bounded(field, this.#view.getUint8(this.#take(1, field)), max);
  }

  u16(field: string, max = 0xffff): number {
    return this.#bounded(field, this.#view.getUint16(this.#take(2, field), true), max);
  }

  u32(field: string, max = 0xffff_ffff): number {
    return this.#bounded(field, this.#view.getUint32(this.#take(4, field), true), max);
  }

  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field), true);
  }

  i8(field: string): number {
    return this.#view.getInt8(this.#take(1, field));
  }

  i16(field: string): number {
    return this.#view.getInt16(this.#take(2, field), true);
  }

  i32(field: string): number {
    return this.#view.getInt32(this.#take(4, field), true);
  }

  i64(field: string): bigint {
    return this.#view.getBigInt64(this.#take(8, field), true);
  }

  f32(field: string): number {
    return this.#view.getFloat32(this.#take(4, field), true);
  }

  f64(field: string): number {
    return this.#view.getFloat64(this.#take(8, field), true);
  }

  /** Big-endian, for the socket address fields of EtherNet/IP. */
  u16be(field: string): number {
    return this.#view.getUint16(this.#take(2, field), false);
  }

  /** Big-endian, for the socket address fields of EtherNet/IP. */
  u32be(field: string): number {
    return this.#view.getUint32(this.#take(4, field), false);
  }

  /** The next `count` octets, as a view on the input: copy before keeping it past the input's life. */
  octets(count: number, field: string): Uint8Array {
    const from = this.#take(count, field);
    return this.#bytes.subarray(from, from + count);
  }

  /** All octets that remain. */
  rest(): Uint8Array {
    return this.octets(this.remaining, "rest");
  }

  /** A reader over the next `count` octets only. */
  sub(count: number, field: string): Reader {
    return new Reader(this.octets(count, field));
  }

  /** One octet that must be 0: pads and reserved octets. */
  zero(field: string): void {
    const value = this.u8(field);
    if (value !== 0) {
      throw new WireError("wire/value", `${field}: ${value} at offset ${this.#at - 1}, must be 0`, {
        facts: { field, value, offset: this.#at - 1 },
      });
    }
  }

  /** Refuses octets after the last field. */
  end(what: string): void {
    if (this.remaining > 0) {
      throw new WireError(
        "wire/trailing",
        `${what}: ${this.remaining} octets follow the last field, at offset ${this.#at}`,
        {
          facts: { field: what, offset: this.#at, trailing: this.remaining },
        },
      );
    }
  }

  #take(count: number, field: string): number {
    const from = this.#at;
    if (count > this.remaining) {
      throw new WireError(
        "wire/truncated",
        `${field}: ${count} octets needed at offset ${from}, ${this.remaining} remain`,
        {
          facts: { field, offset: from, needed: count, remaining: this.remaining },
        },
      );
    }
    this.#at = from + count;
    return from;
  }

  #bounded(field: string, value: number, max: number): number {
    if (value > max) {
      throw new WireError("wire/length", `${field}: ${value} is above the bound of ${max}`, {
        facts: { field, value, max, offset: this.#at },
      });
    }
    return value;
  }
}

/** The largest finite number of single precision. */
const maxSingle = 2 ** 127 * (2 - 2 ** -23);

/** Writes little-endian fields into octets that grow as needed. A value outside its type's range is refused. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Octets written so far. */
  get length(): number {
    return this.#at;
  }

  u8(value: number): void {
    const at = this.#room(1, integer(value, 0, 0xff));
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#room(2, integer(value, 0, 0xffff));
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#room(4, integer(value, 0, 0xffff_ffff));
    this.#view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    const at = this.#room(8, bigInteger(value, 0n, 0xffff_ffff_ffff_ffffn));
    this.#view.setBigUint64(at, value, true);
  }

  i8(value: number): void {
    const at = this.#room(1, integer(value, -0x80, 0x7f));
    this.#view.setInt8(at, value);
  }

  i16(value: number): void {
    const at = this.#room(2, integer(value, -0x8000, 0x7fff));
    this.#view.setInt16(at, value, true);
  }

  i32(value: number): void {
    const at = this.#room(4, integer(value, -0x8000_0000, 0x7fff_ffff));
    this.#view.setInt32(at, value, true);
  }

  i64(value: bigint): void {
    const at = this.#room(8, bigInteger(value, -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn));
    this.#view.setBigInt64(at, value, true);
  }

  f32(value: number): void {
    const at = this.#room(4, single(value));
    this.#view.setFloat32(at, value, true);
  }

  f64(value: number): void {
    const at = this.#room(8, true);
    this.#view.setFloat64(at, value, true);
  }

  u16be(value: number): void {
    const at = this.#room(2, integer(value, 0, 0xffff));
    this.#view.setUint16(at, value, false);
  }

  u32be(value: number): void {
    const at = this.#room(4, integer(value, 0, 0xffff_ffff));
    this.#view.setUint32(at, value, false);
  }

  octets(bytes: Uint8Array): void {
    const at = this.#room(bytes.length, true);
    this.#bytes.set(bytes, at);
  }

  /** Forgets what was written and keeps the room for it. */
  clear(): void {
    this.#at = 0;
  }

  /** The octets written, as a copy of exactly their length. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  /** Makes room and returns where; call it before naming the buffer, which may be replaced. */
  #room(count: number, _checked: true): number {
    const from = this.#at;
    const needed = from + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, from));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#at = needed;
    return from;
  }
}

function integer(value: number, min: number, max: number): true {
  if (!Number.isInteger(value) || value < min || value > max) throw outside(value, min, max);
  return true;
}

function bigInteger(value: bigint, min: bigint, max: bigint): true {
  if (value < min || value > max) throw outside(value, min, max);
  return true;
}

/** A number that single precision would turn into infinity does not fit; one that loses digits does. */
function single(value: number): true {
  if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) throw outside(value, -maxSingle, maxSingle);
  return true;
}

function outside(value: number | bigint, min: number | bigint, max: number | bigint): WireError {
  return new WireError("wire/value", `${value} is not a number of this type, from ${min} to ${max}`, {
    facts: { value: String(value), min: String(min), max: String(max) },
  });
}
