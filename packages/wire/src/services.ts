import { decode, encode, list, type Codec } from "./codec.ts";
import { Reader, Writer } from "./cursor.ts";
import { WireError } from "./errors.ts";
import { MessageRouterReply, MessageRouterRequest, type Reply, type Request } from "./message-router.ts";
import { UINT } from "./types.ts";

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
  w.u16(results.length);
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
    const codec = codecOf(id);
    if (codec === undefined)
      throw new WireError("wire/value", `attribute ${id}: its type is not known`, { facts: { id } });
    return { id, status, value: codec.read(r) };
  });
  r.end("attribute list");
  return results;
}

/**
 * Embedded messages behind a count and a table of offsets, as requests and as replies.
 *
 * @throws {WireError} `wire/value` when an offset is descending, overlapping or outside; `wire/length` for none or too many.
 * @see CIP Vol 1, appendix; reference ethernet-ip.md 5.3
 */
function packet<T>(type: string, codec: Codec<T>): Codec<readonly T[]> {
  return {
    type,
    read(r) {
      const count = r.u16("service count", maxServices);
      if (count === 0) throw new WireError("wire/length", `${type}: no service in it`);
      const offsets = Array.from({ length: count }, () => r.u16("service offset"));
      const start = 2 + 2 * count;
      const bytes = r.rest();
      return offsets.map((offset, i) => {
        const next = offsets[i + 1] ?? start + bytes.length;
        if ((i === 0 && offset !== start) || next <= offset || next > start + bytes.length) {
          throw new WireError(
            "wire/value",
            `${type}: offset ${offset} of service ${i + 1} is not in order or not inside`,
            { facts: { offset, service: i + 1 } },
          );
        }
        return decode(codec, bytes.subarray(offset - start, next - start));
      });
    },
    write(w, values) {
      const encoded = values.map((value) => encode(codec, value));
      w.u16(encoded.length);
      let offset = 2 + 2 * encoded.length;
      for (const bytes of encoded) {
        w.u16(offset);
        offset += bytes.length;
      }
      for (const bytes of encoded) w.octets(bytes);
    },
  };
}

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
