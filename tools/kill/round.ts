/** What one round of the campaign did and found. */
export interface Round {
  /** What was killed, and when. */
  readonly what: string;
  /** States after the kill, before anything was mended. */
  readonly found: string;
  /** Everything that must not be; empty in a good round. */
  readonly faults: readonly string[];
  /** Milliseconds of an undisturbed commissioning of a device from the factory, where the round had one. */
  readonly undisturbedMs?: number;
}

/** Counts what was found, most frequent first. */
export function countFound(rounds: readonly Round[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const { found } of rounds) counts.set(found, (counts.get(found) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a);
}
