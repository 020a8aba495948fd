import {
  ConnectionData,
  ConnectionNumber,
  ConnectionOwnerReply,
  ConnectionOwnerRequest,
  ConnectionService,
  ConnectionTriad,
  decode,
  encode,
  objectPath,
  type Codec,
  type Segment,
  type Triad,
  type Value,
} from "@cipsec/wire";
import { succeed, type Requester, type RequestOptions } from "./replies.ts";

const connectionManager = objectPath(0x06, 1);

/** Who owns the connection to this path. @throws {PeerError} `cip/status` when there is none, or the service is not known. */
export function getConnectionOwner(
  requester: Requester,
  path: readonly Segment[],
  options?: RequestOptions,
): Promise<Value<typeof ConnectionOwnerReply>> {
  const data = encode(ConnectionOwnerRequest, path);
  return ask(
    requester,
    ConnectionService.getConnectionOwner,
    data,
    ConnectionOwnerReply,
    "Get_Connection_Owner",
    options,
  );
}

/** The connection of this number, counted by the target. @throws {PeerError} `cip/status` */
export function getConnectionData(
  requester: Requester,
  connectionNumber: number,
  options?: RequestOptions,
): Promise<Value<typeof ConnectionData>> {
  const data = encode(ConnectionNumber, connectionNumber);
  return ask(requester, ConnectionService.getConnectionData, data, ConnectionData, "Get_Connection_Data", options);
}

/** The connection of this triad. @throws {PeerError} `cip/status` */
export function searchConnectionData(
  requester: Requester,
  triad: Triad,
  options?: RequestOptions,
): Promise<Value<typeof ConnectionData>> {
  const data = encode(ConnectionTriad, triad);
  return ask(
    requester,
    ConnectionService.searchConnectionData,
    data,
    ConnectionData,
    "Search_Connection_Data",
    options,
  );
}

async function ask<T>(
  requester: Requester,
  service: number,
  data: Uint8Array,
  codec: Codec<T>,
  what: string,
  options: RequestOptions = {},
): Promise<T> {
  const reply = await requester.request({ service, path: connectionManager, data }, { idempotent: true, ...options });
  return decode(codec, succeed(reply, what).data);
}
