import { mapped, octets, type Codec } from "./codec.ts";
import type { Reader, Writer } from "./cursor.ts";
import { WireError } from "./errors.ts";

/*
 * Elementary CIP types under the names that the standard prints.
 * Source: CIP Vol 1, appendix C; codes and layouts in reference ethernet-ip.md section 4.
 */

const number = (type: string, read: (r: Reader) => number, write: (w: Writer, v: number) => void): Codec<number> => ({
  type,
  read,
  write,
});
const big = (type: string, read: (r: Reader) => bigint, write: (w: Writer, v: bigint) => void): Codec<bigint> => ({
  type,
  read,
  write,
});

/** One octet; 0 is false, anything else reads as true (Logix controllers answer 0xFF), true is written as 1. */
export const BOOL: Codec<boolean> = { type: "BOOL", read: (r) => r.u8("BOOL") !== 0, write: (w, v) => w.u8(v ? 1 : 0) };
export const SINT = number(
  "SINT",
  (r) => r.i8("SINT"),
  (w, v) => w.i8(v),
);
export const INT = number(
  "INT",
  (r) => r.i16("INT"),
  (w, v) => w.i16(v),
);
export const DINT = number(
  "DINT",
  (r) => r.i32("DINT"),
  (w, v) => w.i32(v),
);
export const LINT = big(
  "LINT",
  (r) => r.i64("LINT"),
  (w, v) => w.i64(v),
);
export const USINT = number(
  "USINT",
  (r) => r.u8("USINT"),
  (w, v) => w.u8(v),
);
export const UINT = number(
  "UINT",
  (r) => r.u16("UINT"),
  (w, v) => w.u16(v),
);
export const UDINT = number(
  "UDINT",
  (r) => r.u32("UDINT"),
  (w, v) => w.u32(v),
);
export const ULINT = big(
  "ULINT",
  (r) => r.u64("ULINT"),
  (w, v) => w.u64(v),
);
export const REAL = number(
  "REAL",
  (r) => r.f32("REAL"),
  (w, v) => w.f32(v),
);
export const LREAL = number(
  "LREAL",
  (r) => r.f64("LREAL"),
  (w, v) => w.f64(v),
);
export const BYTE = number(
  "BYTE",
  (r) => r.u8("BYTE"),
  (w, v) => w.u8(v),
);
export const WORD = number(
  "WORD",
  (r) => r.u16("WORD"),
  (w, v) => w.u16(v),
);
export const DWORD = number(
  "DWORD",
  (r) => r.u32("DWORD"),
  (w, v) => w.u32(v),
);
export const LWORD = big(
  "LWORD",
  (r) => r.u64("LWORD"),
  (w, v) => w.u64(v),
);
/** Synchronous time; the 8-octet form in nanoseconds that newer objects use. */
export const STIME = big(
  "STIME",
  (r) => r.u64("STIME"),
  (w, v) => w.u64(v),
);
/** Days since 1972-01-01. */
export const DATE = number(
  "DATE",
  (r) => r.u16("DATE"),
  (w, v) => w.u16(v),
);
/** Milliseconds since midnight. */
export const TIME_OF_DAY = number(
  "TIME_OF_DAY",
  (r) => r.u32("TIME_OF_DAY"),
  (w, v) => w.u32(v),
);
/** Milliseconds of the day, then days since 1972-01-01. */
export const DATE_AND_TIME: Codec<{ readonly milliseconds: number; readonly days: number }> = {
  type: "DATE_AND_TIME",
  read: (r) => ({ milliseconds: r.u32("milliseconds"), days: r.u16("days") }),
  write: (w, v) => {
    w.u32(v.milliseconds);
    w.u16(v.days);
  },
};
/** Signed microseconds, 32 bits. */
export const FTIME = number(
  "FTIME",
  (r) => r.i32("FTIME"),
  (w, v) => w.i32(v),
);
/** Signed microseconds, 64 bits. */
export const LTIME = big(
  "LTIME",
  (r) => r.i64("LTIME"),
  (w, v) => w.i64(v),
);
/** Signed milliseconds, 16 bits. */
export const ITIME = number(
  "ITIME",
  (r) => r.i16("ITIME"),
  (w, v) => w.i16(v),
);
/** Signed milliseconds, 32 bits. */
export const TIME = number(
  "TIME",
  (r) => r.i32("TIME"),
  (w, v) => w.i32(v),
);
export const ENGUNIT = number(
  "ENGUNIT",
  (r) => r.u16("ENGUNIT"),
  (w, v) => w.u16(v),
);

