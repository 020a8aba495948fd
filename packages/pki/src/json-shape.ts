import { UsageError } from "./errors.ts";

/**
 * Reads values out of JSON that a person or a file gave, and says by path what is wrong with it.
 *
 * @throws {UsageError} `usage/est` from every reader
 */
export interface Shape {
  readonly path: string;
  readonly value: unknown;
}

/** The fields of an object; others than the named ones are refused, as a slip of the pen would be overlooked otherwise. */
export function objectOf({ path, value }: Shape, fields: readonly string[]): (field: string) => Shape {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object");
  const entries = new Map<string, unknown>(Object.entries(value));
  for (const name of entries.keys())
    if (!fields.includes(name)) throw wrong(`${path}.${name.slice(0, 40)}`, `one of ${fields.join(", ")}`);
  return (field) => ({ path: `${path}.${field}`, value: entries.get(field) });
}

/** Nothing where there is nothing. */
export function optional<T>(shape: Shape, read: (shape: Shape) => T): T | undefined {
  return shape.value === undefined ? undefined : read(shape);
}

/** A list of up to 1000. */
export function listOf<T>({ path, value }: Shape, read: (shape: Shape) => T): readonly T[] {
  if (!Array.isArray(value) || value.length > 1000) throw wrong(path, "a list");
  return value.map((item: unknown, at: number) => read({ path: `${path}[${at}]`, value: item }));
}

/** Text, of up to 4096 characters unless told. */
export function textOf({ path, value }: Shape, max = 4096): string {
  if (typeof value !== "string" || value.length > max) throw wrong(path, "text");
  return value;
}

/** A whole number within bounds. */
export function wholeOf({ path, value }: Shape, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
    throw wrong(path, `a whole number from ${min} to ${max}`);
  return value;
}

/** True or false. */
export function flagOf({ path, value }: Shape): boolean {
  if (typeof value !== "boolean") throw wrong(path, "true or false");
  return value;
}

/** One of the given words. */
export function wordOf<const W extends string>({ path, value }: Shape, words: readonly W[]): W {
  const found = words.find((word) => word === value);
  if (found === undefined) throw wrong(path, `one of ${words.join(", ")}`);
  return found;
}

/** An object as a map of text. */
export function mapOf({ path, value }: Shape): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object");
  return Object.fromEntries(
    Object.entries(value).map(([name, text]: [string, unknown]) => [
      name,
      textOf({ path: `${path}.${name}`, value: text }),
    ]),
  );
}

/** What stands there is wrong. */
export function wrong(path: string, expected: string): UsageError {
  return new UsageError("usage/est", `${path} must be ${expected}`, { facts: { path } });
}
