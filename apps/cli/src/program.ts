import { createRequire } from "node:module";
import { Command, CommanderError, Help } from "commander";
import { UsageError } from "@cipsec/wire";
import { commonHeading, tell, type Shell } from "./command.ts";
import { addAccess } from "./commands/access.ts";
import { addAssess } from "./commands/assess.ts";
import { addCa } from "./commands/ca.ts";
import { addCommission } from "./commands/commission.ts";
import { addDecode } from "./commands/decode.ts";
import { addDemo } from "./commands/demo.ts";
import { addDevices } from "./commands/device.ts";
import { addDiscover } from "./commands/discover.ts";
import { addEst } from "./commands/est.ts";
import { addExplain } from "./commands/explain.ts";
import { addFile } from "./commands/file.ts";
import { addIo } from "./commands/io.ts";
import { addPosture } from "./commands/posture.ts";
import { addReport } from "./commands/report.ts";
import { addTag } from "./commands/tag.ts";
import { ExitCode } from "./exit-codes.ts";
import { makeOutput, type Output } from "./output.ts";

/** The whole command tree. */
export function makeProgram(shell: Shell): Command {
  const program = new Command("cipsec")
    .description("CIP Security for EtherNet/IP: secure, commission, prove")
    .version(version(), "--version", "print the version")
    .configureHelp({ groupItems: commonLast })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void shell.streams.out.write(text),
      writeErr: (text) => void shell.streams.err.write(text),
      // Told by run(), in the form that was asked for.
      outputError: () => undefined,
    });
  addDemo(program, shell);
  addDiscover(program, shell);
  addPosture(program, shell);
  addAccess(program, shell);
  addTag(program, shell);
  addFile(program, shell);
  addIo(program, shell);
  addCa(program, shell);
  addEst(program, shell);
  addCommission(program, shell);
  addAssess(program, shell);
  addReport(program, shell);
  addDecode(program, shell);
  addExplain(program, shell);
  addDevices(program, shell);
  return program;
}

/** Runs the command with these words and tells the exit code to the shell. */
export async function run(words: readonly string[], shell: Shell): Promise<void> {
  const program = makeProgram(shell);
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    const isUsage = error instanceof CommanderError;
    shell.exit(isUsage ? usageExit(error, program, words, shell) : tell(error, outputFor(words, shell)));
  }
}

/** Commander throws in place of ending the process: help and version are no errors, anything else is wrong usage. */
function usageExit(error: CommanderError, program: Command, words: readonly string[], shell: Shell): number {
  if (error.exitCode === 0) return ExitCode.ok;
  // Help that was shown because a command was missing says it all.
  if (error.code === "commander.help") return ExitCode.usage;
  const message = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
  const usage = new UsageError("usage/argument", message, {
    fix: `See '${[...namesOf(program, words), "--help"].join(" ")}'.`,
    cause: error,
  });
  return tell(usage, outputFor(words, shell));
}

/** Output of a command line that could not be read to its end. */
function outputFor(words: readonly string[], { streams }: Shell): Output {
  return makeOutput(streams, words.includes("--json"));
}

/** A command's own options stand first in its help, those of every command last. */
const commonLast: Help["groupItems"] = (unsorted, visible, groupOf) => {
  const groups = new Help().groupItems(unsorted, visible, groupOf);
  const common = groups.get(commonHeading);
  if (common !== undefined && groups.delete(commonHeading)) groups.set(commonHeading, common);
  return groups;
};

/** The command that the words name, as far as they name one. */
function namesOf(program: Command, words: readonly string[]): readonly string[] {
  const names = [program.name()];
  let at = program;
  for (const word of words) {
    const next = at.commands.find((command) => command.name() === word);
    if (next === undefined) break;
    names.push(word);
    at = next;
  }
  return names;
}

function version(): string {
  const read: unknown = createRequire(import.meta.url)("../package.json");
  return typeof read === "object" && read !== null && "version" in read ? String(read.version) : "unknown";
}
