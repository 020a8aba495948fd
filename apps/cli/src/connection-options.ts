import { connectionRequest, parseEds, type ConnectionRequest, type Eds } from "@cipsec/objects";
import {
  assemblyPath,
  ioRequestOf,
  parseRoute,
  type IoDirection,
  type IoRequest,
  type Trigger,
} from "@cipsec/originator";
import { EPATH, UsageError, decode, type RealTimeFormat, type Segment } from "@cipsec/wire";
import { textOption, type Context } from "./command.ts";
import { readInput } from "./data-folder.ts";

/** How `--o-to-t` and `--t-to-o` are written. */
export const directionHelp =
  "POINT:OCTETS and, with further colons, modeless, header, zero-length, heartbeat; point-to-point, multicast, null; low, high, " +
  "scheduled, urgent; fixed, variable; rpi=MS";

/** An EDS file. @throws {UsageError} `usage/file` */
export async function readEds(context: Context, file: string): Promise<Eds> {
  const eds = parseEds(Buffer.from(await readInput(file)).toString("latin1"), { name: file });
  if (context.verbose) for (const { message } of eds.problems) context.output.notice(`${file}: ${message}`);
  return eds;
}

/** The connection that the options of `io` ask for: out of an EDS, or in their own words. */
export async function ioRequestFrom(context: Context, options: Options): Promise<IoRequest> {
  const file = textOption(options, "eds");
  const asked = file === undefined ? fromWords(options) : fromEds(context, await readEds(context, file), options);
  const route = textOption(options, "route");
  const trigger = triggers.find((known) => known === options["trigger"]);
  const multiplier = options["timeoutMultiplier"];
  return {
    ...asked,
    ...(route === undefined ? {} : { route: parseRoute(route) }),
    ...(trigger === undefined ? {} : { trigger }),
    ...(typeof multiplier === "number" ? { timeoutMultiplier: multiplier } : {}),
    ...(options["transportClass"] === 0 ? { transportClass: 0 } : {}),
  };
}

/** The connections of an EDS that move no outputs, as far as it says enough to open them. */
export function inputsOf(eds: Eds): readonly IoRequest[] {
  return eds.connections.flatMap(({ number }) => {
    try {
      const request = ioRequestOf(connectionRequest(eds, number));
      return request.oToT.size === 0 ? [request] : [];
    } catch (error) {
      if (error instanceof UsageError) return [];
      throw error;
    }
  });
}

/** Triggers that `--trigger` takes. */
export const triggers: readonly Trigger[] = ["cyclic", "change-of-state", "application"];

type Options = Readonly<Record<string, unknown>>;

const defaultRpiMs = 10;

/** Intervals that Forward_Open can say, milliseconds: a microsecond to over an hour. */
const maxRpiMs = 4_294_967;

function fromEds(context: Context, eds: Eds, options: Options): IoRequest {
  const request = ioRequestOf(connectionRequest(eds, chosen(eds, textOption(options, "connection")), wishes(options)));
  for (const [way, { rpiMicros }] of [
    ["O→T", request.oToT],
    ["T→O", request.tToO],
  ] as const)
    if (typeof options["rpi"] === "number" && rpiMicros !== options["rpi"] * 1000)
      context.output.notice(`the EDS has ${way} ${rpiMicros / 1000} ms in place of ${options["rpi"]} ms`);
  const oToT = textOption(options, "oToT");
  const tToO = textOption(options, "tToO");
  return {
    ...request,
    oToT: oToT === undefined ? request.oToT : { ...request.oToT, ...wordsOf(oToT, "--o-to-t").direction },
    tToO: tToO === undefined ? request.tToO : { ...request.tToO, ...wordsOf(tToO, "--t-to-o").direction },
  };
}

function wishes(options: Options): Parameters<typeof connectionRequest>[2] {
  const rpi = options["rpi"];
  if (typeof rpi !== "number") return {};
  return { oToT: { rpiMicros: rpi * 1000 }, tToO: { rpiMicros: rpi * 1000 } };
}

/** The connection of that name or number, else the exclusive owner, else the first. */
function chosen(eds: Eds, wanted: string | undefined): string | number {
  if (wanted !== undefined) return /^\d+$/u.test(wanted) ? Number(wanted) : wanted;
  const owner = eds.connections.find(({ transport }) => transport.applicationTypes.some(isOwner));
  return (owner ?? eds.connections[0])?.number ?? 1;
}

function isOwner(type: ConnectionRequest["applicationTypes"][number]): boolean {
  return type === "exclusiveOwner";
}

