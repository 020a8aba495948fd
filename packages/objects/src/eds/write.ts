/** What {@link writeEds} takes: what parseEds returned, or pieces of your own, which have no text yet. */
export interface WritableEds {
  readonly sections: readonly WritableSection[];
  readonly tail?: string;
}

export interface WritableSection {
  readonly name: string;
  readonly entries: readonly WritableEntry[];
  readonly lead?: string;
  readonly raw?: string;
}

/** Without `raw` the entry is written anew from its fields. */
export interface WritableEntry {
  readonly key: string;
  readonly fields: readonly { readonly raw: string; readonly note?: string }[];
  readonly lead?: string;
  readonly raw?: string;
}

/**
 * The text of an EDS. What was parsed and not changed comes back character for character; an entry or section without `raw` is
 * laid out in the usual way, one field a line with its note as a comment.
 *
 * @returns ISO 8859-1 text.
 */
export function writeEds(eds: WritableEds): string {
  return eds.sections.map(sectionText).join("") + (eds.tail ?? "\n");
}

function sectionText({ name, entries, lead, raw }: WritableSection): string {
  return `${lead ?? "\n\n"}${raw ?? `[${name}]`}${entries.map(entryText).join("")}`;
}

function entryText({ key, fields, lead, raw }: WritableEntry): string {
  return `${lead ?? "\n        "}${raw ?? `${key} =${fieldTexts(fields)}`}`;
}

function fieldTexts(fields: WritableEntry["fields"]): string {
  const [only] = fields;
  if (fields.length === 1 && only?.note === undefined) return ` ${only?.raw};`;
  return fields.map(({ raw, note }, i) => line(`${raw}${i === fields.length - 1 ? ";" : ","}`, note)).join("");
}

function line(text: string, note: string | undefined): string {
  return `\n                ${note === undefined ? text : `${text.padEnd(24)}$ ${note}`}`;
}
