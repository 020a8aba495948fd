import { InvalidArgumentError, Option, type Command } from "commander";
import {
  Scanner,
  connect,
  openIo,
  parseTarget,
  type ConnectOptions,
  type IoStatistics,
  type Protection,
  type StateChange,
} from "@cipsec/originator";
import type { ChannelFacts } from "@cipsec/transport";
import { UsageError } from "@cipsec/wire";
import {
  addCommand,
  addNotes,
  argument,
  targetHelp,
  textOption,
  wholeNumber,
  type Context,
  type Shell,
} from "../command.ts";
import { directionHelp, ioRequestFrom, octetsOf, rpiOf, triggers } from "../connection-options.ts";
import { addCredentials, channelText, connectOptions } from "../credentials.ts";

const defaultSeconds = 10;
const protections = ["encrypted", "integrity"] as const satisfies readonly Protection[];
const maxSeconds = 31 * 24 * 3600;

type Options = Readonly<Record<string, unknown>>;

/** `io`: a class 0 or 1 connection, and what goes over it. */
export function addIo(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "io",
    "open an I/O connection and show rates, jitter, losses",
    (context, options, args) =>
      options["reconnect"] === true ? scan(context, options, args) : once(context, options, args),
  )
    .argument("<target>", targetHelp)
    .option("--eds <file>", "the device's EDS: connection, sizes, formats, path and key come from it")
    .option(
      "--connection <name>",
      "name or number of the EDS's connection (default: its exclusive owner, else the first)",
    )
    .option("--rpi <ms>", "requested packet interval of both directions (default: 10, or the EDS's)", interval)
    .option("--o-to-t <words>", `outputs: ${directionHelp}`)
    .option("--t-to-o <words>", "inputs, in the same words")
    .option("--config <instance>", "configuration assembly", (text) => wholeNumber(text, 1, 0xffff))
    .option("--config-data <hex>", "octets of configuration sent with the request")
    .option("--path <hex>", "the whole application path, in place of assemblies")
    .option("--route <hops>", "port and link of each hop: 1,0 is slot 0 of the backplane")
    .option("--transport-class <n>", "0 or 1", (text) => wholeNumber(text, 0, 1), 1)
    .option("--trigger <when>", triggers.join(", "), triggerOf)
    .option("--timeout-multiplier <n>", "0 to 7 stand for 4 to 512 intervals", (text) => wholeNumber(text, 0, 7))
    .option("--output <hex>", "output data (default: zeros)")
    .option("--idle", "send idle in place of run")
    .option(
      "--seconds <n>",
      "how long; 0 is until interrupted",
      (text) => wholeNumber(text, 0, maxSeconds),
      defaultSeconds,
    )
    .option("--reconnect", "keep it: open it again whenever it ends or is refused")
    .addOption(
      new Option(
        "--protection <how>",
        "over DTLS: encrypted, or integrity only (default: encrypted); the device's allowed suites decide whether it can be had",
      ).choices(protections),
    )
    .option("--allow-plain-io", "send I/O without protection beside a TLS session; eipd:// protects it instead");
  addCredentials(command, true);
  addNotes(command, {
    json:
      "{rpiMicros: {oToT, tToO} that were granted, seconds, sent, received, receivedPerSecond, lost, late, duplicates, outOfOrder, " +
      "malformed, intervalMicros: {p1, p50, p99, p999, max}, channel: {protocol, version, suite, peer, accelerated, dscp}}; " +
      "dscp marks our packets, null where nothing can; rpiMicros is the " +
      "granted T→O interval, oToTRpiMicros the other; with --reconnect also opens, refusals, timeouts",
    examples: [
      ["cipsec io 192.0.2.7 --eds drive.eds --rpi 10", "the exclusive owner of the EDS, for ten seconds"],
      [
        "cipsec io 192.0.2.7 --o-to-t 150:32 --t-to-o 100:32:multicast --config 151 --seconds 0",
        "by assembly numbers, until Ctrl-C",
      ],
      [
        "cipsec io eipd://192.0.2.7 --o-to-t 150:32 --t-to-o 100:32 --keylog keys.log",
        "request and data over one DTLS association; Wireshark reads it with the key log",
      ],
      [
        "cipsec io eipd://192.0.2.7 --o-to-t 150:32 --t-to-o 100:32 --protection integrity",
        "data readable on the wire, and still nobody's but the device's",
      ],
      ["cipsec io 192.0.2.7 --o-to-t 198:0 --t-to-o 100:32 --reconnect --seconds 0", "input only, for ever"],
    ],
  });
}

