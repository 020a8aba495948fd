/** One line of `passwd`. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** How an account's password field in `shadow` stands. */
export type PasswordState = "empty" | "locked" | "none" | "hash" | "weak-hash";

/** One line of `shadow`, without the hash. */
export interface ShadowEntry {
  readonly name: string;
  readonly state: PasswordState;
  /** `yescrypt`, `sha512` and so on; `des` for the oldest form. */
  readonly hash: string | undefined;
  readonly maxDays: number | undefined;
}

/** Accounts; lines that are not of the right form are left out. */
export function parsePasswd(text: string): readonly Account[] {
  return records(text, 7).flatMap(([name = "", , uid, gid, , home = "", shell = ""]) =>
    /^\d{1,10}$/.test(uid ?? "") && /^\d{1,10}$/.test(gid ?? "") && name !== ""
      ? [{ name, uid: Number(uid), gid: Number(gid), home, shell }]
      : [],
  );
}

/** Names and ids of groups. */
export function parseGroup(text: string): readonly { readonly name: string; readonly gid: number }[] {
  return records(text, 4).flatMap(([name = "", , gid]) =>
    /^\d{1,10}$/.test(gid ?? "") && name !== "" ? [{ name, gid: Number(gid) }] : [],
  );
}

/** `$y$` and `$6$` stand in the criteria by name; the others here are as strong. */
const strongHashes = new Map([
  ["y", "yescrypt"],
  ["gy", "gost-yescrypt"],
  ["7", "scrypt"],
  ["6", "sha512"],
  ["2b", "bcrypt"],
  ["2y", "bcrypt"],
]);
const weakHashes = new Map([
  ["1", "md5"],
  ["2a", "bcrypt of the old form"],
  ["3", "nt"],
  ["5", "sha256"],
  ["sha1", "sha1"],
  ["md5", "sunmd5"],
]);

/** How each account's password is kept. */
export function parseShadow(text: string): readonly ShadowEntry[] {
  return records(text, 9).map(([name = "", field = "", , , max]) => ({
    name,
    ...stateOf(field),
    maxDays: /^\d{1,6}$/.test(max ?? "") ? Number(max) : undefined,
  }));
}

/** A hash type's name, and whether it may still be used. */
export function hashType(field: string): { readonly name: string; readonly isStrong: boolean } {
  const id = /^\$([a-z0-9]+)\$/.exec(field)?.[1];
  if (id === undefined) return { name: "des", isStrong: false };
  const strong = strongHashes.get(id);
  return strong === undefined ? { name: weakHashes.get(id) ?? id, isStrong: false } : { name: strong, isStrong: true };
}

function stateOf(field: string): Pick<ShadowEntry, "state" | "hash"> {
  if (field === "") return { state: "empty", hash: undefined };
  if (/^[!*]+$/.test(field) || field === "x") return { state: "none", hash: undefined };
  const isLocked = field.startsWith("!");
  const { name, isStrong } = hashType(field.replace(/^!+/, ""));
  return { state: isLocked ? "locked" : isStrong ? "hash" : "weak-hash", hash: name };
}

/** Values that come more than once. */
export function duplicates<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values.filter((value, at) => values.indexOf(value) !== at))];
}

function records(text: string, fields: number): readonly (readonly string[])[] {
  return text
    .split("\n")
    .map((line) => line.split(":"))
    .filter((parts) => parts.length === fields);
}
