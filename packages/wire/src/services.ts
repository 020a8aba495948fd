import { REST, decode, list, struct, type Codec } from "./codec.ts";
import { Reader, Writer } from "./cursor.ts";
import { WireError } from "./errors.ts";
import { MessageRouterReply, MessageRouterRequest, type Reply, type Request } from "./message-router.ts";
import { UINT, USINT } from "./types.ts";

/** Common services of CIP. Object-specific codes start at 0x4B and mean another thing in every class. @see CIP Vol 1, appendix A */
export const Service = {
  getAttributesAll: 0x01,
  setAttributesAll: 0x02,
  getAttributeList: 0x03,
  setAttributeList: 0x04,
  reset: 0x05,
  start: 0x06,
  stop: 0x07,
  create: 0x08,
  delete: 0x09,
  multipleServicePacket: 0x0a,
  applyAttributes: 0x0d,
  getAttributeSingle: 0x0e,
  setAttributeSingle: 0x10,
  findNextObjectInstance: 0x11,
  restore: 0x15,
  save: 0x16,
  noOperation: 0x17,
  getMember: 0x18,
  setMember: 0x19,
  insertMember: 0x1a,
  removeMember: 0x1b,
  groupSync: 0x1c,
  getConnectionPointMemberList: 0x1d,
} as const;

/** Ids that one Get_Attribute_List may name; no object here has more than 39 attributes. */
const maxAttributes = 64;

/** Services that one Multiple_Service_Packet may hold: more do not fit the largest connection usefully. */
const maxServices = 256;

/** Request data of Get_Attribute_List. */
export const AttributeIds = list(UINT, UINT, maxAttributes);

/** One entry of a Get_Attribute_List reply; `data` runs to the next entry, whose start only the attribute's type tells. */
export interface AttributeResult {
  readonly id: number;
  readonly status: number;
  readonly data: Uint8Array;
}

/**
 * Writes the reply of Get_Attribute_List: a count, then id, status (low octet the code, high octet 0) and value.
 *
 * @see CIP Vol 1, appendix; reference ethernet-ip.md 5.2
 */
export function encodeAttributeResults(results: readonly AttributeResult[]): Uint8Array {
  const w = new Writer();
  w.u16(bounded(results.length));
  for (const { id, status, data } of results) {
    w.u16(id);
    w.u16(status);
    w.octets(data);
  }
  return w.finish();
}

/**
 * Reads the reply of Get_Attribute_List, given the codec of each attribute.
 *
 * @throws {WireError} `wire/value` for an attribute whose type is not known: the entries behind it cannot be found.
 */
export function decodeAttributeResults(
  bytes: Uint8Array,
  codecOf: (id: number) => Codec<unknown> | undefined,
): readonly { readonly id: number; readonly status: number; readonly value?: unknown }[] {
  const r = new Reader(bytes);
  const count = r.u16("attribute count", maxAttributes);
  const results = Array.from({ length: count }, () => {
    const id = r.u16("attribute id");
    const status = r.u16("attribute status");
    if (status !== 0) return { id, status };
    return { id, status, value: known(id, codecOf(id)).read(r) };
  });
  r.end("attribute list");
  return results;
}

/** Request data of Set_Attribute_List: a count, then id and value of each; `data` holds the encoded value. */
export function encodeAttributeValues(
  values: readonly { readonly id: number; readonly data: Uint8Array }[],
): Uint8Array {
  const w = new Writer();
  w.u16(bounded(values.length));
  for (const { id, data } of values) {
    w.u16(id);
    w.octets(data);
  }
  return w.finish();
}

/**
 * Reads the request of Set_Attribute_List, given the codec of each attribute.
 *
 * @throws {WireError} `wire/value` for an attribute whose type is not known: the entries behind it cannot be found.
 * @see CIP Vol 1, appendix; reference ethernet-ip.md 5.2
 */
