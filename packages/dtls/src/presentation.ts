import { alerts } from "./alert.ts";
import { DtlsError } from "./errors.ts";

/**
 * Reads TLS presentation language: big-endian numbers and vectors with a length in front. Views, never copies.
 *
 * Every method throws `dtls/decode` with alert `decode_error` and the field's name when octets are missing or a length
 * is out of its bounds.
 *
 * @see RFC 5246 4
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(field: string): number {
    return this.#number(1, field);
  }

  u16(field: string): number {
    return this.#number(2, field);
  }

  u24(field: string): number {
    return this.#number(3, field);
  }

  u32(field: string): number {
    return this.#number(4, field);
  }

  octets(length: number, field: string): Uint8Array {
    if (length > this.remaining) {
      throw this.refuse(field, `${length} octets needed, ${this.remaining} there`);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A vector whose length stands in `lengthSize` octets and lies between `min` and `max`. */
  vector(lengthSize: 1 | 2 | 3, field: string, min = 0, max = 0xff_ffff): Uint8Array {
    const length = this.#number(lengthSize, field);
    if (length < min || length > max) throw this.refuse(field, `length ${length}, allowed are ${min} to ${max}`);
    return this.octets(length, field);
  }

  /** A vector of 16-bit numbers, such as suites or groups. */
  u16s(lengthSize: 1 | 2, field: string, min = 2): readonly number[] {
    const bytes = this.vector(lengthSize, field, min);
    if (bytes.length % 2 !== 0) throw this.refuse(field, `odd length ${bytes.length}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i));
  }

  rest(): Uint8Array {
    return this.octets(this.remaining, "rest");
  }

  /** @throws {DtlsError} `dtls/decode` when octets are left over. */
  end(): void {
    if (this.remaining > 0) throw this.refuse("end", `${this.remaining} octets too many`);
  }

  refuse(field: string, why: string): DtlsError {
    return new DtlsError("dtls/decode", `${this.#what}: ${field}: ${why}`, {
      alert: alerts.decode_error,
      facts: { message: this.#what, field },
    });
  }

  #number(size: number, field: string): number {
    let value = 0;
    for (const octet of this.octets(size, field)) value = value * 256 + octet;
    return value;
  }
}

/** A number in one octet. */
export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

/** A number in two octets, big-endian. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

/** A number in three octets, big-endian. */
export function u24(value: number): Uint8Array {
  return Uint8Array.of(value >>> 16, (value >>> 8) & 0xff, value & 0xff);
}

/** A number in four octets, big-endian. */
export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** The parts behind one length of one octet. */
export function vector8(...parts: readonly Uint8Array[]): Uint8Array {
  const body = concat(...parts);
  return concat(u8(body.length), body);
}

/** The parts behind one length of two octets. */
export function vector16(...parts: readonly Uint8Array[]): Uint8Array {
  const body = concat(...parts);
  return concat(u16(body.length), body);
}

/** The parts behind one length of three octets. */
export function vector24(...parts: readonly Uint8Array[]): Uint8Array {
  const body = concat(...parts);
  return concat(u24(body.length), body);
}

/** One array of all octets. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0] !== undefined) return parts[0];
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Compares public octets; secrets are compared with `timingSafeEqual`. */
export function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}
