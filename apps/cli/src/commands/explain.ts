import type { Command } from "commander";
import { KeyLog, dissect, readCapture, type CaptureEvent } from "@cipsec/capture";
import { classByName } from "@cipsec/objects";
import { explainAlert, explainExchange, explainStatus, type ExplainedExchange } from "@cipsec/originator";
import { UsageError, WireError } from "@cipsec/wire";
import { addCommand, addNotes, textOption, type Context, type Shell } from "../command.ts";
import { octetsOf, readEds } from "../connection-options.ts";
import { readInput } from "../data-folder.ts";
import { Refusals } from "../refusals.ts";

type Options = Readonly<Record<string, unknown>>;

/** So often a long capture lets the reader catch up, and an interruption be heard. */
const breathEvery = 256;

/** `explain`: cause and fix of a refusal. */
export function addExplain(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "explain",
    "say cause and fix of a refusal",
    async (context, options, args) => {
      const { request, reply, capture } = {
        request: textOption(options, "request"),
        reply: textOption(options, "reply"),
        capture: textOption(options, "capture"),
      };
      const ways = [args.length > 0, request !== undefined || reply !== undefined, capture !== undefined].filter(
        Boolean,
      ).length;
      if (ways !== 1 || (request === undefined) !== (reply === undefined))
        throw new UsageError("usage/argument", "give a status, an alert, --request with --reply, or --capture", {
          fix: "Try: cipsec explain 0x01 0x0106, or: cipsec explain unknown_ca",
        });
      if (capture !== undefined) return explainCapture(context, options, capture);
      if (request !== undefined && reply !== undefined) {
        const file = textOption(options, "eds");
        const eds = file === undefined ? undefined : await readEds(context, file);
        return tell(context, explainExchange(octetsOf(request, "--request"), octetsOf(reply, "--reply"), eds));
      }
      return explainWords(context, options, args);
    },
  )
    .argument("[status...]", "general status and extended status words, such as 0x01 0x0127 32; or a TLS alert by name")
    .option("--service <n>", "service that was refused, such as 0x54")
    .option("--class <class>", "class that was asked, by name or number; 'tag' for a path of symbols")
    .option("--alert", "the number is a TLS alert's")
    .option("--request <hex>", "octets of the request: the CIP message, or its frame")
    .option("--reply <hex>", "octets of the reply")
    .option("--eds <file>", "the device's EDS, to compare a Forward_Open with")
    .option("--capture <file>", "pcap or pcapng: every refusal in it")
    .option("--keylog <file>", "session secrets in the form of SSLKEYLOGFILE, to open TLS and DTLS");
  addNotes(command, {
    json:
      "{status, cause, fix, field?, fields: [{field, asked, expected?, why?}]}; an alert: {number, name, cause, fix}; with --capture a line " +
      "for each refusal: {n, time, src, dst, service, class, explained}, for each alert {n, time, src, dst, alert}",
    examples: [
      ["cipsec explain 0x01 0x0106", "a Forward_Open was refused with extended status 0x0106"],
      ["cipsec explain 0x0C 0x0002 --class EtherNetIpSecurity --service 0x4D", "Apply_Config was refused"],
      ["cipsec explain unknown_ca", "a TLS alert"],
      [
        "cipsec explain --capture plant.pcapng --eds drive.eds",
        "every refusal of a capture, Forward_Opens compared with the EDS",
      ],
    ],
  });
}

