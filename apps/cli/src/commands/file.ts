import type { Command } from "commander";
import { writeFileAtomic } from "@cipsec/pki";
import { listFiles, readFile, writeFile } from "@cipsec/originator";
import { UsageError } from "@cipsec/wire";
import { addCommand, argument, textOption, wholeNumber, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";
import { readInput } from "../data-folder.ts";

/** `file`: File Object transfers. */
export function addFile(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "file <target> <action> [args...]",
    "list files, get INSTANCE, or put INSTANCE FILE",
    async (context, options, args) => {
      const action = argument(args, 1, "ACTION");
      if (action !== "list" && action !== "get" && action !== "put")
        throw new UsageError("usage/argument", `'${action}' is not list, get or put`);
      const instance = action === "list" ? 0 : instanceOf(argument(args, 2, "INSTANCE"));
      const content = action === "put" ? await readInput(argument(args, 3, "FILE")) : undefined;
      await using session = await openSession(context, options, argument(args, 0, "TARGET"));
      const progress = (done: number, total: number): void => context.output.progress(`${done} of ${total} octets`);
      if (action === "list") {
        const files = await listFiles(session);
        context.output.document(files);
        context.output.table(
          ["instance", "name", "file"],
          files.map((file) => [String(file.instance), file.instanceName, file.fileName]),
        );
      } else if (content !== undefined) {
        await writeFile(session, instance, content, { progress });
        context.output.document({ instance, octets: content.length });
        context.output.say(`${content.length} octets written to file ${instance}.`);
      } else {
        const bytes = await readFile(session, instance, { progress });
        const out = textOption(options, "out");
        if (out !== undefined) await writeFileAtomic(out, bytes, { mode: 0o644 });
        context.output.document({
          instance,
          octets: bytes.length,
          ...(out === undefined ? { dataHex: Buffer.from(bytes).toString("hex") } : { file: out }),
        });
        context.output.say(
          out === undefined
            ? Buffer.from(bytes).toString("latin1").trimEnd()
            : `${bytes.length} octets written to ${out}.`,
        );
      }
    },
  );
  addCredentials(command.option("--out <file>", "where get writes the file; without it to standard output"));
}

function instanceOf(text: string): number {
  try {
    return wholeNumber(text.startsWith("0x") ? String(Number(text)) : text, 1, 0xffff);
  } catch (error) {
    throw new UsageError("usage/argument", `'${text}' is not a File instance: a number from 1 to 65535`, {
      cause: error,
    });
  }
}
