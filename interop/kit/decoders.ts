import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { KeyLog, dissect, readCapture, type MessageLine } from "@cipsec/capture";
import { must } from "./programs.ts";

/** What two decoders of one capture have to agree on, for one frame: in the order in which it stands there. */
export interface FrameSummary {
  /** Encapsulation commands, and their status codes. */
  readonly commands: readonly number[];
  readonly statuses: readonly number[];
  /** CIP service octets, with the bit that tells a response. */
  readonly services: readonly number[];
  /** General status of the responses. */
  readonly generalStatuses: readonly number[];
  /** Classes that requests name. tshark adds those that paths inside of values name, and repeats them for responses. */
  readonly classes: readonly number[];
}

/** By frame number. */
export type Summary = ReadonlyMap<number, FrameSummary>;

/** A capture, and the secrets of its TLS sessions where it has any. */
export interface CaptureFile {
  readonly file: string;
  readonly keys?: string;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

const fields = ["frame.number", "enip.command", "enip.status", "cip.rr", "cip.sc", "cip.genstat", "cip.class"] as const;

/** The frames in which tshark finds EtherNet/IP or CIP. */
export async function tsharkSummary(capture: CaptureFile): Promise<Summary> {
  const named = fields.flatMap((field) => ["-e", field]);
  const lines = await tshark(capture, ["-Y", "enip || cip", "-T", "fields", ...named]);
  return new Map(lines.map((line) => tsharkRow(line.split("\t"))));
}

/** Lines that tshark prints about a capture. */
export async function tshark({ file, keys }: CaptureFile, args: readonly string[]): Promise<readonly string[]> {
  const secrets = keys === undefined ? [] : ["-o", `tls.keylog_file:${keys}`];
  const text = await must("tshark", ["-n", "-r", file, ...secrets, ...args], { timeoutMs: 60_000 });
  return text.split("\n").filter((line) => line !== "");
}

function tsharkRow(columns: readonly string[]): readonly [number, FrameSummary] {
  const numbers = (i: number): readonly number[] => (columns[i] ?? "").split(",").filter(Boolean).map(Number);
  const responses = numbers(3);
  return [
    Number(columns[0]),
    {
      commands: numbers(1),
      statuses: numbers(2),
      services: numbers(4).map((service, i) => service | ((responses[i] ?? 0) << 7)),
      generalStatuses: numbers(5),
      classes: numbers(6),
    },
  ];
}

/** The same as our packages read it. */
export async function ourLines({ file, keys }: CaptureFile): Promise<readonly MessageLine[]> {
  const keyLog = new KeyLog();
  if (keys !== undefined) keyLog.add(await readFile(keys));
  return [...dissect(readCapture(await readFile(file), { keyLog }))];
}

/** What `cipsec decode --json` prints. */
export async function commandLines({ file, keys }: CaptureFile): Promise<readonly MessageLine[]> {
  const secrets = keys === undefined ? [] : ["--keylog", keys];
  const cli = ["--conditions=@cipsec/source", "--no-warnings", "apps/cli/src/main.ts"];
  const args = [...cli, "decode", file, ...secrets, "--json"];
  const text = await must(process.execPath, args, { timeoutMs: 60_000, cwd: root });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line): MessageLine => JSON.parse(line));
}

/** Lines of one frame put together. */
export function summarize(lines: readonly MessageLine[]): Summary {
  const summary = new Map<number, FrameSummary>();
  for (const { n, command, status, cip } of lines) {
    const before = summary.get(n);
    summary.set(n, {
      commands: [...(before?.commands ?? []), ...(command === null ? [] : [command])],
      statuses: [...(before?.statuses ?? []), ...(status === null ? [] : [status])],
      services: [...(before?.services ?? []), ...cip.map(({ service, response }) => service | (response ? 0x80 : 0))],
      generalStatuses: [...(before?.generalStatuses ?? []), ...cip.flatMap((line) => line.status ?? [])],
      classes: [...(before?.classes ?? []), ...cip.flatMap((line) => line.class ?? [])],
    });
  }
  return summary;
}

/** Frames of either decoder that the other reads otherwise, with what both say. */
export function differences(
  ours: Summary,
  theirs: Summary,
): readonly { readonly n: number; readonly ours: string; readonly theirs: string }[] {
  const frames = [...new Set([...ours.keys(), ...theirs.keys()])].toSorted((a, b) => a - b);
  return frames
    .map((n) => ({ n, ours: words(ours.get(n)), theirs: words(theirs.get(n)) }))
    .filter((row) => row.ours !== row.theirs);
}

/** Whether tshark names every class that we name, in the same order. */
export function namesClasses(ours: FrameSummary, theirs: FrameSummary): boolean {
  let at = 0;
  for (const classId of theirs.classes) if (classId === ours.classes[at]) at += 1;
  return at === ours.classes.length;
}

function words(frame: FrameSummary | undefined): string {
  if (frame === undefined) return "nothing";
  const hex = (numbers: readonly number[]): string => numbers.map((number) => number.toString(16)).join(" ");
  const { commands, statuses, services, generalStatuses } = frame;
  return `commands ${hex(commands)}; status ${hex(statuses)}; services ${hex(services)}; general status ${hex(generalStatuses)}`;
}
