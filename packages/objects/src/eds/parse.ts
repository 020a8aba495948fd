import { readAssemblies, type Assemblies } from "./assemblies.ts";
import { readConnections, type EdsConnection } from "./connections.ts";
import { readCapacity, readClasses, readPorts, type EdsCapacity, type EdsClass, type EdsPort } from "./device-parts.ts";
import { readClassification, readDevice, readFile, type EdsDevice, type EdsFile } from "./identity.ts";
import type { EdsPieces, EdsProblem } from "./model.ts";
import { readParams, type EdsParam } from "./params.ts";
import { quoted, reportOn } from "./report.ts";
import { edsLimits, scanEds } from "./scan.ts";
import { sheetOf } from "./sheet.ts";

/** An EDS: its text in pieces, and what the known sections say. */
export interface Eds extends EdsPieces {
  readonly file: EdsFile | undefined;
  readonly device: EdsDevice | undefined;
  /** One list a ClassN: the network, then vendors' subclasses. */
  readonly classification: readonly (readonly string[])[];
  readonly params: ReadonlyMap<number, EdsParam>;
  /** By key in lower case: `assem100`. */
  readonly assemblies: Assemblies;
  readonly connections: readonly EdsConnection[];
  readonly capacity: EdsCapacity | undefined;
  readonly ports: readonly EdsPort[];
  readonly classes: readonly EdsClass[];
  /** What is wrong with the file, in the order of the text; at most 1,000. */
  readonly problems: readonly EdsProblem[];
}

export interface ParseEdsOptions {
  /** What messages call the file; "EDS" when left out. */
  readonly name?: string;
  /** Throws at the first problem that is an error. */
  readonly strict?: boolean;
}

/**
 * Reads an Electronic Data Sheet. Whatever it holds is kept, also what is not understood; what is wrong is listed with its line
 * and the fix, and the rest is read all the same.
 *
 * @param text ISO 8859-1 text: every octet of the file a character, as `TextDecoder("latin1")` or `"latin1"` of Node give it.
 * @throws {UsageError} `usage/file` with facts `line` and `column`, for what is no EDS: no section, NUL characters, more than
 *   16 MiB, 10,000 sections, 100,000 entries, 1,000,000 fields or 8 nested braces; with `strict`, for the first error.
 * @see CIP Vol 1, 7-3; reference ethernet-ip.md 9
 */
export function parseEds(text: string, { name = "EDS", strict = false }: ParseEdsOptions = {}): Eds {
  const report = reportOn(quotedName(name));
  const start = { line: 1, column: 1 };
  if (text.length > edsLimits.characters)
    throw report.fatal(
      start,
      `the file is longer than ${edsLimits.characters} characters.`,
      "Check that it is an EDS of one device.",
    );
  if (text.includes("\0"))
    throw report.fatal(
      start,
      "the file holds NUL characters: it is no text, or text in UTF-16.",
      "Save it as ISO 8859-1 text.",
    );
  const pieces = scanEds(text, report);
  const sheet = sheetOf(pieces.sections, report);
  if (sheet.sections.size === 0)
    throw report.fatal(
      start,
      "there is no [Section], so this is no EDS.",
      "Give the device's .eds file, not an archive or a page.",
    );
  if (sheet.sections.has("fileinfo") && sheet.sections.has("deviceinfo"))
    throw report.fatal(
      start,
      "this is an EDS for CANopen, not for CIP.",
      "Get the EtherNet/IP EDS of the device from its maker.",
    );
  const wide = /[\u0100-\ufefe\uff00-\uffff]/.exec(text)?.[0];
  if (wide !== undefined)
    report.warn(
      start,
      `The text holds ${JSON.stringify(wide)}, which is not in ISO 8859-1.`,
      "Read the file as ISO 8859-1.",
    );
  const params = readParams(sheet);
  const assemblies = readAssemblies(sheet, params);
  const views = {
    file: readFile(sheet),
    device: readDevice(sheet),
    classification: readClassification(sheet),
    params,
    assemblies,
    connections: readConnections(sheet, { params, assemblies }),
    capacity: readCapacity(sheet),
    ports: readPorts(sheet),
    classes: readClasses(sheet),
  };
  const problems = report.problems();
  const first = problems.find(({ severity }) => severity === "error");
  if (strict && first !== undefined) throw report.fatal(first, first.message, first.fix);
  return { ...pieces, ...views, problems };
}

/** File names come from outside; a message takes them without what a terminal would act on. */
function quotedName(name: string): string {
  return quoted(name).slice(1, -1);
}
