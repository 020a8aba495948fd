import type { Attestation } from "../attestation.ts";
import { voidReason } from "../attestation.ts";
import { catalogue, type RequirementId } from "../catalogue/catalogue.ts";
import { partsOfRequirement, type RequirementPart } from "../catalogue/parts.ts";
import { partsOfId, typesOf } from "../catalogue/requirement-id.ts";
import type { ComponentType, Requirement, SecurityLevel } from "../catalogue/requirement.ts";
import { conditionsOf } from "../catalogue/treatments.ts";
import { unanswered } from "../catalogue/unanswered.ts";
import { judgeCheck, type CheckOutcome, type CheckRecord, type CheckResult } from "./check-result.ts";
import { worst, type NotApplicable, type PartVerdict, type Verdict, type VerdictWord } from "./verdict.ts";

/** What verdicts are asked for. */
export interface Question {
  readonly level: SecurityLevel;
  readonly type: ComponentType;
  /** The component's name for attestations. */
  readonly component: string;
  readonly attestations: readonly Attestation[];
  readonly now: Date;
}

/** A verdict on every entry of the catalogue, placeholders too, in its order. Pure: the same records give the same verdicts. */
export function judge(records: readonly CheckRecord[], question: Question): readonly Verdict[] {
  return catalogue.map((entry) => judgeRequirement(entry, records, question));
}

/**
 * The verdict on one entry: left out for a stated reason, or else the worse one of its parts. A part without a result of its own is
 * open, never met.
 */
export function judgeRequirement(
  entry: Requirement<RequirementId>,
  records: readonly CheckRecord[],
  question: Question,
): Verdict {
  const common = {
    requirement: entry.id,
    title: entry.title,
    fr: partsOfId(entry.id).fr,
    firstLevel: entry.firstLevel,
    componentType: question.type,
    targetLevel: question.level,
  };
  const out = leftOut(entry, question);
  if (out !== undefined) return { ...common, ...nothing, verdict: "not-applicable", ...out };

  const mine = records.filter(({ requirements }) => requirements.includes(entry.id));
  const results = mine.map((record) => judgeCheck(record, entry.id));
  const absent = results.find(({ outcome }) => outcome === "absent");
  const isAbsent =
    absent !== undefined && results.every(({ outcome }) => outcome === "absent" || outcome === "inconclusive");
  const answers: readonly Answer[] = isAbsent
    ? [{ part: "whole", verdict: "not-applicable", reason: absent.reason }]
    : partsOfRequirement(entry.id).map((part) => answerPart(entry.id, part, results, question));
  const [first, ...rest] = answers;
  const overall = first === undefined ? undefined : worst(first, ...rest);
  if (overall === undefined) return { ...common, ...nothing, verdict: "inconclusive", reason: "it has no part" };
  const attested = answers.flatMap(({ attestation }) => attestation ?? []);
  const { conditions, ...said } = gathered(mine);
  return {
    ...common,
    verdict: overall.verdict,
    ...(overall.verdict === "not-applicable" ? { notApplicable: "function-absent" as const } : {}),
    reason: reasonOf(answers),
    parts: answers.map(({ part, verdict, reason }) => ({ part, verdict, reason })),
    providedBy: attested.length > 0 ? "attestation" : results.length > 0 ? "component" : "nobody",
    checks: results,
    conditions: [...new Set([...(overall.verdict === "met" ? conditionsOf(entry.id) : []), ...conditions])],
    ...said,
    ...validity(attested),
  };
}

interface Answer extends PartVerdict {
  readonly attestation?: Attestation;
}

const nothing = { parts: [], providedBy: "nobody", conditions: [], checks: [], evidence: [], limits: [] } as const;

/** Why an entry is left out for this type and level. */
function leftOut(
  entry: Requirement,
  { type, level }: Question,
): { readonly notApplicable: NotApplicable; readonly reason: string } | undefined {
  if (entry.firstLevel === null)
    return { notApplicable: "placeholder", reason: "a number without a rule of its own for components" };
  const types = typesOf(entry);
  if (!types.includes(type)) return { notApplicable: "type", reason: `a rule for ${types.join(", ")} components` };
  if (entry.firstLevel > level)
    return { notApplicable: "above-target", reason: `required from SL ${entry.firstLevel}; the target is SL ${level}` };
  return undefined;
}

