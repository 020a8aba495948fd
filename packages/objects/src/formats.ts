import {
  BOOL,
  BYTE,
  COUNTED_EPATH,
  CertificateSlot,
  CipherSuiteId,
  CipherSuiteList,
  CrlPathOld,
  CrlPaths,
  DATE,
  DINT,
  DWORD,
  ENGLISH,
  EPATH,
  INT,
  LINT,
  LREAL,
  LWORD,
  PACKED_EPATH,
  PADDED_STRING,
  PathList,
  PskList,
  PskListNew,
  PskListOld,
  REAL,
  REST,
  Revision,
  SHORT_STRING,
  SINT,
  STRING,
  STRING2,
  STRINGI,
  UDINT,
  UINT,
  ULINT,
  USINT,
  UsageError,
  WORD,
  cipherSuite,
  cipherSuites,
  type Codec,
  type InternationalText,
} from "@cipsec/wire";
import { plainName } from "./classes.ts";
import { hexOctets } from "./hex.ts";
import { Ipv4, WordCountedPath } from "./layouts.ts";
import { hexNumber, integer, listed, shown, unknown } from "./names.ts";
import { parsePath, pathText } from "./resolve.ts";
import { parsePsks, pskJson } from "./psk-text.ts";
import { isInternational, type Json } from "./json.ts";

/** How the value of one codec is written for people, and read from what they type. */
export interface Format<T> {
  /** Absent where the general form serves: numbers, booleans and strings as they are. */
  describe?(value: T): Json;
  parse(text: string): T;
}

/** The format of a codec, or `undefined` where the general forms serve: JSON, or octets in hexadecimal. */
export function formatOf(codec: Codec<unknown>): Format<unknown> | undefined {
  return formats.get(codec);
}

const numbers: Format<number> = { parse: wholeNumber };
const reals: Format<number> = { parse: realNumber };
const bigs: Format<bigint> = { parse: bigNumber };
const texts: Format<string> = { parse: (text) => text };
const path = { describe: pathText, parse: parsePath };
const paths: Format<readonly ReturnType<typeof parsePath>[]> = {
  describe: (value) => value.map(pathText),
  parse: (text) => listed(text).map(parsePath),
};
const psks = { describe: pskJson, parse: parsePsks };

const formats: ReadonlyMap<Codec<unknown>, Format<unknown>> = new Map<Codec<unknown>, Format<unknown>>([
  entry(BOOL, { parse: booleanOf }),
  ...[SINT, INT, DINT, USINT, UINT, UDINT, BYTE, WORD, DWORD, DATE].map((codec) => entry(codec, numbers)),
  ...[LINT, ULINT, LWORD].map((codec) => entry(codec, bigs)),
  ...[REAL, LREAL].map((codec) => entry(codec, reals)),
  ...[STRING, STRING2, SHORT_STRING, PADDED_STRING, ENGLISH, Ipv4].map((codec) => entry(codec, texts)),
  entry(STRINGI, { parse: internationalText }),
  entry(REST, { parse: hexOctets }),
  entry(Revision, { describe: ({ major, minor }) => `${major}.${minor}`, parse: revision }),
  entry(CipherSuiteId, { describe: suiteName, parse: suiteId }),
  entry(CipherSuiteList, { describe: (ids) => ids.map(suiteName), parse: (text) => listed(text).map(suiteId) }),
  ...[EPATH, PACKED_EPATH, COUNTED_EPATH, WordCountedPath].map((codec) => entry(codec, path)),
  ...[PathList, CrlPaths, CrlPathOld].map((codec) => entry(codec, paths)),
  ...[PskList, PskListNew, PskListOld].map((codec) => entry(codec, psks)),
  entry(CertificateSlot, {
    describe: (slot) => ({ status: slot.status, path: pathText(slot.path) }),
    parse: (text) => ({ status: 0, path: parsePath(text) }),
  }),
]);

function entry<T>(codec: Codec<T>, format: Format<T>): readonly [Codec<unknown>, Format<unknown>] {
  return [codec, format];
}

function wrong(text: string, expected: string): UsageError {
  return new UsageError("usage/argument", `'${shown(text)}' is not ${expected}.`, {
    facts: { given: shown(text) },
    fix: `Give ${expected}.`,
  });
}

function booleanOf(text: string): boolean {
  if (/^(?:true|yes|on|1)$/i.test(text)) return true;
  if (/^(?:false|no|off|0)$/i.test(text)) return false;
  throw wrong(text, "true or false");
}

function wholeNumber(text: string): number {
  const value = integer(text);
  if (value === undefined) throw wrong(text, "a whole number, such as 12 or 0x0C");
  return value;
}

function bigNumber(text: string): bigint {
  if (!/^-?\d{1,20}$|^0x[0-9a-f]{1,16}$/i.test(text)) throw wrong(text, "a whole number, such as 12 or 0x0C");
  return BigInt(text);
}

function realNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw wrong(text, "a number, such as 1.5 or 2e-3");
  return value;
}

function revision(text: string): { readonly major: number; readonly minor: number } {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(text) ?? [];
  if (major === undefined || minor === undefined) throw wrong(text, "a revision, such as 1.2");
  return { major: Number(major), minor: Number(minor) };
}

/** Plain text becomes English; several languages are given as JSON, in the form of the codec. */
function internationalText(text: string): readonly InternationalText[] {
  if (!text.startsWith("[")) return english(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong(text, "text, or a JSON list of texts with their languages");
  }
  if (Array.isArray(value) && value.every(isInternational)) return value;
  throw wrong(text, "a JSON list of texts with language, stringType, characterSet and text");
}

function english(text: string): readonly InternationalText[] {
  return [{ language: "eng", stringType: 0xd0, characterSet: 4, text }];
}

function suiteName(id: number): string {
  return cipherSuite(id)?.name ?? hexNumber(id);
}

function suiteId(text: string): number {
  const id = integer(text);
  if (id !== undefined) return id;
  const wanted = plainName(text);
  const suite = cipherSuites.find(({ name, openssl }) => [name, openssl ?? name].map(plainName).includes(wanted));
  if (suite === undefined)
    throw unknown(
      "cipher suite",
      text,
      cipherSuites.map(({ name }) => name),
    );
  return suite.id;
}
