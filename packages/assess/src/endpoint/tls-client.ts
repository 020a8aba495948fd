import { createHash, randomBytes, type KeyObject } from "node:crypto";
import { cipherSuite, keysFromMaster, readServerHello } from "@cipsec/capture";
import {
  DtlsError,
  extendedMasterSecret,
  groups,
  handshakeTypes,
  masterSecret,
  prf,
  pskPremaster,
  readCertificateRequest,
  readPskKeyExchange,
  readSignedKeyExchange,
  signatureSchemes,
  signWith,
} from "@cipsec/dtls";
import { dial, type Channel, type Clock } from "@cipsec/transport";
import { FrameStream, isStackError, type Frame } from "@cipsec/wire";
import { helloMessage, u16, vector16, vector8 } from "./client-hello.ts";
import { contentType, tlsRecords, type Ended, type Protection, type TlsRecords } from "./tls-records.ts";

/** Certificates as they are, in DER or anything else, and the key that is signed with, whether it is theirs or not. */
export interface UncheckedIdentity {
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
}

/** How one handshake is done. */
export interface HandshakeWish {
  readonly identity?: UncheckedIdentity;
  readonly psk?: { readonly identity: Uint8Array; readonly key: Uint8Array };
  /** What `renegotiation_info` holds: empty in a first handshake; the extension is not sent where it is left out. @see RFC 5746 3.2 */
  readonly renegotiationInfo?: Uint8Array;
  /** An earlier session, to go on with where the server still knows it. */
  readonly session?: TlsSession;
}

/** What a server may know a caller by when he comes again. */
export interface TlsSession {
  /** Empty where the server keeps none. */
  readonly id: Uint8Array;
  readonly suite: number;
  readonly master: Uint8Array;
}

/** What came of a handshake that was completed. */
export interface Handshaken {
  readonly suite: number;
  readonly session: TlsSession;
  /** Whether the server went on with the session that it was shown, and asked for no proof. */
  readonly isResumed: boolean;
  /** Whether the server asked for a certificate. */
  readonly asked: boolean;
  /** What the server's `renegotiation_info` holds, where it sent it. */
  readonly renegotiationInfo: Uint8Array | undefined;
  /** The data of both Finished messages, by which the next handshake is bound to this one. */
  readonly clientVerify: Uint8Array;
  readonly serverVerify: Uint8Array;
}

/**
 * A TLS 1.2 client for assessments: it does what an honest client does not, such as presenting a certificate whose key it has not got,
 * and negotiating anew without the binding. It checks nothing about the server, and must never carry what matters.
 */
export interface UncheckedTls extends AsyncDisposable {
  /** Does a handshake: in clear the first time, inside the connection from then on. */
  handshake(wish: HandshakeWish): Promise<Handshaken | Ended>;
  /** Sends application data and waits for the next encapsulation frame. */
  ask(octets: Uint8Array): Promise<Frame | Ended>;
}

/** Suites that are offered, best first: with AES, and an ephemeral key. */
const suites = {
  certificate: [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xc023, 0xc024, 0xc027, 0xc028, 0xc009, 0xc00a, 0xc013, 0xc014],
  psk: [0xc037, 0xc038, 0xc035, 0xc036],
} as const;

const extensionType = { extendedMasterSecret: 23, renegotiationInfo: 0xff01 } as const;

/** A server's flight has at most seven messages. */
const maxMessages = 16;

/** A chain of certificates is some kilobytes. */
const maxMessage = 128 * 1024;

const verifyLength = 12;

/** @throws as `dial` does. */
export async function openUncheckedTls(
  where: { readonly host: string; readonly port: number; readonly timeoutMs: number; readonly signal: AbortSignal },
  clock: Clock,
  keyLog: (line: string) => void = () => undefined,
): Promise<UncheckedTls> {
  const channel = await dial({ protocol: "tcp", ...where });
  return uncheckedTls(channel, clock, where.timeoutMs, keyLog);
}

function uncheckedTls(channel: Channel, clock: Clock, waitMs: number, keyLog: (line: string) => void): UncheckedTls {
  const records = tlsRecords(channel, clock);
  const frames = new FrameStream();
  return {
    async handshake(wish) {
      try {
        return await handshake(records, wish, waitMs, keyLog);
      } catch (error) {
        // What the server said could not be read.
        if (!(error instanceof DtlsError)) throw error;
        return { ended: "other", words: error.message };
      }
    },
    async ask(octets) {
      records.send(contentType.applicationData, octets);
      for (;;) {
        const record = await records.next(waitMs);
        if ("ended" in record) return record;
        if (record.type !== contentType.applicationData) continue;
        try {
          for (const event of frames.push(Uint8Array.from(record.body))) if (event.type === "frame") return event.frame;
        } catch (error) {
          if (!isStackError(error)) throw error;
          return { ended: "other", words: error.message };
        }
      }
    },
    async [Symbol.asyncDispose]() {
      channel.destroy();
      await channel.closed;
    },
  };
}

