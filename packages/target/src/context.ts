import type { ChannelFacts } from "@cipsec/transport";
import type { CpfItem } from "@cipsec/wire";

/** What an object's handler may know of the request it serves. */
export interface RequestContext {
  readonly channel: ChannelFacts;
  /** The encapsulation session the request came by; 0 for messages outside a session (DTLS). */
  readonly session: number;
  /** Octets that the service data of the reply may have. */
  readonly maxReply: number;
  /** Services that this request came packed in, Multiple_Service_Packet and Unconnected_Send: neither may hold itself. */
  readonly inside?: readonly number[];
  /** Attribute that the path names, for services that work on one. */
  readonly attribute?: number;
  /** Items beside the message: socket addresses of a Forward_Open. */
  readonly items?: readonly CpfItem[];
  /** Adds an item to the reply, behind the message. */
  addItem?(item: CpfItem): void;
  /** Runs once the reply has been given to the channel: resets, closing of ports and connections. */
  afterReply(run: () => void): void;
}

/** Whether the request came over a channel that authenticates and protects it. */
export function isSecure(context: { readonly channel: ChannelFacts }): boolean {
  return context.channel.security !== undefined;
}
