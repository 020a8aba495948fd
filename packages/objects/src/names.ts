import { UsageError } from "@cipsec/wire";
import { plainName } from "./classes.ts";

/** Names of values, or of bits as masks. */
export type ValueNames = Readonly<Record<string, number>>;

/** A camelCase name as people and JSON read it: `factoryDefault` becomes `factory-default`. */
export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The name of a value as {@link kebab} writes it, or the number itself where the table lacks it. */
export function nameOf(names: ValueNames, value: number): string | number {
  const found = Object.entries(names).find(([, known]) => known === value);
  return found === undefined ? value : kebab(found[0]);
}

/** The names of the bits that are set; bits without a name come last, as one hexadecimal number. */
export function bitNames(names: ValueNames, value: number): readonly string[] {
  const entries = Object.entries(names);
  if (value === 0) return entries.filter(([, mask]) => mask === 0).map(([name]) => kebab(name));
  const set = entries.filter(([, mask]) => mask !== 0 && (value & mask) >>> 0 === mask);
  const rest = set.reduce((left, [, mask]) => (left & ~mask) >>> 0, value);
  return [...set.map(([name]) => kebab(name)), ...(rest === 0 ? [] : [hexNumber(rest)])];
}

/** The value of a name in any spelling, or of a number in digits. @throws {UsageError} `usage/argument`, with near names. */
export function valueOf(names: ValueNames, text: string): number {
  const number = integer(text);
  if (number !== undefined) return number;
  const found = Object.entries(names).find(([name]) => plainName(name) === plainName(text));
  if (found === undefined) throw unknown("value", text, Object.keys(names).map(kebab));
  return found[1];
}

/** A whole number in decimal or, after 0x, hexadecimal digits; `undefined` for other text. */
export function integer(text: string): number | undefined {
  return /^-?\d{1,15}$|^0x[0-9a-f]{1,13}$/i.test(text) ? Number(text) : undefined;
}

/** `0x5F`: as many digits as it takes, two at least. */
export function hexNumber(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** The entries of a list in any of the forms that people type: `a, b`, `a b` or `["a","b"]`. */
export function listed(text: string): readonly string[] {
  return text.split(/[\s,|"[\]]+/).filter((word) => word !== "");
}

/** The error for a name that nothing has, naming those that are near, or all where none is. */
export function unknown(what: string, text: string, known: readonly string[]): UsageError {
  const near = known.filter((name) => isNear(plainName(text).slice(0, 60), plainName(name)));
  const names = (near.length > 0 ? near : known).join(", ");
  const hint = near.length > 0 ? `Did you mean ${names}?` : `Use a number, or one of: ${names}.`;
  return new UsageError("usage/argument", `There is no ${what} '${shown(text)}'.`, {
    facts: { what, given: shown(text) },
    fix: known.length > 0 ? hint : "Use a number.",
  });
}

/** Text from outside as far as a message repeats it. */
export function shown(text: string, max = 60): string {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

function isNear(typed: string, name: string): boolean {
  return typed.length > 2 && (name.includes(typed) || typed.includes(name) || likeness(typed, name) > 0.5);
}

/** How many of their pairs of letters two words share: 1 for the same, 0 for none. */
function likeness(a: string, b: string): number {
  const [ofA, ofB] = [letterPairs(a), letterPairs(b)];
  const shared = [...ofA].filter((pair) => ofB.has(pair));
  return (2 * shared.length) / (ofA.size + ofB.size);
}

function letterPairs(word: string): ReadonlySet<string> {
  return new Set(Array.from({ length: word.length - 1 }, (_, i) => word.slice(i, i + 2)));
}