async function handshake(
  records: TlsRecords,
  wish: HandshakeWish,
  waitMs: number,
  keyLog: (line: string) => void,
): Promise<Handshaken | Ended> {
  const transcript: Uint8Array[] = [];
  const messages = messagesOf(records, waitMs);
  const say = (type: number, body: Uint8Array): void => {
    const message = Buffer.concat([Buffer.from([type, 0]), u16(body.length), body]);
    transcript.push(message);
    records.send(contentType.handshake, message);
  };
  const clientRandom = randomBytes(32);
  const hello = helloOf(wish, clientRandom);
  transcript.push(hello);
  records.send(contentType.handshake, hello);

  const heard = new Map<number, Uint8Array>();
  const isSameSession = (): boolean => {
    const id = sessionIdIn(heard.get(handshakeTypes.serverHello));
    return wish.session !== undefined && id.length > 0 && Buffer.from(wish.session.id).equals(id);
  };
  while (!isSameSession() && !heard.has(handshakeTypes.serverHelloDone)) {
    const message = await messages.next();
    if ("ended" in message) return message;
    transcript.push(message.whole);
    heard.set(message.type, message.whole.subarray(4));
    if (transcript.length > maxMessages) return { ended: "other", words: "a flight without an end" };
  }
  const chosen = readServerHello(heard.get(handshakeTypes.serverHello) ?? new Uint8Array());
  const bulk = chosen && cipherSuite(chosen.suite)?.bulk;
  if (chosen === undefined || bulk === undefined || (bulk.mode !== "gcm" && bulk.mode !== "cbc"))
    return { ended: "other", words: "a ServerHello that does not answer ours" };
  const info = chosen.extensions.get(extensionType.renegotiationInfo);
  // One octet of length stands before it.
  const renegotiationInfo = info === undefined ? undefined : Uint8Array.from(info.subarray(1));
  const digest = (): Uint8Array => createHash(bulk.prf).update(Buffer.concat(transcript)).digest();
  const finish = (master: Uint8Array): Finishing => {
    const keys = keysFromMaster(bulk, master, clientRandom, chosen.random);
    const protection = (way: "client" | "server"): Protection => ({
      bulk,
      keys: keys[way],
      encryptThenMac: chosen.encryptThenMac,
    });
    const verifyData = (side: "client" | "server"): Uint8Array =>
      prf(bulk.prf, master, `${side} finished`, digest(), verifyLength);
    messages.onChange(() => records.protect("in", protection("server")));
    return {
      say() {
        records.send(contentType.changeCipherSpec, Uint8Array.of(1));
        records.protect("out", protection("client"));
        const verify = verifyData("client");
        say(handshakeTypes.finished, verify);
        return verify;
      },
      async hear() {
        let last = await messages.next();
        if (!("ended" in last) && last.type === handshakeTypes.newSessionTicket) {
          transcript.push(last.whole);
          last = await messages.next();
        }
        if ("ended" in last) return last;
        const verify = verifyData("server");
        if (last.type !== handshakeTypes.finished || !Buffer.from(verify).equals(last.whole.subarray(4)))
          return { ended: "other", words: "a handshake that ends without a true Finished" };
        transcript.push(last.whole);
        return verify;
      },
    };
  };
  if (isSameSession() && wish.session !== undefined) {
    const { session } = wish;
    keyLog(`CLIENT_RANDOM ${clientRandom.toString("hex")} ${Buffer.from(session.master).toString("hex")}`);
    const finishing = finish(session.master);
    const serverVerify = await finishing.hear();
    if ("ended" in serverVerify) return serverVerify;
    const clientVerify = finishing.say();
    return {
      suite: chosen.suite,
      session,
      isResumed: true,
      asked: false,
      renegotiationInfo,
      clientVerify,
      serverVerify,
    };
  }
  const isByKey = wish.psk !== undefined && suites.psk.some((id) => id === chosen.suite);
  const exchange = heard.get(handshakeTypes.serverKeyExchange) ?? new Uint8Array();
  const { group, point } = isByKey ? readPskKeyExchange(exchange) : readSignedKeyExchange(exchange).parameters;
  const ephemeral = groups.find(({ id }) => id === group)?.generate();
  if (ephemeral === undefined) return { ended: "other", words: `group ${group}, which was not offered` };
  const agreed = ephemeral.agree(point);

  const request = heard.get(handshakeTypes.certificateRequest);
  const { identity, psk } = wish;
  if (request !== undefined) say(handshakeTypes.certificate, certificateList(identity?.chain ?? []));
  const named = isByKey && psk !== undefined ? vector16(Buffer.from(psk.identity)) : Buffer.alloc(0);
  say(handshakeTypes.clientKeyExchange, Buffer.concat([named, vector8(Buffer.from(ephemeral.point))]));
  const premaster = isByKey && psk !== undefined ? pskPremaster(agreed, psk.key) : agreed;
  const master = chosen.extensions.has(extensionType.extendedMasterSecret)
    ? extendedMasterSecret(bulk.prf, premaster, digest())
    : masterSecret(bulk.prf, premaster, clientRandom, chosen.random);
  keyLog(`CLIENT_RANDOM ${clientRandom.toString("hex")} ${Buffer.from(master).toString("hex")}`);
  if (request !== undefined && identity !== undefined) {
    const offered = readCertificateRequest(request).signatureSchemes;
    const scheme = signatureSchemes.find(
      ({ id, key }) => offered.includes(id) && key === identity.key.asymmetricKeyType,
    );
    if (scheme === undefined) return { ended: "other", words: "a request for signatures that our key cannot make" };
    const signature = signWith(scheme, identity.key, Buffer.concat(transcript));
    say(handshakeTypes.certificateVerify, Buffer.concat([u16(scheme.id), vector16(Buffer.from(signature))]));
  }

  const finishing = finish(master);
  const clientVerify = finishing.say();
  const serverVerify = await finishing.hear();
  if ("ended" in serverVerify) return serverVerify;
  return {
    suite: chosen.suite,
    session: { id: sessionIdIn(heard.get(handshakeTypes.serverHello)), suite: chosen.suite, master },
    isResumed: false,
    asked: request !== undefined,
    renegotiationInfo,
    clientVerify,
    serverVerify,
  };
}

