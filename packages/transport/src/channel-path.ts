import type { Channel } from "./channel.ts";
import type { PathOptions } from "./datagram-socket.ts";
import type { DatagramPath } from "./io-port.ts";

/** The way to the one peer of a datagram channel, marked where the channel marks; messages on other paths of it keep their own. */
export function channelPath(channel: Channel, { dscp }: PathOptions = {}): DatagramPath {
  const { facts } = channel;
  if (channel.marks !== true || dscp === undefined) return { facts, send: (bytes) => channel.send(bytes) };
  return { facts, dscp, send: (bytes) => channel.send(bytes, dscp) };
}
