import type { Command } from "commander";
import {
  endpointChecks,
  makeRedactor,
  openEndpoint,
  openRun,
  runPath,
  type Assessment,
  type ComponentType,
  type EndpointOptions,
  type EndpointSubject,
} from "@cipsec/assess";
import { parseTarget, type SecurityOptions } from "@cipsec/originator";
import { hasUpstream, parseCertificates } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { assessFolder, type Options } from "../assessment.ts";
import { tellAssessment } from "../assessment-output.ts";
import { assessSubject, optionsOfRun, type AssessExtras } from "../assessment-run.ts";
import { addCommand, addNotes, targetHelp, textOption, type Context, type Shell } from "../command.ts";
import { inputsOf, ioRequestFrom, readEds } from "../connection-options.ts";
import { addCredentials, securityOf } from "../credentials.ts";
import { readInput } from "../data-folder.ts";

/** Words of the command line that a repetition needs. Secrets are in files; their names are no secrets. */
const kept = [
  "target",
  "cert",
  "key",
  "ca",
  "crl",
  "pskIdentity",
  "pskFile",
  "serverName",
  "insecureAcceptAny",
  "authority",
  "second",
  "supplierRoot",
  "eds",
  "connection",
  "oToT",
  "tToO",
  "config",
  "ports",
  "only",
] as const;

/** Adds the options that every kind of assessment has. */
export function addAssessOptions(command: Command, type: ComponentType): Command {
  return addScopeOptions(command, type)
    .option("--resume <run>", "go on with a run that was cut off, with the options that it was begun with")
    .option("--compare <run>", "tell what differs from an earlier run, and what got worse");
}

/** Adds the options that say what is assessed, and how far. */
export function addScopeOptions(command: Command, type: string): Command {
  return command
    .option("--level <n>", "target security level, 1 to 4 (default: 2)")
    .option("--type <type>", `embedded, software, host or network (default: ${type})`)
    .option("--disruptive", "also run checks that change settings or flood; outside production only")
    .option("--only <checks>", "run these checks only, by id, with commas; all else stays open")
    .option("--attestations <file>", "statements of people where no machine can judge, JSON")
    .option("--operator <name>", "who runs this (default: the account's name)");
}

/** `assess endpoint`: gathers evidence at a device and judges it. */
export function addAssessEndpoint(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "endpoint",
    "assess a device: a verdict with evidence for every requirement",
    async (context, options, args) => {
      const [target] = args;
      const chosen = { ...options, ...(target === undefined ? {} : { target }) };
      const resume = textOption(options, "resume");
      const whole = await resumedOptions(context, chosen, resume);
      const assessment = await assessEndpoint(context, whole, resume === undefined ? {} : { resume });
      return await tellAssessment(context, options, assessment);
    },
  ).argument("[target]", `${targetHelp}; not needed with --resume`);
  addAssessOptions(command, "embedded")
    .option(
      "--authority <dir>",
      "authority that the device trusts, to make good and bad certificates with (default: that of the data folder)",
    )
    .option("--second <target>", "a second unit of the same product, to compare identities")
    .option("--supplier-root <file>", "roots of the product's supplier, PEM, to judge the factory's certificate by")
    .option("--eds <file>", "the device's EDS: an I/O connection with outputs that may be moved and lost")
    .option("--connection <name>", "name or number of the EDS's connection (default: its exclusive owner)")
    .option("--o-to-t <words>", "the same without an EDS: outputs as 'cipsec io' has them, POINT:OCTETS")
    .option("--t-to-o <words>", "inputs, in the same words")
    .option("--config <instance>", "configuration assembly of that connection")
    .option("--ports <list>", "further TCP ports to look at, with commas");
  addCredentials(command, true);
  addNotes(command, {
    json:
      "{run, subject: {address, component, facts}, level, type, results: [{requirement, verdict, notApplicable?, reason, parts, checks, " +
      "evidence: [{file, sha256}], userAction?}], levelByFr: {1…7}, counts, comparison?}",
    examples: [
      [
        "cipsec assess endpoint 192.0.2.7",
        "assesses a device of the plant at SL 2; exits with 1 while anything is open",
      ],
      ["cipsec assess endpoint 192.0.2.7 --disruptive --level 3", "in a laboratory: with checks that change and flood"],
      [
        "cipsec assess endpoint 192.0.2.7 --disruptive --eds drive.eds --supplier-root maker.pem",
        "also tries the fault state of the outputs, and who vouches for the factory's certificate",
      ],
      ["cipsec assess endpoint 192.0.2.7 --compare 20261121-101502-3f9a2c", "after an update: what got worse?"],
    ],
  });
}

