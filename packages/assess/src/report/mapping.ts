import { catalogue, type RequirementId } from "../catalogue/catalogue.ts";
import { partsOfId } from "../catalogue/requirement-id.ts";
import type { PaperVerdict } from "../catalogue/requirement.ts";
import { paperOpinion, type PaperOpinion } from "../catalogue/treatments.ts";
import type { Verdict, VerdictWord } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { decidingReason, verdictWords } from "./words.ts";

/** One line of the ODVA paper's table of requirements, made again from what was measured. */
export interface MappingRow {
  readonly requirement: RequirementId;
  readonly title: string;
  /** The entry whose verdict stands: of a placeholder, the one for the product's type. */
  readonly judgedAs: RequirementId;
  /** What the paper's table says; nothing where it forgot the line, and its body decides. */
  readonly inTable: PaperVerdict | undefined;
  readonly paper: PaperOpinion["verdict"];
  /** What was measured of the protocol, which is what the paper speaks about; the whole where the requirement is not split. */
  readonly protocol: VerdictWord;
  /** The verdict on the product. */
  readonly whole: VerdictWord;
  /** Why paper and measurement differ; empty where they do not. */
  readonly why: string;
  readonly notes: readonly string[];
}

/** Every requirement that the paper judges, beside what a run has measured. */
export function mappingRows({ plan, verdicts }: Assessment): readonly MappingRow[] {
  return catalogue.flatMap((entry): MappingRow[] => {
    if (entry.odva.body === undefined) return [];
    const opinion = paperOpinion(entry, plan.type);
    const verdict = verdicts.find(({ requirement }) => requirement === entry.id);
    const variant = verdicts.find((one) => isVariant(one, entry.id));
    const judged = entry.firstLevel === null ? (variant ?? verdict) : verdict;
    if (judged === undefined) return [];
    const protocol = judged.parts.find(({ part }) => part === "protocol")?.verdict ?? judged.verdict;
    return [
      {
        requirement: entry.id,
        title: entry.title,
        judgedAs: judged.requirement,
        inTable: entry.odva.table,
        paper: opinion.verdict,
        protocol,
        whole: judged.verdict,
        why: whyTheyDiffer(opinion.verdict, protocol, judged),
        notes: opinion.notes,
      },
    ];
  });
}

/** The entry of the product's type for a number that has a rule for some types only. */
function isVariant({ requirement, notApplicable }: Verdict, id: RequirementId): boolean {
  const [a, b] = [partsOfId(requirement), partsOfId(id)];
  if (a.fr !== b.fr || a.number !== b.number || a.enhancement !== b.enhancement) return false;
  return a.kind !== "CR" && notApplicable !== "type" && notApplicable !== "placeholder";
}

function whyTheyDiffer(paper: MappingRow["paper"], protocol: VerdictWord, judged: Verdict): string {
  if (paper === "no-rule") return "The standard has no rule for components here.";
  if (paper === "not-applicable") return "The rule is for another type of component.";
  if (paper === protocol) return "";
  const part = judged.parts.find((one) => one.part === "protocol");
  const reason = sentence(part?.reason ?? decidingReason(judged));
  if (judged.notApplicable === "above-target") return `Not judged: ${reason}`;
  if (protocol === "not-applicable") return `The product has no such function as it is set up: ${reason}`;
  if (protocol === "inconclusive")
    return `${paper === "out-of-scope" ? "Open in both; here" : "Not shown yet"}: ${reason}`;
  if (paper === "partial" && protocol === "met") {
    const product = judged.parts.find((one) => one.part === "product");
    const rest = product === undefined ? "" : ` The product's part is apart: ${sentence(product.reason)}`;
    return `The paper has one word for protocol and product; what the protocol does is met.${rest}`;
  }
  if (protocol === "out-of-scope") return `No exchange with the product can show it: ${reason}`;
  if (paper === "out-of-scope")
    return `The paper leaves it to the product; this one was tried and is ${verdictWords[protocol].toLowerCase()}: ${reason}`;
  return `This product, ${verdictWords[protocol].toLowerCase()}: ${reason}`;
}

function sentence(text: string): string {
  return text.endsWith(".") ? text : `${text}.`;
}
