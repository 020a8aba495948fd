import { constants } from "node:crypto";
import { connect, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { createServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { originatorTrust } from "@cipsec/originator";
import { makeKeyPair, parseCertificate, privateKeyToPem, verifyChain, type KeyPair } from "@cipsec/pki";
import { dial, openUdp, systemClock, type Channel, type UdpSocket } from "@cipsec/transport";
import {
  Command,
  decode,
  encode,
  frame,
  FrameStream,
  isStackError,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  noOctets,
  SendData,
  type Frame,
  type Request,
} from "@cipsec/wire";
import { startDatagramFront, type DatagramFrontWish } from "./broken-datagrams.ts";
import type { Plant } from "./plant.ts";

/** What is wrong with an endpoint that stands in for a device; everything else goes to a real one behind it. */
export interface FrontWish {
  readonly address: string;
  /** Address of the device behind. */
  readonly device: string;
  /**
   * Whom it lets in: whoever shows a certificate of the plant's name, or the plant's issuing authority has signed; or who is sound in
   * everything but the strength of his key.
   */
  readonly admits?: "any-name" | "plant" | "weak-keys";
  /** Takes another handshake inside a connection, whether it is bound to what went before or not. */
  readonly renegotiates?: boolean;
  /** Answers a request itself: with data and success, or a status. */
  readonly lie?: (request: LiedRequest) => { readonly status?: number; readonly data?: Uint8Array } | undefined;
  /** Keeps its connections when the device ends them. */
  readonly keepsConnections?: boolean;
  /** Keeps 44818/tcp open whatever the device says. */
  readonly keepsPlainPort?: boolean;
  /** Keeps 2222/udp open whatever the device says. */
  readonly keepsIoPort?: boolean;
  /** Ends the oldest of more connections than this. */
  readonly most?: number;
  /** Goes on with TLS sessions that it has seen before. */
  readonly resumes?: boolean;
  /** Ends a connection at its next read of the serial number after so many, as often as it may talk. */
  readonly mostReads?: number;
  /** Its key, where it is another one's too. */
  readonly pair?: KeyPair;
  /** Takes suites of TLS 1.3 that do not encrypt, beside one that does. */
  readonly integrityOnly?: boolean;
  /** Lets nobody in any more once it has refused somebody. */
  readonly locksOut?: boolean;
  /** Milliseconds by which it answers later, and by which it tells a lie later. */
  readonly slowMs?: number;
  readonly lieMs?: number;
  /** Serves DTLS too, and does this wrong with it. */
  readonly datagrams?: Omit<DatagramFrontWish, "address" | "device">;
}

/** A request by its numbers. */
export interface LiedRequest {
  readonly service: number;
  readonly classId: number;
  readonly instance: number;
  readonly attribute: number;
}

const ofThePlan = {
  maxVersion: "TLSv1.2",
  ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
} as const;

/** @see RFC 9150 */
const withIntegrityOnly = {
  maxVersion: "TLSv1.3",
  ciphers: `TLS_AES_128_GCM_SHA256:TLS_SHA256_SHA256:${ofThePlan.ciphers}:@SECLEVEL=0`,
} as const;

/** A TLS endpoint on port 2221 that does one thing wrong. For tests of the assessor only. */
export async function startFront(plant: Plant, wish: FrontWish): Promise<AsyncDisposable> {
  const pair = wish.pair ?? (await makeKeyPair());
  const san = { ip: [wish.address, wish.device] };
  const subject = { commonName: "front" };
  const issued = await plant.ca.issue({ profile: "device", publicKey: pair.publicKey, subject, san });
  const open = new Set<{ destroy(): void }>();
  const policy = originatorTrust({ ...plant.security, checkName: false }).policy;
  let isLocked = false;
  const join = async (near: TLSSocket): Promise<void> => {
    near.on("error", () => undefined);
    if (isLocked || !admits(plant, wish, near)) {
      isLocked ||= wish.locksOut === true;
      return void near.destroy();
    }
    const tell = (octets: Uint8Array, afterMs = wish.slowMs ?? 0): void => {
      if (afterMs === 0) near.write(octets);
      else systemClock.after(afterMs, () => near.write(octets), true);
    };
    open.add(near);
    let reads = 0;
    const waiting: Buffer[] = [];
    near.on("data", (octets: Buffer) => void waiting.push(octets));
    let far: Channel;
    try {
      far = await dial({ protocol: "tls", host: wish.device, port: 2221, timeoutMs: 10_000, tls: policy });
    } catch {
      return void near.destroy();
    }
    open.add(far);
    const frames = new FrameStream();
    const pass = (octets: Uint8Array): void => {
      try {
        for (const event of frames.push(Uint8Array.from(octets))) {
          if (event.type !== "frame") continue;
          if (isSerialRead(event.frame) && ++reads > (wish.mostReads ?? Number.POSITIVE_INFINITY)) near.destroy();
          const reply = answer(event.frame, wish);
          if (reply === undefined) far.send(frame(event.frame.command, event.frame));
          else tell(reply, wish.lieMs);
        }
      } catch (error) {
        if (!isStackError(error)) throw error;
        near.destroy();
      }
    };
    far.receive((octets) => tell(Buffer.from(octets)));
    near.removeAllListeners("data");
    for (const octets of waiting) pass(octets);
    near.on("data", pass);
    near.on("close", () => far.destroy());
    void far.closed.then(() => (wish.keepsConnections === true ? undefined : near.destroy()));
  };
  const server = createServer(
    {
      key: privateKeyToPem(pair.privateKey),
      cert: issued.chainPem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
      ...(wish.integrityOnly === true ? withIntegrityOnly : ofThePlan),
      secureOptions:
        wish.renegotiates === true
          ? constants.SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION
          : constants.SSL_OP_NO_RENEGOTIATION,
    },
    (near) => void join(near),
  );
  server.on("tlsClientError", () => undefined);
  if (wish.resumes === true) keepSessions(server);
  const sockets: Socket[] = [];
  server.on("connection", (socket) => {
    sockets.push(socket);
    if (sockets.length > (wish.most ?? Number.POSITIVE_INFINITY)) sockets.shift()?.destroy();
  });
  await listening(server, 2221, wish.address);
  const { address, device, datagrams } = wish;
  const associations =
    datagrams === undefined ? undefined : await startDatagramFront(plant, { address, device, ...datagrams });
  const plain = createPlainServer((socket) => void socket.on("error", () => undefined).resume());
  if (wish.keepsPlainPort === true) await listening(plain, 44_818, wish.address);
  const io =
    wish.keepsIoPort === true
      ? await openUdp({ address: wish.address, port: 2222, receive: () => undefined })
      : undefined;
  return {
    async [Symbol.asyncDispose]() {
      for (const one of open) one.destroy();
      await associations?.[Symbol.asyncDispose]();
      await io?.close();
      await Promise.all([server, plain].map(async (one) => await closed(one)));
    },
  };
}

/** OpenSSL knows sessions again by their id where somebody keeps them for it. */
export function keepSessions(server: TlsServer): void {
  const kept = new Map<string, Buffer>();
  server.on("newSession", (id, session, done) => {
    kept.set(id.toString("hex"), session);
    done();
  });
  server.on("resumeSession", (id, done) => done(null, kept.get(id.toString("hex"))));
}

function admits(plant: Plant, { admits: whom = "plant" }: FrontWish, near: TLSSocket): boolean {
  const { raw } = near.getPeerCertificate();
  if (raw === undefined) return false;
  const leaf = parseCertificate(Uint8Array.from(raw));
  const { facts, x509 } = leaf;
  if (whom === "weak-keys") {
    const chain = shown(near).map((der) => parseCertificate(der));
    const verdict = verifyChain({ leaf, chain, anchors: [plant.ca.root], time: new Date(), purpose: "client" });
    return verdict.ok || verdict.code === "trust/weak";
  }
  if (whom === "any-name") return facts.issuer.includes(plant.ca.name) || facts.issuer.startsWith("CN=assessment");
  return x509.verify(plant.issuing.publicKey);
}

/** All certificates that a client has sent. */
function shown(near: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  for (let one = near.getPeerX509Certificate(); one !== undefined && chain.length < 8; one = one.issuerCertificate)
    chain.push(Uint8Array.from(one.raw));
  return chain;
}

/** The lie told in place of the device's answer, if there is one for this request. */
function answer({ command, session, context, data }: Frame, { lie }: FrontWish): Uint8Array | undefined {
  if (command !== Command.sendRRData || lie === undefined) return undefined;
  const request = requestIn(data);
  const lied = request === undefined ? undefined : lie(numbersOf(request));
  if (request === undefined || lied === undefined) return undefined;
  const message = encode(MessageRouterReply, {
    service: request.service,
    status: lied.status ?? 0,
    extended: [],
    data: lied.data ?? noOctets,
  });
  const told = [
    { type: ItemType.nullAddress, data: noOctets },
    { type: ItemType.unconnectedData, data: message },
  ];
  return frame(command, { session, context, data: encode(SendData, { interfaceHandle: 0, timeoutS: 0, items: told }) });
}

function isSerialRead({ command, data }: Frame): boolean {
  const request = command === Command.sendRRData ? requestIn(data) : undefined;
  if (request === undefined) return false;
  const { service, classId, attribute } = numbersOf(request);
  return service === 0x0e && classId === 1 && attribute === 6;
}

/** The request in a message, where it is one: the assessor also sends what is none. */
function requestIn(data: Uint8Array): Request | undefined {
  try {
    const item = decode(SendData, data).items.find(({ type }) => type === ItemType.unconnectedData);
    return item === undefined ? undefined : decode(MessageRouterRequest, item.data);
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}

function numbersOf({ service, path }: Request): LiedRequest {
  const at = (kind: "class" | "instance" | "attribute"): number => {
    const segment = path.find((one) => one.kind === kind);
    return segment !== undefined && "value" in segment ? segment.value : 0;
  };
  return { service, classId: at("class"), instance: at("instance"), attribute: at("attribute") };
}

async function listening(server: Server, port: number, host: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
}

async function closed(server: Server): Promise<void> {
  if (server.listening) await new Promise((resolve) => void server.close(resolve));
}

/**
 * A wire to a device that hides replays. Over TLS it drops each record that went over it before, so that a replayed one has no effect and
 * is not noticed; over DTLS it answers a datagram that it has seen with the last one that came back.
 */
export async function startForgivingWire(
  address: string,
  device: string,
  over: "tls" | "dtls",
): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createPlainServer((near) => {
    const far = connect(2221, device);
    const seen = new Set<string>();
    let rest = Buffer.alloc(0);
    for (const one of [near, far]) {
      open.add(one);
      one.on("error", () => undefined);
    }
    near.on("data", (octets: Buffer) => {
      rest = Buffer.concat([rest, octets]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
        const record = rest.subarray(0, 5 + rest.readUInt16BE(3));
        if (over === "dtls" || !seen.has(record.toString("hex"))) far.write(record);
        seen.add(record.toString("hex"));
        rest = rest.subarray(record.length);
      }
    });
    far.on("data", (octets) => void near.write(octets));
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
  });
  await listening(server, 2221, address);
  const datagrams = await startDatagramWire(address, device, over === "dtls");
  return {
    async [Symbol.asyncDispose]() {
      for (const one of open) one.destroy();
      await datagrams[Symbol.asyncDispose]();
      await closed(server);
    },
  };
}

/**
 * A wire to a device that answers hellos with DEFLATE in them as old stacks do: with DEFLATE, and without a word of renegotiation. What
 * comes of such a hello is never gone on with.
 */
export async function startOldWire(address: string, device: string): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createPlainServer((near) => {
    const far = connect(2221, device);
    let hello: Buffer | undefined;
    for (const one of [near, far]) {
      open.add(one);
      one.on("error", () => undefined);
    }
    near.on("data", (octets: Buffer) => {
      hello ??= octets;
      far.write(octets);
    });
    far.on("data", (octets: Buffer) => void near.write(hello === undefined ? octets : asOld(hello, octets, 9)));
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
  });
  await listening(server, 2221, address);
  const datagrams = await startDatagramWire(address, device, false, (hello, octets) => asOld(hello, octets, 25));
  return {
    async [Symbol.asyncDispose]() {
      for (const one of open) one.destroy();
      await datagrams[Symbol.asyncDispose]();
      await closed(server);
    },
  };
}

/** @param at Where the body of a hello begins: after the headers of record and message. */
function asOld(hello: Buffer, answer: Buffer, at: number): Buffer {
  const [isDatagram, clientHello, serverHello] = [at > 9, 1, 2];
  const messageAt = isDatagram ? 13 : 5;
  if (hello[0] !== 22 || hello[messageAt] !== clientHello || answer[messageAt] !== serverHello) return answer;
  let from = at + 34;
  from += 1 + (hello[from] ?? 0);
  if (isDatagram) from += 1 + (hello[from] ?? 0);
  from += 2 + hello.readUInt16BE(from);
  if (hello[from + 1] !== 1) return answer;
  const old = Buffer.from(answer);
  old[at + 34 + 1 + (old[at + 34] ?? 0) + 2] = 1;
  const info = old.indexOf(Buffer.from("ff01000100", "hex"));
  if (info > 0) old.writeUInt16BE(0xfafa, info);
  return old;
}

async function startDatagramWire(
  address: string,
  device: string,
  repeats: boolean,
  alter: (sent: Buffer, answer: Buffer) => Uint8Array = (_sent, answer) => answer,
): Promise<AsyncDisposable> {
  const far = new Map<number, Promise<UdpSocket>>();
  const seen = new Set<string>();
  const last = new Map<number, Uint8Array>();
  const sent = new Map<number, Buffer>();
  const near = await openUdp({
    address,
    port: 2221,
    receive: (octets, tool) => {
      const copy = octets.slice();
      const key = Buffer.from(copy).toString("hex");
      const again = last.get(tool.port);
      if (repeats && seen.has(key) && again !== undefined) return near.send(again, tool);
      seen.add(key);
      sent.set(tool.port, Buffer.from(copy));
      const socket =
        far.get(tool.port) ??
        openUdp({
          address: "0.0.0.0",
          port: 0,
          receive: (answer) => {
            last.set(tool.port, answer.slice());
            near.send(alter(sent.get(tool.port) ?? Buffer.alloc(0), Buffer.from(answer)), tool);
          },
        });
      far.set(tool.port, socket);
      void socket.then((one) => one.send(copy, { address: device, port: 2221 }));
      return undefined;
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      await near.close();
      for (const one of await Promise.all(far.values())) await one.close();
    },
  };
}

/** Something that listens where nothing should. */
export async function startListener(address: string, port: number): Promise<AsyncDisposable> {
  const server = createPlainServer((socket) => socket.destroy());
  await listening(server, port, address);
  return { [Symbol.asyncDispose]: async () => await closed(server) };
}
