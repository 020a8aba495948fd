import type { Command } from "commander";
import { describe, parse, resolvePath, resolveService, hexNumber, type Json, type ResolvedPath } from "@cipsec/objects";
import { succeed, type Session } from "@cipsec/originator";
import { Service, Status, UsageError, decode, encode, objectPath, type Codec } from "@cipsec/wire";
import { addCommand, argument, textOption, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";

/** `get`, `set` and `call`: typed access to any object, by name or number. */
export function addAccess(program: Command, shell: Shell): void {
  addCredentials(
    addCommand(
      program,
      shell,
      "get <target> <path...>",
      "read attributes: CLASS/INSTANCE/ATTRIBUTE, by name or number",
      async (context, options, args) => {
        const paths = args.slice(1).map((text) => ({ text, path: resolvePath(text) }));
        await using session = await openSession(context, options, argument(args, 0, "TARGET"));
        const values: Record<string, Json> = {};
        for (const { text, path } of paths) {
          const read =
            options["all"] === true ? await readAll(session, path) : { [text]: await readOne(session, path, text) };
          Object.assign(values, read);
        }
        context.output.document(values);
        context.output.table(
          ["attribute", "value"],
          Object.entries(values).map(([name, value]) => [name, valueText(value)]),
        );
      },
    ).option("--all", "read all attributes of CLASS/INSTANCE"),
  );
  addCredentials(
    addCommand(program, shell, "set <target> <path> [value]", "write an attribute", async (context, options, args) => {
      const text = argument(args, 1, "PATH");
      const path = resolvePath(text);
      const octets = settable(path, text, args[2], textOption(options, "raw"));
      await using session = await openSession(context, options, argument(args, 0, "TARGET"));
      await session.setRaw(objectPath(path.classId, path.instance, path.attribute?.id), octets);
      context.output.document({ set: text });
      context.output.say(`${text} is set.`);
    }).option("--raw <hex>", "value as octets in hexadecimal"),
  );
  addCredentials(
    addCommand(
      program,
      shell,
      "call <target> <path> <service> [request]",
      "call a service of CLASS/INSTANCE",
      async (context, options, args) => {
        const path = resolvePath(argument(args, 1, "PATH"));
        const service = resolveService(argument(args, 2, "SERVICE"), path);
        const data = requestOctets(service.declaration?.request, args[3], textOption(options, "raw"));
        await using session = await openSession(context, options, argument(args, 0, "TARGET"));
        const request = { service: service.code, path: objectPath(path.classId, path.instance), data };
        const reply = succeed(await session.request(request), `${args[1]}: ${service.name ?? args[2]}`);
        const response = service.declaration?.response;
        const value: Json =
          response === undefined
            ? hex(reply.data)
            : describe({ type: response }, decode<unknown>(response, reply.data));
        context.output.document({ service: service.name ?? hexNumber(service.code), response: value });
        context.output.say(reply.data.length === 0 ? "Done." : valueText(value));
      },
    ).option("--raw <hex>", "request data as octets in hexadecimal"),
  );
}

async function readOne(session: Session, path: ResolvedPath, text: string): Promise<Json> {
  if (path.attribute === undefined)
    throw new UsageError("usage/argument", `${text} names no attribute`, {
      fix: "Write CLASS/INSTANCE/ATTRIBUTE, or add --all.",
    });
  const octets = await session.getRaw(objectPath(path.classId, path.instance, path.attribute.id));
  const { declaration } = path.attribute;
  return declaration === undefined ? hex(octets) : describe(declaration, decode<unknown>(declaration.type, octets));
}

/** Every attribute that the class declares and the device has, each read on its own: works on devices without Get_Attributes_All. */
async function readAll(session: Session, path: ResolvedPath): Promise<Record<string, Json>> {
  if (path.object === undefined)
    throw new UsageError("usage/argument", "--all needs a class that is known by name", {
      fix: "Name the attributes by number.",
    });
  const values: Record<string, Json> = {};
  for (const [name, attribute] of Object.entries(path.object.attributes)) {
    const request = {
      service: Service.getAttributeSingle,
      path: objectPath(path.classId, path.instance, attribute.id),
      data: new Uint8Array(0),
    };
    const reply = await session.request(request);
    if (reply.status === Status.attributeNotSupported) continue;
    const { data } = succeed(reply, `${path.object.name}/${path.instance}: get ${name}`);
    values[name] = describe(attribute, decode<unknown>(attribute.type, data));
  }
  return values;
}

function settable(path: ResolvedPath, text: string, value: string | undefined, raw: string | undefined): Uint8Array {
  if (path.attribute === undefined)
    throw new UsageError("usage/argument", `${text} names no attribute`, { fix: "Write CLASS/INSTANCE/ATTRIBUTE." });
  if (raw !== undefined) return unhex(raw);
  const { declaration } = path.attribute;
  if (value === undefined)
    throw new UsageError("usage/argument", "VALUE is missing", { fix: "Give a value, or octets with --raw." });
  if (declaration === undefined)
    throw new UsageError("usage/argument", `the type of ${text} is not known`, { fix: "Give the octets with --raw." });
  return encode<unknown>(declaration.type, parse(declaration, value));
}

function requestOctets(
  codec: Codec<unknown> | undefined,
  text: string | undefined,
  raw: string | undefined,
): Uint8Array {
  if (raw !== undefined) return unhex(raw);
  if (text === undefined) return codec === undefined ? new Uint8Array(0) : encodeNothing(codec);
  if (codec === undefined)
    throw new UsageError("usage/argument", "this service takes no request data", {
      fix: "Leave the request out, or give octets with --raw.",
    });
  return encode(codec, parse({ type: codec }, text));
}

/** A request that may be left out encodes to nothing; any other is missing. */
function encodeNothing(codec: Codec<unknown>): Uint8Array {
  try {
    return encode(codec, undefined);
  } catch (error) {
    throw new UsageError("usage/argument", `this service needs request data: ${codec.type}`, {
      cause: error,
      fix: "Give it as JSON, or as octets with --raw.",
    });
  }
}

function valueText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}

function unhex(text: string): Uint8Array {
  const digits = text.replaceAll(/[\s:]/g, "");
  if (!/^([\da-f]{2})*$/i.test(digits))
    throw new UsageError("usage/argument", "--raw takes octets in hexadecimal", {
      fix: "Write two digits for each octet, such as 02C02BC02C.",
    });
  return Buffer.from(digits, "hex");
}
