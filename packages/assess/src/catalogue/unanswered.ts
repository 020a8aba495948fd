import { needs } from "../need.ts";
import type { RequirementId } from "./catalogue.ts";
import type { RequirementPart } from "./parts.ts";
import { partsOfId } from "./requirement-id.ts";

/** What is said of a part of a requirement that nothing has answered. */
export interface Unanswered {
  readonly verdict: "inconclusive" | "out-of-scope";
  readonly reason: string;
}

/** Requirements that rest on user authentication, roles or audit; by base number. */
const usersAndAudit: ReadonlySet<string> = new Set(
  "1.1 1.3 1.4 1.5 1.7 1.10 1.11 1.12 2.1 2.5 2.8 2.9 2.10 2.11 2.12 3.9 6.1 6.2".split(" "),
);

/** Requirements that no exchange with the component can answer, and who must. */
const answeredBy: Readonly<Record<string, string>> = {
  "2.2": "the maker: whether the product has a radio, and its policy for it",
  "2.4": "the maker: every way to load code, and how it is authenticated",
  "2.13": "the maker: debug and test interfaces of the hardware, by inspection of the board",
  "3.2": "the maker, and the host's assessment: how foreign code is kept from running",
  "3.3": "the maker: the self-test, and what it reports when a security function is broken",
  "3.4": "the maker: how software and settings are protected against change",
  "3.10": "the maker: the update procedure and its proof of origin",
  "3.11": "the maker: seals and tamper switches of the hardware",
  "3.14": "the maker: the boot chain of the hardware",
  "4.2": "the maker: the erase procedure, tried on a unit with known markers",
  "5.1": "the integrator: segmentation of the plant network",
  "7.1": "a test under load of the component's essential function",
  "7.3": "the maker: what a backup holds and how it is protected",
  "7.4": "the maker: recovery after a crash and from a backup",
};

/** Why a part is open, and who can close it. Open is all that it can be: nothing unanswered counts as met. */
export function unanswered(id: RequirementId, part: RequirementPart): Unanswered {
  const { fr, number, enhancement } = partsOfId(id);
  const base = `${fr}.${number}`;
  if (part === "product")
    return {
      verdict: "out-of-scope",
      reason:
        "what the product keeps inside cannot be seen on the wire: design evidence or an attestation must answer it",
    };
  if (enhancement !== undefined && /^1\.(5|9|14)$/.test(base))
    return { verdict: "out-of-scope", reason: "the maker must answer it: keys held by hardware" };
  if (usersAndAudit.has(base)) return { verdict: "inconclusive", reason: `no check was run: ${needs.users}` };
  const who = answeredBy[base];
  if (who !== undefined) return { verdict: "out-of-scope", reason: `to be answered by ${who}` };
  return { verdict: "inconclusive", reason: "no check of this run speaks about it" };
}
