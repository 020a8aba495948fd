import { UsageError } from "@cipsec/wire";
import { assemblyEntries, connectionEntries, paramEntries, paramsWithRpis } from "./make-io.ts";
import { classEntries } from "./make-class.ts";
import { capacityKeys, classSections } from "./device-parts.ts";
import type { EdsDescription, MadeParamClass, MadePort, MadeStamp } from "./description.ts";
import { parseEds } from "./parse.ts";
import { pathLiteral, textLiteral } from "./value.ts";
import { writeEds, type WritableEntry, type WritableSection } from "./write.ts";

/**
 * The EDS of a device. What can be computed is: sizes, paths, the dwords of connections, numbers of parameters, lists of
 * services. It has no EDSFileCRC: how that is computed is not public.
 *
 * @returns ISO 8859-1 text that {@link parseEds} reads without a problem.
 * @throws {UsageError} `usage/argument` where the description contradicts itself; `facts.line` is the line of the EDS that it
 *   would have had.
 */
export function makeEds(description: EdsDescription): string {
  const text = writeEds({ sections: sectionsOf(description), tail: "\n" }).trimStart();
  const wide = /[^\t\n\u0020-\u00ff]/.exec(text)?.[0];
  if (wide !== undefined)
    throw refusal(`The description holds ${JSON.stringify(wide)}, which an EDS cannot: it is ISO 8859-1 text.`, {});
  const [problem] = parseEds(text).problems;
  if (problem !== undefined) throw refusal(problem.message, { line: problem.line }, problem.fix);
  return text;
}

function refusal(message: string, facts: { line?: number }, fix = "Change the description."): UsageError {
  return new UsageError("usage/argument", message, { facts, fix });
}

function sectionsOf(description: EdsDescription): readonly WritableSection[] {
  const {
    file,
    device,
    assemblies = [],
    connections = [],
    paramClass,
    capacity,
    ports = [],
    classes = [],
  } = description;
  const params = paramsWithRpis(description);
  const own = new Map<number, readonly WritableEntry[]>([
    [0x0f, paramClass === undefined ? [] : paramClassEntries(paramClass)],
    [0x04, assemblyEntries(assemblies, params)],
    [0x06, connectionEntries(connections, assemblies, params)],
    [0xf4, ports.flatMap(portEntry)],
  ]);
  const hosted = new Map(classes.map((one) => [one.declaration.classId, one]));
  const ids = [...new Set([...classSections.keys(), ...hosted.keys()])];
  return [
    { name: "File", entries: fileEntries(file) },
    { name: "Device", entries: deviceEntries(device) },
    { name: "Device Classification", entries: [entry("Class1", "EtherNetIP")] },
    { name: "Params", entries: paramEntries(params) },
    ...(capacity === undefined ? [] : [{ name: "Capacity", entries: capacityEntries(capacity) }]),
    ...ids.map((classId) => {
      const one = hosted.get(classId);
      const entries = [...(one === undefined ? [] : classEntries(one)), ...(own.get(classId) ?? [])];
      return { name: classSections.get(classId) ?? `${one?.declaration.name} Class`, entries };
    }),
  ].filter(({ entries }) => entries.length > 0);
}

function entry(key: string, raw: string): WritableEntry {
  return { key, fields: [{ raw }] };
}

function fileEntries(file: EdsDescription["file"]): readonly WritableEntry[] {
  return [
    entry("DescText", textLiteral(file.description)),
    ...stampEntries("Create", file.created),
    ...(file.modified === undefined ? [] : stampEntries("Mod", file.modified)),
    entry("Revision", `${file.revision.major}.${file.revision.minor}`),
    ...(file.homeUrl === undefined ? [] : [entry("HomeURL", textLiteral(file.homeUrl))]),
  ];
}

function stampEntries(name: string, { date, time }: MadeStamp): readonly WritableEntry[] {
  const two = (number: number): string => String(number).padStart(2, "0");
  return [
    entry(`${name}Date`, `${two(date.month)}-${two(date.day)}-${String(date.year).padStart(4, "0")}`),
    entry(`${name}Time`, `${two(time.hours)}:${two(time.minutes)}:${two(time.seconds)}`),
  ];
}

function deviceEntries(device: EdsDescription["device"]): readonly WritableEntry[] {
  return [
    entry("VendCode", String(device.vendorId)),
    entry("VendName", textLiteral(device.vendorName)),
    entry("ProdType", String(device.deviceType)),
    entry("ProdTypeStr", textLiteral(device.deviceTypeText)),
    entry("ProdCode", String(device.productCode)),
    entry("MajRev", String(device.revision.major)),
    entry("MinRev", String(device.revision.minor)),
    entry("ProdName", textLiteral(device.productName)),
    ...(device.catalog === undefined ? [] : [entry("Catalog", textLiteral(device.catalog))]),
  ];
}

function capacityEntries({
  traffic = [],
  ...limits
}: NonNullable<EdsDescription["capacity"]>): readonly WritableEntry[] {
  const given: Readonly<Record<string, number | undefined>> = limits;
  return [
    ...Object.entries(capacityKeys).flatMap(([name, key]) =>
      given[name] === undefined ? [] : [entry(key, String(given[name]))],
    ),
    ...traffic.map(({ direction, size, packetsPerSecond }, i) => ({
      key: `TSpec${i + 1}`,
      fields: [{ raw: direction }, { raw: String(size) }, { raw: String(packetsPerSecond) }],
    })),
  ];
}

/** The section of the Parameter Object has entries of its own. */
function paramClassEntries({
  maxInstance,
  descriptor,
  configurationAssembly,
}: MadeParamClass): readonly WritableEntry[] {
  return [
    entry("MaxInst", String(maxInstance)),
    entry("Descriptor", `0x${descriptor.toString(16).toUpperCase().padStart(4, "0")}`),
    entry("CfgAssembly", String(configurationAssembly)),
  ];
}

function portEntry({ type, name, path, number }: MadePort, i: number): readonly WritableEntry[] {
  const raws = [type, textLiteral(name), pathLiteral(path), String(number)];
  return [{ key: `Port${i + 1}`, fields: raws.map((raw) => ({ raw })) }];
}
