import { channelPath, type Channel, type IoPort } from "@cipsec/transport";

/**
 * A DTLS association as the port of the class 0 and 1 connections that are opened over it: both directions go by it, to its one
 * peer, whatever destination is asked for. It has no groups.
 *
 * @see reference cip-security.md 2.6
 */
export function associationPort(channel: Channel): IoPort {
  return {
    local: channel.facts.local,
    marks: channel.marks === true,
    sendErrors: 0,
    ...(channel.maxMessage === undefined ? {} : { maxMessage: channel.maxMessage }),
    path: (_, options) => channelPath(channel, options),
    join: () => undefined,
    leave: () => undefined,
    [Symbol.asyncDispose]: () => channel.close(),
  };
}
