import { randomBytes } from "node:crypto";
import { readServerHello, versionName, type ServerHello } from "@cipsec/capture";
import { alertMeaning, dial, type Channel } from "@cipsec/transport";
import { isStackError } from "@cipsec/wire";
import type { EndpointSubject } from "./subject.ts";

/** A hello that offers exactly one version, in the form that stacks of that version send. */
export interface HelloWish {
  /** 0x0300 is SSL 3, 0x0301 TLS 1.0, 0x0303 TLS 1.2, 0x0304 TLS 1.3. */
  readonly version: number;
  /** IANA numbers. */
  readonly suites: readonly number[];
  /** Compression methods; 0 is none, and always offered. */
  readonly compressions?: readonly number[];
  /** Groups and signature schemes by IANA number; those that today's stacks have where left out. */
  readonly groups?: readonly number[];
  readonly signatures?: readonly number[];
  /** What `renegotiation_info` holds; the extension is not sent where it is left out. @see RFC 5746 3.2 */
  readonly renegotiationInfo?: Uint8Array;
  /** By chance where they are left out. */
  readonly random?: Uint8Array;
  readonly sessionId?: Uint8Array;
}

/** What a server said to a hello. */
export interface HelloAnswer {
  readonly kind: "hello" | "alert" | "closed" | "silence" | "other";
  readonly words: string;
  readonly version?: number;
  readonly suite?: number;
  /** Whether the server agreed to Encrypt-then-MAC. @see RFC 7366 */
  readonly encryptThenMac?: boolean;
  /** The method that the server chose; 0 is none. */
  readonly compression?: number;
  /** Whether the server says that it binds renegotiations. @see RFC 5746 3.6 */
  readonly bindsRenegotiation?: boolean;
  readonly request: Uint8Array;
  readonly reply: Uint8Array;
}

const contentType = { alert: 21, handshake: 22 } as const;
const serverHelloType = 2;

/** A ServerHello comes in the first record; with its certificate behind it a reply is a few kilobytes. */
const maxReplyOctets = 64 * 1024;

/** P-256, P-384, P-521, X25519, X448. */
const usualGroups = [0x0017, 0x0018, 0x0019, 0x001d, 0x001e];

/** ECDSA and RSA with SHA-256 to SHA-512, RSA-PSS, and last SHA-1, which only old stacks choose. */
const usualSignatures = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201];

/** Sends one hello over TCP and reads what comes first. Nothing is negotiated beyond it. */
export async function sayHello(subject: EndpointSubject, wish: HelloWish): Promise<HelloAnswer> {
  const request = clientHello(wish);
  const { kind, words, reply } = await exchange(subject, request, subject.timeoutMs);
  return kind === "some" ? { ...readAnswer(reply), request, reply } : { kind, words, request, reply };
}

/** Sends octets that are no hello. @returns What came of it, in words. */
export async function sayOctets(subject: EndpointSubject, octets: Uint8Array, waitMs: number): Promise<string> {
  const { kind, words, reply } = await exchange(subject, octets, waitMs);
  return kind === "some" ? readAnswer(reply).words : words;
}

