import { assemblyKey, type Assemblies } from "./assemblies.ts";
import { readParametersWord, readTransportWord, type DirectionWord, type TransportWord } from "./connection-words.ts";
import type { EdsEntry, EdsPosition, EdsReference } from "./model.ts";
import type { EdsParam } from "./params.ts";
import type { EdsPath } from "./path.ts";
import { quoted } from "./report.ts";
import { fieldReader, numbered, type FieldReader, type Sheet } from "./sheet.ts";

/** A number that an EDS gives, or leaves to a parameter. */
export interface EdsAmount {
  /** The parameter that holds it; none for a number in the entry itself, which is minimum, maximum and default in one. */
  readonly param: number | undefined;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly default: number | undefined;
}

/** One direction of a connection. */
export interface EdsDirection extends DirectionWord {
  /** Microseconds; none where the originator may choose. */
  readonly rpi: EdsAmount | undefined;
  /** Octets of application data, without sequence count and 32-bit header; none where `data` says it. */
  readonly size: EdsAmount | undefined;
  /** The assembly or parameter that is carried. */
  readonly data: EdsReference | undefined;
}

/** Configuration data sent with the Forward_Open: the first is for a proxy, the second for the target. */
export interface EdsConfiguration {
  readonly size: EdsAmount | undefined;
  readonly data: EdsReference | undefined;
}

/** ConnectionN. */
export interface EdsConnection extends EdsPosition {
  readonly number: number;
  readonly transport: TransportWord;
  readonly oToT: EdsDirection;
  readonly tToO: EdsDirection;
  readonly configurations: readonly EdsConfiguration[];
  readonly name: string;
  readonly help: string;
  readonly path: EdsPath | undefined;
}

/** Fifteen fields; safety connections have two more. */
const fieldCount = 17;

interface Known {
  readonly params: ReadonlyMap<number, EdsParam>;
  readonly assemblies: Assemblies;
}

/** [Connection Manager], by number. Entries that name what is not there are reported. */
export function readConnections(sheet: Sheet, known: Known): readonly EdsConnection[] {
  const names = new Map<string, number>();
  return numbered(sheet.sections.get("connection manager"), "Connection").flatMap(([number, entry]) => {
    const connection = readConnection(
      fieldReader("Connection Manager", entry, sheet.report),
      number,
      entry,
      known,
      sheet,
    );
    if (connection === undefined) return [];
    const same = names.get(connection.name);
    if (same !== undefined)
      sheet.report.warn(
        entry,
        `${entry.key} has the name of Connection${same}, ${quoted(connection.name)}.`,
        "Rename one of them.",
      );
    names.set(connection.name, number);
    return [connection];
  });
}

function readConnection(
  reader: FieldReader,
  number: number,
  entry: EdsEntry,
  known: Known,
  sheet: Sheet,
): EdsConnection | undefined {
  reader.atMost(fieldCount);
  const isWhole = [reader.need(0, "trigger and transport"), reader.need(1, "connection parameters")].every(Boolean);
  const transport = reader.integer(0, "trigger and transport");
  const parameters = reader.integer(1, "connection parameters");
  reader.need(14, "path");
  if (!isWhole || transport === undefined || parameters === undefined) return undefined;
  const words = readParametersWord(parameters);
  const amount = (index: number, what: string): EdsAmount | undefined => amountOf(reader, index, what, known, sheet);
  const data = (index: number, what: string): EdsReference | undefined => {
    const reference = reader.reference(index, what);
    return reference && existing(reader, entry, what, reference, known, sheet);
  };
  const direction = (word: DirectionWord, from: number, what: string): EdsDirection => ({
    ...word,
    rpi: amount(from, `${what} RPI`),
    size: amount(from + 1, `${what} size`),
    data: data(from + 2, `${what} format`),
  });
  const configuration = (from: number, what: string): EdsConfiguration => ({
    size: amount(from, `${what} size`),
    data: data(from + 1, `${what} format`),
  });
  return {
    number,
    line: entry.line,
    column: entry.column,
    transport: readTransportWord(transport),
    oToT: direction(words.oToT, 2, "O→T"),
    tToO: direction(words.tToO, 5, "T→O"),
    configurations: [configuration(8, "config #1"), configuration(10, "config #2")],
    name: reader.text(12, "name").trim(),
    help: reader.text(13, "help"),
    path: reader.path(14, "path"),
  };
}

function amountOf(
  reader: FieldReader,
  index: number,
  what: string,
  { params }: Known,
  { report }: Sheet,
): EdsAmount | undefined {
  const field = reader.field(index);
  if (field === undefined) return undefined;
  if (field.value.kind !== "reference") {
    const value = reader.integer(index, what);
    return value === undefined ? undefined : { param: undefined, minimum: value, maximum: value, default: value };
  }
  const { to, number } = field.value;
  const param = to.toLowerCase() === "param" ? params.get(number) : undefined;
  if (param === undefined) {
    report.error(
      field,
      `${reader.label}, ${what}: there is no parameter ${quoted(field.raw)}.`,
      "Add it to [Params], or write a number.",
    );
    return undefined;
  }
  return paramAmount(param);
}

/** The number that a parameter holds, with its bounds. */
export function paramAmount(param: EdsParam): EdsAmount {
  const { number, minimum, maximum } = param;
  return { param: number, minimum: whole(minimum), maximum: whole(maximum), default: whole(param.default) };
}

function whole(value: EdsParam["default"]): number | undefined {
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
}

function existing(
  reader: FieldReader,
  at: EdsPosition,
  what: string,
  reference: EdsReference,
  { params, assemblies }: Known,
  { report }: Sheet,
): EdsReference {
  const isParam = reference.to.toLowerCase() === "param";
  // Arrays and variants are kept by name only.
  const isKnown = isParam
    ? params.has(reference.number)
    : !/assem/i.test(reference.to) || assemblies.has(assemblyKey(reference));
  const name = `${reference.to}${reference.number}`;
  if (!isKnown)
    report.error(at, `${reader.label}, ${what}: there is no ${name}.`, `Add ${name}, or correct the reference.`);
  return reference;
}
