import { InvalidArgumentError, Option, type Command } from "commander";
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

/** Heading of the options that every command takes, below a command's own. */
export const commonHeading = "Common options:";

/** What a target is, for every command that takes one. */
export const targetHelp =
  "HOST, HOST:PORT, eip://HOST (plain), eips://HOST (TLS) or eipd://HOST (DTLS); without a scheme TLS where the device offers it";

/** What a person, or a program that reads the output, wants to know beyond the options. */
export interface CommandNotes {
  /** What `--json` prints: a shape as TypeScript would write it. */
  readonly json: string;
  /** Whole command lines, each with what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
}

const notes = new WeakMap<Command, CommandNotes>();

/** Notes of a command; nothing for one that only groups others. */
export function notesOf(command: Command): CommandNotes | undefined {
  return notes.get(command);
}

/** Gives a command its notes; the examples stand below its help. */
export function addNotes(command: Command, given: CommandNotes): Command {
  notes.set(command, given);
  const lines = given.examples.map(([line, does]) => `  ${line}\n      ${does}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Adds a subcommand with the common options; errors become a sentence or a JSON document, and the exit code that means them. */
export function addCommand(parent: Command, shell: Shell, usage: string, description: string, action: Action): Command {
  const command = parent.command(usage).description(description);
  for (const option of commonOptions(shell)) command.addOption(option.helpGroup(commonHeading));
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
    // Commander hands over the arguments, then the options, then the command.
    const args = all.slice(0, -2).flatMap(texts);
    try {
      shell.exit((await action(context, options, args)) ?? ExitCode.ok);
    } catch (error) {
      const code = tell(error, output, options.verbose === true);
      shell.exit(shell.signal.aborted ? ExitCode.interrupted : code);
    }
  });
  return command;
}

function commonOptions({ environment }: Shell): readonly Option[] {
  const data = environment["CIPSEC_DATA"];
  return [
    new Option("--json", "print one JSON document (streams: one a line) on standard output"),
    new Option("--data <dir>", "folder for keys, certificates and databases").default(
      data === undefined || data === "" ? ".cipsec" : data,
      "what CIPSEC_DATA says, else .cipsec",
    ),
    new Option("--timeout <ms>", "milliseconds to wait for an answer").argParser(milliseconds).default(5000),
    new Option("--verbose", "say more on standard error"),
  ];
}

function texts(argument_: unknown): readonly string[] {
  if (Array.isArray(argument_)) return argument_.flatMap(texts);
  return typeof argument_ === "string" ? [argument_] : [];
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

/** Waits until the command is interrupted: that is how those end that run on. */
export function interrupted({ signal }: Context): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
    // The listeners keep the process alive; this is for a device with no port open.
    const alive = setInterval(() => undefined, 60_000);
    signal.addEventListener("abort", () => clearInterval(alive), { once: true });
  });
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
