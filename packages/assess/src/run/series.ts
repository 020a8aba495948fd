import { readFile } from "node:fs/promises";
import { makePrivateFolder, writeFileAtomic } from "@cipsec/pki";
import { StateError, UsageError } from "@cipsec/wire";
import { isText, isTexts, listOf, oneOf, optional, shape, type Guard } from "./guards.ts";
import { parseJson } from "./manifest.ts";
import { runPath } from "./run-folder.ts";

/** One subject of a series. */
export interface SeriesEntry {
  readonly kind: "endpoint" | "host";
  /** Address of a device, SSH destination of a host, or {@link thisMachine}. */
  readonly target: string;
  /** Words of the command line for this subject alone, by the names of the options; never a secret. */
  readonly options: Readonly<Record<string, string>>;
  /** Its run, once that is begun. */
  readonly run?: string;
  /** Why it could not be assessed, by the last attempt. */
  readonly failure?: { readonly code: string; readonly message: string };
}

/** Several subjects that are assessed, each in a run of its own. */
export interface Series {
  /** Named like a run. */
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** Words of the command line for all of them. */
  readonly options: Readonly<Record<string, string>>;
  readonly entries: readonly SeriesEntry[];
}

/** Names the host that the command itself runs on. */
export const thisMachine = "local";

/** Subjects that one plan file may name; each takes from half a minute to several. */
const maxSubjects = 1000;

/** Longest word of a plan file. */
const maxWord = 4096;

/** What a plan file may say of one subject beside its target. */
const words = {
  endpoint: [
    "level",
    "type",
    "cert",
    "key",
    "ca",
    "crl",
    "pskIdentity",
    "pskFile",
    "serverName",
    "authority",
    "second",
    "ports",
    "only",
  ],
  host: ["level", "type", "second", "through", "loginSamples", "only"],
} as const;

/**
 * Reads a plan file: `{"endpoints": […], "hosts": […]}`, each a target or an object with `target` and words of the command line.
 *
 * @throws {UsageError} `usage/file` naming the entry and what is wrong with it.
 */
export function parseSeriesFile(content: Uint8Array): readonly SeriesEntry[] {
  const value = parseJson(Buffer.from(content).toString("utf8"));
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw refused("is no JSON object with lists 'endpoints' and 'hosts'");
  const fields = new Map<string, unknown>(Object.entries(value));
  const unknown = [...fields.keys()].find((name) => name !== "endpoints" && name !== "hosts");
  if (unknown !== undefined) throw refused(`has '${unknown.slice(0, 60)}', which is neither 'endpoints' nor 'hosts'`);
  const entries = [
    ...entriesOf("endpoint", "endpoints", fields.get("endpoints")),
    ...entriesOf("host", "hosts", fields.get("hosts")),
  ];
  if (entries.length === 0 || entries.length > maxSubjects)
    throw refused(`must name 1 to ${maxSubjects} endpoints and hosts; it names ${entries.length}`);
  return entries;
}

function entriesOf(kind: SeriesEntry["kind"], list: string, value: unknown): readonly SeriesEntry[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw refused(`: '${list}' is no list`);
  return value.map((one: unknown, at) => {
    const where = `${list}[${at}]`;
    if (typeof one === "string") return { kind, target: wordOf(one, where), options: {} };
    const fields = new Map<string, unknown>(typeof one === "object" && one !== null ? Object.entries(one) : []);
    const target = wordOf(fields.get("target"), `${where}.target`);
    fields.delete("target");
    const known: readonly string[] = words[kind];
    const options = [...fields].map(([name, word]) => {
      if (!known.includes(name))
        throw refused(`has '${name.slice(0, 60)}' in ${where}; beside 'target' may stand ${known.join(", ")}`);
      return [name, wordOf(typeof word === "number" ? String(word) : word, `${where}.${name}`)] as const;
    });
    return { kind, target, options: Object.fromEntries(options) };
  });
}

function wordOf(value: unknown, where: string): string {
  if (typeof value === "string" && value.trim() !== "" && value.length <= maxWord) return value;
  throw refused(`has no word at ${where}`);
}

function refused(what: string): UsageError {
  return new UsageError("usage/file", `the plan file ${what}`, {
    fix: 'Write {"endpoints": ["192.0.2.7"], "hosts": ["plc@192.0.2.9"]}; see docs/assess.md.',
  });
}

/** Writes a series; what is on disk is whole at any instant. */
export async function writeSeries(folder: string, series: Series): Promise<void> {
  await makePrivateFolder(folder);
  await writeFileAtomic(fileOf(folder, series.id), `${JSON.stringify(series, undefined, 1)}\n`);
}

/** A series at work, which several runs write at once. */
export interface SeriesKeeper {
  /** An entry as it stands now. */
  entry(at: number): SeriesEntry | undefined;
  /** Changes one entry; it is on disk when this returns. */
  keep(at: number, entry: SeriesEntry): Promise<void>;
}

/** Keeps on disk how far a series came: one write after the other, each of all that is known by then. */
export function keepSeries(folder: string, series: Series): SeriesKeeper {
  const entries = [...series.entries];
  let last: Promise<void> = Promise.resolve();
  return {
    entry: (at) => entries[at],
    async keep(at, entry) {
      entries[at] = entry;
      // A write that failed is told to who asked for it, and stops nobody else's.
      last = last.catch(() => undefined).then(async () => await writeSeries(folder, { ...series, entries }));
      await last;
    },
  };
}

/**
 * Reads a series.
 *
 * @throws {UsageError} `usage/file` when there is none of that name; {@link StateError} `state/corrupt` when it is damaged.
 */
export async function readSeries(folder: string, id: string): Promise<Series> {
  const text = await readFile(fileOf(folder, id), "utf8").catch(() => undefined);
  if (text === undefined)
    throw new UsageError("usage/file", `there is no series ${id}`, {
      fix: "'cipsec assess all' says the name of a series when it begins.",
    });
  const series = parseJson(text);
  if (!isSeries(series)) throw new StateError("state/corrupt", `the series ${id} is damaged`);
  return series;
}

function fileOf(folder: string, id: string): string {
  return `${runPath(folder, id)}.json`;
}

const isSeries: Guard<Series> = shape<Series>({
  id: isText,
  startedAt: isText,
  options: isTexts,
  entries: listOf(
    shape<SeriesEntry>({
      kind: oneOf("endpoint", "host"),
      target: isText,
      options: isTexts,
      run: optional(isText),
      failure: optional(shape<{ code: string; message: string }>({ code: isText, message: isText })),
    }),
  ),
});
