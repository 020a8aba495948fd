import type { ComponentType, PaperVerdict, Requirement } from "./requirement.ts";
import { catalogue, type RequirementId } from "./catalogue.ts";
import { partsOfRequirement } from "./parts.ts";
import { partsOfId, typesOf } from "./requirement-id.ts";

/** An inconsistency of a source, and what is done about it wherever its verdicts are shown or compared. */
export interface Treatment {
  /** Its number in the list of inconsistencies of the ODVA paper. */
  readonly number: number;
  /** None where it is about the paper as a whole. */
  readonly requirements: readonly RequirementId[];
  /** What is shown beside the paper's verdict. */
  readonly note: string;
  /** Under which setting of a product "met" holds; told with every such verdict. */
  readonly condition?: string;
}

/** Those that are told. The rest is done by the reader of ids and by {@link paperOpinion}. */
export const treatments: readonly Treatment[] = [
  {
    number: 1,
    requirements: ["CR 1.14 RE(1)", "CR 3.3 RE(1)", "CR 7.6 RE(1)"],
    note: "missing in the paper's table; its body decides",
  },
  { number: 2, requirements: ["CR 2.1 RE(4)"], note: "the paper also calls it CR 2.2 RE-4, which does not exist" },
  {
    number: 5,
    requirements: [],
    note: "the paper announces a class 'not met' that no requirement has; it is kept, and counts 0",
  },
  {
    number: 6,
    requirements: ["CR 1.7 RE(2)", "CR 3.3 RE(1)"],
    note: "an SL 4 item, though the paper leaves SL 4 out; it does not count below SL 4",
  },
  {
    number: 12,
    requirements: ["CR 1.1 RE(2)"],
    note: "met only with a central provider and local login off",
    condition: "people log in by a central provider, and local login is off",
  },
  {
    number: 13,
    requirements: ["CR 1.2 RE(1)"],
    note: "met only where no pre-shared key suite is allowed",
    condition: "no suite for pre-shared keys is allowed (EtherNet/IP Security attribute 4)",
  },
  {
    number: 14,
    requirements: ["CR 1.7 RE(1)"],
    note: "local users: the reasoning covers reuse, not age; partial until age limits are shown",
    condition: "users of a central provider, or age limits of local passwords are shown",
  },
  {
    number: 15,
    requirements: ["CR 1.7 RE(2)", "CR 1.9 RE(1)"],
    note: "the paper's title differs by a word; the catalogue's is shown",
  },
  { number: 16, requirements: ["CR 1.14 RE(1)"], note: "the reasoning speaks about private keys and is ignored" },
  {
    number: 17,
    requirements: ["CR 2.4", "SAR 2.4", "EDR 2.4", "HDR 2.4", "NDR 2.4"],
    note: "met only where nothing else can load code (web, USB, FTP)",
    condition: "nothing else can load code into the product (web, USB, FTP)",
  },
  {
    number: 18,
    requirements: ["CR 2.7"],
    note: "a declared capacity is no limit for a user; a live test decides",
    condition: "the limit is that of one user, and not of the device alone",
  },
  { number: 19, requirements: ["CR 3.1", "CR 3.1 RE(1)"], note: "the paper names HMAC; AEAD serves as well" },
  {
    number: 20,
    requirements: ["CR 7.1", "CR 7.7"],
    note: "closed ports count in both; denial of service stays a matter of the product",
  },
  {
    number: 21,
    requirements: ["CR 7.6"],
    note: "shown by attributes of the security objects, not by a guide to plant networks",
  },
  {
    number: 23,
    requirements: [],
    note: "the paper cites a list of references that it does not have; what rests on it is not followed",
  },
];

/** Settings of a product under which "met" holds for an entry. */
export function conditionsOf(id: RequirementId): readonly string[] {
  return treatments.flatMap(({ requirements, condition }) =>
    condition !== undefined && requirements.includes(id) ? [condition] : [],
  );
}

/** What the paper says about an entry for a product of some type, all treatments applied. */
export interface PaperOpinion {
  /**
   * `not-evaluated`: the paper is silent, which is not "out of scope". `no-rule`: there is nothing to judge. `not-applicable`: a rule
   * for network devices, and the product is none.
   */
  readonly verdict: PaperVerdict | "not-evaluated" | "no-rule" | "not-applicable";
  /** The placeholder that the verdict was passed on from. */
  readonly from?: RequirementId;
  readonly notes: readonly string[];
}

/** Requirements without any rule for components: 2.3, 5.4, 7.5. */
const withoutRule: ReadonlySet<string> = new Set(["CR 2.3", "CR 5.4", "CR 7.5"]);

/** The paper's verdict for a product of a type: read from the body, passed on from placeholders, never mixed with other words. */
export function paperOpinion(entry: Requirement<RequirementId>, type: ComponentType): PaperOpinion {
  const notes = treatments.filter(({ requirements }) => requirements.includes(entry.id)).map(({ note }) => note);
  if (withoutRule.has(entry.id)) return { verdict: "no-rule", notes: [...notes, "no component requirement"] };
  const { fr, number, enhancement } = partsOfId(entry.id);
  const variants = catalogue.filter(({ id, firstLevel }) => {
    const other = partsOfId(id);
    return firstLevel !== null && other.fr === fr && other.number === number && other.enhancement === undefined;
  });
  if (entry.firstLevel === null && !variants.some((variant) => typesOf(variant).includes(type)))
    return { verdict: "not-applicable", notes: [...notes, "a rule for other types of component"] };
  if (entry.odva.body !== undefined) return { verdict: entry.odva.body, notes: [...notes, ...splitNote(entry)] };
  const placeholder = catalogue.find(({ id }) => id === `CR ${fr}.${number}`);
  const inherited = enhancement === undefined ? placeholder?.odva.body : undefined;
  if (inherited === undefined || placeholder === undefined)
    return { verdict: "not-evaluated", notes: [...notes, "not evaluated by the paper"] };
  return {
    verdict: inherited,
    from: placeholder.id,
    notes: [...notes, `the paper judges it as ${placeholder.id}`, ...splitNote(entry)],
  };
}

function splitNote({ id }: Requirement<RequirementId>): readonly string[] {
  return partsOfRequirement(id).length > 1 ? ["the protocol's part only; the product must show its own"] : [];
}
