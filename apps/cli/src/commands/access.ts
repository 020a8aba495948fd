import type { Command } from "commander";
import {
  allClassAttributes,
  describe,
  hexNumber,
  parse,
  resolvePath,
  resolveService,
  type Json,
  type ResolvedPath,
  type ResolvedService,
} from "@cipsec/objects";
import { succeed, type Session } from "@cipsec/originator";
import { Service, Status, UsageError, decode, encode, objectPath, type Codec } from "@cipsec/wire";
import { addCommand, addNotes, argument, targetHelp, textOption, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";

/** `get`, `set` and `call`: typed access to any object, by name or number. */
export function addAccess(program: Command, shell: Shell): void {
  addGet(program, shell);
  addSet(program, shell);
  addCall(program, shell);
}

const attributeHelp = "CLASS/INSTANCE/ATTRIBUTE, each by name or number: Identity/1/productName, 0x5E/1/4";

function addGet(program: Command, shell: Shell): void {
  const command = addCommand(program, shell, "get", "read attributes", async (context, options, args) => {
    const paths = args.slice(1).map((text) => ({ text, path: resolvePath(text) }));
    const all = options["all"] === true;
    for (const { text, path } of paths) checkReadable(path, text, all);
    await using session = await openSession(context, options, argument(args, 0, "TARGET"));
    const values: Record<string, Json> = {};
    for (const { text, path } of paths) {
      if (!all) values[text] = await readOne(session, path);
      else
        for (const [name, value] of await readAll(session, path))
          values[paths.length > 1 ? `${text}/${name}` : name] = value;
    }
    context.output.document(values);
    context.output.table(
      ["attribute", "value"],
      Object.entries(values).flatMap(([name, value]) => valueRows(name, value)),
    );
  })
    .argument("<target>", targetHelp)
    .argument("<path...>", attributeHelp)
    .option("--all", "read all attributes of CLASS/INSTANCE that the device has");
  addCredentials(command);
  addNotes(command, {
    json: "{[path as given, with --all the attribute's name]: value}; octets of unknown attributes as hexadecimal text",
    examples: [
      ["cipsec get 192.0.2.7 Identity/1/productName Identity/1/serialNumber", "reads two attributes"],
      ["cipsec get eips://192.0.2.7 EtherNetIpSecurity/1 --all", "reads the whole object, over TLS and nothing else"],
      ["cipsec get eipd://192.0.2.7 Identity/1/productName", "over DTLS, on UDP 2221"],
      ["cipsec get 192.0.2.7 0x64/1/3", "reads an attribute of a class that cipsec does not know: octets"],
    ],
  });
}

function addSet(program: Command, shell: Shell): void {
  const command = addCommand(program, shell, "set", "write an attribute", async (context, options, args) => {
    const text = argument(args, 1, "PATH");
    const path = resolvePath(text);
    const octets = settable(path, text, args[2], textOption(options, "raw"));
    await using session = await openSession(context, options, argument(args, 0, "TARGET"));
    await session.setRaw(objectPath(path.classId, path.instance, path.attribute?.id), octets);
    context.output.document({ set: text });
    context.output.say(`${text} is set.`);
  })
    .argument("<target>", targetHelp)
    .argument("<path>", attributeHelp)
    .argument("[value]", "value as get shows it; lists and structures as JSON")
    .option("--raw <hex>", "value as octets in hexadecimal");
  addCredentials(command);
  addNotes(command, {
    json: "{set: path}",
    examples: [
      ["cipsec set 192.0.2.7 TcpIpInterface/1/encapsulationInactivityTimeout 60", "writes a number"],
      ["cipsec set 192.0.2.7 0x64/1/3 --raw 0A00", "writes octets to an attribute that cipsec does not know"],
    ],
  });
}

function addCall(program: Command, shell: Shell): void {
  const command = addCommand(program, shell, "call", "call a service of an object", async (context, options, args) => {
    const path = resolvePath(argument(args, 1, "PATH"));
    const service = serviceOf(argument(args, 2, "SERVICE"), path);
    const data = requestOctets(service.declaration?.request, args[3], textOption(options, "raw"));
    await using session = await openSession(context, options, argument(args, 0, "TARGET"));
    const request = { service: service.code, path: objectPath(path.classId, path.instance, path.attribute?.id), data };
    const reply = succeed(await session.request(request), `${args[1]}: ${service.name ?? hexNumber(service.code)}`);
    const response = service.declaration?.response;
    const value: Json =
      response === undefined ? hex(reply.data) : describe({ type: response }, decode<unknown>(response, reply.data));
    context.output.document({ service: service.name ?? hexNumber(service.code), response: value });
    context.output.say(reply.data.length === 0 ? "Done." : valueText(value));
  })
    .argument("<target>", targetHelp)
    .argument(
      "<path>",
      "CLASS/INSTANCE, or CLASS/INSTANCE/ATTRIBUTE, by name or number; instance 0 is the class itself",
    )
    .argument("<service>", "service by name or number")
    .argument("[request]", "request data: a value, lists and structures as JSON")
    .option("--raw <hex>", "request data as octets in hexadecimal");
  addCredentials(command);
  addNotes(command, {
    json: "{service: name or number, response: value; octets as hexadecimal text where the layout is not known}",
    examples: [
      ["cipsec call 192.0.2.7 Identity/1 getAttributesAll", "a common service: the answer in octets"],
      ["cipsec call 192.0.2.7 EtherNetIpSecurity/1 beginConfig", "a service of the class: the answer by name"],
      ["cipsec call 192.0.2.7 0x64/1 0x4B --raw 0102", "any service of any class"],
    ],
  });
}

/** A service of the class, or one of the common services that any class may have. */
function serviceOf(text: string, path: ResolvedPath): ResolvedService {
  try {
    return resolveService(text, path);
  } catch (error) {
    const plain = text.replaceAll(/[^A-Za-z\d]/g, "").toLowerCase();
    const common = Object.entries(Service).find(([name]) => name.toLowerCase() === plain);
    if (common === undefined) throw error;
    return { code: common[1], name: common[0] };
  }
}

/** Before anything is sent. */
function checkReadable(path: ResolvedPath, text: string, all: boolean): void {
  if (all && path.object === undefined)
    throw new UsageError("usage/argument", `${text}: --all needs a class that cipsec knows`, {
      fix: "Read the attributes by number, one by one.",
    });
  if (all && path.attribute !== undefined)
    throw new UsageError("usage/argument", `${text}: --all reads a whole object`, { fix: "Write CLASS/INSTANCE." });
  if (!all && path.attribute === undefined)
    throw new UsageError("usage/argument", `${text} names no attribute`, {
      fix: "Write CLASS/INSTANCE/ATTRIBUTE, or add --all.",
    });
}

async function readOne(session: Session, { classId, instance, attribute }: ResolvedPath): Promise<Json> {
  const octets = await session.getRaw(objectPath(classId, instance, attribute?.id));
  const declaration = attribute?.declaration;
  return declaration === undefined ? hex(octets) : describe(declaration, decode<unknown>(declaration.type, octets));
}

/** Every attribute that is declared and that the device has, each read on its own: works without Get_Attributes_All. */
async function readAll(session: Session, { object, classId, instance }: ResolvedPath): Promise<[string, Json][]> {
  const values: [string, Json][] = [];
  const declared = instance === 0 ? allClassAttributes(object) : (object?.attributes ?? {});
  for (const [name, attribute] of Object.entries(declared)) {
    const path = objectPath(classId, instance, attribute.id);
    const request = { service: Service.getAttributeSingle, path, data: new Uint8Array(0) };
    const reply = await session.request(request);
    if (reply.status === Status.attributeNotSupported) continue;
    const { data } = succeed(reply, `${object?.name ?? hexNumber(classId)}/${instance}: get ${name}`);
    values.push([name, describe(attribute, decode<unknown>(attribute.type, data))]);
  }
  return values;
}

/** A list takes a row for each entry, so that a table stays narrow. */
function valueRows(name: string, value: Json): readonly (readonly string[])[] {
  if (!Array.isArray(value) || value.length === 0) return [[name, valueText(value)]];
  return value.map((entry: Json, i) => [i === 0 ? name : "", valueText(entry)]);
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
