import type { EvidenceRef } from "../evidence/evidence.ts";
import type { TestAccount } from "./accounts.ts";
import type { Bench } from "./bench.ts";

/** What came of a user's change of the own password. */
export interface PasswordChange {
  readonly isChanged: boolean;
  /** Why it was refused, as the user was told. */
  readonly words: string;
  readonly evidence: readonly EvidenceRef[];
}

/** Changes a password as the user does it: `passwd` on a terminal, the old one, the new one twice. */
export async function changePassword(
  bench: Bench,
  name: string,
  { name: user, password }: TestAccount,
  next: string,
): Promise<PasswordChange> {
  const { transcript, evidence } = await bench.talk(
    name,
    ["passwd"],
    [
      { until: /current[^\n]*password: ?$/i, send: password },
      { until: /new[^\n]*password: ?$/i, send: next },
      { until: /(?:retype|again|re-enter)[^\n]*: ?$/i, send: next },
    ],
    // Asked for a new one again: the one that was typed was refused.
    { as: user, timeoutMs: 20_000, endAt: /new[^\n]*password: ?$|unchanged|manipulation error|failure/i },
  );
  const isChanged = /success|updated/i.test(transcript);
  const said = transcript
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/: ?$/.test(line) && !/^Changing|unchanged|manipulation|^passwd:/i.test(line));
  return { isChanged, words: isChanged ? "changed" : (said[0] ?? "refused").slice(0, 150), evidence };
}
