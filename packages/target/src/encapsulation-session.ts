import type { ChannelFacts } from "@cipsec/transport";
import {
  Command,
  ConnectedAddress,
  EncapsulationStatus,
  ItemType,
  MessageRouterReply,
  Reader,
  RegisterSession,
  SendData,
  WireError,
  decode,
  encode,
  frame,
  noOctets,
  protocolVersion,
  type CpfItem,
  type Frame,
  type Reply,
  type StreamEvent,
} from "@cipsec/wire";
import { proceed, type Awaitable } from "./awaitable.ts";
import type { ConnectionManager } from "./connection-manager.ts";
import type { RequestContext } from "./context.ts";
import { answerList, type DiscoveryFacts } from "./identity.ts";
import type { Router } from "./router.ts";
import type { SessionEntry, SessionTable } from "./sessions.ts";

/** What a session needs of its device. */
export interface SessionServices {
  readonly router: Router;
  readonly connections: ConnectionManager;
  readonly sessions: SessionTable;
  /** Octets of service data that a reply outside a connection may have. */
  readonly maxReply: number;
  discovery(): DiscoveryFacts;
}

/** What to do with a frame that came: octets to send back, then whether to close the channel. */
export interface Answer {
  readonly send?: Uint8Array;
  readonly close?: boolean;
  /** To run once the octets are with the channel. */
  readonly after?: readonly (() => void)[];
}

const nothing: Answer = {};

/** Frames in a row that make no sense before a peer is given up. */
const maxAbuse = 16;

/** Commands that are answered, so that an oversize one gets a status and not silence. */
const answered: readonly number[] = [
  Command.listServices,
  Command.listIdentity,
  Command.listInterfaces,
  Command.registerSession,
  Command.sendRRData,
];

/**
 * One peer's encapsulation session on a TCP or TLS channel: takes frames, says what to send. It has no socket and no clock.
 * Frames are answered one after another in the order they came.
 *
 * @see CIP Vol 2, 2-3 to 2-5; malformed input as in reference ethernet-ip.md 1.8
 */
export class EncapsulationSession {
  readonly #services: SessionServices;
  readonly #channel: ChannelFacts;
  readonly #end: () => void;
  #entry: SessionEntry | undefined;
  #abuse = 0;

  /** @param end Ends the channel, when the device closes all sessions. */
  constructor(services: SessionServices, channel: ChannelFacts, end: () => void) {
    this.#services = services;
    this.#channel = channel;
    this.#end = end;
  }

  /** Handle of the session; 0 before RegisterSession. */
  get handle(): number {
    return this.#entry?.handle ?? 0;
  }

