import { EPATH, encode, type Codec, type Segment } from "@cipsec/wire";
import { octetsHex } from "../hex.ts";
import type { EdsDate, EdsReference, EdsTime, EdsValue } from "./model.ts";

/** The longest text that is a number: 64 binary digits and their prefix. What is longer is a word, and costs no arithmetic. */
const maxNumber = 70;

/** What a text without quotes stands for. Blanks within it count as one. */
export function valueOf(text: string): EdsValue {
  const number = numberOf(text);
  if (number !== undefined) return { kind: "number", value: number };
  const date = dateOf(text);
  if (date !== undefined) return { kind: "date", ...date };
  const time = timeOf(text);
  if (time !== undefined) return { kind: "time", ...time };
  const reference = referenceOf(text);
  return reference === undefined ? { kind: "word", value: text } : { kind: "reference", ...reference };
}

/** What a quoted text says: `\n`, `\t`, `\\`, `\"` and their like are replaced, any other backslash stands for itself. */
export function unescaped(text: string): string {
  return text.replaceAll(/\\(x[0-9a-f]{2}|.)/gi, (whole, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (escapes.get(code) ?? whole),
  );
}

/** A text as an EDS writes it, quotes included. */
export function textLiteral(text: string): string {
  const escaped = Object.entries(literals).reduce((whole, [sign, code]) => whole.replaceAll(sign, code), text);
  return `"${escaped}"`;
}

/** A path as an EDS writes it: quoted octets. */
export function pathLiteral(path: readonly Segment[], form: Codec<readonly Segment[]> = EPATH): string {
  return `"${octetsHex(encode(form, path))
    .toUpperCase()
    .replaceAll(/..(?=.)/g, "$& ")}"`;
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["\\", "\\"],
  ['"', '"'],
  ["'", "'"],
]);

/** The backslash first: the others bring their own. */
const literals = { "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r" };

const integerForm = /^(?:[+-]?\d+|0x[0-9a-f]+|0b[01]+)$/i;
const realForm = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

function numberOf(text: string): number | bigint | undefined {
  if (text.length > maxNumber) return undefined;
  if (integerForm.test(text)) {
    const value = text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.replace("+", ""));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  return realForm.test(text) ? Number(text) : undefined;
}

function dateOf(text: string): EdsDate | undefined {
  const [, month, day, year] = /^(\d{1,2})-(\d{1,2})-(\d{4}|\d{2})$/.exec(text) ?? [];
  const date = { year: fullYear(Number(year)), month: Number(month), day: Number(day) };
  const isMonth = date.month >= 1 && date.month <= 12;
  return isMonth && date.day >= 1 && date.day <= daysOf(date) ? date : undefined;
}

/** Files from before 2000 write two digits. */
function fullYear(year: number): number {
  if (year >= 100) return year;
  return year >= 70 ? 1900 + year : 2000 + year;
}

function daysOf({ year, month }: EdsDate): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function timeOf(text: string): EdsTime | undefined {
  const [, hours, minutes, seconds] = /^(\d{1,2}):(\d{1,2}):(\d{1,2})$/.exec(text) ?? [];
  const time = { hours: Number(hours), minutes: Number(minutes), seconds: Number(seconds) };
  return time.hours < 24 && time.minutes < 60 && time.seconds < 60 ? time : undefined;
}

const referenceForm =
  /^((?:Prox(?:y|ied))?(?:Param|Assem(?:Exa)?)|Enum|(?:BitString)?Variant(?:Exa)?|Array|ConstructedParam)(\d{1,5})$/i;

function referenceOf(text: string): EdsReference | undefined {
  const [, to, number] = referenceForm.exec(text) ?? [];
  return to === undefined ? undefined : { to, number: Number(number) };
}
