import { ConnectionService, ForwardClose, Status, encode, objectPath, type Segment, type Triad } from "@cipsec/wire";
import { statusError, type Requester } from "../replies.ts";
import { requestTicks } from "../route.ts";

/** Milliseconds for closing: the device may be gone. */
const closeTimeoutMs = 1000;

const connectionManager = objectPath(0x06, 1);

/**
 * Forward_Close; a target that does not know the connection any more has done what was wanted.
 *
 * @param path That of the Forward_Open, with its route.
 * @returns Whether the target knew it.
 * @throws {PeerError} `cip/status` for any other refusal.
 * @see CIP Vol 1, 3-5.5.3
 */
export async function forwardClose(session: Requester, triad: Triad, path: readonly Segment[]): Promise<boolean> {
  const data = encode(ForwardClose, { ...requestTicks(closeTimeoutMs), ...triad, path });
  const reply = await session.request(
    { service: ConnectionService.forwardClose, path: connectionManager, data },
    { timeoutMs: closeTimeoutMs },
  );
  if (reply.status !== Status.success && reply.status !== Status.connectionFailure)
    throw statusError(reply, "Forward_Close");
  return reply.status === Status.success;
}
