import { ConnectionManager as ConnectionManagerClass } from "@cipsec/objects";
import type { InstanceHandlers } from "../hosting.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";
import type { ConnectionManager } from "../connection-manager.ts";
import { Status } from "@cipsec/wire";

/**
 * Hosts the Connection Manager's counters. Its connection services need the whole request and are hosted as special services
 * by {@link ConnectionManager}, which the router asks first.
 *
 * @see CIP Vol 1, 3-5; reference ethernet-ip.md 7.4
 */
export function hostConnectionManager(router: Router, manager: ConnectionManager): void {
  const { counters } = manager;
  const special = (): never => {
    throw refuse(Status.serviceNotSupported);
  };
  const handlers: InstanceHandlers<typeof ConnectionManagerClass> = {
    openRequests: { get: () => counters.openRequests },
    openFormatRejects: { get: () => counters.openFormatRejects },
    openResourceRejects: { get: () => counters.openResourceRejects },
    openOtherRejects: { get: () => counters.openOtherRejects },
    closeRequests: { get: () => counters.closeRequests },
    closeFormatRejects: { get: () => counters.closeFormatRejects },
    closeOtherRejects: { get: () => counters.closeOtherRejects },
    connectionTimeouts: { get: () => counters.timeouts },
    forwardOpen: special,
    forwardClose: special,
  };
  router.host(ConnectionManagerClass, 1, handlers);
}
