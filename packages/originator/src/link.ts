import type { Channel } from "@cipsec/transport";
import {
  Command,
  EncapsulationStatus,
  ItemType,
  PeerError,
  RegisterSession,
  SendData,
  decode,
  encode,
  noOctets,
  protocolVersion,
  type CpfItem,
  type Frame,
} from "@cipsec/wire";
import type { ConnectedReceiver } from "./class3.ts";
import { Exchange, type ExchangeOptions } from "./exchange.ts";
import type { IoGate } from "./io/gate.ts";
import { encapsulationError } from "./replies.ts";

/** How one message is sent. */
export interface AskOptions {
  /** The request in words, for messages: not asked for where all goes well. */
  readonly what: () => string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** An unconnected message that answers another, and the items that came behind it. */
export interface Answer {
  readonly message: Uint8Array;
  readonly further: readonly CpfItem[];
}

/** A channel that is ready for messages: registered with encapsulation, or a DTLS association that needs no such thing. */
export interface Link {
  readonly channel: Channel;
  readonly isOpen: boolean;
  /** Settles with the reason when the channel has ended. */
  readonly ended: Promise<Error>;
  /** Milliseconds for a request whose caller and session do not say. */
  readonly defaultTimeoutMs: number;
  /** When something came last, on the session's clock; only where silence does not end the channel by itself. */
  readonly heardMs?: number;
  /** Why class 3 connections cannot be opened here, where they cannot. */
  readonly noClass3?: string;
  /**
   * Sends an unconnected message, with further items behind it where the link has room for them.
   *
   * @throws {PeerError} `encap/status`, `cip/mismatch`
   * @throws {TransportError} `transport/timeout`, `transport/closed`, `transport/limit`
   */
  ask(message: Uint8Array, further: readonly CpfItem[], options: AskOptions): Promise<Answer>;
  /** Sends a connected message; there is no reply at this level. */
  sendConnected(items: readonly CpfItem[]): void;
  /** Where I/O goes when it has to go over this link; nothing where it has ports of its own. */
  openGate?(): IoGate;
  close(): Promise<void>;
}

/** What a link needs to know. */
export interface LinkOptions extends ExchangeOptions {
  readonly registerTimeoutMs?: number;
  /** Who gets the connected messages of this connection id. */
  readonly receiverOf: (connectionId: number) => ConnectedReceiver | undefined;
}

const defaultTimeoutMs = 5000;

const nullAddress: CpfItem = { type: ItemType.nullAddress, data: noOctets };

/**
 * Registers an encapsulation session on a stream.
 *
 * @throws {PeerError} `encap/status` when RegisterSession is refused, `cip/mismatch` for an answer without a handle.
 * @see CIP Vol 2, 2-4.4
 */
export async function registerLink(channel: Channel, options: LinkOptions, signal?: AbortSignal): Promise<Link> {
  const exchange = new Exchange(channel, options);
  try {
    const reply = await exchange.command(Command.registerSession, {
      session: 0,
      data: encode(RegisterSession, { version: protocolVersion, options: 0 }),
      timeoutMs: options.registerTimeoutMs ?? defaultTimeoutMs,
      what: () => "RegisterSession",
      ...(signal === undefined ? {} : { signal }),
    });
    if (reply.status !== EncapsulationStatus.success) throw encapsulationError(reply.status, "RegisterSession");
    const { version } = decode(RegisterSession, reply.data);
    if (reply.session === 0 || version !== protocolVersion)
      throw new PeerError("cip/mismatch", "RegisterSession: the device answers without a session handle", {
        facts: { session: reply.session, version },
      });
    return registered(exchange, reply.session, options);
  } catch (error) {
    channel.destroy();
    throw error;
  }
}

function registered(exchange: Exchange, session: number, { receiverOf }: LinkOptions): Link {
  const { channel } = exchange;
  exchange.onConnected = (frame) => deliver(frame, session, receiverOf);
  return {
    channel,
    ended: exchange.ended,
    defaultTimeoutMs,
    get isOpen() {
      return exchange.isOpen;
    },
    async ask(message, further, options) {
      const items = [nullAddress, { type: ItemType.unconnectedData, data: message }, ...further];
      const { timeoutMs, signal, what } = options;
      const command = { session, data: encode(SendData, { interfaceHandle: 0, timeoutS: 0, items }), timeoutMs, what };
      const frame = await exchange.command(Command.sendRRData, signal === undefined ? command : { ...command, signal });
      if (frame.status === EncapsulationStatus.success) return answerIn(frame, options.what);
      // The device has forgotten the session: the next request registers again.
      if (frame.status === EncapsulationStatus.invalidSessionHandle) channel.destroy();
      throw encapsulationError(frame.status, options.what());
    },
    sendConnected(items) {
      exchange.post(Command.sendUnitData, session, encode(SendData, { interfaceHandle: 0, timeoutS: 0, items }));
    },
    async close() {
      if (exchange.isOpen) exchange.post(Command.unRegisterSession, session);
      await channel.close();
    },
  };
}

/** Connected messages for nobody are dropped: the connection they belong to has just been closed. */
function deliver(frame: Frame, session: number, receiverOf: LinkOptions["receiverOf"]): void {
  if (frame.session !== session || frame.status !== EncapsulationStatus.success) return;
  const { items } = decode(SendData, frame.data);
  const [address, data] = items;
  if (address?.type !== ItemType.connectedAddress || address.data.length !== 4) return;
  if (data?.type !== ItemType.connectedData) return;
  const view = new DataView(address.data.buffer, address.data.byteOffset, 4);
  receiverOf(view.getUint32(0, true))?.(data.data);
}

function answerIn(frame: Frame, what: () => string): Answer {
  const { interfaceHandle, items } = decode(SendData, frame.data);
  const [address, data, ...further] = items;
  const isGood =
    interfaceHandle === 0 &&
    address?.type === ItemType.nullAddress &&
    address.data.length === 0 &&
    data?.type === ItemType.unconnectedData;
  if (isGood) return { message: data.data, further };
  throw new PeerError("cip/mismatch", `${what()}: the answer carries no unconnected message`, {
    facts: { items: items.length },
  });
}
