import {
  AttributeIds,
  LogixClass,
  PeerError,
  ReadTemplateRequest,
  Service,
  Status,
  TagService,
  TemplateAttribute,
  decode,
  decodeAttributeResults,
  encode,
  objectPath,
  template,
  templateAttributes,
  templateOctets,
  type SymbolType,
  type TemplateMember,
} from "@cipsec/wire";
import { statusError, succeed, type Requester } from "../replies.ts";
import { atoms, type ElementType, type Structure, type StructureMember } from "./values.ts";

/** Definitions run to a few kilobytes; this bounds what one can ask us to fetch. */
const maxDefinitionOctets = 256 * 1024;

/** Values that one structure may come to: more is a definition made to exhaust its reader. */
const maxLeaves = 100_000;

/** Structures within structures. */
const maxDepth = 16;

/** Structures kept: controllers have a few hundred. */
const maxTemplates = 4096;

/** Octets of one window on a definition; what a device does not fit into its reply it sends with the next. */
const window = 480;

/** The structures that a controller defines, fetched once each. */
export interface Templates {
  /** @throws {PeerError} `cip/status` when the device refuses; `cip/mismatch` for a definition that cannot be. */
  load(instance: number): Promise<Structure>;
  byHandle(handle: number): Structure | undefined;
  /** Takes the structure of this handle for what it is in every controller, for one that does not tell; nothing for any other. */
  assume(handle: number): void;
  /** The type that a symbol's or member's type word names; `undefined` for one that is not known. */
  typeOf(type: SymbolType): Promise<ElementType | undefined>;
}

/** Templates of the controller at the end of `requester`. */
export function templates(requester: Requester): Templates {
  const byInstance = new Map<number, Promise<Structure>>();
  const byHandle = new Map<number, Structure>();

  /** One after another: two structures that hold each other, asked for at once, would wait for each other for ever. */
  let last: Promise<unknown> = Promise.resolve();

  async function fetchOne(instance: number, above: readonly number[]): Promise<Structure> {
    const where = `structure ${instance}`;
    if (above.includes(instance) || above.length >= maxDepth)
      throw new PeerError("cip/mismatch", `${where}: the definition holds itself, or is too deep`, {
        facts: { instance, depth: above.length },
      });
    const facts = await readFacts(requester, instance, where);
    const octets = await readDefinition(requester, instance, facts.octets, where);
    const { name, members } = decode(template(facts.memberCount), octets);
    const resolved: StructureMember[] = [];
    for (const member of members) {
      const type = await memberType(member.type, [...above, instance]);
      // A member of a type that is not known is left out; its octets stay where they are.
      if (type !== undefined) resolved.push(resolve(member, type));
    }
    const structure = checked(
      { kind: "structure", name, handle: facts.handle, size: facts.size, members: resolved },
      where,
    );
    byHandle.set(structure.handle, structure);
    return structure;
  }

  function load(instance: number, above: readonly number[]): Promise<Structure> {
    const known = byInstance.get(instance);
    // One that waits for itself would wait for ever: those above are fetched anew, and refused.
    if (known !== undefined && !above.includes(instance)) return known;
    const fetched = fetchOne(instance, above);
    if (byInstance.size >= maxTemplates) byInstance.clear();
    byInstance.set(instance, fetched);
    fetched.catch(() => byInstance.delete(instance));
    return fetched;
  }

  function memberType(type: SymbolType, above: readonly number[]): Promise<ElementType | undefined> {
    return type.structured ? load(type.code, above) : Promise.resolve(atoms.get(type.code));
  }

  function loadInTurn(instance: number): Promise<Structure> {
    const loaded = last.then(() => load(instance, []));
    last = loaded.catch(() => undefined);
    return loaded;
  }

  return {
    load: loadInTurn,
    byHandle: (handle) => byHandle.get(handle),
    assume(handle) {
      if (handle === logixString.handle && !byHandle.has(handle)) byHandle.set(handle, logixString);
    },
    typeOf: (type) => (type.structured ? loadInTurn(type.code) : Promise.resolve(atoms.get(type.code))),
  };
}

