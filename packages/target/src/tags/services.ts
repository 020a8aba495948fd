import {
  ReadModifyWriteRequest,
  ReadTagFragmentedRequest,
  ReadTagReply,
  ReadTagRequest,
  Reader,
  Status,
  TagService,
  WriteTagFragmentedRequest,
  WriteTagRequest,
  decode,
  encode,
  noOctets,
  tagTypeSize,
  type TagType,
} from "@cipsec/wire";
import { refuse, type Refusal } from "../refusal.ts";
import type { Place } from "./locate.ts";
import { tagTypeOf, type ElementType } from "./types.ts";
import { readBit, writeBit } from "./values.ts";

/** Extended status words of general status 0xFF. @see reference ethernet-ip.md 8.7 */
const Extended = { offsetBeyondEnd: 0x2104, elementsBeyondEnd: 0x2105, typeMismatch: 0x2107 } as const;

/** General status whose meaning the extended status says. */
const generalError = 0xff;

/** What a service answers, and whether the application has to know: `partly` where more fragments are to come. */
export interface TagAnswer {
  readonly status: number;
  readonly data: Uint8Array;
  readonly wrote?: "wholly" | "partly";
}

/** Structures and BOOLs are told apart by octets of this many; clients put fragments together without looking inside. */
const structGrain = 4;

/**
 * Serves a tag service on the part of a tag that its path leads to.
 *
 * @param maxReply Octets of service data that the way back takes; a read that needs more answers in part with 0x06.
 * @throws {Refusal} 0x0F for a tag that the network may not read or write so, 0x13 and 0x15 for data too short or too long, 0xFF with
 *   0x2104, 0x2105 or 0x2107 for an offset, count or type that does not fit; {@link WireError} for data that is none.
 * @see reference ethernet-ip.md 8.2, 8.7
 */
export function serveTag(service: number, place: Place, data: Uint8Array, maxReply: number): TagAnswer {
  switch (service) {
    case TagService.readTag:
      return read(place, { ...decode(ReadTagRequest, data), offset: 0 }, maxReply);
    case TagService.readTagFragmented:
      return read(place, decode(ReadTagFragmentedRequest, data), maxReply);
    case TagService.writeTag:
      return write(place, { ...decode(WriteTagRequest, data), offset: 0, isFragment: false });
    case TagService.writeTagFragmented:
      return write(place, { ...decode(WriteTagFragmentedRequest, data), isFragment: true });
    case TagService.readModifyWriteTag:
      return modify(place, data);
    default:
      throw refuse(Status.serviceNotSupported);
  }
}

/** The refusal of an index behind the end of an array. */
export function beyondEnd(): Refusal {
  return tagError("elementsBeyondEnd");
}

function read(place: Place, { elements, offset }: { elements: number; offset: number }, maxReply: number): TagAnswer {
  const { tag, shape } = place;
  if (tag.access === "none") throw refuse(Status.privilegeViolation, { reason: "the tag is not for the network" });
  const type = tagTypeOf(shape.type);
  const octets = wanted(place, elements);
  if (offset >= octets) throw tagError("offsetBeyondEnd");
  const room = maxReply - tagTypeSize(type);
  const grain = shape.type.kind === "struct" ? structGrain : shape.type.size;
  const rest = octets - offset;
  const length = rest <= room ? rest : room - (room % grain);
  if (length <= 0) throw refuse(Status.replyDataTooLarge);
  const value = place.bit === undefined ? part(place, offset, length) : Uint8Array.of(bitOf(place, place.bit));
  return {
    status: length === rest ? Status.success : Status.partialTransfer,
    data: encode(ReadTagReply, { type, data: value }),
  };
}

interface Write {
  readonly type: TagType;
  readonly elements: number;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly isFragment: boolean;
}

/**
 * Octets behind the value of a whole write are passed over, as controllers do: pycomm3 1.2.14, for one, sends each of its writes
 * twice in one message.
 */
function write(place: Place, { type, elements, offset, data: sent, isFragment }: Write): TagAnswer {
  const { tag, shape } = place;
  refuseUnlessWritable(place);
  if (!sameType(type, shape.type)) throw tagError("typeMismatch");
  const octets = wanted(place, elements);
  if (offset >= octets) throw tagError("offsetBeyondEnd");
  if (isFragment && offset + sent.length > octets) throw refuse(Status.tooMuchData);
  const data = sent.subarray(0, octets);
  const isComplete = offset + data.length === octets;
  if (data.length === 0 || (!isFragment && !isComplete)) throw refuse(Status.notEnoughData);
  if (place.bit !== undefined) writeBit(tag.bytes.subarray(place.offset), place.bit, data[0] !== 0);
  else if (shape.type.name === "BOOL") tag.bytes[place.offset] = data[0] === 0 ? 0 : 1;
  else tag.bytes.set(data, place.offset + offset);
  return done(isComplete);
}

/** Read_Modify_Write: bits to set, then bits to keep, on one element as a whole. Octets behind are passed over as in a write. */
function modify(place: Place, data: Uint8Array): TagAnswer {
  refuseUnlessWritable(place);
  const { or, and } = ReadModifyWriteRequest.read(new Reader(data));
  const { type } = place.shape;
  if (type.kind !== "elementary" || !type.hasBits || or.length !== type.size) throw tagError("typeMismatch");
  const bytes = part(place, 0, type.size);
  for (const [i, octet] of bytes.entries()) bytes[i] = (octet | (or[i] ?? 0)) & (and[i] ?? 0);
  return done(true);
}

function done(isComplete: boolean): TagAnswer {
  return { status: Status.success, data: noOctets, wrote: isComplete ? "wholly" : "partly" };
}

function refuseUnlessWritable({ tag }: Place): void {
  if (tag.access !== "read-write")
    throw refuse(Status.privilegeViolation, { reason: "the tag is not for the network to write" });
}

/** Octets of so many elements from the place on. */
function wanted({ shape, elements }: Place, count: number): number {
  if (count === 0) throw refuse(Status.invalidParameter, { reason: "no elements asked for" });
  if (count > elements) throw tagError("elementsBeyondEnd");
  return count * shape.type.size;
}

function part({ tag, offset }: Place, from: number, length: number): Uint8Array {
  return tag.bytes.subarray(offset + from, offset + from + length);
}

function bitOf(place: Place, bit: number): number {
  return readBit(part(place, 0, 1), bit) ? 1 : 0;
}

function sameType({ code, handle }: TagType, type: ElementType): boolean {
  const own = tagTypeOf(type);
  return own.code === code && own.handle === handle;
}

function tagError(name: keyof typeof Extended): Refusal {
  return refuse(generalError, { extended: [Extended[name]], reason: `tag: ${name}` });
}
