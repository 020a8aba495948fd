import { BYTE, DWORD, UsageError, WORD, decode, encode, isStackError, type Codec } from "@cipsec/wire";
import type { AttributeDeclaration } from "./declare.ts";
import { formatOf } from "./formats.ts";
import { hexOctets } from "./hex.ts";
import { fromJson, isSameJson, toJson, type Json } from "./json.ts";
import { bitNames, listed, nameOf, shown, valueOf } from "./names.ts";

/** What writing and reading a value needs of its declaration; `{ type: service.request }` serves for services. */
export type Typed = Pick<AttributeDeclaration, "type" | "values" | "default">;

/** A file goes through File transfers; what is typed or read as a value is far below this. */
const maxText = 100_000;

/**
 * A value as JSON that people can read: names for enumerated values and bits, IANA names for cipher suites, `0x5F/1` for paths,
 * hexadecimal for octets. Pre-shared keys appear without the keys.
 *
 * @param value A value that the declaration's codec read.
 */
export function describe({ type, values }: Typed, value: unknown): Json {
  if (values !== undefined && typeof value === "number")
    return isBits(type) ? bitNames(values, value) : nameOf(values, value);
  return formatOf(type)?.describe?.(value) ?? toJson(value);
}

/**
 * A value from what a person typed, in any form that {@link describe} writes and in plain numbers; structures as JSON, with octets as
 * hexadecimal text. What it returns fits the declaration's codec.
 *
 * @throws {UsageError} `usage/argument` saying what is expected.
 */
export function parse(declaration: Typed, text: string): unknown {
  if (text.length > maxText) throw tooLong(text.length);
  const { type } = declaration;
  const value = fitting(type, () => read(declaration, text.trim()));
  const back = fitting(type, () => decode<unknown>(type, encode<unknown>(type, value)));
  if (formatOf(type) === undefined && !isSameJson(value, back))
    throw new UsageError("usage/argument", `Not all of the value is part of ${type.type}.`, {
      facts: { type: type.type },
      fix: `Only this is: ${shown(JSON.stringify(toJson(back)), 400)}`,
    });
  return value;
}

/** Tells a type whose `values` are masks of bits. */
export function isBits(type: Codec<unknown>): boolean {
  return type === BYTE || type === WORD || type === DWORD;
}

function read({ type, values, default: like }: Typed, text: string): unknown {
  if (values !== undefined) return isBits(type) ? bits(values, text) : valueOf(values, text);
  const format = formatOf(type);
  if (format !== undefined) return format.parse(text);
  if (type.type.startsWith("BYTE[")) return hexOctets(text);
  if (text === "" && isOptional(type)) return undefined;
  return fromJson(json(type, text), like, hexOctets);
}

/** Several names are one value. A number that no 32 bits hold passes as it is, for the codec to refuse. */
function bits(values: NonNullable<Typed["values"]>, text: string): number {
  const masks = listed(text).map((name) => valueOf(values, name));
  return masks.find((mask) => mask >>> 0 !== mask) ?? masks.reduce((all, mask) => (all | mask) >>> 0, 0);
}

function json(type: Codec<unknown>, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError("usage/argument", `'${shown(text)}' is not JSON, which ${type.type} is given in.`, {
      facts: { type: type.type },
      fix: "Put field names and text in double quotes, and the whole in single quotes for the shell.",
    });
  }
}

/** Does what a value must pass through; refuses the value where that fails. */
function fitting(type: Codec<unknown>, work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError("usage/argument", `The value does not fit ${type.type}: ${reason(error)}`, {
      facts: { type: type.type },
      fix: "Give a value of this layout; docs/objects shows it.",
    });
  }
}

/** Only the stack's own errors are known to repeat nothing secret. */
function reason(error: unknown): string {
  return isStackError(error) ? error.message : "a field is missing or of another kind.";
}

function isOptional(type: Codec<unknown>): boolean {
  return type.type.startsWith("[");
}

function tooLong(length: number): UsageError {
  return new UsageError(
    "usage/argument",
    `The value has ${length} characters, more than the ${maxText} that are read.`,
    {
      facts: { length, max: maxText },
      fix: "Send it as a file: cipsec file TARGET put INSTANCE FILE.",
    },
  );
}
