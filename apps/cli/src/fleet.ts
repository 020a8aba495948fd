import { Option, type Command } from "commander";
import { connect, formatTarget, parseTarget, type ConnectOptions, type Session } from "@cipsec/originator";
import { UsageError } from "@cipsec/wire";
import { textOption, type Context } from "./command.ts";
import { connectOptions } from "./credentials.ts";
import { readInput } from "./data-folder.ts";
import { ExitCode, exitCodeOf, told, type ToldError } from "./exit-codes.ts";

type Options = Readonly<Record<string, unknown>>;

/** What became of one device. */
export type DeviceOutcome<T> =
  | { readonly target: string; readonly ok: true; readonly value: T }
  | { readonly target: string; readonly ok: false; readonly error: ToldError; readonly exitCode: number };

/** A plant has thousands of devices at most. */
const maxTargets = 10_000;

/** Sessions at a time: a device is busy with its own, this machine with all of them. */
const atATime = 8;

/** Adds the option that names devices by file. */
export function addDevicesOption(command: Command): Command {
  return command.addOption(new Option("--devices <file>", "devices, one a line; what follows a # is not read"));
}

/** Devices from arguments and from the file of `--devices`, each once. @throws {UsageError} `usage/argument`, `usage/file` */
export async function targetsOf(options: Options, given: readonly string[]): Promise<readonly string[]> {
  const file = textOption(options, "devices");
  const text = file === undefined ? "" : Buffer.from(await readInput(file)).toString("utf8");
  const listed = text.split("\n").map((line) => line.replace(/#.*$/, "").trim());
  const all = [...new Set([...given, ...listed.filter((line) => line !== "")])];
  if (all.length > maxTargets)
    throw new UsageError("usage/argument", `${all.length} devices: give ${maxTargets} at most at a time`);
  for (const target of all) parseTarget(target);
  return all;
}

/** Opens a session to each device and works on it, a few at a time. One that fails does not keep the others from their turn. */
export async function onDevices<T>(
  context: Context,
  options: Options,
  targets: readonly string[],
  work: (session: Session, target: string) => Promise<T>,
): Promise<readonly DeviceOutcome<T>[]> {
  return await onDevicesBy(context, await connectOptions(context, options), targets, work);
}

/** As {@link onDevices}, by other credentials than the options say. */
export async function onDevicesBy<T>(
  context: Context,
  connecting: ConnectOptions,
  targets: readonly string[],
  work: (session: Session, target: string) => Promise<T>,
): Promise<readonly DeviceOutcome<T>[]> {
  const outcomes = new Map<string, DeviceOutcome<T>>();
  const waiting = [...targets];
  const worker = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      context.signal.throwIfAborted();
      context.output.progress(`${targets.length - waiting.length}/${targets.length} ${target}`);
      try {
        await using session = await connect(parseTarget(target), connecting);
        outcomes.set(target, { target, ok: true, value: await work(session, target) });
      } catch (error) {
        if (context.signal.aborted) throw error;
        outcomes.set(target, { target, ok: false, error: told(error), exitCode: exitCodeOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atATime, targets.length) }, worker));
  return targets.flatMap((target) => outcomes.get(target) ?? []);
}

/** The exit code of all of them: that of the gravest failure. */
export function exitCodeOfAll(outcomes: readonly DeviceOutcome<unknown>[]): number {
  return Math.max(ExitCode.ok, ...outcomes.map((one) => (one.ok ? ExitCode.ok : one.exitCode)));
}

/** A row for each device: what became of it, in words. */
export function sayOutcomes<T>(
  { output }: Context,
  outcomes: readonly DeviceOutcome<T>[],
  words: (value: T) => string,
): void {
  output.table(
    ["device", "result", ""],
    outcomes.map((one) =>
      one.ok ? [one.target, words(one.value), ""] : [one.target, `failed: ${one.error.message}`, one.error.fix],
    ),
  );
}

/** Outcomes as a document. */
export function documentOf<T>(outcomes: readonly DeviceOutcome<T>[], fields: (value: T) => object): readonly object[] {
  return outcomes.map((one) =>
    one.ok
      ? { target: one.target, ok: true, ...fields(one.value) }
      : { target: one.target, ok: false, error: one.error },
  );
}

/** A target as it is written in commands. */
export function shownTarget(target: string): string {
  return formatTarget(parseTarget(target));
}
