import type { Verdict } from "../judge/verdict.ts";
import { verdictText } from "./words.ts";

/** Text of a device or a person cannot become markup. */
export function text(raw: string): string {
  return raw
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/**
 * A table. On a narrow screen each row becomes a block, in which each cell has its column's head before it.
 *
 * @param head Titles of the columns, as text.
 * @param rows Cells as markup.
 */
export function grid(head: readonly string[], rows: readonly (readonly string[])[], kind = ""): string {
  const titles = head.map((cell) => `<th scope="col">${text(cell)}</th>`).join("");
  const body = rows.map(
    (row) => `<tr>${row.map((cell, at) => `<td data-head="${text(head[at] ?? "")}">${cell}</td>`).join("")}</tr>`,
  );
  return `<table class="${kind}"><colgroup>${"<col>".repeat(head.length)}</colgroup><thead><tr>${titles}</tr></thead><tbody>${body.join("\n")}</tbody></table>`;
}

/** Terms with what they stand for; those without anything are left out. Descriptions are markup. */
export function terms(pairs: readonly (readonly [term: string, descriptions: readonly string[]])[]): string {
  const shown = pairs.filter(([, descriptions]) => descriptions.length > 0);
  return `<dl>${shown.map(([term, descriptions]) => `<dt>${text(term)}</dt>${descriptions.map((one) => `<dd>${one}</dd>`).join("")}`).join("\n")}</dl>`;
}

/** The number of a requirement, which no line breaks. */
export function idText(requirement: string): string {
  return text(requirement).replaceAll(" ", "&nbsp;");
}

/** Number and title of a requirement. */
export function label({ requirement, title }: Pick<Verdict, "requirement" | "title">): string {
  return `<b>${idText(requirement)}</b> ${text(title)}`;
}

/** The same, leading to where the requirement is spoken about at length. */
export function linked(verdict: Pick<Verdict, "requirement" | "title">): string {
  return `<a href="#${requirementAnchor(verdict)}">${label(verdict)}</a>`;
}

export function requirementAnchor({ requirement }: Pick<Verdict, "requirement">): string {
  return `r-${requirement.replaceAll(/[^A-Za-z0-9.]+/g, "-")}`;
}

export function checkAnchor(id: string): string {
  return `c-${id.replaceAll(/[^A-Za-z0-9.]+/g, "-")}`;
}

/** A check's id, leading to what it observed. */
export function checkLink(id: string): string {
  return `<a href="#${checkAnchor(id)}">${text(id)}</a>`;
}

/** The verdict in its colour. */
export function badge(verdict: Pick<Verdict, "verdict" | "notApplicable">): string {
  return `<span class="badge v-${verdict.verdict}">${verdictText(verdict)}</span>`;
}

/** A time of ISO 8601 for people. */
export function timeText(iso: string): string {
  return text(iso.replace("T", " ").replace(/(:\d\d)(\.\d+)?Z$/, "$1 UTC"));
}
