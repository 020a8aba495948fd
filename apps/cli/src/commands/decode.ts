import type { Command } from "commander";
import { KeyLog, dissect, readCapture } from "@cipsec/capture";
import { UsageError, WireError } from "@cipsec/wire";
import { addCommand, addNotes, argument, textOption, type Shell } from "../command.ts";
import { readInput } from "../data-folder.ts";
import { MessageWords } from "../message-words.ts";

/** So often a long capture lets the reader catch up, and an interruption be heard. */
const breathEvery = 256;

/** `decode`: every EtherNet/IP message of a capture. */
export function addDecode(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "decode",
    "show every EtherNet/IP message of a capture: plain, and TLS and DTLS with a key log",
    async (context, options, args) => {
      const { output, signal } = context;
      const keyLogFile = textOption(options, "keylog");
      const keyLog = new KeyLog();
      if (keyLogFile !== undefined) keyLog.add(await readInput(keyLogFile));
      const file = argument(args, 0, "FILE");
      const bytes = await readInput(file);
      const words = new MessageWords();
      let messages = 0;
      let faulty = 0;
      try {
        for (const line of dissect(readCapture(bytes, { keyLog }))) {
          messages += 1;
          if (line.error !== null) faulty += 1;
          if (output.json) output.line(line);
          else output.say(words.sentence(line));
          if (messages % breathEvery !== 0) continue;
          await output.drained();
          signal.throwIfAborted();
        }
      } catch (error) {
        throw notACapture(error, file);
      }
      output.notice(`${messages} messages, ${faulty} with an error`);
    },
  )
    .argument("<file>", "capture in the form of pcap or pcapng")
    .option("--keylog <file>", "session secrets in the form of SSLKEYLOGFILE, to open TLS and DTLS");
  addNotes(command, {
    json:
      'a line for each message: {n, time, src, dst, transport: "tcp" | "udp" | "tls" | "dtls", command, session, status, ' +
      "items: [{type, length, connectionId?, sequence?, dataHex}], " +
      "cip: [{service, response, class, instance, attribute, status, extended, dataHex}], error: {code, offset} | null}",
    examples: [
      ["cipsec decode plant.pcapng", "a line for each message"],
      ["cipsec decode secured.pcap --keylog keys.log --json", "opens TLS and DTLS, a JSON document for each message"],
    ],
  });
}

/** Wrong octets in a file are the wrong input, not a fault of somebody on the network. */
function notACapture(error: unknown, file: string): unknown {
  if (!(error instanceof WireError)) return error;
  return new UsageError("usage/file", `${file}: not a capture: ${error.message}`, {
    cause: error,
    facts: { path: file },
    fix: "Give a file in the form of pcap or pcapng, as Wireshark, tcpdump and dumpcap write them.",
  });
}
