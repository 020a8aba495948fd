import type { Command } from "commander";
import {
  parseRoute,
  tags,
  type Session,
  type TagInfo,
  type TagResult,
  type TagValue,
  type Tags,
} from "@cipsec/originator";
import { UsageError, isStackError, type Segment } from "@cipsec/wire";
import { addCommand, addNotes, argument, targetHelp, textOption, type Context, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";
import { ExitCode, exitCodeOf, told } from "../exit-codes.ts";

/** `tag`: tags of Logix-style controllers. */
export function addTag(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "tag",
    "read, write and list tags of a controller",
    async (context, options, args) => {
      const action = argument(args, 1, "ACTION");
      if (action !== "read" && action !== "write" && action !== "list")
        throw new UsageError("usage/argument", `'${action}' is not read, write or list`, {
          fix: "Write: cipsec tag TARGET read NAME…, write NAME VALUE, or list.",
        });
      const hops = textOption(options, "route");
      const route = hops === undefined ? [] : parseRoute(hops);
      const names = action === "read" ? args.slice(2) : [];
      if (action === "read" && names.length === 0) argument(args, 2, "NAME");
      const written =
        action === "write"
          ? { name: argument(args, 2, "NAME"), value: valueOf(argument(args, 3, "VALUE")) }
          : undefined;
      await using session = await openSession(context, options, argument(args, 0, "TARGET"));
      await using way = await wayTo(session, route, options["connected"] === true);
      const { controller } = way;
      if (action === "read") return await read(context, controller, names);
      if (written === undefined) return await list(context, controller, options["system"] === true);
      await controller.write(written.name, written.value);
      context.output.document({ written: written.name });
      context.output.say(`${written.name} is written.`);
      return ExitCode.ok;
    },
  )
    .argument("<target>", targetHelp)
    .argument("<action>", "read, write or list")
    .argument(
      "[args...]",
      "read NAME…, or write NAME VALUE; Name, Program:Main.Name, Name[1,2].Member, Name.5 (a bit), Name{10} (ten elements)",
    )
    .option("--route <hops>", "port and link of each hop to the controller: 1,0 is slot 0 of the backplane")
    .option(
      "--connected",
      "over a class 3 connection, for controllers that answer nothing else; it takes longer messages",
    )
    .option("--system", "list the controller's own symbols too");
  addCredentials(command);
  addNotes(command, {
    json:
      "read: {tags: [{name, type, value} | {name, error: {code, message, facts, fix}}]}, 64-bit integers as text; write: {written: name}; " +
      'list: {tags: [{name, type, dimensions, access: "read/write" | "read" | "none"}]}',
    examples: [
      ["cipsec tag 192.0.2.9 list --route 1,0", "every tag of the controller in slot 0"],
      ["cipsec tag 192.0.2.9 list --route 1,0 --connected", "the same over a connection, with longer messages"],
      ["cipsec tag 192.0.2.9 read Speed 'Line[2].State' Program:Main.Step", "reads three tags with one packet"],
      ['cipsec tag 192.0.2.9 write Recipe \'{"Name": "A", "Count": 5}\'', "writes two members of a structure"],
    ],
  });
}

/** The controller's tags, and the connection to them where there is one. */
interface Way extends AsyncDisposable {
  readonly controller: Tags;
}

/** Octets of a class 3 message that Logix takes; what takes less says so, and gets less. */
const connectedOctets = 4002;

/** Of the octets of a connection the sequence count takes these. */
const sequenceOctets = 2;

async function wayTo(session: Session, route: readonly Segment[], connected: boolean): Promise<Way> {
  if (!connected) return { controller: tags(session, { route }), [Symbol.asyncDispose]: () => Promise.resolve() };
  const connection = await session.connectClass3({ route, size: connectedOctets });
  const controller = tags(connection, { maxOctets: connection.granted.size - sequenceOctets });
  return { controller, [Symbol.asyncDispose]: () => connection.close() };
}

async function read({ output }: Context, controller: Tags, names: readonly string[]): Promise<number> {
  const results = await controller.read(names);
  output.document({ tags: results.map(resultJson) });
  output.table(
    ["tag", "type", "value"],
    results.map((result) =>
      "error" in result
        ? [result.name, "-", result.error.message]
        : [result.name, result.typeName, valueText(result.value)],
    ),
  );
  const [failure] = results.flatMap((result) => ("error" in result ? [result.error] : []));
  return failure === undefined ? ExitCode.ok : exitCodeOf(failure);
}

async function list({ output }: Context, controller: Tags, system: boolean): Promise<number> {
  const found = await controller.list({ system });
  output.document({ tags: found.map(infoJson) });
  if (found.length === 0) output.say("The controller has no tags.");
  else
    output.table(
      ["tag", "type", "access"],
      found.map(({ name, typeName, access }) => [name, typeName, access]),
    );
  return ExitCode.ok;
}

function infoJson({ name, typeName, dimensions, access }: TagInfo) {
  return { name, type: typeName, dimensions, access };
}

function resultJson(result: TagResult) {
  if (!("error" in result)) return { name: result.name, type: result.typeName, value: jsonOf(result.value) };
  const { code, message, facts, fix } = told(result.error);
  return { name: result.name, error: { code, message, facts, fix } };
}

/** JSON has neither 64-bit integers nor octets: the first become decimal text, the others hexadecimal. */
function jsonOf(value: TagValue): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(jsonOf);
  return Object.fromEntries(Object.entries(value).map(([name, part]: [string, TagValue]) => [name, jsonOf(part)]));
}

function valueText(value: TagValue): string {
  const json = jsonOf(value);
  return typeof json === "string" ? json : JSON.stringify(json);
}

/** A value as a person writes it: JSON, else text. Long integers stay text, which 64-bit tags take without losing digits. */
function valueOf(text: string): TagValue {
  if (/^-?\d{16,20}$/u.test(text)) return text;
  try {
    return tagValue(JSON.parse(text));
  } catch (error) {
    if (isStackError(error)) throw error;
    return text;
  }
}

function tagValue(value: unknown): TagValue {
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(tagValue);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, part]: [string, unknown]) => [name, tagValue(part)]));
  throw new UsageError("usage/argument", "null is no tag's value", { fix: "Leave the member out to keep its value." });
}
