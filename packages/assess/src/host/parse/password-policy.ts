import { moduleOf, pamValue, type PamLine } from "./pam.ts";
import { numberOf, parseSettings } from "./settings.ts";

/** What is asked of new passwords, as far as the settings say. */
export interface PasswordPolicy {
  /** The module that judges quality; nothing where only `pam_unix` looks at the length. */
  readonly module: string | undefined;
  readonly minLength: number;
  readonly minClasses: number | undefined;
  readonly bindsRoot: boolean;
  /** Earlier passwords that are not taken again. */
  readonly remembers: number | undefined;
  readonly maxDays: number | undefined;
}

/** Lengths that the modules use when nothing is set: `pam_pwquality` 8, `pam_cracklib` 9, `pam_unix` 6. */
const usualLength: Readonly<Record<string, number>> = { pam_pwquality: 8, pam_cracklib: 9, pam_passwdqc: 8 };
const unixLength = 6;

/**
 * The effective policy: what stands in the stack counts before the file, and a module that is not in the stack counts nothing,
 * whatever its file says.
 */
export function passwordPolicy(stack: readonly PamLine[], pwquality: string, loginDefs: string): PasswordPolicy {
  const line = moduleOf(stack, "pam_pwquality", "pam_cracklib", "pam_passwdqc");
  const unix = moduleOf(stack, "pam_unix");
  const file = line?.module === "pam_pwquality" ? parseSettings(pwquality) : new Map<string, string>();
  const setting = (name: string): string | undefined => pamValue(line, name) ?? file.get(name);
  const history = moduleOf(stack, "pam_pwhistory");
  const unixMinimum = numberOf(pamValue(unix, "minlen")) ?? unixLength;
  const moduleMinimum =
    line === undefined ? 0 : (numberOf(setting("minlen")) ?? usualLength[line.module] ?? unixLength);
  return {
    module: line?.module,
    minLength: Math.max(unixMinimum, moduleMinimum),
    minClasses: numberOf(setting("minclass")),
    bindsRoot: line?.args.includes("enforce_for_root") === true || file.has("enforce_for_root"),
    // pam_pwhistory remembers ten where nothing is said.
    remembers:
      numberOf(pamValue(history, "remember") ?? pamValue(unix, "remember")) ?? (history === undefined ? undefined : 10),
    maxDays: numberOf(parseSettings(loginDefs).get("PASS_MAX_DAYS")),
  };
}