/** ISO 8859-1 text with a UINT length in front. */
export const STRING: Codec<string> = {
  type: "STRING",
  read: (r) => latin1(r.octets(r.u16("STRING length"), "STRING")),
  write(w, v) {
    const bytes = fromLatin1(v, 0xffff, "STRING");
    w.u16(bytes.length);
    w.octets(bytes);
  },
};

/**
 * {@link STRING} followed by one uncounted pad octet when its length is odd, as the TCP/IP Interface Object has it.
 * The pad may be missing at the end of a message: some devices leave it out.
 */
export const PADDED_STRING: Codec<string> = {
  type: "STRING",
  read(r) {
    const text = STRING.read(r);
    if (text.length % 2 === 1 && r.remaining > 0) r.zero("pad after an odd STRING");
    return text;
  },
  write(w, v) {
    STRING.write(w, v);
    if (v.length % 2 === 1) w.u8(0);
  },
};

/** UCS-2 text with a UINT count of characters in front. */
export const STRING2: Codec<string> = {
  type: "STRING2",
  read: (r) => wide(r, r.u16("STRING2 length"), 2),
  write(w, v) {
    short(v.length, 0xffff, "STRING2");
    w.u16(v.length);
    writeWide(w, v, 2);
  },
};

/** Text of `width` octets a character; the value keeps the width. */
export const STRINGN: Codec<{ readonly width: number; readonly text: string }> = {
  type: "STRINGN",
  read(r) {
    const width = characterWidth(r.u16("STRINGN character size"));
    return { width, text: wide(r, r.u16("STRINGN length"), width) };
  },
  write(w, { width, text }) {
    const count = width === 4 ? [...text].length : text.length;
    short(count, 0xffff, "STRINGN");
    w.u16(characterWidth(width));
    w.u16(count);
    writeWide(w, text, width);
  },
};

/** ISO 8859-1 text with a USINT length in front. */
export const SHORT_STRING: Codec<string> = {
  type: "SHORT_STRING",
  read: (r) => latin1(r.octets(r.u8("SHORT_STRING length"), "SHORT_STRING")),
  write(w, v) {
    const bytes = fromLatin1(v, 0xff, "SHORT_STRING");
    w.u8(bytes.length);
    w.octets(bytes);
  },
};

/** One language version of a {@link STRINGI}. */
export interface InternationalText {
  /** Three letters of ISO 639-2, such as `eng`. */
  readonly language: string;
  /** 0xD0 STRING, 0xD5 STRING2, 0xD9 STRINGN or 0xDA SHORT_STRING. */
  readonly stringType: number;
  /** 4 is ISO 8859-1, 1000 UCS-2. */
  readonly characterSet: number;
  readonly text: string;
  /** Octets a character, for STRINGN only. */
  readonly width?: number;
}

/** Devices carry a handful of languages; this bounds what one message can ask for. */
const maxLanguages = 32;

