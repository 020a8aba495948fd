import type { Segment } from "@cipsec/wire";

/** What a program's name starts with where it stands for its scope, in lower case. */
export const programPrefix = "program:";

/** The longest name: four levels of 40 characters with their indices would do. */
const maxLength = 400;

const level = /^([A-Za-z_][\w:]*|\d{1,3})((?:\[\d{1,10}(?:,\d{1,10}){0,2}\])?)$/;

/** The path of segments that a tag's name stands for; `undefined` where it is not written as one. */
export function pathOf(name: string): readonly Segment[] | undefined {
  if (name.length > maxLength) return undefined;
  const path: Segment[] = [];
  for (const part of name.split(".")) {
    const [, symbol, indices] = level.exec(part) ?? [];
    if (symbol === undefined || indices === undefined) return undefined;
    path.push({ kind: "symbol", name: symbol, form: "ansi" });
    if (indices === "") continue;
    for (const index of indices.slice(1, -1).split(",")) path.push({ kind: "member", value: Number(index) });
  }
  return path;
}