export function decodeAttributeValues(
  bytes: Uint8Array,
  codecOf: (id: number) => Codec<unknown> | undefined,
): readonly { readonly id: number; readonly value: unknown }[] {
  const r = new Reader(bytes);
  const count = r.u16("attribute count", maxAttributes);
  const values = Array.from({ length: count }, () => {
    const id = r.u16("attribute id");
    return { id, value: known(id, codecOf(id)).read(r) };
  });
  r.end("attribute list");
  return values;
}

/** Reply data of Set_Attribute_List: what became of each attribute. */
export const SetAttributeListReply = list(UINT, struct("attribute status", { id: UINT, status: UINT }), maxAttributes);

/** Request data of Find_Next_Object_Instance: how many instances to name; the path says behind which one. */
export const FindNextInstanceRequest = USINT;

/** Reply data of Find_Next_Object_Instance; fewer than asked for means that there are no more. */
export const FindNextInstanceReply = list(USINT, UINT, 255);

/**
 * Multiple_Service_Packet, as request and as reply: the octets of each message behind a count and a table of offsets.
 * A receiver that must answer each embedded request on its own reads this and decodes them one by one.
 *
 * @throws {WireError} `wire/value` when an offset is descending, overlapping or outside; `wire/length` for none or too many.
 * @see CIP Vol 1, appendix; reference ethernet-ip.md 5.3
 */
export const EmbeddedMessages: Codec<readonly Uint8Array[]> = {
  type: "Multiple_Service_Packet",
  read(r) {
    const count = r.u16("service count", maxServices);
    if (count === 0) throw notMany(0);
    const offsets: number[] = [];
    while (offsets.length < count) offsets.push(r.u16("service offset"));
    const start = 2 + 2 * count;
    const bytes = r.rest();
    const end = start + bytes.length;
    return offsets.map((offset, i) => {
      const next = offsets[i + 1] ?? end;
      if ((i === 0 && offset !== start) || next <= offset || next > end) {
        throw new WireError(
          "wire/value",
          `Multiple_Service_Packet: offset ${offset} of service ${i + 1} is not in order or not inside`,
          { facts: { offset, service: i + 1 } },
        );
      }
      return bytes.subarray(offset - start, next - start);
    });
  },
  write: (w, messages) => writePacket(w, messages, REST),
};

/** Request data of Multiple_Service_Packet: the requests it carries. */
export const MultipleServiceRequest: Codec<readonly Request[]> = packet(
  "Multiple_Service_Packet request",
  MessageRouterRequest,
);

/** Reply data of Multiple_Service_Packet: one reply for each request. */
export const MultipleServiceReply: Codec<readonly Reply[]> = packet(
  "Multiple_Service_Packet reply",
  MessageRouterReply,
);

function packet<T>(type: string, codec: Codec<T>): Codec<readonly T[]> {
  return {
    type,
    read: (r) => EmbeddedMessages.read(r).map((message) => decode(codec, message)),
    write: (w, values) => writePacket(w, values, codec),
  };
}

/** Offsets count from the service count; each is known once the message in front of it is written. */
function writePacket<T>(w: Writer, messages: readonly T[], codec: Codec<T>): void {
  if (messages.length === 0 || messages.length > maxServices) throw notMany(messages.length);
  const start = w.length;
  w.u16(messages.length);
  const table = w.length;
  for (const _ of messages) w.u16(0);
  for (const [i, message] of messages.entries()) {
    const from = w.length;
    w.overwriteU16(table + 2 * i, from - start);
    codec.write(w, message);
    if (w.length === from) throw new WireError("wire/value", "Multiple_Service_Packet: a message without octets");
  }
}

function known(id: number, codec: Codec<unknown> | undefined): Codec<unknown> {
  if (codec === undefined)
    throw new WireError("wire/value", `attribute ${id}: its type is not known`, { facts: { id } });
  return codec;
}

function bounded(count: number): number {
  if (count > maxAttributes) {
    throw new WireError("wire/length", `attribute list: ${count} entries are above the bound of ${maxAttributes}`, {
      facts: { count, max: maxAttributes },
    });
  }
  return count;
}

function notMany(count: number): WireError {
  return new WireError("wire/length", `Multiple_Service_Packet: ${count} services are not 1 to ${maxServices}`, {
    facts: { count, max: maxServices },
  });
}
