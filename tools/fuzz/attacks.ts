import { createSocket } from "node:dgram";
import { Command, ForwardOpenReply, MessageRouterReply, SendData, decode, frame, isStackError } from "@cipsec/wire";
import type { Corpus } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { nameIn, registerFrame } from "./prober.ts";
import type { Random } from "./random.ts";
import { connected, nameRequest, openRequest, unconnected } from "./requests.ts";
import { alteredTls, dialPlain, dialTls, type Place, type Wire } from "./wires.ts";

/** What an attack came to. */
export interface AttackResult {
  readonly inputs: number;
  /** Something that the target must not do. */
  readonly problem?: string;
}

/** What attacks start from. */
export interface Ammunition {
  readonly corpus: Corpus;
  readonly requests: readonly Uint8Array[];
  /** The name the target must tell of itself after everything. */
  readonly name: string;
  /** Remembers an input for replay. */
  readonly sent: (bytes: Uint8Array) => void;
}

/** One connection's worth of hostile input. */
export type Attack = (place: Place, random: Random, ammunition: Ammunition) => Promise<AttackResult>;

/** Above this the target hangs; shorter waits show in the times of the probe. */
const answerMs = 10_000;

/** Batches that one session sends, each ended by a good request that must be answered. */
const maxBatches = 12;

const resetService = 0x05;

/** Mutated requests inside good frames, by SendRRData and on a class 3 connection, over TCP. */
export const tcpSession: Attack = (place, random, ammunition) => session(dialPlain, place, random, ammunition);

/** The same inside TLS. */
export const tlsSession: Attack = (place, random, ammunition) => session(dialTls, place, random, ammunition);

async function session(
  dial: (place: Place) => Promise<Wire | undefined>,
  place: Place,
  random: Random,
  ammunition: Ammunition,
): Promise<AttackResult> {
  const wire = await dial(place);
  if (wire === undefined) return { inputs: 0 };
  let inputs = 0;
  try {
    await wire.send(registerFrame);
    const registered = await wire.next(({ command }) => command === Command.registerSession, answerMs);
    if (typeof registered === "string" || registered.status !== 0) return { inputs };
    const handle = registered.session;
    const connection = random.oneIn(2) ? await openConnection(wire, handle, 1 + random.below(0xffff)) : undefined;
    for (let batch = 0; batch < maxBatches && !wire.isClosed; batch += 1) {
      const size = 4 + random.below(28);
      for (let i = 0; i < size; i += 1) {
        const message = hostileRequest(random, ammunition);
        const isConnected = connection !== undefined && random.oneIn(3);
        const bytes = isConnected
          ? connected(handle, connection, inputs & 0xffff, message)
          : unconnected(handle, message, new Uint8Array(8));
        const whole = random.oneIn(8) ? withHostileItems(random, bytes, handle) : bytes;
        ammunition.sent(whole);
        await wire.send(whole);
        inputs += 1;
      }
      const mark = random.octets(8);
      await wire.send(unconnected(handle, nameRequest, mark));
      const answer = await wire.next(({ context }) => Buffer.compare(context, mark) === 0, answerMs);
      if (answer === "silent")
        return { inputs, problem: `a good request after hostile ones got no answer in ${answerMs} ms` };
      if (answer === "closed") return { inputs };
      const seen = nameIn(answer.status, answer.data);
      if (seen !== ammunition.name) return { inputs, problem: `a good request got a wrong answer: ${seen}` };
    }
    return { inputs };
  } finally {
    wire.end();
  }
}

