import { concat, Reader, u16, u24, u8 } from "../presentation.ts";

/** Handshake message types. @see RFC 5246 7.4; RFC 6347 4.3.2; RFC 5077 */
export const handshakeTypes = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  newSessionTicket: 4,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;

/** A whole handshake message. */
export interface HandshakeMessage {
  readonly type: number;
  /** Counts the messages of one side from 0. */
  readonly seq: number;
  readonly body: Uint8Array;
}

/** A piece of a handshake message, as records carry it. */
export interface HandshakeFragment {
  readonly type: number;
  readonly seq: number;
  /** Of the whole message. */
  readonly length: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Octets in front of each fragment. */
export const fragmentHeaderLength = 12;

/** A message's name for errors and logs. */
export function handshakeName(type: number): string {
  return names.get(type) ?? `handshake type ${type}`;
}

const names = new Map<number, string>(
  Object.entries(handshakeTypes).map(([name, type]) => [type, name.charAt(0).toUpperCase() + name.slice(1)]),
);

/**
 * Reads the fragments of one handshake record; most have one.
 *
 * @throws {DtlsError} `dtls/decode` when a fragment is cut or lies outside its message.
 * @see RFC 6347 4.2.2
 */
export function readFragments(content: Uint8Array): readonly HandshakeFragment[] {
  const reader = new Reader(content, "handshake record");
  const fragments: HandshakeFragment[] = [];
  do {
    const type = reader.u8("type");
    const length = reader.u24("length");
    const seq = reader.u16("message_seq");
    const offset = reader.u24("fragment_offset");
    const bytes = reader.vector(3, "fragment");
    if (offset + bytes.length > length)
      throw reader.refuse("fragment", `ends at ${offset + bytes.length} of ${length}`);
    fragments.push({ type, length, seq, offset, bytes });
  } while (reader.remaining > 0);
  return fragments;
}

/** The octets of a fragment. */
export function writeFragment({ type, length, seq, offset, bytes }: HandshakeFragment): Uint8Array {
  return concat(u8(type), u24(length), u16(seq), u24(offset), u24(bytes.length), bytes);
}

/** The octets of a message in one fragment, which is also how the transcript sees it. @see RFC 6347 4.2.6 */
export function writeMessage({ type, seq, body }: HandshakeMessage): Uint8Array {
  return writeFragment({ type, length: body.length, seq, offset: 0, bytes: body });
}
