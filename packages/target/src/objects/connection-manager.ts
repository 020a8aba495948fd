import { ConnectionManager as ConnectionManagerClass } from "@cipsec/objects";
import { Status } from "@cipsec/wire";
import type { InstanceHandlers } from "../hosting.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";
import type { ConnectionCounters, ConnectionManager } from "../connection-manager.ts";

/**
 * Hosts the Connection Manager's counters, which start over after 65,535. Its connection services need the whole request and are
 * hosted as special services by {@link ConnectionManager}, which the router asks first.
 *
 * @see CIP Vol 1, 3-5; reference ethernet-ip.md 7.4
 */
export function hostConnectionManager(router: Router, manager: ConnectionManager): void {
  const counter = (name: keyof ConnectionCounters) => ({ get: () => manager.counters[name] & 0xffff });
  const special = (): never => {
    throw refuse(Status.serviceNotSupported);
  };
  const handlers: InstanceHandlers<typeof ConnectionManagerClass> = {
    openRequests: counter("openRequests"),
    openFormatRejects: counter("openFormatRejects"),
    openResourceRejects: counter("openResourceRejects"),
    openOtherRejects: counter("openOtherRejects"),
    closeRequests: counter("closeRequests"),
    closeFormatRejects: counter("closeFormatRejects"),
    closeOtherRejects: counter("closeOtherRejects"),
    connectionTimeouts: counter("timeouts"),
    connectionEntryList: { get: () => entries(manager) },
    forwardOpen: special,
    largeForwardOpen: special,
    forwardClose: special,
    unconnectedSend: special,
    getConnectionData: special,
    searchConnectionData: special,
    getConnectionOwner: special,
  };
  router.host(ConnectionManagerClass, 1, handlers);
}

/** Which of the connections that there can be are open: entry `i` is the connection of number `i + 1`. */
function entries({ connections, capacity }: ConnectionManager): readonly boolean[] {
  const numbers = new Set(connections.map(({ number }) => number));
  return Array.from({ length: capacity }, (_, i) => numbers.has(i + 1));
}
