import { selectRequirements } from "../catalogue/catalogue.ts";
import { foundationalRequirements, securityLevels } from "../catalogue/requirement.ts";
import { paperOpinion } from "../catalogue/treatments.ts";
import { countsByFr, countVerdicts, type VerdictCounts } from "../judge/level.ts";
import { isFulfilled, type VerdictWord } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { reported, verdictOrder, verdictWords } from "./words.ts";

/** Colours that differ in lightness too, so that they are told apart in print and by people who see colours differently. */
export const colours: Readonly<Record<VerdictWord, string>> = {
  met: "#1b7048",
  partial: "#e9bf4b",
  "not-met": "#a8262f",
  inconclusive: "#5b6576",
  "out-of-scope": "#cfd5de",
  "not-applicable": "#ffffff",
};

const dark = "#1c2430";

/** The colour of words on a verdict's colour: at least 4.5 to 1. */
export function inkOn(verdict: VerdictWord): string {
  return verdict === "met" || verdict === "not-met" || verdict === "inconclusive" ? "#ffffff" : dark;
}

/** Units of a chart's width: as pixels where a chart is as wide as a narrow screen, so that its words stay readable there. */
const width = 340;

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
  return bars("Verdicts by the level that first requires them", rows);
}

/**
 * The level that each foundational requirement reaches: a ladder for each, up to the target, whose steps are filled as far as it
 * came. A step says how many of the entries of its level are fulfilled.
 */
export function levelVector({ levelByFr, plan, verdicts }: Assessment): string {
  const [step, column] = [34, width / 7];
  const levels = securityLevels.filter((level) => level <= plan.level);
  const base = 24 + levels.length * step;
  const ladders = foundationalRequirements.map((fr, at) => {
    const x = at * column;
    const middle = x + column / 2;
    const steps = levels.map((level) => {
      const mine = verdicts.filter((one) => one.fr === fr && one.firstLevel === level && one.notApplicable !== "type");
      const isReached = levelByFr[fr] >= level;
      const y = base - level * step;
      const words = mine.length === 0 ? "–" : `${mine.filter(isFulfilled).length}/${mine.length}`;
      return (
        `<rect x="${x + 3}" y="${y + 2}" width="${(column - 6).toFixed(1)}" height="${step - 4}" rx="3" fill="${isReached ? colours.met : "#ffffff"}" stroke="${isReached ? colours.met : "#8a94a6"}"/>` +
        `<text x="${middle.toFixed(1)}" y="${y + step / 2 + 4}" text-anchor="middle" fill="${isReached ? "#ffffff" : dark}">${words}</text>`
      );
    });
    return (
      `<text x="${middle.toFixed(1)}" y="14" text-anchor="middle" class="strong">SL ${levelByFr[fr]}</text>${steps.join("")}` +
      `<text x="${middle.toFixed(1)}" y="${base + 16}" text-anchor="middle">FR ${fr}</text>`
    );
  });
  const note = `<text x="3" y="${base + 36}" class="faint">Steps are SL 1${plan.level > 1 ? ` to ${plan.level}` : ""}; green: reached.</text>`;
  return svg(`Level reached, target SL ${plan.level}`, base + 42, `${ladders.join("")}${note}`);
}

/**
 * Pies as Figure 5 of the ODVA paper: what was measured, and for a device what the paper says of the protocol for the same entries.
 */