/** International text: a count, then that many texts, each with language, type and character set. */
export const STRINGI: Codec<readonly InternationalText[]> = {
  type: "STRINGI",
  read(r) {
    const count = r.u8("STRINGI count", maxLanguages);
    return Array.from({ length: count }, () => {
      const language = latin1(r.octets(3, "language"));
      const stringType = r.u8("string type");
      const characterSet = r.u16("character set");
      return { language, stringType, characterSet, ...readTyped(r, stringType) };
    });
  },
  write(w, texts) {
    if (texts.length > maxLanguages)
      throw new WireError("wire/length", `STRINGI: at most ${maxLanguages} languages`, {
        facts: { max: maxLanguages },
      });
    w.u8(texts.length);
    for (const { language, stringType, characterSet, text, width } of texts) {
      octets(3).write(w, fromLatin1(language, 3, "language"));
      w.u8(stringType);
      w.u16(characterSet);
      if (stringType === 0xd9) STRINGN.write(w, { width: width ?? 1, text });
      else stringCodec(stringType).write(w, text);
    }
  },
};

/** A {@link STRINGI} seen as one English text, as most devices use it. Reading takes the first language. */
export const ENGLISH: Codec<string> = mapped(
  "STRINGI",
  STRINGI,
  (texts) => texts[0]?.text ?? "",
  (text) => [{ language: "eng", stringType: 0xd0, characterSet: 4, text }],
);

/** Octets to ISO 8859-1 text: every octet is a character. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** ISO 8859-1 text to octets. @throws {WireError} `wire/length` above `max`; `wire/value` for a character outside ISO 8859-1. */
export function fromLatin1(text: string, max: number, field: string): Uint8Array {
  short(text.length, max, field);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0xff)
      throw new WireError("wire/value", `${field}: '${text.charAt(i)}' is not in ISO 8859-1`, { facts: { field } });
    bytes[i] = code;
  }
  return bytes;
}

function readTyped(r: Reader, stringType: number): { text: string; width?: number } {
  return stringType === 0xd9 ? STRINGN.read(r) : { text: stringCodec(stringType).read(r) };
}

function stringCodec(stringType: number): Codec<string> {
  if (stringType === 0xd0) return STRING;
  if (stringType === 0xd5) return STRING2;
  if (stringType === 0xda) return SHORT_STRING;
  throw new WireError("wire/value", `STRINGI: 0x${stringType.toString(16)} is not a string type`, {
    facts: { stringType },
  });
}

function characterWidth(width: number): number {
  if (width !== 1 && width !== 2 && width !== 4)
    throw new WireError("wire/value", `STRINGN: ${width} octets a character is not 1, 2 or 4`, { facts: { width } });
  return width;
}

function wide(r: Reader, count: number, width: number): string {
  if (width === 1) return latin1(r.octets(count, "text"));
  const from = r.sub(count * width, "text");
  let text = "";
  while (from.remaining > 0) {
    if (width === 2) text += String.fromCharCode(from.u16("character"));
    else text += codePoint(from.u32("character"));
  }
  return text;
}

function codePoint(code: number): string {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
    throw new WireError("wire/value", `0x${code.toString(16)} is not a character`, { facts: { code } });
  return String.fromCodePoint(code);
}

function writeWide(w: Writer, text: string, width: number): void {
  if (width === 1) w.octets(fromLatin1(text, 0xffff, "STRINGN"));
  else if (width === 2) for (let i = 0; i < text.length; i += 1) w.u16(text.charCodeAt(i));
  else writeUcs4(w, text);
}

function writeUcs4(w: Writer, text: string): void {
  if (!text.isWellFormed())
    throw new WireError("wire/value", "STRINGN: the text holds half a surrogate pair", { facts: { width: 4 } });
  for (const character of text) {
    const first = character.charCodeAt(0);
    w.u32(character.length === 1 ? first : 0x10000 + ((first - 0xd800) << 10) + (character.charCodeAt(1) - 0xdc00));
  }
}

function short(length: number, max: number, field: string): void {
  if (length > max)
    throw new WireError("wire/length", `${field}: ${length} characters are above the bound of ${max}`, {
      facts: { field, length, max },
    });
}
