import type { CookieJar } from "./cookie.ts";
import type { HelloNumbers } from "./engine-contract.ts";
import { readHelloStart } from "./handshake/client-hello.ts";
import { writeHelloVerifyRequest } from "./handshake/hello-verify-request.ts";
import { handshakeTypes, readFragments, writeMessage } from "./handshake/message.ts";
import { beginRecord, contentTypes, dtls10, headerLength, readRecords } from "./record/header.ts";

/** What to do with a datagram from an address that has no association. */
export type GateVerdict =
  /** A hello without a valid cookie: send this, remember nothing. */
  | { readonly kind: "answer"; readonly bytes: Uint8Array }
  /** A hello whose cookie proves the address: make a server engine and hand it the datagram. */
  | { readonly kind: "admit"; readonly hello: HelloNumbers; readonly clientRandom: Uint8Array }
  /** Nothing that a server answers. */
  | { readonly kind: "ignore" };

const ignore: GateVerdict = { kind: "ignore" };

/**
 * Looks at the first record of a datagram without keeping anything. The answer is never longer than the datagram, so
 * that a forged sender's address gains nothing; a hello that is cut into fragments is judged by its first.
 *
 * @param peer Address and port, in any text that is the same each time.
 * @see RFC 6347 4.2.1
 */
export function judgeHello(datagram: Uint8Array, peer: string, cookies: CookieJar, now: number): GateVerdict {
  const [record] = readRecords(datagram, 0);
  if (record === undefined || record.header.type !== contentTypes.handshake || record.header.epoch !== 0) return ignore;
  try {
    const [fragment] = readFragments(record.body);
    if (fragment === undefined || fragment.type !== handshakeTypes.clientHello || fragment.offset !== 0) return ignore;
    const start = readHelloStart(fragment.bytes);
    const { seq } = fragment;
    if (cookies.check(peer, start, start.cookie, now)) {
      const hello = { messageSeq: seq, recordSeq: record.header.seq };
      return { kind: "admit", hello, clientRandom: start.random.slice() };
    }
    const body = writeHelloVerifyRequest(cookies.make(peer, start, now));
    const message = writeMessage({ type: handshakeTypes.helloVerifyRequest, seq, body });
    const bytes = beginRecord({ ...record.header, version: dtls10 }, message.length);
    bytes.set(message, headerLength);
    return bytes.length > datagram.length ? ignore : { kind: "answer", bytes };
  } catch {
    return ignore;
  }
}
