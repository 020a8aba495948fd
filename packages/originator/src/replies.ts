import {
  ConnectionService,
  PeerError,
  Status,
  TrustError,
  encapsulationStatusText,
  statusText,
  type Facts,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";

/** Anything that carries CIP requests to a target: a session (unconnected) or a class 3 connection. */
export interface Requester {
  /**
   * Sends one request and resolves with the matching reply, whatever its status.
   *
   * @throws {TransportError} `transport/timeout`, `transport/closed`
   * @throws {PeerError} `encap/status`, `cip/mismatch`
   * @throws {WireError} when the reply cannot be read.
   */
  request(request: Request, options?: RequestOptions): Promise<Reply>;
}

/** Options of one request. */
export interface RequestOptions {
  /** Milliseconds until `transport/timeout`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** The request may be sent again after a lost reply; get services are by themselves. */
  readonly idempotent?: boolean;
}

/**
 * Passes a reply that succeeded and turns any other into an error that says what was asked and what the device answered.
 *
 * @param what The request in words, such as `EtherNet/IP Security/1: set dtlsTimeout`.
 * @throws {PeerError} `cip/status`; `facts.status`, `facts.extended` (hex words).
 * @throws {TrustError} `trust/privilege` for status 0x0F.
 */
export function succeed(reply: Reply, what: string): Reply {
  if (reply.status === Status.success) return reply;
  throw statusError(reply, what);
}

/** The error for a reply with a status other than success. */
export function statusError(reply: Reply, what: string): PeerError | TrustError {
  const extended = reply.extended.map(hexWord).join(" ");
  const facts: Facts = { status: reply.status, service: reply.service, ...(extended === "" ? {} : { extended }) };
  const text = `${what}: the device answers ${statusText(reply.status)}${extended === "" ? "" : `, extended ${extended}`}`;
  if (reply.status === Status.privilegeViolation) return new TrustError("trust/privilege", text, { facts });
  const fix = fixes[reply.status];
  return new PeerError("cip/status", text, { facts, ...(fix === undefined ? {} : { fix }) });
}

/** The general CIP status that an error carries, where it is one that a device answered with. */
export function cipStatusOf(error: unknown): number | undefined {
  if (!(error instanceof PeerError || error instanceof TrustError)) return undefined;
  if (error.code !== "cip/status" && error.code !== "trust/privilege") return undefined;
  const { status } = error.facts;
  return typeof status === "number" ? status : undefined;
}

/** The error for an encapsulation reply with a status other than success. */
export function encapsulationError(status: number, what: string): PeerError {
  return new PeerError("encap/status", `${what}: the device answers ${encapsulationStatusText(status)}`, {
    facts: { status },
  });
}

/** Extended status words as text: `0x0107`. */
export function hexWord(word: number): string {
  return `0x${word.toString(16).toUpperCase().padStart(4, "0")}`;
}

/**
 * Checks that a reply answers the request. Unconnected_Send is answered with the service it carried.
 *
 * @throws {PeerError} `cip/mismatch`
 */
export function matchReply(reply: Reply, request: Request): Reply {
  if (reply.service === request.service || request.service === ConnectionService.unconnectedSend) return reply;
  throw new PeerError("cip/mismatch", `${requestText(request)}: the device answers service ${hex(reply.service)}`, {
    facts: { sent: request.service, received: reply.service },
  });
}

/** A request in words: `service 0x0E of class 0x5E instance 1 attribute 4`. */
export function requestText({ service, path }: Request): string {
  return `service ${hex(service)} of ${pathText(path)}`;
}

/** A path in words: `class 0x5E instance 1 attribute 4`. */
export function pathText(path: readonly Segment[]): string {
  return path
    .map((segment) => ("value" in segment ? `${segment.kind} ${numberText(segment)}` : segment.kind))
    .join(" ");
}

function numberText(segment: { readonly kind: string; readonly value: number }): string {
  return segment.kind === "class" ? hex(segment.value) : String(segment.value);
}

function hex(value: number): string {
  return value > 0xff ? hexWord(value) : `0x${value.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** What to do about the statuses whose cause a person can act on. */
const fixes: Readonly<Record<number, string>> = {
  [Status.pathDestinationUnknown]: "Check class and instance: this device does not have them.",
  [Status.serviceNotSupported]: "This class of the device does not offer the service.",
  [Status.attributeNotSupported]: "Check the attribute number: this device does not have it.",
  [Status.objectDoesNotExist]: "Check the instance number: there is none of that number.",
  [Status.objectStateConflict]:
    "The object's state forbids this now; read its state, and end what is in progress first.",
  [Status.attributeNotSettable]: "The attribute is read only on this device.",
  [Status.invalidAttributeValue]: "The device does not take this value; check its range and what it refers to.",
};