/** STRING of 82 characters, as Logix controllers have it from the factory: simple servers have its handle and no templates. */
const logixString: Structure = {
  kind: "structure",
  name: "STRING",
  handle: 0x0fce,
  size: 88,
  members: [member("LEN", 0, 0, 0xc4), member("DATA", 4, 82, 0xc2)].flat(),
  leaves: 83,
};

function member(name: string, offset: number, elements: number, code: number): readonly StructureMember[] {
  const type = atoms.get(code);
  return type === undefined ? [] : [{ name, hidden: false, offset, elements, type }];
}

interface Facts {
  readonly handle: number;
  readonly memberCount: number;
  readonly octets: number;
  readonly size: number;
}

async function readFacts(requester: Requester, instance: number, where: string): Promise<Facts> {
  const reply = await requester.request({
    service: Service.getAttributeList,
    path: objectPath(LogixClass.template, instance),
    data: encode(AttributeIds, Object.values(TemplateAttribute)),
  });
  const results = decodeAttributeResults(succeed(reply, `${where}: get`).data, (id) => templateAttributes.get(id));
  const valueOf = (id: number): number => {
    const value = results.find((result) => result.id === id)?.value;
    if (typeof value !== "number")
      throw new PeerError("cip/mismatch", `${where}: attribute ${id} is missing in the answer`);
    return value;
  };
  const octets = templateOctets(valueOf(TemplateAttribute.definitionWords));
  if (octets > maxDefinitionOctets)
    throw new PeerError("cip/mismatch", `${where}: a definition of ${octets} octets is above the bound`, {
      facts: { octets },
    });
  return {
    handle: valueOf(TemplateAttribute.handle),
    memberCount: valueOf(TemplateAttribute.memberCount),
    size: valueOf(TemplateAttribute.structureSize),
    octets,
  };
}

async function readDefinition(
  requester: Requester,
  instance: number,
  total: number,
  where: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(total);
  let at = 0;
  while (at < total) {
    const reply = await requester.request(
      {
        service: TagService.readTag,
        path: objectPath(LogixClass.template, instance),
        data: encode(ReadTemplateRequest, { offset: at, length: Math.min(window, total - at) }),
      },
      { idempotent: true },
    );
    if (reply.status !== Status.success && reply.status !== Status.partialTransfer)
      throw statusError(reply, `${where}: read definition`);
    const part = reply.data.subarray(0, total - at);
    // Less than was said to be there: names of predefined structures are left out.
    if (part.length === 0) return bytes.subarray(0, at);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function resolve({ name, info, type, offset }: TemplateMember, element: ElementType): StructureMember {
  const isBit = element.kind === "atom" && element.name === "BOOL" && type.dimensions === 0;
  return {
    name,
    hidden: name === "" || name.startsWith("ZZZZ") || name.startsWith("__"),
    offset,
    elements: isBit ? 0 : info,
    ...(isBit ? { bit: info } : {}),
    type: element,
  };
}

/** A structure whose members all lie inside it, and whose values can be counted. */
function checked(given: Omit<Structure, "leaves">, where: string): Structure {
  let leaves = 0;
  for (const { name, offset, elements, bit, type } of given.members) {
    const end = bit === undefined ? offset + Math.max(1, elements) * type.size : offset + (bit >> 3) + 1;
    if (end > given.size)
      throw new PeerError("cip/mismatch", `${where}: member '${name}' lies outside the ${given.size} octets`, {
        facts: { offset, end, size: given.size },
      });
    leaves += Math.max(1, elements) * (type.kind === "atom" ? 1 : type.leaves);
  }
  if (given.size === 0 || leaves > maxLeaves)
    throw new PeerError("cip/mismatch", `${where}: ${given.size} octets with ${leaves} values cannot be read`, {
      facts: { size: given.size, leaves },
    });
  return { ...given, leaves };
}