/** The end of a handshake: both sides change to the new keys, and prove that they saw the same. In either order. */
interface Finishing {
  /** @returns The data of our own Finished. */
  say(): Uint8Array;
  /** @returns The data of the server's. */
  hear(): Promise<Uint8Array | Ended>;
}

/** What a ServerHello calls the session. It stands behind version and random. */
function sessionIdIn(hello: Uint8Array = new Uint8Array()): Uint8Array {
  return hello.slice(35, 35 + (hello[34] ?? 0));
}

function helloOf({ psk, renegotiationInfo, session }: HandshakeWish, random: Uint8Array): Buffer {
  return helloMessage({
    version: 0x0303,
    random,
    // Without one no other client of ours could be meant to go on.
    sessionId: session?.id ?? new Uint8Array(),
    suites: [...suites.certificate, ...(psk === undefined ? [] : suites.psk)],
    groups: groups.map(({ id }) => id),
    signatures: signatureSchemes.map(({ id }) => id),
    ...(renegotiationInfo === undefined ? {} : { renegotiationInfo }),
  });
}

/** @see RFC 5246 7.4.2 */
export function certificateList(chain: readonly Uint8Array[]): Buffer {
  const vector24 = (body: Buffer): Buffer => Buffer.concat([Buffer.from([0]), vector16(body)]);
  return vector24(Buffer.concat(chain.map((der) => vector24(Buffer.from(der)))));
}

interface Messages {
  next(): Promise<{ readonly type: number; readonly whole: Buffer } | Ended>;
  /** Says what happens when the server changes to the new keys. */
  onChange(act: () => void): void;
}

/** Handshake messages out of records: several may lie in one, and one in several. */
export function messagesOf(records: TlsRecords, waitMs: number): Messages {
  let waiting = Buffer.alloc(0);
  let change: () => void = () => undefined;
  return {
    onChange: (act) => {
      change = act;
    },
    async next() {
      for (;;) {
        const length = waiting.length < 4 ? Number.POSITIVE_INFINITY : 4 + waiting.readUIntBE(1, 3);
        if (waiting.length >= 4 && length > maxMessage) return { ended: "other", words: "a message without an end" };
        if (waiting.length >= length) {
          const whole = waiting.subarray(0, length);
          waiting = waiting.subarray(length);
          const [type = 0] = whole;
          if (type !== handshakeTypes.helloRequest) return { type, whole };
          continue;
        }
        const record = await records.next(waitMs);
        if ("ended" in record) return record;
        if (record.type === contentType.changeCipherSpec) change();
        if (record.type === contentType.handshake) waiting = Buffer.concat([waiting, record.body]);
      }
    },
  };
}