function fromWords(options: Options): IoRequest {
  const oToT = wordsOf(needed(options, "oToT", "--o-to-t"), "--o-to-t");
  const tToO = wordsOf(needed(options, "tToO", "--t-to-o"), "--t-to-o");
  const rpi = options["rpi"];
  const rpiMicros = (typeof rpi === "number" ? rpi : defaultRpiMs) * 1000;
  const path = textOption(options, "path");
  const configuration = options["config"];
  const data = textOption(options, "configData");
  return {
    oToT: { rpiMicros, size: 0, ...oToT.direction },
    tToO: { rpiMicros, size: 0, ...tToO.direction },
    path:
      path === undefined
        ? assemblyPath({
            ...(typeof configuration === "number" ? { configuration } : {}),
            ...(oToT.point === undefined ? {} : { oToT: oToT.point }),
            ...(tToO.point === undefined ? {} : { tToO: tToO.point }),
            ...(data === undefined ? {} : { data: octetsOf(data, "--config-data") }),
          })
        : pathOf(path),
  };
}

function needed(options: Options, name: string, flag: string): string {
  const text = textOption(options, name);
  if (text !== undefined) return text;
  throw new UsageError("usage/argument", `${flag} is missing`, {
    fix: `Give --eds FILE, or ${flag} POINT:OCTETS and its counterpart.`,
  });
}

interface Words {
  readonly point: number | undefined;
  readonly direction: Partial<IoDirection>;
}

const formats: Readonly<Record<string, RealTimeFormat>> = {
  modeless: "modeless",
  header: "run-idle-32",
  "zero-length": "zero-length",
  heartbeat: "heartbeat",
};
const types = ["point-to-point", "multicast", "null"] as const;
const priorities = ["low", "high", "scheduled", "urgent"] as const;

function wordsOf(text: string, flag: string): Words {
  const [first = "", ...rest] = text.split(":");
  const point = first === "" ? undefined : numberOf(first, 0xffff_ffff, flag, text);
  let direction: Partial<IoDirection> = {};
  for (const word of rest) direction = { ...direction, ...wordOf(word, flag, text) };
  return { point, direction };
}

function wordOf(word: string, flag: string, whole: string): Partial<IoDirection> {
  const format = formats[word];
  const type = types.find((known) => known === word);
  const priority = priorities.find((known) => known === word);
  const [, rpi] = /^rpi=(\d+(?:\.\d+)?)$/u.exec(word) ?? [];
  if (format !== undefined) return { format };
  if (type !== undefined) return { type };
  if (priority !== undefined) return { priority };
  if (word === "redundant")
    throw new UsageError("usage/argument", `${flag} ${whole}: redundant ownership is not supported`, {
      fix: "It takes two controllers that agree on who owns the outputs; leave the word out to be the only owner.",
    });
  if (word === "fixed" || word === "variable") return { variable: word === "variable" };
  if (rpi !== undefined) return { rpiMicros: rpiOf(rpi) * 1000 };
  return { size: numberOf(word, 0xffff, flag, whole) };
}

/** Milliseconds of an interval; fractions are allowed. */
export function rpiOf(text: string): number {
  const value = Number(text);
  if (!/^\d+(?:\.\d{1,3})?$/u.test(text) || value <= 0 || value > maxRpiMs)
    throw new UsageError("usage/argument", `'${text}' is no packet interval in milliseconds`, { fix: "Try --rpi 10" });
  return value;
}

function numberOf(text: string, max: number, flag: string, whole: string): number {
  const value = Number(text);
  if (!/^(?:0x[\da-f]+|\d+)$/iu.test(text) || value > max)
    throw new UsageError("usage/argument", `${flag} ${whole}: '${text}' is not understood`, { fix: directionHelp });
  return value;
}

/** Octets of hexadecimal digits; spaces and colons between them are for the reader. */
export function octetsOf(text: string, flag: string): Uint8Array {
  const digits = text.replaceAll(/[\s:]|0x/giu, "");
  if (!/^(?:[\da-f]{2})*$/iu.test(digits))
    throw new UsageError("usage/argument", `${flag}: not octets in hexadecimal`, {
      fix: "Write an even number of hex digits.",
    });
  return Buffer.from(digits, "hex");
}

function pathOf(text: string): readonly Segment[] {
  try {
    return decode(EPATH, octetsOf(text, "--path"));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError("usage/argument", `--path ${text}: no path`, {
      cause: error,
      fix: "Write it as in an EDS: 20 04 24 97 2C 96 2C 64",
    });
  }
}