export function split(assessment: Assessment): string {
  const { plan, verdicts } = assessment;
  const measured = countVerdicts(reported(verdicts));
  const under = (x: number, title: string, { met }: VerdictCounts, of: number): string =>
    `<text x="${x}" y="152" text-anchor="middle" class="strong">${title}</text><text x="${x}" y="168" text-anchor="middle">${met} of ${of} met</text>`;
  // The paper speaks about a protocol of devices.
  if (plan.kind === "host")
    return svg(
      "Met, partial and open",
      176,
      `${pie(width / 2, 68, measured)}${under(width / 2, "This run", measured, total(measured))}`,
    );
  const paper = { met: 0, partial: 0, "not-met": 0, inconclusive: 0, "not-applicable": 0, "out-of-scope": 0 };
  for (const entry of selectRequirements({ level: plan.level, type: plan.type })) {
    const { verdict } = paperOpinion(entry, plan.type);
    if (verdict === "met" || verdict === "partial" || verdict === "out-of-scope") paper[verdict] += 1;
    else paper.inconclusive += 1;
  }
  const [left, right] = [width / 4, (width * 3) / 4];
  return svg(
    "Met, partial and open: this run beside the ODVA paper",
    198,
    `${pie(left, 68, measured)}${under(left, "This run", measured, total(measured))}` +
      `${pie(right, 68, paper)}${under(right, "The paper", paper, total(paper))}` +
      `<text x="${width / 2}" y="190" text-anchor="middle" class="faint">Dark grey there: not evaluated by the paper.</text>`,
  );
}

/** What the colours mean. */
export function legend(): string {
  return `<p class="legend">${verdictOrder.map((word) => `<span><i style="background:${colours[word]}"></i>${verdictWords[word]}</span>`).join(" ")}</p>`;
}

function bars(title: string, rows: readonly (readonly [string, VerdictCounts])[]): string {
  const most = Math.max(1, ...rows.map(([, counts]) => total(counts)));
  const left = 38;
  const scale = (width - left) / most;
  const body = rows.map(([name, counts], at) => {
    const y = 4 + at * 27;
    let x = left;
    const parts = verdictOrder.map((word) => {
      const length = counts[word] * scale;
      const number =
        counts[word] === 0
          ? ""
          : `<text x="${(x + length / 2).toFixed(1)}" y="${y + 15}" text-anchor="middle" fill="${inkOn(word)}">${counts[word]}</text>`;
      const part = `<rect x="${x.toFixed(1)}" y="${y}" width="${length.toFixed(1)}" height="21" fill="${colours[word]}"/>${number}`;
      x += length;
      return counts[word] === 0 ? "" : part;
    });
    return `<text x="0" y="${y + 15}">${name}</text>${parts.join("")}`;
  });
  return svg(title, 4 + rows.length * 27, body.join(""));
}

function pie(cx: number, cy: number, counts: VerdictCounts): string {
  const radius = 62;
  const all = total(counts);
  const shown = verdictOrder.filter((word) => counts[word] > 0);
  const [only] = shown;
  if (only === undefined) return "";
  if (shown.length === 1)
    return `<circle cx="${cx}" cy="${cy}" r="${radius}" fill="${colours[only]}"/>${number(cx, cy, only, counts[only])}`;
  let before = 0;
  return shown
    .map((word) => {
      const [from, to] = [before / all, (before + counts[word]) / all];
      before += counts[word];
      const at = (share: number, r: number): string =>
        `${(cx + r * Math.sin(2 * Math.PI * share)).toFixed(2)} ${(cy - r * Math.cos(2 * Math.PI * share)).toFixed(2)}`;
      const [x = "0", y = "0"] = at((from + to) / 2, radius * 0.68).split(" ");
      const path = `M${cx} ${cy}L${at(from, radius)}A${radius} ${radius} 0 ${to - from > 0.5 ? 1 : 0} 1 ${at(to, radius)}Z`;
      return `<path d="${path}" fill="${colours[word]}" stroke="#ffffff"/>${number(Number(x), Number(y), word, counts[word])}`;
    })
    .join("");
}

function number(x: number, y: number, word: VerdictWord, count: number): string {
  return `<text x="${x}" y="${y + 4}" text-anchor="middle" fill="${inkOn(word)}">${count}</text>`;
}

function total(counts: VerdictCounts): number {
  return verdictOrder.reduce((sum, word) => sum + counts[word], 0);
}

function svg(title: string, height: number, body: string): string {
  return `<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}" xmlns="http://www.w3.org/2000/svg">${body}</svg></figure>`;
}
