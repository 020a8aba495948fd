/** Tells whether a value that was read is what its type says. */
export type Guard<T> = (value: unknown) => value is T;

/** Text of any length that a file of ours holds. */
export const isText = (value: unknown): value is string => typeof value === "string";

export const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

export const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";

/** Anything: for values that only their writer understands. */
export const isAnything = (_value: unknown): boolean => true;

/** Each property with its own guard; properties that are not named may be there and are not looked at. */
export function shape<T>(fields: Readonly<Record<keyof T & string, (value: unknown) => boolean>>): Guard<T> {
  const guards = Object.entries<(value: unknown) => boolean>(fields);
  return (value): value is T => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const found = new Map<string, unknown>(Object.entries(value));
    return guards.every(([name, guard]) => guard(found.get(name)));
  };
}

/** A list of at most 100,000 of something. */
export function listOf<T>(guard: (value: unknown) => value is T): Guard<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.length <= 100_000 && value.every(guard);
}

/** A property that may be left out. */
export function optional<T>(guard: (value: unknown) => value is T): Guard<T | undefined> {
  return (value): value is T | undefined => value === undefined || guard(value);
}

/** One of these words. */
export function oneOf<const T extends string | number | null>(...words: readonly T[]): Guard<T> {
  return (value): value is T => words.some((word) => word === value);
}

/** A record of texts. */
export function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === "object" && value !== null && Object.values(value).every(isText);
}
