import type { EdsEntry, EdsField, EdsPosition, EdsReference, EdsSection } from "./model.ts";
import { readPath, type EdsPath } from "./path.ts";
import { quoted, type Report } from "./report.ts";

/** A section as the views see it: names in lower case, sections of one name taken together, the first of equal keys. */
export interface SheetSection extends EdsPosition {
  readonly name: string;
  readonly entries: ReadonlyMap<string, EdsEntry>;
}

export interface Sheet {
  readonly report: Report;
  /** In the order of the text. */
  readonly sections: ReadonlyMap<string, SheetSection>;
}

/** Finds entries by name, and reports what stands twice. Case does not count in names: files differ. */
export function sheetOf(sections: readonly EdsSection[], report: Report): Sheet {
  const found = new Map<string, SheetSection & { readonly entries: Map<string, EdsEntry> }>();
  for (const section of sections) {
    const name = section.name.toLowerCase();
    const known = found.get(name);
    if (known !== undefined) {
      report.warn(
        section,
        `The section [${section.name}] began in line ${known.line}.`,
        "Keep one section of each name.",
      );
    }
    const into = known ?? { name: section.name, line: section.line, column: section.column, entries: new Map() };
    found.set(name, into);
    for (const entry of section.entries) addEntry(into, entry, report);
  }
  return { report, sections: found };
}

function addEntry(section: { name: string; entries: Map<string, EdsEntry> }, entry: EdsEntry, report: Report): void {
  const key = entry.key.toLowerCase();
  const first = section.entries.get(key);
  if (first === undefined) section.entries.set(key, entry);
  else
    report.error(
      entry,
      `[${section.name}] ${entry.key} is in line ${first.line} already.`,
      "Remove one; the first counts.",
    );
}

/** Entries `prefix` and a number, by that number. */
export function numbered(section: SheetSection | undefined, prefix: string): readonly (readonly [number, EdsEntry])[] {
  const form = new RegExp(`^${prefix}(\\d{1,5})$`, "i");
  const found = [...(section?.entries.values() ?? [])].flatMap((entry) => {
    const [, number] = form.exec(entry.key) ?? [];
    return number === undefined ? [] : [[Number(number), entry] as const];
  });
  return found.toSorted(([a], [b]) => a - b);
}

/** The bounds of a number; an unsigned one of 32 bits where nothing is said. */
export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** Reads the fields of one entry, counted from 0; reports with the entry's name what is missing or of another kind. */
export interface FieldReader {
  readonly label: string;
  field(index: number): EdsField | undefined;
  integer(index: number, what: string, range?: Range): number | undefined;
  text(index: number, what: string): string;
  reference(index: number, what: string): EdsReference | undefined;
  path(index: number, what: string): EdsPath | undefined;
  /** Reports a field that must be there and is empty. */
  need(index: number, what: string): boolean;
  /** Reports an entry with more fields than this. */
  atMost(count: number): void;
}

export function fieldReader(section: string, entry: EdsEntry, report: Report): FieldReader {
  const label = `[${section}] ${entry.key}`;
  const name = (what: string): string => `${label}, ${what}`;
  /** The field unless it is empty. */
  const field = (index: number): EdsField | undefined => {
    const found = entry.fields[index];
    return found?.value.kind === "empty" ? undefined : found;
  };
  const wrong = (at: EdsField, what: string, kind: string, fix: string): undefined => {
    report.error(at, `${name(what)}: ${quoted(at.raw)} is not ${kind}.`, fix);
  };
  return {
    label,
    field,
    integer(index, what, { min = 0, max = 0xffff_ffff } = {}) {
      const found = field(index);
      if (found === undefined) return undefined;
      const number = found.value.kind === "number" ? Number(found.value.value) : Number.NaN;
      if (Number.isInteger(number) && number >= min && number <= max) return number;
      return wrong(
        found,
        what,
        `a number from ${min} to ${max}`,
        "Write it in decimal, or as 0x and hexadecimal digits.",
      );
    },
    text(index, what) {
      const found = field(index);
      if (found === undefined) return "";
      if (found.value.kind === "text") return found.value.value;
      if (found.value.kind === "group") wrong(found, what, "a text", "Write the text in quotes.");
      return found.raw;
    },
    reference(index, what) {
      const found = field(index);
      if (found === undefined || (found.value.kind === "text" && found.value.value === "")) return undefined;
      if (found.value.kind !== "reference")
        return wrong(found, what, "the name of an entry", "Name a ParamN or AssemN.");
      return { to: found.value.to, number: found.value.number };
    },
    path: (index, what) => readPath(field(index), name(what), report),
    need(index, what) {
      if (field(index) !== undefined) return true;
      report.error(entry.fields[index] ?? entry, `${name(what)}: nothing is given.`, "Fill in the field.");
      return false;
    },
    atMost(count) {
      if (entry.fields.length > count)
        report.warn(
          entry,
          `${label} has ${entry.fields.length} fields, not ${count}.`,
          "Remove what is too much, or a stray ','.",
        );
    },
  };
}

/** Reader of a section's entry of one field. Reports an entry that must be there and is not. */
export function entryReader(
  sheet: Sheet,
  section: SheetSection,
  key: string,
  isRequired: boolean,
): FieldReader | undefined {
  const entry = section.entries.get(key.toLowerCase());
  if (entry !== undefined) {
    const reader = fieldReader(section.name, entry, sheet.report);
    reader.atMost(1);
    return reader;
  }
  if (isRequired) sheet.report.error(section, `[${section.name}] has no ${key}.`, `Add ${key} = …; to the section.`);
  return undefined;
}