async function openConnection(wire: Wire, handle: number, serial: number): Promise<number | undefined> {
  const mark = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  await wire.send(unconnected(handle, openRequest(serial), mark));
  const answer = await wire.next(({ context }) => Buffer.compare(context, mark) === 0, answerMs);
  if (typeof answer === "string" || answer.status !== 0) return undefined;
  try {
    const reply = decode(MessageRouterReply, decode(SendData, answer.data).items[1]?.data ?? new Uint8Array(0));
    return reply.status === 0 ? decode(ForwardOpenReply, reply.data).oToTConnectionId : undefined;
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}

/** A request with something wrong, now and then a good one, so that there is state to be wrong about. Resets are rare: they end all sessions. */
function hostileRequest(random: Random, { requests, corpus }: Ammunition): Uint8Array {
  for (;;) {
    const good = random.pick(requests);
    const bytes = random.oneIn(4) ? good : mutate(random, good, random.oneIn(2) ? requests : corpus.messages);
    if (bytes[0] !== resetService || random.oneIn(20)) return bytes.subarray(0, 4000);
  }
}

/** A frame whose header is right and whose items are not. */
function withHostileItems(random: Random, bytes: Uint8Array, handle: number): Uint8Array {
  const command = random.oneIn(2) ? Command.sendRRData : Command.sendUnitData;
  return frame(command, { session: handle, data: mutate(random, bytes.subarray(24), []).subarray(0, 4000) });
}

/** Mutated frames and garbage, header and all, in chunks of any size; the stream may be out of step at once. */
export const tcpOctets: Attack = async (place, random, { corpus, sent }) => {
  const wire = await dialPlain(place);
  if (wire === undefined) return { inputs: 0 };
  const count = 1 + random.below(24);
  let inputs = 0;
  if (random.oneIn(2)) await wire.send(registerFrame);
  for (; inputs < count && !wire.isClosed; inputs += 1) {
    const bytes = mutate(random, random.pick(corpus.frames), corpus.frames);
    sent(bytes);
    const cut = random.below(bytes.length + 1);
    await wire.send(bytes.subarray(0, cut));
    await wire.send(bytes.subarray(cut));
  }
  await wire.next(() => false, 2);
  wire.end();
  return { inputs };
};

/** A peer that says a little, octet by octet, or nothing, and stays. */
export const slowPeer: Attack = async (place, random, { corpus, sent }) => {
  const wire = await dialPlain(place);
  if (wire === undefined) return { inputs: 0 };
  const bytes = random.pick(corpus.frames).subarray(0, random.below(30));
  sent(bytes);
  for (const octet of bytes) {
    await wire.send(Uint8Array.of(octet));
    await wire.next(() => false, random.below(40));
  }
  wire.end();
  return { inputs: 1 };
};

/** Octets on the TLS port that are no TLS, or a TLS handshake or record with something wrong. */
export const tlsOctets: Attack = async (place, random, { corpus, sent }) => {
  const which = random.below(6);
  if (which === 5) {
    const wire = await dialPlain(place);
    if (wire === undefined) return { inputs: 0 };
    const bytes = mutate(random, random.pick(corpus.frames), corpus.frames);
    sent(bytes);
    await wire.send(bytes);
    await wire.next(() => false, 5);
    wire.end();
    return { inputs: 1 };
  }
  const alter = (bytes: Uint8Array, n: number): Uint8Array => {
    if (n !== which) return bytes;
    const changed = mutate(random, bytes, []);
    sent(changed);
    return changed;
  };
  await alteredTls(place, alter, registerFrame, 30);
  return { inputs: 1 };
};

/** Datagrams at once, without waiting for answers. */
export const udpFlood: Attack = async (place, random, { corpus, sent }) => {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => void socket.bind(0, place.from, () => resolve()));
  const good = [frame(Command.listIdentity), frame(Command.listServices), frame(Command.listInterfaces), registerFrame];
  const count = 128;
  for (let i = 0; i < count; i += 1) {
    const seed = random.oneIn(3) ? random.pick(corpus.frames) : random.pick(good);
    const bytes = random.oneIn(8) ? seed : mutate(random, seed, corpus.frames);
    sent(bytes);
    await new Promise<void>((resolve) => socket.send(bytes, place.port, place.address, () => resolve()));
  }
  socket.close();
  return { inputs: count };
};
