import type { Observation } from "../observation.ts";

/** What became of who talks: ended, or nothing that can be told, as it was us who fell silent. */
export type Talk = "kept" | "ended" | "late";

/** It as part of an observation. */
export function talkWords(talk: Talk): Pick<Observation, "observed" | "holds"> {
  if (talk === "late")
    return { observed: "not told: this machine was held up for as long as the timeout", holds: undefined };
  return { observed: talk === "kept" ? "it does" : "it was ended too", holds: talk === "kept" };
}

/** Whether a device may take for silent who says nothing for so long. */
export function isLate(
  passedMs: number,
  { timeoutS, earlyMs }: { readonly timeoutS: number; readonly earlyMs: number },
): boolean {
  return passedMs >= timeoutS * 1000 - earlyMs;
}
