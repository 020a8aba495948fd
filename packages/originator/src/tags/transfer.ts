import {
  PeerError,
  ReadTagFragmentedRequest,
  ReadTagReply,
  ReadTagRequest,
  Status,
  TagService,
  TrustError,
  UsageError,
  WriteTagFragmentedRequest,
  WriteTagRequest,
  decode,
  encode,
  noOctets,
  type Reply,
  type Request,
  type Segment,
  type TagType,
} from "@cipsec/wire";
import { multipleServices } from "../bulk.ts";
import { explainStatus } from "../explain-status.ts";
import { statusError, type Requester } from "../replies.ts";

/** Octets of a tag as a controller sends them. */
export interface RawTag {
  readonly type: TagType;
  readonly data: Uint8Array;
}

/** One tag to read. */
export interface Wanted {
  readonly path: readonly Segment[];
  readonly elements: number;
  /** The tag in words, for errors. */
  readonly name: string;
  /** Octets that its value had before, or is guessed to have. */
  readonly expected: number;
}

/** Octets of request and reply that the way to the controller takes. */
export interface Room {
  readonly request: number;
  readonly reply: number;
}

/** A tag has up to 2 MiB; more is a controller that never ends. */
const maxTagOctets = 4 * 1024 * 1024;

/** Head of a Multiple_Service_Packet and of each request and reply in it. */
const packetHead = 10;
const entryHead = 8;

/**
 * Reads tags: several in a Multiple_Service_Packet, one alone directly, long ones in fragments. Each answer is the tag or the
 * reason why there is none; only a failure of the way to the controller is thrown.
 */
export async function readRaw(
  requester: Requester,
  wanted: readonly Wanted[],
  room: Room,
): Promise<readonly (RawTag | Error)[]> {
  const packs = pack(wanted, room);
  const results = await Promise.all(packs.map((part) => readPack(requester, part)));
  return results.flat();
}

async function readPack(requester: Requester, wanted: readonly Wanted[]): Promise<readonly (RawTag | Error)[]> {
  const [first] = wanted;
  if (first === undefined) return [];
  const requests = wanted.map(({ path, elements }): Request => ({
    service: TagService.readTag,
    path,
    data: encode(ReadTagRequest, { elements }),
  }));
  try {
    const replies =
      wanted.length === 1 && requests[0] !== undefined
        ? [await requester.request(requests[0], { idempotent: true })]
        : await multipleServices(requester, requests, { idempotent: true });
    const results: (RawTag | Error)[] = [];
    for (const [i, one] of wanted.entries()) {
      const reply = replies[i] ?? { service: 0, status: Status.embeddedServiceError, extended: [], data: noOctets };
      const isLong = reply.status === Status.partialTransfer || reply.status === Status.replyDataTooLarge;
      if (isLong) results.push(await readLong(requester, one).catch(asPeerError));
      else if (reply.status === Status.success) results.push(decode(ReadTagReply, reply.data));
      else results.push(tagError(reply, `read ${one.name}`));
    }
    return results;
  } catch (error) {
    // The replies together were too long, or packets are not known there: each half on its own.
    if (!(error instanceof PeerError) || wanted.length === 1) return wanted.map(() => asPeerError(error));
    const half = Math.ceil(wanted.length / 2);
    return [...(await readPack(requester, wanted.slice(0, half))), ...(await readPack(requester, wanted.slice(half)))];
  }
}

/** A refusal belongs to its tag; anything else is the way's, and everybody's. */
function asPeerError(error: unknown): Error {
  if (error instanceof PeerError) return error;
  throw error;
}

async function readLong(requester: Requester, { path, elements, name }: Wanted): Promise<RawTag> {
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (;;) {
    const reply = await requester.request(
      { service: TagService.readTagFragmented, path, data: encode(ReadTagFragmentedRequest, { elements, offset }) },
      { idempotent: true },
    );
    const isDone = reply.status === Status.success;
    if (!isDone && reply.status !== Status.partialTransfer) throw tagError(reply, `read ${name} from octet ${offset}`);
    const { type, data } = decode(ReadTagReply, reply.data);
    parts.push(data);
    offset += data.length;
    if (isDone) return { type, data: joined(parts, offset) };
    if (data.length === 0 || offset > maxTagOctets)
      throw new PeerError("cip/mismatch", `read ${name}: the fragments do not come to an end`, { facts: { offset } });
  }
}

/**
 * Writes a tag, in fragments where it does not fit.
 *
 * @param unit Octets that stay together in one fragment: an element.
 * @throws {PeerError} `cip/status`
 */
export async function writeRaw(
  requester: Requester,
  tag: {
    readonly path: readonly Segment[];
    readonly name: string;
    readonly elements: number;
    readonly unit: number;
  } & RawTag,
  room: Room,
): Promise<void> {
  const { path, name, elements, type, data } = tag;
  const what = `write ${name}`;
  const head = encodedLength(path) + 4 + 8;
  if (data.length + head <= room.request) {
    const request = { service: TagService.writeTag, path, data: encode(WriteTagRequest, { type, elements, data }) };
    done(await requester.request(request), what);
    return;
  }
  const space = room.request - head - 4;
  // A structure longer than a message is cut at words, as its offsets are.
  const step = space >= tag.unit ? space - (space % tag.unit) : space - (space % 4);
  if (step <= 0) throw new UsageError("usage/argument", `${what}: ${room.request} octets a message are too few`);
  for (let offset = 0; offset < data.length; offset += step) {
    const part = data.subarray(offset, offset + step);
    const request = {
      service: TagService.writeTagFragmented,
      path,
      data: encode(WriteTagFragmentedRequest, { type, elements, offset, data: part }),
    };
    done(await requester.request(request), `${what} from octet ${offset}`);
  }
}

/** Passes a reply that succeeded. @throws {PeerError} `cip/status`; {@link TrustError} `trust/privilege` */
export function done(reply: Reply, what: string): void {
  if (reply.status !== Status.success) throw tagError(reply, what);
}

/** The error for a refusal on a tag, with what such a refusal means there. */
function tagError(reply: Reply, what: string): PeerError | TrustError {
  const { message, facts } = statusError(reply, what);
  const { status, extended, service } = reply;
  const { cause, fix } = explainStatus({ status, extended, service, onSymbols: true });
  const options = { facts, fix };
  if (status === Status.privilegeViolation) return new TrustError("trust/privilege", `${message}. ${cause}`, options);
  return new PeerError("cip/status", `${message}. ${cause}`, options);
}

/** Tags in packs of which request and expected reply fit. */
function pack(wanted: readonly Wanted[], room: Room): readonly (readonly Wanted[])[] {
  const packs: Wanted[][] = [];
  let asked = 0;
  let answered = 0;
  for (const one of wanted) {
    const asks = entryHead + encodedLength(one.path);
    const answers = entryHead + 4 + one.expected;
    const current = packs.at(-1);
    const fits =
      current !== undefined &&
      current.length < maxPack &&
      asked + asks <= room.request &&
      answered + answers <= room.reply;
    if (fits) current.push(one);
    else packs.push([one]);
    asked = (fits ? asked : packetHead) + asks;
    answered = (fits ? answered : packetHead) + answers;
  }
  return packs;
}

/** Services that one packet may hold. */
const maxPack = 200;

/** Octets of a path of symbols and indexes, rounded up. */
function encodedLength(path: readonly Segment[]): number {
  return path.reduce((sum, segment) => sum + (segment.kind === "symbol" ? 3 + segment.name.length : 6), 0);
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
