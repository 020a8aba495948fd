import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { dial, openUdp, systemClock, type Clock } from "@cipsec/transport";
import {
  Command,
  Cpf,
  Encapsulation,
  ItemType,
  ListServicesItem,
  decode,
  findItem,
  frame,
  isStackError,
  type Frame,
} from "@cipsec/wire";
import { Port } from "./address.ts";
import { Exchange } from "./exchange.ts";
import { readIdentityItems, readIdentityReply, type IdentityReply } from "./identity-reply.ts";
import { delay, throwIfAborted } from "./waiting.ts";

/** How to ask one device who it is. */
export interface IdentifyOptions {
  /** Default 1000. */
  readonly timeoutMs?: number;
  /** Tries over UDP within the time; default 2. */
  readonly attempts?: number;
  readonly port?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Asks one device who it is: ListIdentity over UDP, then over TCP where UDP is silent (or where the host is a name).
 *
 * @returns Nothing when it answers neither.
 */
export async function identify(host: string, options: IdentifyOptions = {}): Promise<IdentityReply | undefined> {
  return (isIP(host) === 0 ? undefined : await identifyUdp(host, options)) ?? (await identifyTcp(host, options));
}

/** ListIdentity over UDP. Replies from another address, or with another context, are not believed. */
export function identifyUdp(host: string, options: IdentifyOptions = {}): Promise<IdentityReply | undefined> {
  return askUdp(host, Command.listIdentity, options, tryRead);
}

/**
 * Asks a device over UDP what it offers: capabilities of its "Communications" service.
 *
 * @returns Bits: 5 is CIP over TCP, 8 class 0/1 over UDP. Nothing when it does not answer.
 * @see CIP Vol 2, 2-4.6
 */
export async function capabilitiesUdp(host: string, options: IdentifyOptions = {}): Promise<number | undefined> {
  const answer = await askUdp(host, Command.listServices, options, tryReadServices);
  return answer?.capabilities;
}

async function askUdp<T extends { readonly context: Uint8Array }>(
  host: string,
  command: number,
  options: IdentifyOptions,
  read: (bytes: Uint8Array) => T | undefined,
): Promise<T | undefined> {
  const { timeoutMs = 1000, attempts = 2, port = Port.eip, signal, clock = systemClock } = options;
  throwIfAborted(signal);
  const context = randomBytes(8);
  // The first two octets are the response delay that a broadcast allows; a unicast is answered at once.
  context.fill(0, 0, 2);
  const answer = Promise.withResolvers<T>();
  const socket = await openUdp({
    address: isIP(host) === 6 ? "::" : "0.0.0.0",
    port: 0,
    receive: (bytes, remote) => {
      if (remote.port !== port || !sameHost(remote.address, host)) return;
      const reply = read(bytes);
      if (reply !== undefined && context.equals(reply.context)) answer.resolve(reply);
    },
  });
  try {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      socket.send(frame(command, { context }), { address: host, port });
      const reply = await Promise.race([answer.promise, delay(clock, timeoutMs / attempts, signal)]);
      if (reply !== undefined) return reply;
    }
    return undefined;
  } finally {
    await socket.close();
  }
}

/** ListIdentity over TCP, outside a session. @returns Nothing when the port is closed or the device does not answer it. */
export async function identifyTcp(host: string, options: IdentifyOptions = {}): Promise<IdentityReply | undefined> {
  const { timeoutMs = 1000, port = Port.eip, signal, clock = systemClock } = options;
  try {
    const channel = await dial({ protocol: "tcp", host, port, timeoutMs, ...(signal === undefined ? {} : { signal }) });
    try {
      const exchange = new Exchange(channel, { clock, maxInFlight: 1, peer: host });
      const what = (): string => "ListIdentity";
      const reply: Frame = await exchange.command(Command.listIdentity, { session: 0, timeoutMs, what });
      return reply.status === 0 ? readIdentityItems(reply.data) : undefined;
    } finally {
      channel.destroy();
    }
  } catch (error) {
    throwIfAborted(signal);
    if (isStackError(error)) return undefined;
    throw error;
  }
}

/** A datagram that is no ListIdentity reply is nobody's: UDP carries what anyone sends. */
export function tryRead(bytes: Uint8Array): ReturnType<typeof readIdentityReply> {
  try {
    return readIdentityReply(bytes);
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}

function tryReadServices(bytes: Uint8Array): { context: Uint8Array; capabilities: number } | undefined {
  try {
    const { command, status, context, data } = decode(Encapsulation, bytes);
    if (command !== Command.listServices || status !== 0) return undefined;
    const item = findItem(decode(Cpf, data), ItemType.listServices);
    return item === undefined ? undefined : { context, capabilities: decode(ListServicesItem, item.data).capabilities };
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}

function sameHost(a: string, b: string): boolean {
  return a === b || a === `::ffff:${b}` || a.toLowerCase() === b.toLowerCase();
}