function explainWords(context: Context, options: Options, words: readonly string[]): void {
  const numbers = words.map(numberOf);
  const [status, ...extended] = numbers.filter((number) => number !== undefined);
  if (options["alert"] === true || status === undefined || numbers.includes(undefined)) {
    const alert = explainAlert(words.join(" "));
    context.output.document(alert);
    context.output.say(`TLS alert ${alert.name} (${alert.number})\nCause: ${alert.cause}\nFix:   ${alert.fix}`);
    return;
  }
  if (status > 0xff)
    throw new UsageError("usage/argument", `${words[0]} is no general status`, {
      fix: `Extended words follow the general status: cipsec explain 0x01 ${words[0]}`,
    });
  const service = textOption(options, "service");
  const where = textOption(options, "class");
  const code = service === undefined ? undefined : numberOf(service);
  if (service !== undefined && code === undefined)
    throw new UsageError("usage/argument", `--service ${service} is no number`, { fix: "Write it as 0x54." });
  const explained = explainStatus({
    status,
    extended,
    ...(code === undefined ? {} : { service: code }),
    ...(where === undefined ? {} : where.toLowerCase() === "tag" ? { onSymbols: true } : { classId: classOf(where) }),
  });
  tell(context, { ...explained, fields: [] });
}

async function explainCapture(context: Context, options: Options, file: string): Promise<void> {
  const { output, signal } = context;
  const edsFile = textOption(options, "eds");
  const keyLogFile = textOption(options, "keylog");
  const keyLog = new KeyLog();
  if (keyLogFile !== undefined) keyLog.add(await readInput(keyLogFile));
  const refusals = new Refusals(edsFile === undefined ? undefined : await readEds(context, edsFile));
  const bytes = await readInput(file);
  let messages = 0;
  let refused = 0;
  try {
    const events = alertsTold(context, readCapture(bytes, { keyLog }));
    for (const line of dissect(events)) {
      messages += 1;
      for (const refusal of refusals.of(line)) {
        refused += 1;
        output.line(refusal);
        output.say(`${refusal.n} ${refusal.src} → ${refusal.dst}\n${sentences(refusal.explained)}\n`);
      }
      if (messages % breathEvery !== 0) continue;
      await output.drained();
      signal.throwIfAborted();
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new UsageError("usage/file", `${file}: not a capture: ${error.message}`, {
      cause: error,
      facts: { path: file },
      fix: "Give a file in the form of pcap or pcapng, as Wireshark, tcpdump and dumpcap write them.",
    });
  }
  output.notice(`${messages} messages, ${refused} refused`);
}

/** Tells each TLS alert, and passes everything on. An orderly end is no refusal. */
function* alertsTold({ output }: Context, events: Iterable<CaptureEvent>): Generator<CaptureEvent, void, undefined> {
  for (const event of events) {
    if (event.kind === "tls-info" && event.info.fact === "alert" && event.info.alert !== "close_notify") {
      const { n, time, src, dst } = event;
      const { alert } = event.info;
      const known = meaningOf(alert);
      const ends = { n, time, src: `${src.address}:${src.port}`, dst: `${dst.address}:${dst.port}` };
      output.line({ ...ends, alert: known });
      output.say(`${n} ${ends.src} → ${ends.dst}\nTLS alert ${alert}\nCause: ${known.cause}\nFix:   ${known.fix}\n`);
    }
    yield event;
  }
}

function meaningOf(alert: string): { readonly name: string; readonly cause: string; readonly fix: string } {
  try {
    return explainAlert(alert);
  } catch {
    return {
      name: alert,
      cause: "no further reason is known",
      fix: "Compare suites, certificates and trust on both sides.",
    };
  }
}

function tell({ output }: Context, explained: ExplainedExchange): void {
  output.document(explained);
  output.say(sentences(explained));
}

function sentences({ status, cause, fix, fields }: ExplainedExchange): string {
  const details = fields.map(({ field, asked, expected, why }) => {
    const wanted = expected === undefined ? "" : `, the device takes ${expected}`;
    return `       ${field}: asked ${asked}${wanted}${why === undefined ? "" : ` (${why})`}`;
  });
  return [status, `Cause: ${cause}`, ...details, `Fix:   ${fix}`].join("\n");
}

function numberOf(text: string): number | undefined {
  return /^(?:0x[\da-f]{1,8}|\d{1,10})$/iu.test(text) ? Number(text) : undefined;
}

function classOf(text: string): number {
  const id = numberOf(text) ?? classByName(text)?.classId;
  if (id !== undefined) return id;
  throw new UsageError("usage/argument", `--class ${text} is not known`, { fix: "Give its number, such as 0x06." });
}
