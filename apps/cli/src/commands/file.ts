import type { Command } from "commander";
import { writeFileAtomic } from "@cipsec/pki";
import { configure, listFiles, readFile, writeFile, type Session } from "@cipsec/originator";
import { FileAccessRule, FileObject } from "@cipsec/objects";
import { isStackError, Status, UsageError } from "@cipsec/wire";
import { addCommand, addNotes, argument, targetHelp, textOption, wholeNumber, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";
import { readInput } from "../data-folder.ts";

/** The largest that a device is known to hand out: a revocation list of 100,000 entries as text. */
const maxOctets = 8 * 1024 * 1024;

/** `file`: File Object transfers. */
export function addFile(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "file",
    "list, fetch and replace files of a device",
    async (context, options, args) => {
      const action = argument(args, 1, "ACTION");
      if (action !== "list" && action !== "get" && action !== "put")
        throw new UsageError("usage/argument", `'${action}' is not list, get or put`, {
          fix: "Write: cipsec file TARGET list, get INSTANCE, or put INSTANCE FILE.",
        });
      const instance = action === "list" ? 0 : instanceOf(argument(args, 2, "INSTANCE"));
      const content = action === "put" ? await readInput(argument(args, 3, "FILE")) : undefined;
      await using session = await openSession(context, options, argument(args, 0, "TARGET"));
      const progress = (done: number, total: number): void => context.output.progress(`${done} of ${total} octets`);
      if (action === "list") {
        const files = await listFiles(session);
        context.output.document(files);
        if (files.length === 0) context.output.say("The device has no files.");
        else
          context.output.table(
            ["instance", "name", "file"],
            files.map((file) => [String(file.instance), file.instanceName, file.fileName]),
          );
      } else if (content !== undefined) {
        const isApplied = options["apply"] === true;
        const put = (signal: AbortSignal): Promise<void> => writeFile(session, instance, content, { progress, signal });
        if (isApplied) await configure(session, put, context.signal);
        else await put(context.signal).catch((error: unknown) => explainRefusal(error, session, instance));
        context.output.document({ instance, octets: content.length, applied: isApplied });
        context.output.say(`${content.length} octets written to file ${instance}${isApplied ? ", and in force" : ""}.`);
      } else {
        const bytes = await readFile(session, instance, { progress, signal: context.signal, maxOctets });
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
  command
    .argument("<target>", targetHelp)
    .argument("<action>", "list, get or put")
    .argument("[args...]", "get INSTANCE, or put INSTANCE FILE; list shows the instances")
    .option("--out <file>", "where get writes the file; without it to standard output")
    .option("--apply", "put into a device that is configured: opens a configuration session, applies and ends it");
  addCredentials(command);
  addNotes(command, {
    json:
      "list: [{instance, instanceName, fileName}]; get: {instance, octets, dataHex}, with --out {instance, octets, file}; " +
      "put: {instance, octets, applied}",
    examples: [
      ["cipsec file 192.0.2.7 list", "shows what the device has"],
      ["cipsec file 192.0.2.7 get 256 --out default.pem", "fetches a file"],
      ["cipsec file 192.0.2.7 put 12 plant.crl --apply", "a new revocation list; posture tells the file of each"],
      ["cipsec file 192.0.2.7 put 300 notes.txt", "replaces a file that is no part of the configuration"],
    ],
  });
}

/** A device with CIP Security takes files in a configuration session only, and says no more than that its state forbids it. */
async function explainRefusal(error: unknown, session: Session, instance: number): Promise<never> {
  const isState =
    isStackError(error) && error.code === "cip/status" && error.facts["status"] === Status.objectStateConflict;
  if (!isState || (await session.object(FileObject, instance).get("accessRule")) === FileAccessRule.readOnly)
    throw error;
  throw new UsageError("usage/state", `${session.peer}: the device takes this file in a configuration session only`, {
    facts: error.facts,
    cause: error,
    fix: "Add --apply: it opens a session, makes the file active and ends it.",
  });
}

function instanceOf(text: string): number {
  try {
    return wholeNumber(text.startsWith("0x") ? String(Number(text)) : text, 1, 0xffff);
  } catch (error) {
    throw new UsageError("usage/argument", `'${text}' is not a File instance: a number from 1 to 65535`, {
      fix: "'cipsec file TARGET list' shows the instances.",
      cause: error,
    });
  }
}
