import { WireError, decode, encode, type Codec } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allClasses, classById, serviceByCode } from "../src/index.ts";

const cases = allClasses.map((declaration) => ({ name: declaration.name, declaration }));
const wordNames = /^[a-z][A-Za-z0-9]*$/;

describe.each(cases)("$name", ({ declaration }) => {
  const attributes = Object.entries(declaration.attributes);
  const services = Object.entries(declaration.services);

  test("ids are unique and class attributes leave 1 to 7 alone", () => {
    const ids = attributes.map(([, { id }]) => id);
    const classIds = Object.values(declaration.classAttributes ?? {}).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(classIds).size).toBe(classIds.length);
    expect(Math.min(8, ...classIds)).toBe(8);
    expect(classById(declaration.classId)).toBe(declaration);
  });

  test("service codes are unique at each level and found by code", () => {
    for (const level of ["class", "instance"] as const) {
      const here = services.filter(([, service]) => [level, "both"].includes(service.level ?? "instance"));
      expect(new Set(here.map(([, { code }]) => code)).size).toBe(here.length);
      for (const [name, service] of here)
        expect(serviceByCode(declaration, service.code, level)).toEqual({ ...service, name });
    }
  });

  test("names are camelCase and no attribute is called like a service", () => {
    const names = [...attributes, ...services].map(([name]) => name);
    for (const name of names) expect(name).toMatch(wordNames);
    expect(new Set(names).size).toBe(names.length);
  });

  test("Get_Attributes_All names what is declared, once each", () => {
    const all = declaration.all ?? [];
    expect(all.filter((name) => !(name in declaration.attributes))).toEqual([]);
    expect(new Set(all).size).toBe(all.length);
    const ids = new Set([1, 2, 3, 4, 5, 6, 7, ...Object.values(declaration.classAttributes ?? {}).map(({ id }) => id)]);
    expect((declaration.classAll ?? []).filter((id) => !ids.has(id))).toEqual([]);
  });

  test("defaults fit their type, and docs are one sentence", () => {
    for (const [, attribute] of attributes) {
      expect(attribute.doc).toMatch(/^[A-Z].*\.$/);
      if (!("default" in attribute)) continue;
      const type: Codec<unknown> = attribute.type;
      expect(decode(type, encode(type, attribute.default))).toEqual(attribute.default);
    }
  });

  test("whatever a codec reads it writes, and reads again as the same", () => {
    const typed = [
      ...Object.values(declaration.classAttributes ?? {}),
      ...attributes.map(([, attribute]) => attribute),
    ];
    const codecs: readonly (Codec<unknown> | undefined)[] = [
      ...typed.map(({ type }) => type),
      ...services.flatMap(([, { request, response }]) => [request, response]),
    ];
    for (const codec of codecs) if (codec !== undefined) staysTheSame(codec);
  });
});

/**
 * Tries lengths that zeros are read at, as a fixed layout takes exactly one, or zeros behind a count of one; with those and with
 * any octets.
 */
function staysTheSame(codec: Codec<unknown>): void {
  const starts = Array.from({ length: 81 }, (_, length) => [0, 1].map((first) => startingWith(first, length))).flat();
  const readable = starts.filter((bytes) => tryDecode(codec, bytes) !== undefined);
  expect(readable, codec.type).not.toEqual([]);
  const octets = fc
    .constantFrom(...readable)
    .chain((bytes) =>
      fc.oneof(fc.constant(bytes), fc.uint8Array({ minLength: bytes.length, maxLength: bytes.length })),
    );
  fc.assert(
    fc.property(octets, (bytes) => {
      const read = tryDecode(codec, bytes);
      if (read !== undefined) expect(decode(codec, encode(codec, read.value))).toEqual(read.value);
    }),
    { numRuns: 30 },
  );
}

function startingWith(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i === 0 ? first : 0));
}

function tryDecode(codec: Codec<unknown>, bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: decode(codec, bytes) };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return undefined;
  }
}
