import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { UsageError } from "@cipsec/wire";
import { DataFolder } from "./data-folder.ts";
import { ExitCode, exitCodeOf, told } from "./exit-codes.ts";
import { makeOutput, type Output, type Streams } from "./output.ts";

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly data: string;
  readonly timeout: number;
  readonly verbose?: boolean;
}

/** What a command works with. */
export interface Context {
  readonly output: Output;
  readonly data: DataFolder;
  readonly timeoutMs: number;
  readonly verbose: boolean;
  /** Aborted by Ctrl-C or a termination signal. */
  readonly signal: AbortSignal;
}

/** What a command does: returns its exit code, 0 when nothing is returned. */
export type Action = (
  context: Context,
  options: Readonly<Record<string, unknown>>,
  args: readonly string[],
) => Promise<number | void>;

/** How the program meets the outside; tests give their own. */
export interface Shell {
  readonly streams: Streams;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  exit(code: number): void;
}

/** Adds a subcommand with the common options; errors become a sentence or a JSON document, and the exit code that means them. */
export function addCommand(parent: Command, shell: Shell, usage: string, description: string, action: Action): Command {
  const command = parent
    .command(usage)
    .description(description)
    .option("--json", "print one JSON document (streams: one a line) on standard output")
    .addOption(
      new Option("--data <dir>", "folder for keys, certificates and databases")
        .env("CIPSEC_DATA")
        .default(shell.environment["CIPSEC_DATA"] ?? ".cipsec"),
    )
    .option("--timeout <ms>", "milliseconds to wait for an answer", milliseconds, 5000)
    .option("--verbose", "say more on standard error");
  command.action(async (...all: unknown[]) => {
    const options = command.opts<CommonOptions & Record<string, unknown>>();
    const output = makeOutput(shell.streams, options.json === true);
    const context: Context = {
      output,
      data: new DataFolder(options.data),
      timeoutMs: options.timeout,
      verbose: options.verbose === true,
      signal: shell.signal,
    };
    const args = all
      .slice(0, -2)
      .flatMap((arg) => (Array.isArray(arg) ? arg.map(String) : arg === undefined ? [] : [String(arg)]));
    try {
      shell.exit((await action(context, options, args)) ?? ExitCode.ok);
    } catch (error) {
      shell.exit(tell(error, output, options.verbose === true));
    }
  });
  return command;
}

/** Tells an error and returns its exit code. */
export function tell(error: unknown, output: Output, verbose = false): number {
  const { code, message, facts, fix } = told(error);
  if (output.json) output.document({ error: { code, message, facts, fix } });
  else output.notice(`error: ${message}`);
  if (!output.json && fix !== "") output.notice(`fix:   ${fix}`);
  if (verbose && error instanceof Error && error.stack !== undefined)
    for (const line of error.stack.split("\n").slice(1)) output.notice(line);
  return exitCodeOf(error);
}

/** What commander throws instead of ending the process: help and version are no errors, anything else is wrong usage. */
export function usageExitCode(error: CommanderError): number {
  return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
}

/** Milliseconds of an option. */
export function milliseconds(text: string): number {
  return wholeNumber(text, 1, 24 * 3600 * 1000);
}

/** A whole number of an option, within bounds. */
export function wholeNumber(text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new InvalidArgumentError(`a whole number from ${min} to ${max} is needed`);
  return value;
}

/** Text of an option, or `undefined` when it was not given. */
export function textOption(options: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** The argument at a place. @throws {UsageError} when it is missing. */
export function argument(args: readonly string[], at: number, name: string): string {
  const value = args[at];
  if (value === undefined) throw new UsageError("usage/argument", `${name} is missing`, { fix: "See --help." });
  return value;
}
