import type { InternationalText, Segment } from "@cipsec/wire";
import { octetsHex } from "./hex.ts";
import { pathText } from "./resolve.ts";

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

type JsonRecord = Readonly<Record<string, unknown>>;

/**
 * Any value that a codec reads, as JSON: large integers as decimal text, octets as hexadecimal text, paths as `0x5F/1`, international
 * text as its one text or by language. Absent fields stay absent; nothing at all is null.
 */
export function toJson(value: unknown): Json {
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return octetsHex(value);
  if (Array.isArray(value)) return listJson(value);
  if (!isRecord(value)) return null;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([key, field]) => [key, toJson(field)]));
}

/**
 * What JSON text gave, with large integers and octets back in place: where `like`, a value of the same layout, has them.
 * Entries of a list are all like its first.
 */
export function fromJson(value: unknown, like: unknown, octets: (text: string) => Uint8Array): unknown {
  if (typeof like === "bigint" && (typeof value === "string" || typeof value === "number")) return BigInt(value);
  if (like instanceof Uint8Array && typeof value === "string") return octets(value);
  if (Array.isArray(value)) {
    const first: unknown = Array.isArray(like) ? like[0] : undefined;
    return value.map((item: unknown) => fromJson(item, first, octets));
  }
  if (!isRecord(value)) return value;
  const fields: JsonRecord = isRecord(like) ? like : {};
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, fromJson(field, fields[key], octets)]));
}

/** Tells whether two values say the same in JSON, whatever the order of their fields. */
export function isSameJson(a: unknown, b: unknown): boolean {
  return canonical(toJson(a)) === canonical(toJson(b));
}

/** Tells a record from lists, octets and plain values. */
export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** Tells one language version of international text. */
export function isInternational(value: unknown): value is InternationalText {
  return isRecord(value) && ["language", "stringType", "characterSet", "text"].every((key) => key in value);
}

function listJson(values: readonly unknown[]): Json {
  if (values.length > 0 && values.every(isInternational)) return internationalJson(values);
  if (values.length > 0 && values.every(isSegment)) return pathText(values);
  return values.map(toJson);
}

function internationalJson(texts: readonly InternationalText[]): Json {
  const [first, ...more] = texts;
  if (first !== undefined && more.length === 0) return first.text;
  return Object.fromEntries(texts.map(({ language, text }) => [language, text]));
}

function isSegment(value: unknown): value is Segment {
  return isRecord(value) && typeof value["kind"] === "string";
}

function canonical(value: Json): string {
  return JSON.stringify(value, (_key, field: unknown) =>
    isRecord(field) ? Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : 1))) : field,
  );
}
