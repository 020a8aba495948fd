import {
  ConnectionFailure,
  ConnectionService,
  EPATH,
  ForwardOpenReply,
  Status,
  encode,
  noOctets,
  type Reply,
  type Request,
  type Segment,
  type Triad,
} from "@cipsec/wire";

/** What a Forward_Open has opened. The intervals are those that are kept. */
export interface Opened extends Triad {
  readonly oToTConnectionId: number;
  readonly tToOConnectionId: number;
  readonly oToTRpiMicros: number;
  readonly tToORpiMicros: number;
}

/** Reply to a Forward_Open that opened. @see reference ethernet-ip.md 6.6 */
export function openReply(opened: Opened): Reply {
  const data = encode(ForwardOpenReply, {
    ...opened,
    oToTApiMicros: opened.oToTRpiMicros,
    tToOApiMicros: opened.tToORpiMicros,
    applicationReply: noOctets,
  });
  return { service: ConnectionService.forwardOpen, status: Status.success, extended: [], data };
}

/** Refusal of a Forward_Open or Forward_Close. */
export function failure(request: Request, triad: Triad, extended: readonly number[]): Reply {
  return { service: request.service, status: Status.connectionFailure, extended, data: failureData(triad) };
}

/** Data of such a refusal. */
export function failureData(triad: Triad): Uint8Array {
  return encode(ConnectionFailure, { ...triad, remainingPath: new Uint8Array(2) });
}

/** A Connection Manager error of routing: the remaining path size in words and a reserved octet follow. */
export function routeFailure(request: Request, extended: number, remaining: readonly Segment[]): Reply {
  return {
    service: request.service,
    status: Status.connectionFailure,
    extended: [extended],
    data: Uint8Array.of(encode(EPATH, remaining).length / 2, 0),
  };
}