const wordOf: Readonly<Record<CheckOutcome, VerdictWord>> = {
  pass: "met",
  partial: "partial",
  fail: "not-met",
  inconclusive: "inconclusive",
  absent: "not-applicable",
};

function answerPart(
  id: RequirementId,
  part: RequirementPart,
  results: readonly CheckResult[],
  question: Question,
): Answer {
  const mine = results.filter((result) => part === "whole" || result.part === "whole" || result.part === part);
  const answer = ({ id: check }: CheckResult, outcome: CheckOutcome, reason: string): Answer => ({
    part,
    verdict: wordOf[outcome],
    reason: `${check}: ${reason}`,
  });
  const said = attested(id, part, question);
  const [first, ...rest] = mine.map((result) => answer(result, result.outcome, result.reason));
  if (first === undefined) return said ?? { part, ...unanswered(id, part) };
  // A machine's answer stands: nobody attests it away. What only people can tell is theirs to answer.
  if (said?.attestation === undefined || !mine.some(({ openToPeople }) => openToPeople !== undefined))
    return worst(first, ...rest);
  const settled = mine.map((result) => {
    const { outcome, reason } = result.openToPeople ?? result;
    return answer(result, outcome, reason);
  });
  const worse = worst(said, ...settled);
  const asked = new Set(mine.flatMap(({ openToPeople }) => openToPeople?.askedOf ?? []));
  return { ...worse, attestation: said.attestation, reason: `${worse.reason}; asked of ${[...asked].join(", ")}` };
}

function attested(id: RequirementId, part: RequirementPart, question: Question): Answer | undefined {
  const statements = question.attestations.filter((one) => one.requirement === id && one.part === part);
  const voids: string[] = [];
  const valid: Answer[] = [];
  for (const attestation of statements) {
    const why = voidReason(attestation, question.component, question.now);
    if (why !== undefined) voids.push(why);
    else valid.push({ part, verdict: attestation.verdict, reason: toldBy(attestation), attestation });
  }
  const [first, ...rest] = valid;
  if (first !== undefined) return worst(first, ...rest);
  return voids.length === 0 ? undefined : { part, verdict: "inconclusive", reason: voids.join("; ") };
}

function toldBy({ by, role, at, validUntil, statement }: Attestation): string {
  return `${by} (${role}) states, ${at} to ${validUntil}: ${statement}`;
}

function reasonOf(answers: readonly Answer[]): string {
  if (answers.length === 1) return answers[0]?.reason ?? "";
  return answers.map(({ part, verdict, reason }) => `${part} part ${verdict}: ${reason}`).join("; ");
}

/** What the checks say beside their observations. */
function gathered(records: readonly CheckRecord[]) {
  const findings = records.flatMap((record) => record.findings ?? []);
  const joined = (texts: readonly (string | undefined)[]): string | undefined => {
    const said = [...new Set(texts.filter((text) => text !== undefined && text !== ""))];
    return said.length === 0 ? undefined : said.join(" ");
  };
  const times = records.map(({ startedAt, finishedAt }) => [startedAt, finishedAt] as const);
  const startedAt = times.map(([start]) => start).sort()[0];
  const finishedAt = times
    .map(([, end]) => end)
    .sort()
    .at(-1);
  const howMet = joined(findings.map((one) => one.howMet));
  const userAction = joined(findings.map((one) => one.userAction));
  const deviation = joined(findings.map((one) => one.deviation));
  return {
    conditions: [...new Set(findings.flatMap(({ conditions = [] }) => conditions))],
    limits: [...new Set(findings.flatMap(({ limits = [] }) => limits))],
    evidence: uniqueByName(records.flatMap(({ evidence }) => evidence)),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(howMet === undefined ? {} : { howMet }),
    ...(userAction === undefined ? {} : { userAction }),
    ...(deviation === undefined ? {} : { deviation }),
  };
}

function uniqueByName<T extends { readonly name: string }>(list: readonly T[]): readonly T[] {
  return [...new Map(list.map((one) => [one.name, one])).values()];
}

function validity(attestations: readonly Attestation[]): { readonly validUntil?: string } {
  const [soonest] = attestations.map(({ validUntil }) => validUntil).sort();
  return soonest === undefined ? {} : { validUntil: soonest };
}
