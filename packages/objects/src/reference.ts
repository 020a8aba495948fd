import { standardClassAttributes } from "./class-attributes.ts";
import { allClasses, classIdentifier } from "./classes.ts";
import type { AttributeDeclaration, ObjectClass, ServiceDeclaration } from "./declare.ts";
import { hexNumber, kebab } from "./names.ts";
import { describe, isBits } from "./text.ts";

/** A page of the reference and where it is checked in, from the root of the project. */
export interface ReferencePage {
  readonly file: string;
  readonly text: string;
}

/** Every page of `docs/objects/`: one for each class, and `README.md` that lists them. */
export function referencePages(classes: readonly ObjectClass[] = allClasses): readonly ReferencePage[] {
  const pages = classes.map((declaration) => ({
    file: `docs/objects/${slug(declaration)}.md`,
    text: classReference(declaration),
  }));
  return [{ file: "docs/objects/README.md", text: listOf(classes) }, ...pages];
}

/** The reference of one class in Markdown: attributes, services and Get_Attributes_All, as the declaration says them. */
export function classReference(declaration: ObjectClass): string {
  const { name, classId, revision, source } = declaration;
  return [
    `# ${name} (${hexNumber(classId)})`,
    "",
    `Revision ${revision}. Source: ${source}.`,
    "",
    `On the command line: \`${classIdentifier(declaration)}/1/…\` or \`${hexNumber(classId)}/1/…\`; instance 0 is the class. This page is derived`,
    "from the declaration by `npm run derive`.",
    "",
    ...section("Class attributes", attributeTable({ ...standardClassAttributes, ...declaration.classAttributes })),
    ...section("Instance attributes", attributeTable(declaration.attributes)),
    ...section("Services", serviceTable(declaration.services)),
    ...section("Get_Attributes_All", everything(declaration)),
    ...section("Values", valueTables({ ...declaration.classAttributes, ...declaration.attributes })),
  ].join("\n");
}

function listOf(classes: readonly ObjectClass[]): string {
  return [
    "# Object classes",
    "",
    "What each class of a device holds and does. These pages are derived from the declarations by `npm run derive`.",
    "",
    ...table(
      ["code", "class", "revision", "source"],
      classes.map((declaration) => [
        hexNumber(declaration.classId),
        `[${declaration.name}](${slug(declaration)}.md)`,
        String(declaration.revision),
        declaration.source,
      ]),
    ),
    "",
  ].join("\n");
}

function section(heading: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`## ${heading}`, "", ...lines, ""];
}

function attributeTable(attributes: Readonly<Record<string, AttributeDeclaration>>): readonly string[] {
  return table(
    ["id", "name", "type", "access", "NV", "present", "default", "what it is"],
    Object.entries(attributes).map(([name, attribute]) => [
      String(attribute.id),
      `\`${name}\``,
      attribute.unit === undefined ? attribute.type.type : `${attribute.type.type}, ${attribute.unit}`,
      attribute.access,
      attribute.nonVolatile === true ? "yes" : "",
      presence(attribute),
      attribute.default === undefined ? "" : `\`${JSON.stringify(describe(attribute, attribute.default))}\``,
      attribute.doc,
    ]),
  );
}

function serviceTable(services: Readonly<Record<string, ServiceDeclaration>>): readonly string[] {
  const rows = Object.entries(services).map(([name, service]) => [
    hexNumber(service.code),
    `\`${name}\``,
    service.level === "both" ? "class, instance" : (service.level ?? "instance"),
    service.request?.type ?? "",
    service.response?.type ?? "",
    presence(service),
    service.doc,
  ]);
  return rows.length === 0
    ? ["None of its own."]
    : table(["code", "name", "level", "request", "reply", "present", "what it does"], rows);
}

function presence({ optional }: { readonly optional?: boolean }): string {
  return optional === true ? "optional" : "always";
}

function everything({ all, classAll, attributes }: ObjectClass): readonly string[] {
  const ids = (all ?? []).map((name) => `${attributes[name]?.id} \`${name}\``);
  return [
    `- Class: ${classAll === undefined ? "not offered" : classAll.join(", ")}`,
    `- Instance: ${all === undefined ? "not offered" : ids.join(", ")}`,
  ];
}

function valueTables(attributes: Readonly<Record<string, AttributeDeclaration>>): readonly string[] {
  return Object.entries(attributes).flatMap(([name, { type, values }]) => {
    if (values === undefined) return [];
    const entries = Object.entries(values).map(
      ([value, code]) => `${isBits(type) ? hexNumber(code) : code} \`${kebab(value)}\``,
    );
    return [`- \`${name}\`: ${entries.join(", ")}`];
  });
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map(cell).join(" | ")} |`);
}

/** A vertical bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function slug({ name }: ObjectClass): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}
