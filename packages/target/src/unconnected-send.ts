import type { Cancel, Clock } from "@cipsec/transport";
import { ConnectionService, UnconnectedSend, decode, type Reply, type Request } from "@cipsec/wire";
import type { Awaitable } from "./awaitable.ts";
import { hopRefusal } from "./connection-path.ts";
import { routeFailure } from "./connection-replies.ts";
import type { RequestContext } from "./context.ts";
import { Extended } from "./extended.ts";
import type { Router } from "./router.ts";

const connectionManagerClass = 0x06;

/** Bits of the first octet that are the exponent; the others say priority. */
const tickBits = 0x0f;

/**
 * Hosts Unconnected_Send with the device itself as its end: one hop to the backplane's own slot. The reply is the embedded
 * service's own; one that is not there when the request's time is up, 2^tick × ticks ms, is 0x0204. A reply that is there at once is
 * given whatever the time, as controllers do with requests that name next to none.
 *
 * @see reference ethernet-ip.md 6.2, 6.17
 */
export function hostUnconnectedSend(router: Router, clock: Clock): void {
  router.hostSpecial(connectionManagerClass, ConnectionService.unconnectedSend, (request, context) =>
    deliver(request, context, router, clock),
  );
}

function deliver(request: Request, context: RequestContext, router: Router, clock: Clock): Awaitable<Reply> {
  const { message, route, priorityTick, timeoutTicks } = decode(UnconnectedSend, request.data);
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
  let isLate = false;
  const reply = router.handleOctets(message, {
    ...context,
    inside: [...inside, request.service],
    afterReply: (run) => (isLate ? run() : context.afterReply(run)),
  });
  if (!(reply instanceof Promise)) return reply;
  const late = waitFor(clock, 2 ** (priorityTick & tickBits) * timeoutTicks, () => {
    // What the object has begun goes on, for nothing can take it back; what it has to do behind its reply it then does at once.
    isLate = true;
    return routeFailure(request, Extended.unconnectedTimeout, further);
  });
  return Promise.race([reply, late.done]).finally(late.cancel);
}

/** Settles when the time is up, unless it is cancelled. */
function waitFor<T>(clock: Clock, ms: number, then: () => T): { readonly done: Promise<T>; readonly cancel: Cancel } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { done: promise, cancel: clock.after(ms, () => resolve(then())) };
}
