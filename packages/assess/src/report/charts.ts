import { foundationalRequirements, securityLevels } from "../catalogue/requirement.ts";
import { selectRequirements } from "../catalogue/catalogue.ts";
import { paperOpinion } from "../catalogue/treatments.ts";
import { countsByFr, countVerdicts, type VerdictCounts } from "../judge/level.ts";
import type { VerdictWord } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { reported, verdictOrder, verdictWords } from "./words.ts";

/** Colours that differ in lightness too, so that they are told apart in print and by people who see colours differently. */
export const colours: Readonly<Record<VerdictWord, string>> = {
  met: "#1b7f5c",
  partial: "#e0b23c",
  "not-met": "#a8262f",
  inconclusive: "#8a94a6",
  "out-of-scope": "#cfd5de",
  "not-applicable": "#eef1f5",
};

/** Horizontal bars: how many entries of each foundational requirement have which verdict. */
export function barsByFr({ verdicts }: Assessment): string {
  const counts = countsByFr(reported(verdicts));
  return bars(
    "Verdicts by foundational requirement",
    foundationalRequirements.map((fr) => [`FR ${fr}`, counts[fr]]),
  );
}

/** Horizontal bars by the level at which entries first apply. */
export function barsByLevel({ verdicts, plan }: Assessment): string {
  const shown = reported(verdicts);
  const rows = securityLevels
    .filter((level) => level <= plan.level)
    .map((level): readonly [string, VerdictCounts] => [
      `SL ${level}`,
      countVerdicts(shown.filter(({ firstLevel }) => firstLevel === level)),
    ]);
  return bars("Verdicts by the level at which they are first required", rows);
}

/** Columns: the level that each foundational requirement reaches, against the target. */
export function levelVector({ levelByFr, plan }: Assessment): string {
  const [height, unit, wide] = [170, 30, 54];
  const base = height - 30;
  const columns = foundationalRequirements.map((fr, at) => {
    const level = levelByFr[fr];
    const x = 40 + at * wide;
    const label = `<text x="${x + 17}" y="${base + 18}" text-anchor="middle">FR ${fr}</text>`;
    const value = `<text x="${x + 17}" y="${base - level * unit - 6}" text-anchor="middle" class="strong">${level}</text>`;
    return `<rect x="${x}" y="${base - level * unit}" width="34" height="${Math.max(2, level * unit)}" fill="${level >= plan.level ? colours.met : colours.inconclusive}"/>${label}${value}`;
  });
  const y = base - plan.level * unit;
  const target = `<line x1="30" x2="${40 + 7 * wide}" y1="${y}" y2="${y}" stroke="#222" stroke-dasharray="5 4"/><text x="${44 + 7 * wide}" y="${y + 4}">target SL ${plan.level}</text>`;
  return svg("Level reached by foundational requirement", 520, height, `${columns.join("")}${target}`);
}

/** Two rings: what was measured, and what the ODVA paper says of the protocol for the same entries. */
export function split(assessment: Assessment): string {
  const { plan, verdicts } = assessment;
  const measured = countVerdicts(reported(verdicts));
  const paper = { met: 0, partial: 0, "not-met": 0, inconclusive: 0, "not-applicable": 0, "out-of-scope": 0 };
  for (const entry of selectRequirements({ level: plan.level, type: plan.type })) {
    const { verdict } = paperOpinion(entry, plan.type);
    if (verdict === "met" || verdict === "partial" || verdict === "out-of-scope") paper[verdict] += 1;
    else paper.inconclusive += 1;
  }
  return svg(
    "Met, partial and open: measured, and the paper on the protocol",
    520,
    200,
    `${ring(130, 95, measured)}<text x="130" y="190" text-anchor="middle">measured</text>${ring(380, 95, paper)}<text x="380" y="190" text-anchor="middle">paper (grey: not evaluated)</text>`,
  );
}

/** What the colours mean. */
export function legend(): string {
  return `<p class="legend">${verdictOrder.map((word) => `<span><i style="background:${colours[word]}"></i>${verdictWords[word]}</span>`).join("")}</p>`;
}

function bars(title: string, rows: readonly (readonly [string, VerdictCounts])[]): string {
  const most = Math.max(1, ...rows.map(([, counts]) => total(counts)));
  const scale = 420 / most;
  const body = rows.map(([name, counts], at) => {
    const y = 8 + at * 26;
    let x = 50;
    const parts = verdictOrder.map((word) => {
      const width = counts[word] * scale;
      const text =
        counts[word] > 0
          ? `<text x="${(x + width / 2).toFixed(1)}" y="${y + 14}" text-anchor="middle" fill="${word === "met" || word === "not-met" ? "#fff" : "#222"}">${counts[word]}</text>`
          : "";
      const part = `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="20" fill="${colours[word]}"/>${text}`;
      x += width;
      return part;
    });
    return `<text x="0" y="${y + 14}">${name}</text>${parts.join("")}`;
  });
  return svg(title, 520, 12 + rows.length * 26, body.join(""));
}

function ring(cx: number, cy: number, counts: VerdictCounts): string {
  const all = Math.max(1, total(counts));
  const [radius, width] = [58, 30];
  const round = 2 * Math.PI * radius;
  let before = 0;
  const arcs = verdictOrder.map((word) => {
    const share = (counts[word] / all) * round;
    const arc = `<circle cx="${cx}" cy="${cy}" r="${radius}" fill="none" stroke="${colours[word]}" stroke-width="${width}" stroke-dasharray="${share.toFixed(2)} ${(round - share).toFixed(2)}" stroke-dashoffset="${(-before).toFixed(2)}" transform="rotate(-90 ${cx} ${cy})"/>`;
    before += share;
    return counts[word] === 0 ? "" : arc;
  });
  return `${arcs.join("")}<text x="${cx}" y="${cy}" text-anchor="middle" class="strong">${counts.met} met</text><text x="${cx}" y="${cy + 16}" text-anchor="middle">of ${total(counts)}</text>`;
}

function total(counts: VerdictCounts): number {
  return verdictOrder.reduce((sum, word) => sum + counts[word], 0);
}

function svg(title: string, width: number, height: number, body: string): string {
  return `<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}" xmlns="http://www.w3.org/2000/svg">${body}</svg></figure>`;
}