  /** Drops the session and the connections that were opened on it: the channel has ended. */
  ended(): void {
    if (this.#entry === undefined) return;
    this.#services.connections.table.closeSession(this.#entry.handle);
    this.#services.sessions.drop(this.#entry.handle);
    this.#entry = undefined;
  }

  /** Answers one event of the stream, at once where the object asked does. */
  answer(event: StreamEvent): Awaitable<Answer> {
    const header = event.type === "oversize" ? event.header : event.frame;
    if (header.command === Command.unRegisterSession) return { close: true };
    if (header.options !== 0 || header.status !== 0) return this.#abused();
    if (event.type === "oversize") {
      return answered.includes(header.command)
        ? this.#refuse(header, EncapsulationStatus.invalidLength)
        : this.#abused();
    }
    const { frame: request } = event;
    switch (request.command) {
      case Command.nop:
        return nothing;
      case Command.registerSession:
        return this.#register(request);
      case Command.sendRRData:
        return this.#unconnected(request);
      case Command.sendUnitData:
        return this.#connected(request);
      default: {
        const send = answerList(request, this.#services.discovery());
        if (send === undefined) return this.#refuse(request, EncapsulationStatus.unsupportedCommand);
        this.#abuse = 0;
        return { send };
      }
    }
  }

  #register(request: Frame): Answer {
    if (request.data.length !== 4) return this.#refuse(request, EncapsulationStatus.invalidLength);
    const { version, options } = decode(RegisterSession, request.data);
    if (version !== protocolVersion || options !== 0)
      return registered(request, 0, EncapsulationStatus.unsupportedProtocolRevision);
    if (this.#entry !== undefined)
      return registered(request, this.#entry.handle, EncapsulationStatus.unsupportedCommand);
    this.#entry = this.#services.sessions.open(this.#end);
    return this.#entry === undefined
      ? registered(request, 0, EncapsulationStatus.insufficientMemory)
      : registered(request, this.#entry.handle, EncapsulationStatus.success);
  }

  #unconnected(request: Frame): Awaitable<Answer> {
    const items = this.#items(request);
    if (typeof items === "number") return this.#refuse(request, items);
    const [address, data, ...sockaddrs] = items;
    const isWellFormed =
      address?.type === ItemType.nullAddress && address.data.length === 0 && data?.type === ItemType.unconnectedData;
    if (!isWellFormed || !sockaddrs.every(isSockaddr)) return this.#refuse(request, EncapsulationStatus.incorrectData);
    const after: (() => void)[] = [];
    const more: CpfItem[] = [];
    const reply = this.#services.router.handleOctets(data.data, {
      ...this.#context(this.#services.maxReply, after),
      items: sockaddrs,
      addItem: (item) => more.push(item),
    });
    return proceed(this.#kept(reply), (reply) => {
      const message = { type: ItemType.unconnectedData, data: encode(MessageRouterReply, reply) };
      return { send: this.#reply(request, [address, message, ...more]), after };
    });
  }

  /** Connected messages: a wrong one is dropped in silence, for its reply would have no connection to go by. */
  #connected(request: Frame): Awaitable<Answer> {
    const items = this.#items(request);
    if (typeof items === "number")
      return items === EncapsulationStatus.invalidSessionHandle ? this.#refuse(request, items) : this.#abused();
    const [address, data] = items;
    if (
      items.length !== 2 ||
      address?.type !== ItemType.connectedAddress ||
      address.data.length !== 4 ||
      data?.type !== ItemType.connectedData
    )
      return this.#abused();
    const connection = this.#services.connections.table.find(decode(ConnectedAddress, address.data), this.handle);
    if (connection === undefined || data.data.length < 2 || data.data.length > connection.oToT.size)
      return this.#abused();
    this.#services.connections.table.touch(connection);
    const { sequence, message } = splitSequence(data.data);
    const after: (() => void)[] = [];
    const answered = (reply: Uint8Array): Answer => {
      const items = [
        { type: ItemType.connectedAddress, data: encode(ConnectedAddress, connection.tToOConnectionId) },
        { type: ItemType.connectedData, data: reply },
      ];
      return { send: this.#reply(request, items), after };
    };
    if (sequence === connection.lastSequence && connection.lastReply !== undefined)
      return answered(connection.lastReply);
    const room = Math.min(connection.tToO.size - 6, this.#services.maxReply);
    const answer = this.#services.router.handleOctets(message, this.#context(room, after));
    return proceed(this.#kept(answer), (reply) => {
      connection.lastSequence = sequence;
      connection.lastReply = withSequence(sequence, encode(MessageRouterReply, reply));
      return answered(connection.lastReply);
    });
  }

  /** An answer that took its time may have opened a connection on a session that ended meanwhile: nobody else would close it. */
  #kept(answer: Awaitable<Reply>): Awaitable<Reply> {
    const session = this.handle;
    if (!(answer instanceof Promise)) return answer;
    return answer.then((reply) => {
      if (this.handle !== session) this.#services.connections.table.closeSession(session);
      return reply;
    });
  }

  /** The items of a SendRRData or SendUnitData frame, or the status that refuses it. */
  #items(request: Frame): readonly CpfItem[] | number {
    if (this.#entry === undefined || request.session !== this.#entry.handle)
      return EncapsulationStatus.invalidSessionHandle;
    if (request.data.length < 6) return EncapsulationStatus.invalidLength;
    try {
      const { interfaceHandle, items } = decode(SendData, request.data);
      return interfaceHandle === 0 ? items : EncapsulationStatus.incorrectData;
    } catch (error) {
      if (error instanceof WireError) return EncapsulationStatus.incorrectData;
      throw error;
    }
  }

  #context(maxReply: number, after: (() => void)[]): RequestContext {
    return { channel: this.#channel, session: this.handle, maxReply, afterReply: (run) => after.push(run) };
  }

  #reply(request: Frame, items: readonly CpfItem[]): Uint8Array {
    this.#abuse = 0;
    const data = encode(SendData, { interfaceHandle: 0, timeoutS: 0, items });
    return frame(request.command, { session: this.handle, context: request.context, data });
  }

  /** A reply of header only, with the status that says why. */
  #refuse(request: Omit<Frame, "data">, status: number): Answer {
    const send = frame(request.command, { session: request.session, status, context: request.context, data: noOctets });
    return { send, ...this.#abused() };
  }

  #abused(): Answer {
    this.#abuse += 1;
    return this.#abuse > maxAbuse ? { close: true } : nothing;
  }
}

/** Reply of RegisterSession; its data says the version that there is, whatever the status. */
function registered({ command, context }: Frame, session: number, status: number): Answer {
  const data = encode(RegisterSession, { version: protocolVersion, options: 0 });
  return { send: frame(command, { session, status, context, data }) };
}

/** Sequence count in front of a class 3 message. */
function splitSequence(data: Uint8Array): { readonly sequence: number; readonly message: Uint8Array } {
  const r = new Reader(data);
  return { sequence: r.u16("sequence count"), message: r.rest() };
}

function withSequence(sequence: number, message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + message.length);
  bytes[0] = sequence & 0xff;
  bytes[1] = sequence >> 8;
  bytes.set(message, 2);
  return bytes;
}

function isSockaddr(item: CpfItem): boolean {
  return (item.type === ItemType.sockaddrOtoT || item.type === ItemType.sockaddrTtoO) && item.data.length === 16;
}
