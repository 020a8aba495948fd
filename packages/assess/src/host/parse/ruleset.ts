/** What an nftables ruleset does by default. */
export interface Ruleset {
  /** By hook, such as `input`: `drop` when any base chain there drops what it does not accept. */
  readonly policies: ReadonlyMap<string, "accept" | "drop">;
  readonly hasLog: boolean;
}

/** Output of `nft list ruleset`. */
export function parseRuleset(text: string): Ruleset {
  const policies = new Map<string, "accept" | "drop">();
  const chains = text.matchAll(/type filter hook (\w{1,20}) [^\n;]{0,80};(?: policy (accept|drop);)?/g);
  for (const [, hook = "", policy] of chains)
    // A packet passes only if every chain of the hook lets it: one that drops decides.
    if (policies.get(hook) !== "drop") policies.set(hook, policy === "drop" ? "drop" : "accept");
  return { policies, hasLog: /^\s+[^#\n]*\blog\b/m.test(text) };
}