async function once(context: Context, options: Options, args: readonly string[]): Promise<void> {
  const request = await ioRequestFrom(context, options);
  const target = argument(args, 0, "TARGET");
  await using session = await connect(parseTarget(target), await secured(context, options));
  if (context.verbose) context.output.notice(channelText(session));
  await using io = await openIo(session, request, { ...dataOptions(options), signal: context.signal });
  const { oToTApiMicros, tToOApiMicros } = io.granted;
  context.output.notice(
    `open: O→T ${oToTApiMicros / 1000} ms with ${io.granted.oToTSize} octets, T→O ${tToOApiMicros / 1000} ms with ${io.granted.tToOSize}`,
  );
  const ended = io.ended.then(({ error }) => error);
  const report = (): string => lineText(io.statistics(), io.takeIntervals());
  const error = await watched(context, options, report, ended);
  const statistics = io.statistics();
  await io.close();
  if (error !== undefined) throw error;
  tell(context, {
    ...statistics,
    rpiMicros: tToOApiMicros,
    oToTRpiMicros: oToTApiMicros,
    channel: channelOf(io.facts, session.peer, io.dscp),
  });
}

async function scan(context: Context, options: Options, args: readonly string[]): Promise<void> {
  const target = parseTarget(argument(args, 0, "TARGET"));
  const request = await ioRequestFrom(context, options);
  const { signal: _, ...connecting } = await secured(context, options);
  await using scanner = new Scanner({
    connect: connecting,
    onState: (change) => context.output.notice(stateText(change)),
  });
  const kept = scanner.add({ name: argument(args, 0, "TARGET"), target, request, ...dataOptions(options) });
  const started = performance.now();
  const total = (): IoStatistics => {
    const { current, total: all } = kept.statistics();
    const seconds = (performance.now() - started) / 1000;
    return { ...(current ?? nothing), ...all, seconds, receivedPerSecond: all.received / seconds };
  };
  const report = (): string => lineText(total(), kept.takeIntervals() ?? nothing.intervalMicros);
  await watched(context, options, report, new Promise(() => undefined));
  const { opens, refusals, timeouts } = kept.statistics();
  const apis = { rpiMicros: kept.granted?.tToOApiMicros ?? null, oToTRpiMicros: kept.granted?.oToTApiMicros ?? null };
  const channel = kept.facts === undefined ? null : channelOf(kept.facts, kept.name, kept.dscp);
  const statistics = total();
  const reason = kept.reason;
  await scanner.close();
  if (opens === 0 && reason !== undefined) throw reason;
  tell(context, {
    ...statistics,
    ...apis,
    channel,
    opens,
    refusals,
    timeouts,
  });
}

/** How to connect. The one connection's protection is that of the session's association, so that there is only one. */
async function secured(context: Context, options: Options): Promise<ConnectOptions> {
  const connecting = await connectOptions(context, options);
  const protection = protectionOf(options);
  if (protection === undefined || connecting.security === undefined) return connecting;
  return { ...connecting, security: { ...connecting.security, protection } };
}

function protectionOf(options: Options): Protection | undefined {
  return protections.find((known) => known === options["protection"]);
}

function dataOptions(options: Options) {
  const output = textOption(options, "output");
  const protection = protectionOf(options);
  return {
    ...(protection === undefined ? {} : { protection }),
    run: options["idle"] !== true,
    allowPlainIo: options["allowPlainIo"] === true,
    ...(output === undefined ? {} : { output: octetsOf(output, "--output") }),
  };
}

