import type { EdsPosition, EdsReference } from "./model.ts";
import type { EdsParam } from "./params.ts";
import type { EdsPath } from "./path.ts";
import { fieldReader, numbered, type FieldReader, type Sheet } from "./sheet.ts";

/** AssemN, AssemExaN or one of their proxy forms. */
export interface EdsAssembly extends EdsPosition {
  /** The key without its number: `Assem`. */
  readonly kind: string;
  readonly number: number;
  readonly name: string;
  readonly path: EdsPath | undefined;
  readonly descriptor: number;
  readonly members: readonly EdsMember[];
  /** Octets: as stated, or else what the members take; undefined where a parameter holds it. */
  readonly size: number | undefined;
  /** The parameter that holds the size, where it is variable. */
  readonly sizeParam: number | undefined;
}

export interface EdsMember {
  /** Undefined where neither the member nor what it refers to says. */
  readonly bits: number | undefined;
  /** Undefined for padding. */
  readonly reference: EdsReference | undefined;
}

/** Names and numbers of assemblies are found under `assem100`, `assemexa101`. */
export type Assemblies = ReadonlyMap<string, EdsAssembly>;

/** How deep assemblies may hold assemblies. */
export const maxNesting = 16;

const kinds = ["Assem", "AssemExa", "ProxyAssem", "ProxyAssemExa", "ProxiedAssem", "ProxiedAssemExa"];

/** The key of {@link Assemblies} for a reference. */
export function assemblyKey({ to, number }: EdsReference): string {
  return `${to.toLowerCase()}${number}`;
}

/** [Assembly]: what process data is made of. Sizes that do not fit their members are reported. */
export function readAssemblies(sheet: Sheet, params: ReadonlyMap<number, EdsParam>): Assemblies {
  const section = sheet.sections.get("assembly");
  const plain = new Map<string, Plain>();
  for (const kind of kinds) {
    for (const [number, entry] of numbered(section, kind)) {
      const reader = fieldReader("Assembly", entry, sheet.report);
      plain.set(assemblyKey({ to: kind, number }), {
        ...readAssembly(reader, entry.fields.length),
        kind,
        number,
        ...at(entry),
      });
    }
  }
  const sizes: Sizes = { plain, params, bits: new Map() };
  const found = [...plain].map(([key, assembly]) => {
    const members = assembly.members.map((member) => ({ ...member, bits: memberBits(sizes, member, 0) }));
    const { label, stated, ...rest } = assembly;
    const filled = members.reduce<number | undefined>((sum, { bits }) => plus(sum, bits), 0);
    const octets = filled === undefined ? undefined : Math.ceil(filled / 8);
    const whole = { ...rest, members, size: stated ?? (rest.sizeParam === undefined ? octets : undefined) };
    checkSize(sheet, label, whole, stated, octets);
    return [key, whole] as const;
  });
  return new Map(found);
}

type Plain = Omit<EdsAssembly, "size"> & { readonly label: string; readonly stated: number | undefined };

interface Sizes {
  readonly plain: ReadonlyMap<string, Plain>;
  readonly params: ReadonlyMap<number, EdsParam>;
  readonly bits: Map<string, number | undefined>;
}

function readAssembly(reader: FieldReader, fieldCount: number): Omit<Plain, "kind" | "number" | "line" | "column"> {
  const sizeField = reader.field(2);
  const isParam = sizeField?.value.kind === "reference";
  return {
    label: reader.label,
    name: reader.text(0, "name"),
    path: reader.path(1, "path"),
    stated: isParam ? undefined : reader.integer(2, "size", { max: 0xffff }),
    sizeParam: isParam ? reader.reference(2, "size")?.number : undefined,
    descriptor: reader.integer(3, "descriptor", { max: 0xffff }) ?? 0,
    members: readMembers(reader, fieldCount),
  };
}

function readMembers(reader: FieldReader, fieldCount: number): readonly EdsMember[] {
  const count = Math.max(0, Math.ceil((fieldCount - 6) / 2));
  return Array.from({ length: count }, (_, i) => {
    const index = 6 + 2 * i;
    const target = reader.field(index + 1);
    // A member may also be a constant or a path; both are kept as padding of their size.
    const reference =
      target?.value.kind === "reference" ? { to: target.value.to, number: target.value.number } : undefined;
    if (reference === undefined) reader.need(index, `size of member ${i + 1}`);
    return { bits: reader.integer(index, `size of member ${i + 1}`, { max: 0x7_fff8 }), reference };
  });
}

function memberBits(sizes: Sizes, { bits, reference }: EdsMember, depth: number): number | undefined {
  if (bits !== undefined || reference === undefined || depth > maxNesting) return bits;
  if (reference.to.toLowerCase() === "param") {
    const param = sizes.params.get(reference.number);
    return param && 8 * param.dataSize;
  }
  const key = assemblyKey(reference);
  const assembly = sizes.plain.get(key);
  if (assembly === undefined || assembly.sizeParam !== undefined) return undefined;
  if (assembly.stated !== undefined) return 8 * assembly.stated;
  if (!sizes.bits.has(key)) {
    // Until its size is known it has none, so that an assembly within itself comes to an end.
    sizes.bits.set(key, undefined);
    const sum = assembly.members.reduce<number | undefined>(
      (total, member) => plus(total, memberBits(sizes, member, depth + 1)),
      0,
    );
    sizes.bits.set(key, sum);
  }
  return sizes.bits.get(key);
}

function plus(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}

function checkSize(
  { report }: Sheet,
  label: string,
  { members, line, column }: EdsAssembly,
  stated: number | undefined,
  octets: number | undefined,
): void {
  const at = { line, column };
  if (octets === undefined)
    return report.error(
      at,
      `${label}: the size of a member is not known.`,
      "Give its bits, or name an entry that has a size.",
    );
  if (members.length === 0 || stated === undefined || stated === octets) return;
  const fix = `Write ${octets} as its size, or correct its members.`;
  report.error(at, `${label}: its members take ${octets} octets, not the ${stated} stated.`, fix);
}

function at({ line, column }: EdsPosition): EdsPosition {
  return { line, column };
}