/** Options as they were given, on top of those that the run to go on with was begun with. */
export async function resumedOptions(context: Context, options: Options, resume: string | undefined): Promise<Options> {
  if (resume === undefined) return options;
  const { plan } = await openRun(runPath(assessFolder(context).runs, resume));
  return optionsOfRun(plan, options);
}

/**
 * Assesses one device, which the option `target` names.
 *
 * @throws {UsageError} `usage/argument` when it does not.
 */
export async function assessEndpoint(
  context: Context,
  options: Options,
  extras: AssessExtras = {},
): Promise<Assessment> {
  const target = textOption(options, "target");
  if (target === undefined) throw new UsageError("usage/argument", "TARGET is missing", { fix: "See --help." });
  const security = quietly(await securityOf(context, options));
  const authority = authorityOf(context, options);
  const second = textOption(options, "second");
  const io = await ioOf(context, options);
  const supplier = textOption(options, "supplierRoot");
  const supplierRoots = supplier === undefined ? undefined : parseCertificates(await readInput(supplier));
  const redactor = makeRedactor();
  if (security?.psk !== undefined) redactor.add(security.psk.key);
  return await assessSubject<EndpointSubject>(
    context,
    options,
    {
      kind: "endpoint",
      checks: endpointChecks,
      type: "embedded",
      kept,
      command: "endpoint",
      redactor,
      open: async (disruptive, signal) =>
        await openEndpoint({
          target: parseTarget(target),
          disruptive,
          timeoutMs: context.timeoutMs,
          signal,
          ports: portsOf(textOption(options, "ports")),
          ...(security === undefined ? {} : { security }),
          ...(authority === undefined ? {} : { authority }),
          ...(second === undefined ? {} : { second: parseTarget(second) }),
          ...io,
          ...(supplierRoots === undefined ? {} : { supplierRoots }),
        }),
    },
    extras,
  );
}

/** The I/O connections that checks may open: out of an EDS, which also says what the device can carry, or in the words of `io`. */
async function ioOf(
  context: Context,
  options: Options,
): Promise<Pick<EndpointOptions, "io" | "ioBeside" | "capacity">> {
  if (!["eds", "oToT", "tToO"].some((name) => textOption(options, name) !== undefined)) return {};
  const instance = textOption(options, "config");
  const config = instance === undefined ? undefined : Number(instance);
  if (config !== undefined && !(Number.isInteger(config) && config > 0 && config <= 0xffff))
    throw new UsageError("usage/argument", `--config: '${instance}' is no instance`, { fix: "Write 1 to 65535." });
  const io = await ioRequestFrom(context, { ...options, config });
  const file = textOption(options, "eds");
  if (file === undefined) return { io };
  const eds = await readEds({ ...context, verbose: false }, file);
  const { capacity } = eds;
  return { io, ioBeside: inputsOf(eds), ...(capacity === undefined ? {} : { capacity }) };
}

/** Says once of each certificate that only `--insecure-accept-any` let in; an assessment connects a hundred times. */
function quietly(security: SecurityOptions | undefined): SecurityOptions | undefined {
  const { announce } = security ?? {};
  if (security === undefined || announce === undefined) return security;
  const told = new Set<string>();
  return {
    ...security,
    announce: (accepted) => {
      if (!told.has(accepted.sha256)) announce(accepted);
      told.add(accepted.sha256);
    },
  };
}

/** The authority's folder: what was named, or the data folder's own, unless that is one above. */
function authorityOf(context: Context, options: Options): string | undefined {
  const named = textOption(options, "authority");
  if (named !== undefined) return named;
  const own = context.data.file("ca");
  return context.data.hasCa() && !hasUpstream(own) ? own : undefined;
}

function portsOf(text: string | undefined): readonly number[] {
  if (text === undefined) return [];
  return text.split(",").map((word) => {
    const port = Number(word);
    if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
    throw new UsageError("usage/argument", `--ports: '${word}' is no port`, {
      fix: "Write numbers with commas between.",
    });
  });
}
