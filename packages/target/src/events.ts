import type { ChannelFacts } from "@cipsec/transport";

/** Something that a device's log should hold. Never carries a key or file content. */
export interface TargetEvent {
  readonly name: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** A channel in flat facts, for events. */
export function channelFacts({ protocol, remote, security }: ChannelFacts): TargetEvent["facts"] {
  const peer = security?.peer;
  const who = peer?.kind === "certificate" ? peer.subject : peer?.kind === "psk" ? `PSK ${peer.identity}` : "anonymous";
  return { protocol, remote: `${remote.address}:${remote.port}`, peer: who };
}
