/** Several measurements of one thing. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** One line of a benchmark: ours, the reference under the same load in the same run, and the ratio of their medians. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: Spread;
  readonly reference?: Spread;
  readonly referenceName?: string;
  /** Medians, ours by the reference's. */
  readonly ratio?: number;
  /** What the ratio, or `ours` where there is no reference, has to be. */
  readonly bar?: string;
}

/** How long and how much is measured, where a benchmark has the choice. */
export interface BenchmarkOptions {
  /** As long as published figures need. */
  readonly isFull?: boolean;
  /** Of a benchmark that has many, those to run. */
  readonly cases?: readonly string[];
}

/** A benchmark: what it is called, what it measures, and its run. */
export interface Benchmark {
  readonly name: string;
  readonly about: string;
  run(options?: BenchmarkOptions): Promise<readonly Row[]>;
}

/** One thing to measure, in units a second or whatever the row says. */
export interface Contestant {
  readonly name: string;
  measure(): Promise<number>;
}

/**
 * Measures all contestants in turn, `rounds` times, every other round in reverse: what disturbs the machine meanwhile disturbs
 * all alike.
 */
export async function alternate(
  contestants: readonly Contestant[],
  rounds: number,
): Promise<ReadonlyMap<string, Spread>> {
  const seen = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const contestant of order)
      seen.set(contestant.name, [...(seen.get(contestant.name) ?? []), await contestant.measure()]);
  }
  return new Map([...seen].map(([name, values]) => [name, spread(values)]));
}

/** Least, middle and greatest. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { min: at(0), median: at(0.5), max: at(1) };
}

/** A row out of two contestants' spreads. */
export function compared(
  row: Pick<Row, "name" | "unit" | "bar">,
  spreads: ReadonlyMap<string, Spread>,
  ours: string,
  reference: string,
): Row {
  const [a, b] = [spreads.get(ours), spreads.get(reference)];
  if (a === undefined || b === undefined) throw new RangeError(`${ours} or ${reference} was not measured`);
  return { ...row, ours: a, reference: b, referenceName: reference, ratio: a.median / b.median };
}

/** Rows as a table for people. */
export function tableText(rows: readonly Row[]): string {
  const head = ["", "unit", "ours: median (min–max)", "reference", "median (min–max)", "ratio", "bar"];
  const cells = rows.map(({ name, unit, ours, reference, referenceName, ratio, bar }) => [
    name,
    unit,
    spreadText(ours),
    referenceName ?? "",
    reference === undefined ? "" : spreadText(reference),
    ratio === undefined ? "" : ratio.toFixed(2),
    bar ?? "",
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  return [head, ...cells]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function spreadText({ min, median, max }: Spread): string {
  return `${short(median)} (${short(min)}–${short(max)})`;
}

function short(value: number): string {
  return value >= 100 ? Math.round(value).toString() : value.toFixed(2);
}
