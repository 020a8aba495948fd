import type { EdsField, EdsPosition } from "./model.ts";
import type { EdsPath } from "./path.ts";
import { quoted } from "./report.ts";
import { fieldReader, numbered, type FieldReader, type Sheet } from "./sheet.ts";

/** A value of a parameter. */
export type EdsScalar = number | bigint | string;

/** Bits of a parameter's descriptor. @see reference ethernet-ip.md 7.5 */
export const ParamDescriptor = {
  settablePath: 0x01,
  enumerated: 0x02,
  scaled: 0x04,
  scalingLinks: 0x08,
  readOnly: 0x10,
  monitored: 0x20,
  extendedPrecision: 0x40,
} as const;

/** ParamN, with EnumN. */
export interface EdsParam extends EdsPosition {
  readonly number: number;
  readonly path: EdsPath | undefined;
  readonly descriptor: number;
  /** Code of an elementary type, such as 0xC7. */
  readonly dataType: number;
  /** Octets. */
  readonly dataSize: number;
  readonly name: string;
  readonly units: string;
  readonly help: string;
  readonly minimum: EdsScalar | undefined;
  readonly maximum: EdsScalar | undefined;
  readonly default: EdsScalar | undefined;
  readonly scaling: ParamScaling;
  /** Numbers of the parameters that hold the scaling. */
  readonly scalingLinks: ParamScaling;
  readonly decimals: number | undefined;
  readonly choices: readonly EdsChoice[];
  /** Name, units and help in other languages, as written. */
  readonly international: readonly EdsField[];
}

export interface ParamScaling {
  readonly multiplier: number | undefined;
  readonly divisor: number | undefined;
  readonly base: number | undefined;
  readonly offset: number | undefined;
}

/** One value of an enumerated parameter and its name. */
export interface EdsChoice {
  readonly value: number;
  readonly text: string;
}

const fieldCount = 24;

/** Octets of the types of fixed size. @see reference ethernet-ip.md 4 */
const typeSizes: ReadonlyMap<number, number> = new Map([
  ...[0xc1, 0xc2, 0xc6, 0xd1].map((type) => [type, 1] as const),
  ...[0xc3, 0xc7, 0xcd, 0xd2, 0xd8].map((type) => [type, 2] as const),
  ...[0xc4, 0xc8, 0xca, 0xcc, 0xce, 0xd3, 0xd6, 0xdb].map((type) => [type, 4] as const),
  ...[0xc5, 0xc9, 0xcb, 0xd4, 0xd7].map((type) => [type, 8] as const),
]);

/** Octets of a type of fixed size. */
export function typeSize(dataType: number): number | undefined {
  return typeSizes.get(dataType);
}

/** [Params], by number. */
export function readParams(sheet: Sheet): ReadonlyMap<number, EdsParam> {
  const section = sheet.sections.get("params");
  const choices = new Map(numbered(section, "Enum").map(([number, entry]) => [number, entry]));
  const params = numbered(section, "Param").flatMap(([number, entry]) => {
    const reader = fieldReader("Params", entry, sheet.report);
    const choiceEntry = choices.get(number);
    const texts =
      choiceEntry === undefined
        ? []
        : readChoices(fieldReader("Params", choiceEntry, sheet.report), choiceEntry.fields);
    choices.delete(number);
    const param = readParam(reader, number, entry, texts);
    if (param !== undefined) checkParam(sheet, reader, param);
    return param === undefined ? [] : [[number, param] as const];
  });
  for (const [number, entry] of choices)
    sheet.report.warn(entry, `[Params] ${entry.key} belongs to no Param${number}.`, "Remove it, or add the parameter.");
  return new Map(params);
}

function readParam(
  reader: FieldReader,
  number: number,
  { line, column, fields }: EdsPosition & { readonly fields: readonly EdsField[] },
  choices: readonly EdsChoice[],
): EdsParam | undefined {
  reader.atMost(fieldCount);
  reader.need(6, "name");
  const dataType = reader.need(4, "data type") ? reader.integer(4, "data type", { max: 0xff }) : undefined;
  if (dataType === undefined) return undefined;
  const scaling = (from: number, what: string): ParamScaling => ({
    multiplier: reader.integer(from, `${what} multiplier`, { max: 0xffff }),
    divisor: reader.integer(from + 1, `${what} divisor`, { max: 0xffff }),
    base: reader.integer(from + 2, `${what} base`, { max: 0xffff }),
    offset: reader.integer(from + 3, `${what} offset`, { min: -0x8000_0000 }),
  });
  return {
    number,
    line,
    column,
    path: reader.path(2, "link path"),
    descriptor: reader.integer(3, "descriptor", { max: 0xffff }) ?? 0,
    dataType,
    dataSize: reader.integer(5, "data size", { max: 0xffff }) ?? typeSize(dataType) ?? 0,
    name: reader.text(6, "name"),
    units: reader.text(7, "units"),
    help: reader.text(8, "help"),
    minimum: scalarOf(reader.field(9)),
    maximum: scalarOf(reader.field(10)),
    default: scalarOf(reader.field(11)),
    scaling: scaling(12, "scaling"),
    scalingLinks: scaling(16, "link of"),
    decimals: reader.integer(20, "decimals", { max: 0xff }),
    choices,
    international: fields.slice(21),
  };
}

function scalarOf(field: EdsField | undefined): EdsScalar | undefined {
  if (field === undefined) return undefined;
  const { value } = field;
  return value.kind === "number" || value.kind === "text" ? value.value : field.raw;
}

function readChoices(reader: FieldReader, fields: readonly EdsField[]): readonly EdsChoice[] {
  return Array.from({ length: Math.ceil(fields.length / 2) }, (_, i) => {
    const value = reader.need(2 * i, `value ${i + 1}`) ? reader.integer(2 * i, `value ${i + 1}`) : undefined;
    reader.need(2 * i + 1, `text ${i + 1}`);
    return value === undefined ? [] : [{ value, text: reader.text(2 * i + 1, `text ${i + 1}`) }];
  }).flat();
}

function checkParam({ report }: Sheet, reader: FieldReader, param: EdsParam): void {
  const { dataType, dataSize, path, minimum, maximum } = param;
  const size = typeSize(dataType);
  if (size !== undefined && dataSize !== size)
    report.warn(
      param,
      `${reader.label}: ${dataSize} octets are not the ${size} of its data type.`,
      `Write ${size} as its data size.`,
    );
  const pathSize = reader.integer(1, "link path size", { max: 0xff });
  if (path !== undefined && pathSize !== undefined && pathSize !== path.parts.length)
    report.warn(
      param,
      `${reader.label}: the link path has ${path.parts.length} octets, not ${pathSize}.`,
      "Correct the size.",
    );
  if ((param.descriptor & ParamDescriptor.enumerated) !== 0 && param.choices.length === 0)
    report.warn(
      param,
      `${reader.label} is enumerated, but has no Enum${param.number}.`,
      "Add the names of its values.",
    );
  const value = param.default;
  if (isAbove(minimum, value) || isAbove(value, maximum) || isAbove(minimum, maximum)) {
    const bounds = `${quoted(String(minimum))} to ${quoted(String(maximum))}`;
    report.warn(
      param,
      `${reader.label}: the default ${quoted(String(value))} is not in ${bounds}.`,
      "Correct the default or the bounds.",
    );
  }
}

/** Whether both are numbers and the first is the greater. */
function isAbove(a: EdsScalar | undefined, b: EdsScalar | undefined): boolean {
  return a !== undefined && b !== undefined && typeof a !== "string" && typeof b !== "string" && a > b;
}
