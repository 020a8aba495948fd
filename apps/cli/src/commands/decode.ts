import type { Command } from "commander";
import { KeyLog, dissect, readCapture, type MessageLine } from "@cipsec/capture";
import { classById } from "@cipsec/objects";
import { Command as EncapsulationCommand, statusText } from "@cipsec/wire";
import { addCommand, argument, textOption, type Shell } from "../command.ts";
import { readInput } from "../data-folder.ts";
import { ExitCode } from "../exit-codes.ts";

const commandNames = new Map<number, string>(Object.entries(EncapsulationCommand).map(([name, code]) => [code, name]));

/** `decode`: every EtherNet/IP message of a capture. */
export function addDecode(program: Command, shell: Shell): void {
  addCommand(
    program,
    shell,
    "decode <file>",
    "show every EtherNet/IP message of a capture: plain, and TLS with a key log",
    async (context, options, args) => {
      const keyLogFile = textOption(options, "keylog");
      const keyLog = new KeyLog();
      if (keyLogFile !== undefined) keyLog.add(await readInput(keyLogFile));
      const bytes = await readInput(argument(args, 0, "FILE"));
      let messages = 0;
      let faulty = 0;
      for (const line of dissect(readCapture(bytes, { keyLog }))) {
        messages += 1;
        if (line.error !== null) faulty += 1;
        context.output.line(line);
        context.output.say(sentence(line));
      }
      context.output.notice(`${messages} messages, ${faulty} with an error`);
      return ExitCode.ok;
    },
  ).option("--keylog <file>", "session secrets in the form of SSLKEYLOGFILE");
}

function sentence(line: MessageLine): string {
  const what =
    line.command === null
      ? line.cip.length > 0
        ? "message"
        : "I/O"
      : (commandNames.get(line.command) ?? `command 0x${line.command.toString(16)}`);
  const cip = line.cip.map((message) =>
    message.response
      ? `service 0x${message.service.toString(16)} → ${statusText(message.status ?? 0)}`
      : request(message),
  );
  const error = line.error === null ? [] : [`ERROR ${line.error.code} at octet ${line.error.offset}`];
  return [`${line.n}`, line.src, "→", line.dst, line.transport, what, ...cip, ...error].join(" ");
}

function request({ service, class: classId, instance, attribute }: MessageLine["cip"][number]): string {
  const name = classId === null ? "?" : (classById(classId)?.name ?? `class 0x${classId.toString(16)}`);
  return `service 0x${service.toString(16)} on ${name}/${instance ?? "-"}${attribute === null ? "" : `/${attribute}`}`;
}