/** One request over TCP to the secure port, and what comes first in the time. */
async function exchange(
  { host, eips, timeoutMs, signal, clock }: EndpointSubject,
  request: Uint8Array,
  waitMs: number,
): Promise<{ readonly kind: "some" | "closed" | "silence"; readonly words: string; readonly reply: Buffer }> {
  let channel: Channel;
  try {
    channel = await dial({ protocol: "tcp", host, port: eips, timeoutMs, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    return { kind: "closed", words: error.message, reply: Buffer.alloc(0) };
  }
  const { promise, resolve } = Promise.withResolvers<"some" | "closed" | "silence">();
  let reply = Buffer.alloc(0);
  channel.receive((octets) => {
    reply = Buffer.concat([reply, octets]).subarray(0, maxReplyOctets);
    if (reply.length >= 5 && reply.length >= 5 + reply.readUInt16BE(3)) resolve("some");
  });
  const cancel = clock.after(waitMs, () => resolve("silence"), true);
  void channel.closed.then(() => resolve(reply.length > 0 ? "some" : "closed"));
  channel.send(request);
  const kind = await promise;
  cancel();
  channel.destroy();
  const words = {
    some: "",
    silence: `no answer within ${waitMs} ms`,
    closed: "the connection was closed without an alert",
  };
  return { kind, words: words[kind], reply };
}

function readAnswer(reply: Buffer): Omit<HelloAnswer, "request" | "reply"> {
  const type = reply[0];
  const body = reply.subarray(5, 5 + (reply.length >= 5 ? reply.readUInt16BE(3) : 0));
  if (type === contentType.alert && body.length >= 2) {
    const { name } = alertMeaning(body[1] ?? 0);
    return { kind: "alert", words: `alert ${body[1]} ${name}` };
  }
  if (type === contentType.handshake && body[0] === serverHelloType) {
    const hello = readServerHello(body.subarray(4));
    if (hello !== undefined) {
      const suite = `0x${hello.suite.toString(16).toUpperCase().padStart(4, "0")}`;
      const words = `accepted ${versionName(hello.version)} with suite ${suite}`;
      return { kind: "hello", words, version: hello.version, ...choicesOf(hello) };
    }
  }
  return { kind: "other", words: `an answer that is not TLS: ${reply.subarray(0, 16).toString("hex")}` };
}

/** What a server chose beside its version. */
export function choicesOf({
  suite,
  encryptThenMac,
  compression,
  extensions,
}: ServerHello): Pick<HelloAnswer, "suite" | "encryptThenMac" | "compression" | "bindsRenegotiation"> {
  // In a first handshake there is nothing to be bound to: the list in it is empty.
  const info = extensions.get(renegotiationInfoType);
  return { suite, encryptThenMac, compression, bindsRenegotiation: info?.length === 1 && info[0] === 0 };
}

function clientHello(wish: HelloWish): Uint8Array {
  const { version } = wish;
  const type = Buffer.from([contentType.handshake]);
  return Buffer.concat([type, u16(Math.min(version, 0x0301)), vector16(helloMessage(wish))]);
}

/**
 * A ClientHello without the record around it.
 *
 * @see RFC 5246 7.4.1.2, RFC 8446 4.1.2
 */
export function helloMessage(wish: HelloWish): Buffer {
  const { version, suites, compressions = [], random = randomBytes(32), sessionId = randomBytes(32) } = wish;
  const body = Buffer.concat([
    u16(Math.min(version, 0x0303)),
    random,
    vector8(Buffer.from(sessionId)),
    vector16(Buffer.concat(suites.map(u16))),
    vector8(Buffer.from([...compressions, 0])),
    ...(version === 0x0300 ? [] : [vector16(helloExtensions(version, wish))]),
  ]);
  return Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
}

const renegotiationInfoType = 0xff01;

/** What a hello says beside its suites. */
export function helloExtensions(
  version: number,
  {
    groups = usualGroups,
    signatures = usualSignatures,
    renegotiationInfo,
  }: Pick<HelloWish, "groups" | "signatures" | "renegotiationInfo"> = {},
): Buffer {
  const list = [
    extension(10, vector16(Buffer.concat(groups.map(u16)))),
    extension(11, vector8(Buffer.from([0]))),
    extension(22, Buffer.alloc(0)),
    extension(23, Buffer.alloc(0)),
  ];
  if (renegotiationInfo !== undefined)
    list.push(extension(renegotiationInfoType, vector8(Buffer.from(renegotiationInfo))));
  if (version >= 0x0303) list.push(extension(13, vector16(Buffer.concat(signatures.map(u16)))));
  if (version === 0x0304) list.push(extension(43, vector8(u16(version))), extension(51, vector16(Buffer.alloc(0))));
  return Buffer.concat(list);
}

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([u16(type), vector16(body)]);
}

/** Two octets, big-endian. */
export function u16(value: number): Buffer {
  return Buffer.from([(value >> 8) & 0xff, value & 0xff]);
}

/** Octets with their count before them, in one octet. */
export function vector8(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([body.length]), body]);
}

/** The same, in two octets. */
export function vector16(body: Buffer): Buffer {
  return Buffer.concat([u16(body.length), body]);
}
