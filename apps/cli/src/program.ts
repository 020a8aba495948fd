import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { usageExitCode, type Shell } from "./command.ts";
import { addAccess } from "./commands/access.ts";
import { addCa } from "./commands/ca.ts";
import { addCommission } from "./commands/commission.ts";
import { addDecode } from "./commands/decode.ts";
import { addDemo } from "./commands/demo.ts";
import { addDevices } from "./commands/device.ts";
import { addDiscover } from "./commands/discover.ts";
import { addFile } from "./commands/file.ts";
import { addPosture } from "./commands/posture.ts";

/** The whole command tree. */
export function makeProgram(shell: Shell): Command {
  const program = new Command("cipsec")
    .description("CIP Security for EtherNet/IP: secure, commission, prove")
    .version(version(), "--version", "print the version")
    .showHelpAfterError("(add --help for more)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void shell.streams.out.write(text),
      writeErr: (text) => void shell.streams.err.write(text),
    });
  addDemo(program, shell);
  addDiscover(program, shell);
  addPosture(program, shell);
  addAccess(program, shell);
  addFile(program, shell);
  addCa(program, shell);
  addCommission(program, shell);
  addDecode(program, shell);
  addDevices(program, shell);
  return program;
}

/** Runs the command with these words and tells the exit code to the shell. */
export async function run(words: readonly string[], shell: Shell): Promise<void> {
  try {
    await makeProgram(shell).parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    shell.exit(usageExitCode(error));
  }
}

function version(): string {
  const read: unknown = createRequire(import.meta.url)("../package.json");
  return typeof read === "object" && read !== null && "version" in read ? String(read.version) : "unknown";
}
