import { ConnectionService, UnconnectedSend, decode, type Reply, type Request } from "@cipsec/wire";
import type { Awaitable } from "./awaitable.ts";
import { hopRefusal } from "./connection-path.ts";
import { routeFailure } from "./connection-replies.ts";
import type { RequestContext } from "./context.ts";
import { Extended } from "./extended.ts";
import type { Router } from "./router.ts";

const connectionManagerClass = 0x06;

/**
 * Hosts Unconnected_Send with the device itself as its end: one hop to the backplane's own slot. The reply is the embedded
 * service's own.
 *
 * @see reference ethernet-ip.md 6.17
 */
export function hostUnconnectedSend(router: Router): void {
  router.hostSpecial(connectionManagerClass, ConnectionService.unconnectedSend, (request, context) =>
    deliver(router, request, context),
  );
}

function deliver(router: Router, request: Request, context: RequestContext): Awaitable<Reply> {
  const { message, route } = decode(UnconnectedSend, request.data);
  const [hop, ...further] = route;
  const inside = context.inside ?? [];
  if (hop?.kind !== "port" || inside.includes(request.service))
    return routeFailure(request, Extended.invalidSegment, route);
  const refused = hopRefusal(hop);
  if (refused !== undefined) return routeFailure(request, refused, route);
  if (further.length > 0) {
    const isPort = further[0]?.kind === "port";
    return routeFailure(request, isPort ? Extended.portNotAvailable : Extended.invalidSegment, further);
  }
  if (message.length < 2) return routeFailure(request, Extended.parameterError, further);
  return router.handleOctets(message, { ...context, inside: [...inside, request.service] });
}
