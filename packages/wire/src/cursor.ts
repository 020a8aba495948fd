import { WireError } from "./errors.ts";
import { i32At, u16At, u16beAt, u32At, u8At } from "./octets.ts";

/**
 * Reads little-endian fields from octets. Each read names its field, so that an error says what was missing;
 * no read ever returns short.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
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
    return this.#bounded(field, u8At(this.#bytes, this.#take(1, field)), max);
  }

  u16(field: string, max = 0xffff): number {
    return this.#bounded(field, u16At(this.#bytes, this.#take(2, field)), max);
  }

  u32(field: string, max = 0xffff_ffff): number {
    return this.#bounded(field, u32At(this.#bytes, this.#take(4, field)), max);
  }

  u64(field: string): bigint {
    return this.#wide(field).getBigUint64(0, true);
  }

  i8(field: string): number {
    return (u8At(this.#bytes, this.#take(1, field)) << 24) >> 24;
  }

  i16(field: string): number {
    return (u16At(this.#bytes, this.#take(2, field)) << 16) >> 16;
  }

  i32(field: string): number {
    return i32At(this.#bytes, this.#take(4, field));
  }

  i64(field: string): bigint {
    return this.#wide(field).getBigInt64(0, true);
  }

  f32(field: string): number {
    scratch.setInt32(0, this.i32(field), true);
    return scratch.getFloat32(0, true);
  }

  f64(field: string): number {
    return this.#wide(field).getFloat64(0, true);
  }

  /** Big-endian, for the socket address fields of EtherNet/IP. */
  u16be(field: string): number {
    return u16beAt(this.#bytes, this.#take(2, field));
  }

  /** Big-endian, for the socket address fields of EtherNet/IP. */
  u32be(field: string): number {
    const at = this.#take(4, field);
    return ((u16beAt(this.#bytes, at) << 16) | u16beAt(this.#bytes, at + 2)) >>> 0;
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

  /** The offset of the next `count` octets, which are there. */
  #take(count: number, field: string): number {
    const from = this.#at;
    if (count > this.#bytes.length - from) throw truncated(field, from, count, this.remaining);
    this.#at = from + count;
    return from;
  }

  /** Eight octets where they can be read as one number. */
  #wide(field: string): DataView {
    const at = this.#take(8, field);
    scratch.setInt32(0, i32At(this.#bytes, at), true);
    scratch.setInt32(4, i32At(this.#bytes, at + 4), true);
    return scratch;
  }

  #bounded(field: string, value: number, max: number): number {
    if (value > max) throw aboveBound(field, value, max, this.#at);
    return value;
  }
}

/**
 * For numbers of 64 bits and fractions, which only a view can read and write. One for all: a view on the octets of each message
 * would cost more than reading the message.
 */
const scratch = new DataView(new ArrayBuffer(8));

function truncated(field: string, offset: number, needed: number, remaining: number): WireError {
  return new WireError("wire/truncated", `${field}: ${needed} octets needed at offset ${offset}, ${remaining} remain`, {
    facts: { field, offset, needed, remaining },
  });
}

function aboveBound(field: string, value: number, max: number, offset: number): WireError {
  return new WireError("wire/length", `${field}: ${value} is above the bound of ${max}`, {
    facts: { field, value, max, offset },
  });
}

/** The largest finite number of single precision. */
const maxSingle = 2 ** 127 * (2 - 2 ** -23);

/** Writes little-endian fields into octets that grow as needed. A value outside its type's range is refused. */
export class Writer {
  #bytes: Uint8Array;
  #at = 0;

  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Octets written so far. */
  get length(): number {
    return this.#at;
  }

  u8(value: number): void {
    this.#put8(checked(value, 0, 0xff));
  }

  u16(value: number): void {
    this.#put16(checked(value, 0, 0xffff));
  }

  u32(value: number): void {
    this.#put32(checked(value, 0, 0xffff_ffff));
  }

  u64(value: bigint): void {
    scratch.setBigUint64(0, checkedBig(value, 0n, 0xffff_ffff_ffff_ffffn), true);
    this.#put64();
  }

  i8(value: number): void {
    this.#put8(checked(value, -0x80, 0x7f));
  }

  i16(value: number): void {
    this.#put16(checked(value, -0x8000, 0x7fff));
  }

  i32(value: number): void {
    this.#put32(checked(value, -0x8000_0000, 0x7fff_ffff));
  }

  i64(value: bigint): void {
    scratch.setBigInt64(0, checkedBig(value, -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn), true);
    this.#put64();
  }

  f32(value: number): void {
    scratch.setFloat32(0, checkedSingle(value), true);
    this.#put32(scratch.getInt32(0, true));
  }

  f64(value: number): void {
    scratch.setFloat64(0, value, true);
    this.#put64();
  }

  u16be(value: number): void {
    checked(value, 0, 0xffff);
    this.#put8(value >> 8);
    this.#put8(value);
  }

  u32be(value: number): void {
    checked(value, 0, 0xffff_ffff);
    this.u16be(value >>> 16);
    this.u16be(value & 0xffff);
  }

  octets(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Writes over two octets that were written before: a length or an offset that is known only behind what it counts. */
  overwriteU16(at: number, value: number): void {
    checked(value, 0, 0xffff);
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >> 8;
  }

  /** Forgets what was written and keeps the room for it. */
  clear(): void {
    this.#at = 0;
  }

  /** The octets written, as a copy of exactly their length. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  #put8(value: number): void {
    const at = this.#room(1);
    this.#bytes[at] = value;
  }

  #put16(value: number): void {
    const at = this.#room(2);
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >> 8;
  }

  #put32(value: number): void {
    const at = this.#room(4);
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >> 8;
    bytes[at + 2] = value >> 16;
    bytes[at + 3] = value >> 24;
  }

  /** What stands in the scratch view. */
  #put64(): void {
    this.#put32(scratch.getInt32(0, true));
    this.#put32(scratch.getInt32(4, true));
  }

  /** Makes room and returns where; call it before naming the buffer, which may be replaced. */
  #room(count: number): number {
    const from = this.#at;
    const needed = from + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, from));
      this.#bytes = grown;
    }
    this.#at = needed;
    return from;
  }
}

function checked(value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) throw outside(value, min, max);
  return value;
}

function checkedBig(value: bigint, min: bigint, max: bigint): bigint {
  if (value < min || value > max) throw outside(value, min, max);
  return value;
}

/** A number that single precision would turn into infinity does not fit; one that loses digits does. */
function checkedSingle(value: number): number {
  if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) throw outside(value, -maxSingle, maxSingle);
  return value;
}

function outside(value: number | bigint, min: number | bigint, max: number | bigint): WireError {
  return new WireError("wire/value", `${value} is not a number of this type, from ${min} to ${max}`, {
    facts: { value: String(value), min: String(min), max: String(max) },
  });
}
