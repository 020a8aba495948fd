import type { EdsDate, EdsTime } from "./model.ts";
import { quoted } from "./report.ts";
import { entryReader, numbered, type FieldReader, type Sheet, type SheetSection } from "./sheet.ts";

/** [File]: the EDS itself. */
export interface EdsFile {
  readonly description: string;
  readonly created: EdsStamp;
  readonly modified: EdsStamp;
  /** As written: `1.10` is not `1.1`. */
  readonly revision: string;
  readonly homeUrl: string;
  /** EDSFileCRC. Kept but not checked: how it is computed is not public. */
  readonly crc: number | undefined;
}

export interface EdsStamp {
  readonly date: EdsDate | undefined;
  readonly time: EdsTime | undefined;
}

/** [Device]: what Identity, discovery and electronic keys say of the device too. */
export interface EdsDevice {
  readonly vendorId: number;
  readonly vendorName: string;
  readonly deviceType: number;
  readonly deviceTypeText: string;
  readonly productCode: number;
  readonly majorRevision: number;
  readonly minorRevision: number;
  readonly productName: string;
  readonly catalog: string;
  /** Name of the icon's file. */
  readonly icon: string;
  /** The icon itself, base64. */
  readonly iconContents: string;
}

export function readFile(sheet: Sheet): EdsFile | undefined {
  const section = needSection(sheet, "File");
  if (section === undefined) return undefined;
  const stamp = (name: string, isRequired: boolean): EdsStamp => ({
    date: dateOf(sheet, entryReader(sheet, section, `${name}Date`, isRequired)),
    time: timeOf(sheet, entryReader(sheet, section, `${name}Time`, isRequired)),
  });
  return {
    description: textOf(sheet, section, "DescText", true),
    created: stamp("Create", true),
    modified: stamp("Mod", false),
    revision: entryReader(sheet, section, "Revision", true)?.field(0)?.raw ?? "",
    homeUrl: textOf(sheet, section, "HomeURL", false),
    crc: entryReader(sheet, section, "EDSFileCRC", false)?.integer(0, "checksum"),
  };
}

export function readDevice(sheet: Sheet): EdsDevice | undefined {
  const section = needSection(sheet, "Device");
  if (section === undefined) return undefined;
  const number = (key: string, max: number): number => {
    const reader = entryReader(sheet, section, key, true);
    reader?.need(0, "number");
    return reader?.integer(0, "number", { max }) ?? 0;
  };
  return {
    vendorId: number("VendCode", 0xffff),
    vendorName: textOf(sheet, section, "VendName", true),
    deviceType: number("ProdType", 0xffff),
    deviceTypeText: textOf(sheet, section, "ProdTypeStr", true),
    productCode: number("ProdCode", 0xffff),
    majorRevision: number("MajRev", 0x7f),
    minorRevision: number("MinRev", 0xff),
    productName: textOf(sheet, section, "ProdName", true),
    catalog: textOf(sheet, section, "Catalog", false),
    icon: textOf(sheet, section, "Icon", false),
    iconContents: textOf(sheet, section, "IconContents", false),
  };
}

/** [Device Classification]: the networks, in the order of ClassN; further fields are vendors' subclasses. */
export function readClassification(sheet: Sheet): readonly (readonly string[])[] {
  const section = needSection(sheet, "Device Classification");
  return numbered(section, "Class").map(([, { fields }]) => fields.map(({ raw }) => raw));
}

function needSection({ sections, report }: Sheet, name: string): SheetSection | undefined {
  const section = sections.get(name.toLowerCase());
  if (section === undefined) report.error({ line: 1, column: 1 }, `There is no section [${name}].`, `Add [${name}].`);
  return section;
}

function textOf(sheet: Sheet, section: SheetSection, key: string, isRequired: boolean): string {
  return entryReader(sheet, section, key, isRequired)?.text(0, "text") ?? "";
}

function dateOf({ report }: Sheet, reader: FieldReader | undefined): EdsDate | undefined {
  const field = reader?.field(0);
  if (field === undefined) return undefined;
  const { value } = field;
  if (value.kind === "date") return { year: value.year, month: value.month, day: value.day };
  report.error(field, `${reader?.label}: ${quoted(field.raw)} is not a date.`, "Write month-day-year: 12-31-2026.");
  return undefined;
}

function timeOf({ report }: Sheet, reader: FieldReader | undefined): EdsTime | undefined {
  const field = reader?.field(0);
  if (field === undefined) return undefined;
  const { value } = field;
  if (value.kind === "time") return { hours: value.hours, minutes: value.minutes, seconds: value.seconds };
  report.error(
    field,
    `${reader?.label}: ${quoted(field.raw)} is not a time.`,
    "Write hours:minutes:seconds: 23:59:59.",
  );
  return undefined;
}
