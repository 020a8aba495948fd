import {
  ConnectionService,
  MessageRouterRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  PeerError,
  Service,
  Status,
  UnconnectedSend,
  UsageError,
  connectionStatusText,
  decode,
  encode,
  fromLatin1,
  objectPath,
  statusText,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import { connectionAdvice } from "./explain-connection.ts";
import { hexWord, matchReply, requestText, succeed, type Requester, type RequestOptions } from "./replies.ts";

/** Anything that is at the end of a route, and what a message loses of its room on the way. */
export interface RoutedRequester extends Requester {
  /** Octets that Unconnected_Send adds to a request. */
  readonly overhead: number;
}

/** Service code that a routed reply cannot be told from a router's refusal by: Read_Tag_Fragmented is 0x52 too. */
const ambiguous = ConnectionService.unconnectedSend;

const connectionManager = objectPath(0x06, 1);
const messageRouter = objectPath(0x02, 1);

/** Head of Unconnected_Send and of its own request, and a pad. */
const wrapping = 6 + 4 + 1 + 2;

/** Milliseconds that a routed request may take when the caller does not say. */
const defaultTimeoutMs = 5000;

/**
 * A requester that sends each request along `route` inside an Unconnected_Send.
 *
 * A reply with the service code of Unconnected_Send comes from a router that could not deliver; it is thrown, as it is not the
 * device's. Requests whose own code is 0x52 are wrapped once more in a Multiple_Service_Packet, so that the two stay apart.
 *
 * @param route Port segments; {@link parseRoute} reads them from text. An empty route sends directly.
 * @see CIP Vol 1, 3-5.5.4; reference ethernet-ip.md 6.17
 */
export function routed(requester: Requester, route: readonly Segment[]): RoutedRequester {
  if (route.length === 0) return { overhead: 0, request: (request, options) => requester.request(request, options) };
  if (route.some((segment) => segment.kind !== "port"))
    throw new UsageError("usage/argument", "a route consists of port segments only", {
      fix: "Write port and link in turn, such as 1,0.",
    });
  const overhead = wrapping + encode(MessageRouterRequest, { service: 1, path: route, data: new Uint8Array(0) }).length;
  const along: Along = (request, options) => send(requester, route, request, options);
  return {
    overhead,
    request: (request, options) =>
      request.service === ambiguous ? wrapped(along, request, options) : delivered(along, request, options),
  };
}

/**
 * A route from text: port and link in turn, `1,0` for slot 0 of the backplane, `1,2,2,192.168.1.5` over a bridge in slot 2.
 *
 * @throws {UsageError} `usage/argument`
 */
export function parseRoute(text: string): readonly Segment[] {
  const parts = text.split(/[,/]/u).map((part) => part.trim());
  if (parts.length % 2 === 1 || parts.length > 2 * maxHops) throw notRoute(text);
  const route: Segment[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    const port = Number(parts[i]);
    const link = parts[i + 1] ?? "";
    if (!/^\d{1,5}$/u.test(parts[i] ?? "") || port < 1 || port > 0xffff || link === "") throw notRoute(text);
    const isNumber = /^\d{1,3}$/u.test(link) && Number(link) <= 0xff;
    route.push({ kind: "port", port, link: isNumber ? Uint8Array.of(Number(link)) : linkText(text, link) });
  }
  return route;
}

/** Routers in a row; more is a loop or a typing error. */
const maxHops = 8;

type Along = (request: Request, options: RequestOptions | undefined) => Promise<Reply>;

function send(
  requester: Requester,
  route: readonly Segment[],
  request: Request,
  options: RequestOptions | undefined,
): Promise<Reply> {
  const data = encode(UnconnectedSend, {
    ...requestTicks(options?.timeoutMs ?? defaultTimeoutMs),
    message: encode(MessageRouterRequest, request),
    route,
  });
  return requester.request({ service: ambiguous, path: connectionManager, data }, options);
}

async function delivered(along: Along, request: Request, options: RequestOptions | undefined): Promise<Reply> {
  const reply = await along(request, options);
  if (reply.service === ambiguous) throw routerError(reply, requestText(request));
  return matchReply(reply, request);
}

async function wrapped(along: Along, request: Request, options: RequestOptions | undefined): Promise<Reply> {
  const what = requestText(request);
  const packet = {
    service: Service.multipleServicePacket,
    path: messageRouter,
    data: encode(MultipleServiceRequest, [request]),
  };
  const reply = await delivered(along, packet, options);
  if (reply.status === Status.serviceNotSupported) return plain(await along(request, options), what);
  const isAnswered = reply.status === Status.embeddedServiceError && reply.data.length > 0;
  const [inner] = decode(MultipleServiceReply, isAnswered ? reply.data : succeed(reply, what).data);
  if (inner === undefined) throw new PeerError("cip/mismatch", `${what}: the packet of replies is empty`);
  return matchReply(inner, request);
}

/** A device without Multiple_Service_Packet: only what a router can say counts as a router's. */
function plain(reply: Reply, what: string): Reply {
  const [extended = 0] = reply.extended;
  const isRouters = reply.status === Status.connectionFailure && (extended === 0x0204 || extended >= 0x0300);
  if (isRouters && reply.data.length <= 2) throw routerError(reply, what);
  return reply;
}

function routerError(reply: Reply, what: string): PeerError {
  const [extended] = reply.extended;
  const remaining = reply.data[0];
  const known = extended === undefined ? undefined : connectionAdvice(extended);
  const words = extended === undefined ? statusText(reply.status) : connectionStatusText(extended);
  return new PeerError("cip/status", `${what}: a router on the way could not deliver it: ${words}`, {
    facts: {
      status: reply.status,
      router: true,
      ...(extended === undefined ? {} : { extended: hexWord(extended) }),
      ...(remaining === undefined ? {} : { remainingPathWords: remaining }),
    },
    fix: known?.fix ?? "Check each port and link of the route.",
  });
}

/** Tick exponent and ticks for a time, rounded up; at most some 8 s in steps of 32 ms keeps it exact enough. */
export function requestTicks(timeoutMs: number): { readonly priorityTick: number; readonly timeoutTicks: number } {
  let priorityTick = 0;
  while (priorityTick < 15 && timeoutMs > 255 * 2 ** priorityTick) priorityTick += 1;
  return { priorityTick, timeoutTicks: Math.min(255, Math.max(1, Math.ceil(timeoutMs / 2 ** priorityTick))) };
}

function linkText(route: string, link: string): Uint8Array {
  if (!/^[\w.:-]{1,64}$/u.test(link)) throw notRoute(route);
  return fromLatin1(link, 64, "link address");
}

function notRoute(text: string): UsageError {
  return new UsageError("usage/argument", `'${text}' is not a route`, {
    fix: "Write port and link in turn, such as 1,0 for slot 0 of the backplane.",
  });
}
