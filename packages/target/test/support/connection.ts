import {
  ConnectionType,
  ForwardOpen,
  ForwardOpenReply,
  LargeForwardOpen,
  decode,
  encode,
  objectPath,
  type Reply,
} from "@cipsec/wire";
import { request, type Peer } from "./device.ts";

/** A Forward_Open as controllers send it for class 3; parts can be replaced. */
export function forwardOpen(more: Partial<ForwardOpen> & { readonly size?: number } = {}): ForwardOpen {
  const { size = 500, ...rest } = more;
  const parameters = { redundantOwner: false, type: ConnectionType.pointToPoint, priority: 0, variable: true, size };
  return {
    priorityTick: 0x0a,
    timeoutTicks: 0x0e,
    oToTConnectionId: 0,
    tToOConnectionId: 0x4001_0002,
    connectionSerial: 7,
    originatorVendor: 0x1234,
    originatorSerial: 0x5678_9abc,
    timeoutMultiplier: 1,
    oToTRpiMicros: 2_000_000,
    oToT: parameters,
    tToORpiMicros: 2_000_000,
    tToO: parameters,
    transport: 0xa3,
    path: objectPath(0x02, 1),
    ...rest,
  };
}

export async function sendOpen(peer: Pick<Peer, "request">, open: ForwardOpen, large = false): Promise<Reply> {
  const data = encode(large ? LargeForwardOpen : ForwardOpen, open);
  return peer.request(request(large ? 0x5b : 0x54, [0x06, 1], data));
}

/** Opens a connection and returns the id to send to. */
export async function openConnection(
  peer: Peer,
  more: Partial<ForwardOpen> & { readonly size?: number } = {},
): Promise<number> {
  const reply = await sendOpen(peer, forwardOpen(more));
  return decode(ForwardOpenReply, reply.data).oToTConnectionId;
}
