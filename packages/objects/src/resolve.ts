import { EPATH, UsageError, decode, encode, objectPath, type Segment } from "@cipsec/wire";
import { allClassAttributes } from "./class-attributes.ts";
import { allClasses, classById, classByName, classIdentifier, plainName } from "./classes.ts";
import type { AttributeDeclaration, ObjectClass, ServiceDeclaration } from "./declare.ts";
import { hexOctets, octetsHex } from "./hex.ts";
import { hexNumber, integer, shown, unknown } from "./names.ts";

/** What a path in text means. Instance 0 is the class itself. Without a declaration only the numbers are known. */
export interface ResolvedPath {
  readonly object?: ObjectClass;
  readonly classId: number;
  readonly instance: number;
  readonly attribute?: { readonly id: number; readonly name?: string; readonly declaration?: AttributeDeclaration };
}

/** A service by its code; its declaration where the class has one. */
export interface ResolvedService {
  readonly code: number;
  readonly name?: string;
  readonly declaration?: ServiceDeclaration;
}

const plainPath = ["class", "instance", "attribute"] as const;
const examples = "such as EtherNetIpSecurity/1/allowedCipherSuites or 0x5E/1/4";

/**
 * Reads `CLASS/INSTANCE` or `CLASS/INSTANCE/ATTRIBUTE`, each by name or by number (decimal, or hexadecimal after 0x).
 *
 * @param classes Where names are looked up; add vendor classes to {@link allClasses} to have theirs known.
 * @throws {UsageError} `usage/argument` for a name that nothing has, with near names, and for numbers out of range.
 */
export function resolvePath(text: string, classes: readonly ObjectClass[] = allClasses): ResolvedPath {
  const [className = "", instanceText, attributeText, ...more] = text.split("/");
  if (instanceText === undefined || more.length > 0)
    throw new UsageError("usage/argument", `'${shown(text)}' is not CLASS/INSTANCE or CLASS/INSTANCE/ATTRIBUTE.`, {
      facts: { given: shown(text) },
      fix: `Write the path with slashes, ${examples}.`,
    });
  const target = { ...resolveClass(className, classes), instance: resolveInstance(instanceText) };
  return attributeText === undefined ? target : { ...target, attribute: resolveAttribute(attributeText, target) };
}

/**
 * Finds the service of this name or code for what {@link resolvePath} found.
 *
 * @throws {UsageError} `usage/argument` when the class declares no such service at this level.
 */
export function resolveService(text: string, { object, instance }: ResolvedPath): ResolvedService {
  const level = instance === 0 ? "class" : "instance";
  const here = Object.entries(object?.services ?? {}).filter(([, service]) => {
    const at = service.level ?? "instance";
    return at === "both" || at === level;
  });
  const code = number("service", text, 0x7f);
  const found = here.find(([name, service]) =>
    code === undefined ? plainName(name) === plainName(text) : service.code === code,
  );
  if (found !== undefined) return { code: found[1].code, name: found[0], declaration: found[1] };
  if (code !== undefined) return { code };
  const where = level === "class" ? "class-level service" : "service";
  throw unknown(
    within(where, object),
    text,
    here.map(([name]) => name),
  );
}

/** A path as `0x5F/1`, with the attribute as a third number; other paths as `hex:` and their octets; nothing for no path. */
export function pathText(path: readonly Segment[]): string {
  const numbers: string[] = [];
  for (const [i, segment] of path.entries()) {
    if (segment.kind !== "class" && segment.kind !== "instance" && segment.kind !== "attribute") return pathHex(path);
    if (segment.kind !== plainPath[i]) return pathHex(path);
    numbers.push(i === 0 ? hexNumber(segment.value) : String(segment.value));
  }
  return numbers.join("/");
}

/** The path that {@link pathText} writes; names are taken too. @throws {UsageError} `usage/argument` when it is none. */
export function parsePath(text: string): readonly Segment[] {
  if (text === "" || text === "none") return [];
  if (text.startsWith("hex:")) return pathOf(hexOctets(text.slice(4)));
  if (!text.includes("/")) return objectPath(resolveClass(text, allClasses).classId);
  const { classId, instance, attribute } = resolvePath(text);
  return objectPath(classId, instance, attribute?.id);
}

function pathHex(path: readonly Segment[]): string {
  return `hex:${octetsHex(encode(EPATH, path))}`;
}

function pathOf(bytes: Uint8Array): readonly Segment[] {
  try {
    return decode(EPATH, bytes);
  } catch (cause) {
    throw new UsageError("usage/argument", "The octets are not a path.", {
      facts: { hex: octetsHex(bytes).slice(0, 60) },
      cause,
      fix: `Give a padded path in hexadecimal, or a path in text, ${examples}.`,
    });
  }
}

function resolveClass(text: string, classes: readonly ObjectClass[]): { classId: number; object?: ObjectClass } {
  const id = number("class", text, 0xffff);
  const object = id === undefined ? classByName(text, classes) : classById(id, classes);
  if (object !== undefined) return { classId: object.classId, object };
  if (id === undefined) throw unknown("class", text, classes.map(classIdentifier));
  return { classId: id };
}

function resolveInstance(text: string): number {
  const instance = number("instance", text, 0xffff_ffff);
  if (instance !== undefined) return instance;
  throw new UsageError("usage/argument", `'${shown(text)}' is not an instance.`, {
    facts: { given: shown(text) },
    fix: "Give the instance as a number; 0 is the class itself.",
  });
}

function resolveAttribute(
  text: string,
  { object, instance }: { object?: ObjectClass; instance: number },
): NonNullable<ResolvedPath["attribute"]> {
  const declared = instance === 0 ? allClassAttributes(object) : (object?.attributes ?? {});
  const id = number("attribute", text, 0xffff);
  const found = Object.entries(declared).find(([name, attribute]) =>
    id === undefined ? plainName(name) === plainName(text) : attribute.id === id,
  );
  if (found !== undefined) return { id: found[1].id, name: found[0], declaration: found[1] };
  if (id !== undefined) return { id };
  throw unknown(within(instance === 0 ? "class attribute" : "attribute", object), text, Object.keys(declared));
}

function number(what: string, text: string, max: number): number | undefined {
  const value = integer(text);
  if (value === undefined || (value >= 0 && value <= max)) return value;
  throw new UsageError("usage/argument", `${what} ${text} is not a number from 0 to ${max}.`, {
    facts: { what, given: text, max },
    fix: `Use a number from 0 to ${max}.`,
  });
}

function within(what: string, object: ObjectClass | undefined): string {
  return object === undefined ? what : `${what} of ${object.name}`;
}
