import { decode, type Codec } from "./codec.ts";
import { EPATH, words, type Segment } from "./epath.ts";
import { WireError } from "./errors.ts";

/** A CIP request: service, padded path, and data whose layout the service and class define. */
export interface Request {
  readonly service: number;
  readonly path: readonly Segment[];
  readonly data: Uint8Array;
}

/** A CIP reply: the service without its reply bit, general status, extended status words, data. */
export interface Reply {
  readonly service: number;
  readonly status: number;
  readonly extended: readonly number[];
  readonly data: Uint8Array;
}

/** Devices send up to six words; this bounds what a reply can claim. */
const maxExtendedWords = 32;

/**
 * Message Router request.
 *
 * @throws {WireError} `wire/path-size` when the path runs past the message; `wire/segment` for a path that cannot be understood;
 *   `wire/value` when the reply bit is set.
 * @see CIP Vol 1, 2-4.1
 */
export const MessageRouterRequest: Codec<Request> = {
  type: "Message Router request",
  read(r) {
    const service = r.u8("service");
    if (service >= 0x80)
      throw new WireError("wire/value", `service 0x${service.toString(16)} is a reply, not a request`, {
        facts: { service },
      });
    const size = 2 * r.u8("path size");
    if (size > r.remaining) {
      throw new WireError("wire/path-size", `path: ${size} octets claimed, ${r.remaining} follow`, {
        facts: { claimed: size, remaining: r.remaining },
      });
    }
    return { service, path: readPath(r.octets(size, "path")), data: r.rest() };
  },
  write(w, request) {
    const at = w.length;
    w.u16(0);
    EPATH.write(w, request.path);
    // Service, then the words of the path, which are known now.
    w.overwriteU16(at, plain(request.service) | (words(w.length - at - 2) << 8));
    w.octets(request.data);
  },
};

/**
 * Message Router reply.
 *
 * @throws {WireError} `wire/value` when the reply bit is clear or the reserved octet is not 0.
 * @see CIP Vol 1, 2-4.2
 */
export const MessageRouterReply: Codec<Reply> = {
  type: "Message Router reply",
  read(r) {
    const service = r.u8("service");
    if (service < 0x80)
      throw new WireError("wire/value", `service 0x${service.toString(16)} is a request, not a reply`, {
        facts: { service },
      });
    r.zero("reserved octet of a reply");
    const status = r.u8("general status");
    const count = r.u8("extended status size", maxExtendedWords);
    const extended: number[] = [];
    while (extended.length < count) extended.push(r.u16("extended status"));
    return { service: service & 0x7f, status, extended, data: r.rest() };
  },
  write(w, reply) {
    if (reply.extended.length > maxExtendedWords) {
      throw new WireError("wire/length", `reply: more than ${maxExtendedWords} words of extended status`, {
        facts: { words: reply.extended.length, max: maxExtendedWords },
      });
    }
    w.u8(plain(reply.service) | 0x80);
    w.u8(0);
    w.u8(reply.status);
    w.u8(reply.extended.length);
    for (const word of reply.extended) w.u16(word);
    w.octets(reply.data);
  },
};

/** A service code without its reply bit, as values carry it both ways. */
function plain(service: number): number {
  if (service > 0x7f)
    throw new WireError("wire/value", `service 0x${service.toString(16)} is above 0x7f`, { facts: { service } });
  return service;
}

/** A path segment that claims more than the path holds is a path that cannot be understood, whatever the cursor calls it. */
function readPath(bytes: Uint8Array): readonly Segment[] {
  try {
    return decode(EPATH, bytes);
  } catch (error) {
    if (!(error instanceof WireError) || error.code === "wire/segment") throw error;
    throw new WireError("wire/segment", `path: ${error.message}`, { facts: error.facts, cause: error });
  }
}
