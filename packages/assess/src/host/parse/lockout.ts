import { moduleOf, pamValue, type PamLine } from "./pam.ts";
import { numberOf, parseSettings } from "./settings.ts";

/** When an account is locked, and for how long. */
export interface LockoutPolicy {
  /** Wrong tries after which it is locked; 0 is never. */
  readonly deny: number;
  /** Seconds after which it opens again; 0 is not by itself. */
  readonly unlockS: number;
  readonly locksRoot: boolean;
}

/**
 * The lock-out that a service really has: nothing where its stack does not call `pam_faillock` (or the older `pam_tally2`), whatever
 * `faillock.conf` says. Values in the stack count before the file.
 */
export function lockoutPolicy(stack: readonly PamLine[], faillockConf: string): LockoutPolicy | undefined {
  const line = moduleOf(stack, "pam_faillock", "pam_tally2");
  if (line === undefined) return undefined;
  const file = line.module === "pam_faillock" ? parseSettings(faillockConf) : new Map<string, string>();
  const setting = (name: string): string | undefined => pamValue(line, name) ?? file.get(name);
  const unlock = setting("unlock_time");
  return {
    deny: numberOf(setting("deny")) ?? (line.module === "pam_faillock" ? 3 : 0),
    unlockS: unlock === "never" ? 0 : (numberOf(unlock) ?? (line.module === "pam_faillock" ? 600 : 0)),
    locksRoot: line.args.includes("even_deny_root") || file.has("even_deny_root"),
  };
}
