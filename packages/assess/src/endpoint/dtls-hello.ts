import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { alertMeaning, openUdp } from "@cipsec/transport";
import { readServerHello, versionName } from "@cipsec/capture";
import { handshakeTypes } from "@cipsec/dtls";
import { choicesOf, helloExtensions, u16, vector16, vector8, type HelloAnswer } from "./client-hello.ts";
import type { EndpointSubject } from "./subject.ts";

/** A hello over DTLS. */
export interface DtlsWish {
  /** 0xfeff is DTLS 1.0, 0xfefd DTLS 1.2. */
  readonly version: number;
  /** IANA numbers. */
  readonly suites: readonly number[];
  /** Compression methods; 0 is none, and always offered. */
  readonly compressions?: readonly number[];
  /** What `renegotiation_info` holds; the extension is not sent where it is left out. @see RFC 5746 3.2 */
  readonly renegotiationInfo?: Uint8Array;
}

const contentType = { alert: 21, handshake: 22 } as const;

/** Record header 13, message header 12. @see RFC 6347 4.1, 4.2.2 */
const [recordHeader, messageHeader] = [13, 12];

/** A lost datagram is sent again after this long; a device that is silent is asked as often. */
const againMs = 400;
const attempts = 4;

/**
 * A ClientHello in one datagram.
 *
 * @param sequence 0 for the first one, 1 for the one with the cookie.
 */
export function dtlsHello(
  { version, suites, compressions = [], ...more }: DtlsWish,
  random: Uint8Array = randomBytes(32),
  cookie: Uint8Array = new Uint8Array(),
  sequence = 0,
): Uint8Array {
  const body = Buffer.concat([
    u16(version),
    random,
    vector8(Buffer.alloc(0)),
    vector8(Buffer.from(cookie)),
    vector16(Buffer.concat(suites.map(u16))),
    vector8(Buffer.from([...compressions, 0])),
    vector16(helloExtensions(0x0303, more)),
  ]);
  const length = Buffer.from([0, ...u16(body.length)]);
  const message = Buffer.concat([
    Buffer.from([handshakeTypes.clientHello]),
    length,
    u16(sequence),
    Buffer.from([0, 0, 0]),
    length,
    body,
  ]);
  const number = Buffer.from([0, 0, 0, 0, 0, sequence]);
  return Buffer.concat([Buffer.from([contentType.handshake]), u16(0xfeff), u16(0), number, vector16(message)]);
}

/** What a device said to a hello over DTLS, and the cookie that it gave on the way. */
export interface DtlsAnswer extends HelloAnswer {
  readonly cookie: Uint8Array | undefined;
}

/** Sends a hello, and once more with the cookie that the device asks for; reads what comes first then. */
export async function sayDtlsHello(
  { host, eips, clock, signal }: EndpointSubject,
  wish: DtlsWish,
  stopAtCookie = false,
): Promise<DtlsAnswer> {
  const random = randomBytes(32);
  let request = dtlsHello(wish, random);
  let cookie: Uint8Array | undefined;
  const got: { answer?: Answer } = {};
  let wake: () => void = () => undefined;
  await using socket = await openUdp({
    address: isIP(host) === 6 ? "::" : "0.0.0.0",
    port: 0,
    receive: (octets) => {
      const reply = Buffer.from(octets);
      const asked = cookieIn(reply);
      if (asked !== undefined && cookie === undefined) {
        cookie = asked;
        request = dtlsHello(wish, random, asked, 1);
        if (stopAtCookie) got.answer = { kind: "other", words: "a cookie", reply };
        else socket.send(request, { address: host, port: eips });
      } else if (asked === undefined) got.answer ??= readAnswer(reply);
      wake();
    },
  });
  for (let at = 0; at < attempts && got.answer === undefined; at++) {
    signal.throwIfAborted();
    socket.send(request, { address: host, port: eips });
    const until = clock.now() + againMs;
    while (got.answer === undefined && clock.now() < until)
      await new Promise<void>((resolve) => {
        const cancel = clock.after(Math.max(1, until - clock.now()), resolve, true);
        wake = () => {
          cancel();
          resolve();
        };
      });
  }
  const silence = {
    kind: "silence",
    words: cookie === undefined ? "no answer" : "no answer behind the cookie",
    reply: new Uint8Array(),
  } as const;
  return { ...(got.answer ?? silence), request, cookie };
}

type Answer = Omit<DtlsAnswer, "request" | "cookie">;

function readAnswer(reply: Buffer): Answer {
  const body = reply.subarray(recordHeader);
  if (reply[0] === contentType.alert && body.length >= 2)
    return { kind: "alert", words: `alert ${body[1]} ${alertMeaning(body[1] ?? 0).name}`, reply };
  if (reply[0] === contentType.handshake && body[0] === handshakeTypes.serverHello) {
    const length = body.length >= messageHeader ? body.readUIntBE(9, 3) : 0;
    const hello = readServerHello(body.subarray(messageHeader, messageHeader + length));
    const version = body.length >= messageHeader + 2 ? body.readUInt16BE(messageHeader) : 0;
    if (hello !== undefined) {
      const suite = `0x${hello.suite.toString(16).toUpperCase().padStart(4, "0")}`;
      return {
        kind: "hello",
        words: `accepted ${versionName(version)} with suite ${suite}`,
        version,
        ...choicesOf(hello),
        reply,
      };
    }
  }
  return { kind: "other", words: `an answer that is no hello: ${reply.subarray(0, 16).toString("hex")}`, reply };
}

/** The cookie of a HelloVerifyRequest. @see RFC 6347 4.2.1 */
function cookieIn(reply: Buffer): Uint8Array | undefined {
  if (reply[0] !== contentType.handshake || reply[recordHeader] !== handshakeTypes.helloVerifyRequest) return undefined;
  const at = recordHeader + messageHeader + 2;
  const length = reply[at] ?? 0;
  const cookie = reply.subarray(at + 1, at + 1 + length);
  return cookie.length === length ? Uint8Array.from(cookie) : undefined;
}
