import { Cursor } from "./cursor.ts";
import type { EdsEntry, EdsField, EdsPieces, EdsPosition, EdsSection, EdsValue } from "./model.ts";
import { quoted, type Report } from "./report.ts";
import { unescaped, valueOf } from "./value.ts";

/** Bounds of one file; the largest public ones have some 20,000 entries of 400,000 fields. */
export const edsLimits = {
  characters: 16 * 1024 * 1024,
  sections: 10_000,
  entries: 100_000,
  fields: 1_000_000,
  depth: 8,
};

/**
 * Cuts a text into sections, entries and fields, in time linear in its length. What cannot be read is reported, skipped, and
 * kept in the `lead` of what follows, so that the pieces joined are the text again.
 *
 * @throws {UsageError} `usage/file` above one of the {@link edsLimits}.
 */
export function scanEds(text: string, report: Report): EdsPieces {
  const scan: Scan = { c: new Cursor(text), report, sections: [], entries: 0, fields: 0, kept: 0 };
  for (;;) {
    scan.c.skip();
    if (scan.c.isAtEnd) break;
    if (scan.c.character === "[") readSection(scan);
    else readEntry(scan);
  }
  return { sections: scan.sections, tail: text.slice(scan.kept) };
}

interface Scan {
  readonly c: Cursor;
  readonly report: Report;
  readonly sections: (EdsSection & { readonly entries: EdsEntry[] })[];
  entries: number;
  fields: number;
  /** Offset up to which sections and entries hold the text. */
  kept: number;
}

function readSection(scan: Scan): void {
  const { c, report, sections } = scan;
  const start = c.at;
  const position = c.position;
  bound(scan, position, sections.length, "sections");
  c.skipTo("]");
  const name = c.text.slice(start + 1, c.at).trim();
  if (!c.take("]"))
    report.error(position, `The section ${quoted(name)} has no ']'.`, "Write the section's name as [Name].");
  sections.push({ name, entries: [], ...position, ...keep(scan, start, c.at) });
}

function readEntry(scan: Scan): void {
  const { c, report } = scan;
  const start = c.at;
  const position = c.position;
  const key = c.word();
  c.skip();
  const section = scan.sections.at(-1);
  if (key === "" || c.character !== "=" || section === undefined) {
    report.error(
      position,
      `${quoted(key || c.character)} is not an entry of a section.`,
      "Write Key = value; below a [Section].",
    );
    if (c.line === position.line) c.skipTo(";");
    c.take(";");
    return;
  }
  bound(scan, position, scan.entries, "entries");
  scan.entries += 1;
  c.at += 1;
  c.markEnd();
  const fields = readFields(scan, 0);
  if (c.take(";")) c.markEnd();
  else report.error(c.end, `The entry ${quoted(key)} does not end in ';'.`, "Put ';' behind its last field.");
  section.entries.push({ key, fields, ...position, ...keep(scan, start, c.end.at) });
}

/** Fields up to ';', to the brace that closes them, or to where another entry or section shows that ';' is missing. */
function readFields(scan: Scan, depth: number): readonly EdsField[] {
  const { c } = scan;
  const from = c.at;
  const fields: EdsField[] = [];
  for (;;) {
    fields.push(readField(scan, depth, from));
    if (!c.take(",")) return fields;
    c.markEnd();
  }
}

type Piece =
  | { readonly kind: "text" | "word"; readonly text: string; readonly at: number }
  | { readonly kind: "group"; readonly fields: readonly EdsField[]; readonly at: number };

function readField(scan: Scan, depth: number, from: number): EdsField {
  const { c, report } = scan;
  c.skip();
  const { at: start, position } = c;
  bound(scan, position, scan.fields, "fields");
  scan.fields += 1;
  let before = c.end;
  const pieces: Piece[] = [];
  while (!endsField(c, depth)) {
    const last = pieces.at(-1);
    if (
      c.character === "=" &&
      last !== undefined &&
      last.kind === "word" &&
      last.at === c.firstOfLine &&
      last.at > from
    ) {
      // The word before the '=' is the first of its line: it is the key of the next entry.
      pieces.pop();
      c.at = last.at;
      c.end = before;
      break;
    }
    before = c.end;
    pieces.push(readPiece(scan, depth));
    c.skip();
  }
  const raw = c.text.slice(start, Math.max(start, c.end.at));
  return { raw, value: fieldValue(pieces, raw, position, report), ...position };
}

function endsField(c: Cursor, depth: number): boolean {
  const character = c.character;
  if (character === "" || character === "," || character === ";") return true;
  return depth > 0 ? character === "}" : character === "[" && c.at === c.firstOfLine;
}

function readPiece(scan: Scan, depth: number): Piece {
  const { c, report } = scan;
  const { at, position } = c;
  // The pieces of a text or a phrase count like fields: they take as much memory.
  bound(scan, position, scan.fields, "fields");
  scan.fields += 1;
  if (c.character === '"') {
    const isClosed = c.quoted();
    c.markEnd();
    const text = unescaped(c.text.slice(at + 1, isClosed ? c.at - 1 : c.at));
    if (!isClosed)
      report.error(position, `The text ${quoted(text)} has no closing quote on its line.`, 'Put " at its end.');
    return { kind: "text", text, at };
  }
  if (c.character === "{") return readGroup(scan, depth + 1, position);
  const text = c.word();
  c.markEnd();
  if (text !== "") return { kind: "word", text, at };
  report.error(
    position,
    `${quoted(c.character)} stands where a value should be.`,
    "Remove it, or put the value in quotes.",
  );
  c.at += 1;
  c.markEnd();
  return { kind: "word", text: c.text.slice(at, c.at), at };
}

function readGroup(scan: Scan, depth: number, position: EdsPosition): Piece {
  const { c, report } = scan;
  const at = c.at;
  bound(scan, position, depth - 1, "depth");
  c.at += 1;
  const fields = readFields(scan, depth);
  if (c.take("}")) c.markEnd();
  else report.error(position, "This brace is not closed.", "Put '}' before the end of the entry.");
  return { kind: "group", fields, at };
}

function fieldValue(pieces: readonly Piece[], raw: string, position: EdsPosition, report: Report): EdsValue {
  const [first] = pieces;
  if (first === undefined) return { kind: "empty" };
  if (first.kind === "group" && pieces.length === 1) return { kind: "group", fields: first.fields };
  const texts = pieces.flatMap((piece) => (piece.kind === first.kind && piece.kind !== "group" ? [piece.text] : []));
  if (texts.length < pieces.length) {
    report.error(
      position,
      `${quoted(raw)} mixes values of several kinds.`,
      "Put ',' between fields, or quotes around the text.",
    );
    return { kind: "word", value: raw };
  }
  return first.kind === "text" ? { kind: "text", value: texts.join("") } : valueOf(texts.join(" "));
}

/** The text of a piece and of what was passed over before it. */
function keep(scan: Scan, start: number, end: number): { lead: string; raw: string } {
  const lead = scan.c.text.slice(scan.kept, start);
  scan.kept = end;
  return { lead, raw: scan.c.text.slice(start, end) };
}

function bound(scan: Scan, at: EdsPosition, count: number, what: "sections" | "entries" | "fields" | "depth"): void {
  if (count < edsLimits[what]) return;
  const message = what === "depth" ? "braces are nested deeper than" : `there are more ${what} than`;
  throw scan.report.fatal(at, `${message} ${edsLimits[what]}.`, "Check that the file is an EDS of one device.");
}
