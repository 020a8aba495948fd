import { concat, Reader, u16, u8, vector16, vector8 } from "../presentation.ts";
import { readExtensions, writeExtensions } from "./extensions.ts";
import type { Extensions } from "./extensions.ts";

/** The first message of a handshake. */
export interface ClientHello {
  readonly version: number;
  /** 32 octets. */
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  /** What HelloVerifyRequest asked for; empty in the first hello. */
  readonly cookie: Uint8Array;
  readonly suites: readonly number[];
  readonly extensions: Extensions;
}

/** @see RFC 5246 7.4.1.2; RFC 6347 4.2.1 */
export function readClientHello(body: Uint8Array): ClientHello {
  const reader = new Reader(body, "ClientHello");
  const start = helloStart(reader);
  const suites = reader.u16s(2, "cipher suites");
  const compression = reader.vector(1, "compression methods", 1);
  if (!compression.includes(0)) throw reader.refuse("compression methods", "no compression is not among them");
  const extensions = readExtensions(reader);
  reader.end();
  return { ...start, suites, extensions };
}

/** What is needed before the cookie is known to be right; also reads a hello of which only the first part is there. */
export function readHelloStart(start: Uint8Array): Omit<ClientHello, "suites" | "extensions"> {
  return helloStart(new Reader(start, "ClientHello"));
}

export function writeClientHello(hello: ClientHello): Uint8Array {
  return concat(
    u16(hello.version),
    hello.random,
    vector8(hello.sessionId),
    vector8(hello.cookie),
    vector16(...hello.suites.map(u16)),
    vector8(u8(0)),
    writeExtensions(hello.extensions),
  );
}

function helloStart(reader: Reader): Omit<ClientHello, "suites" | "extensions"> {
  return {
    version: reader.u16("version"),
    random: reader.octets(32, "random"),
    sessionId: reader.vector(1, "session id", 0, 32),
    cookie: reader.vector(1, "cookie"),
  };
}