/** Shows a report once a second until the time is over, the connection ends, or the person does. */
async function watched(
  context: Context,
  options: Options,
  report: () => string,
  ended: Promise<Error | undefined>,
): Promise<Error | undefined> {
  const seconds = typeof options["seconds"] === "number" ? options["seconds"] : defaultSeconds;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const done = (): void => resolve(undefined);
  const timer = seconds === 0 ? undefined : setTimeout(done, seconds * 1000);
  const ticker = setInterval(() => context.output.progress(report()), 1000);
  context.signal.addEventListener("abort", done, { once: true });
  if (context.signal.aborted) done();
  try {
    return await Promise.race([ended, promise]);
  } finally {
    clearTimeout(timer);
    clearInterval(ticker);
    context.signal.removeEventListener("abort", done);
  }
}

function tell({ output }: Context, result: IoStatistics & Readonly<Record<string, unknown>>): void {
  output.document({
    ...result,
    seconds: Math.round(result.seconds * 1000) / 1000,
    receivedPerSecond: rounded(result.receivedPerSecond),
  });
  const { intervalMicros: interval } = result;
  output.table(
    ["", ""],
    [
      ["seconds", rounded(result.seconds).toString()],
      ["sent", String(result.sent)],
      ["received", `${result.received} (${rounded(result.receivedPerSecond)} a second)`],
      ["lost", String(result.lost)],
      ["late", String(result.late)],
      ["duplicates, out of order, malformed", `${result.duplicates}, ${result.outOfOrder}, ${result.malformed}`],
      [
        "interval p1, p50, p99, p99.9, max (ms)",
        [interval.p1, interval.p50, interval.p99, interval.p999, interval.max].map(inMs).join(", "),
      ],
    ],
  );
}

/** One line of counts since the opening, and the intervals of the last second, which show a disturbance when it happens. */
function lineText(
  { seconds, sent, received, receivedPerSecond, lost, late }: IoStatistics,
  recent: IoStatistics["intervalMicros"],
): string {
  const interval = `interval p50 ${inMs(recent.p50)} p99 ${inMs(recent.p99)} max ${inMs(recent.max)} ms`;
  return `${Math.round(seconds)} s: sent ${sent}, received ${received} (${rounded(receivedPerSecond)}/s), lost ${lost}, late ${late}, this second: ${interval}`;
}

function stateText({ name, state, reason, retryInMs, granted }: StateChange): string {
  const why = reason === undefined ? "" : `: ${reason.message}`;
  const again = retryInMs === undefined ? "" : ` (again in ${retryInMs} ms)`;
  const api = granted === undefined ? "" : `, T→O ${granted.tToOApiMicros / 1000} ms`;
  return `${name} ${state}${api}${why}${again}`;
}

function channelOf({ protocol, security }: ChannelFacts, peer: string, code: number | undefined) {
  const dscp = code ?? null;
  if (security === undefined) return { protocol, version: null, suite: null, peer: null, accelerated: null, dscp };
  const { version, suiteName: suite, accelerated = null } = security;
  return { protocol, version, suite, peer, accelerated, dscp };
}

const nothing: IoStatistics = {
  seconds: 0,
  sent: 0,
  sendMissed: 0,
  received: 0,
  receivedPerSecond: 0,
  lost: 0,
  late: 0,
  duplicates: 0,
  outOfOrder: 0,
  malformed: 0,
  intervalMicros: { p1: 0, p50: 0, p99: 0, p999: 0, max: 0 },
};

function inMs(micros: number): string {
  return (micros / 1000).toFixed(2);
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function interval(text: string): number {
  try {
    return rpiOf(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof UsageError ? error.message : "milliseconds are needed");
  }
}

function triggerOf(text: string): string {
  if (triggers.some((known) => known === text)) return text;
  throw new InvalidArgumentError(`one of ${triggers.join(", ")} is needed`);
}
