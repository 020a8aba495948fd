import type { ChannelFacts } from "@cipsec/transport";
import { isStackError } from "@cipsec/wire";
import type { IoConnection, IoEnd } from "./io/connection.ts";

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

/** A class 0 or 1 connection that has opened, or ended, in flat facts. */
export function ioFacts(
  { point, owner, destination, production }: IoConnection,
  end: IoEnd | undefined,
): TargetEvent["facts"] {
  const { name, type } = point;
  const to = `${destination.address}:${destination.port}`;
  // What QoS asks for is not always what goes out.
  const dscp = production.options.path.dscp ?? "unmarked";
  return { connection: name, type, owner, to, ...(end === undefined ? { dscp } : { end }) };
}

/** A step that failed while nobody waited for it. */
export function failed(step: string, error: unknown): TargetEvent {
  const code = isStackError(error) ? error.code : "bug/unreachable";
  return { name: `${step}-failed`, facts: { code, message: error instanceof Error ? error.message : String(error) } };
}
