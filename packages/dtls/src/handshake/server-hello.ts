import { concat, Reader, u16, u8, vector8 } from "../presentation.ts";
import { readExtensions, writeExtensions } from "./extensions.ts";
import type { Extensions } from "./extensions.ts";

/** What the server chose. */
export interface ServerHello {
  readonly version: number;
  /** 32 octets. */
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly extensions: Extensions;
}

/** @see RFC 5246 7.4.1.3 */
export function readServerHello(body: Uint8Array): ServerHello {
  const reader = new Reader(body, "ServerHello");
  const version = reader.u16("version");
  const random = reader.octets(32, "random");
  const sessionId = reader.vector(1, "session id", 0, 32);
  const suite = reader.u16("cipher suite");
  const compression = reader.u8("compression method");
  if (compression !== 0) throw reader.refuse("compression method", `${compression}, only 0 was offered`);
  const extensions = readExtensions(reader);
  reader.end();
  return { version, random, sessionId, suite, extensions };
}

export function writeServerHello(hello: ServerHello): Uint8Array {
  return concat(
    u16(hello.version),
    hello.random,
    vector8(hello.sessionId),
    u16(hello.suite),
    u8(0),
    writeExtensions(hello.extensions),
  );
}
