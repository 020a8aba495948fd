import {
  ConnectionData,
  ConnectionNumber,
  ConnectionOwnerReply,
  ConnectionOwnerRequest,
  ConnectionService,
  ConnectionTriad,
  Status,
  decode,
  encode,
  type Reply,
  type Request,
} from "@cipsec/wire";
import type { ConnectionManager } from "./connection-manager.ts";
import { ioPath, routedPath } from "./connection-path.ts";
import type { Class3Connection } from "./connections.ts";
import type { IoConnection } from "./io/connection.ts";
import { refuse } from "./refusal.ts";
import type { Router } from "./router.ts";

/** State of a connection in the Connection Object's terms: established. */
const established = 3;

/** Ports of the two ends in the connection data: both are the network port. */
const networkPort = 1;

/** `lastAction` of Get_Connection_Owner. */
const LastAction = { none: 0, idle: 1, run: 2, unknown: 255 } as const;

const connectionManagerClass = 0x06;

/**
 * Hosts Get_Connection_Data, Search_Connection_Data and Get_Connection_Owner.
 *
 * @see reference ethernet-ip.md 6.18
 */
export function hostConnectionDiagnostics(router: Router, manager: ConnectionManager): void {
  const host = (service: number, handle: (request: Request) => Uint8Array): void =>
    router.hostSpecial(connectionManagerClass, service, (request) => answer(request, handle(request)));
  host(ConnectionService.getConnectionData, ({ data }) => {
    const number = decode(ConnectionNumber, data);
    const found = manager.connections.find((connection) => connection.number === number);
    if (found === undefined) throw refuse(Status.invalidParameterValue, { reason: `no connection ${number}` });
    return connectionData(found);
  });
  host(ConnectionService.searchConnectionData, ({ data }) => {
    const found = manager.findTriad(decode(ConnectionTriad, data));
    if (found === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "no connection of this triad" });
    return connectionData(found);
  });
  host(ConnectionService.getConnectionOwner, (request) => ownerData(request, manager));
}

function connectionData(connection: Class3Connection | IoConnection): Uint8Array {
  const asked = "askedTtoOConnectionId" in connection ? connection.askedTtoOConnectionId : connection.tToOConnectionId;
  return encode(ConnectionData, {
    ...connection,
    connectionNumber: connection.number,
    state: established,
    originatorPort: networkPort,
    targetPort: networkPort,
    originatorOtoTId: connection.oToTConnectionId,
    targetOtoTId: connection.oToTConnectionId,
    oToTTimeoutMultiplier: connection.timeoutMultiplier,
    oToTReserved: reserved,
    oToTApiMicros: connection.oToTRpiMicros,
    originatorTtoOId: asked,
    targetTtoOId: connection.tToOConnectionId,
    tToOTimeoutMultiplier: connection.timeoutMultiplier,
    tToOReserved: reserved,
    tToOApiMicros: connection.tToORpiMicros,
  });
}

/** Who owns the outputs of a path, and how many connections of any type it has. */
function ownerData({ data }: Request, manager: ConnectionManager): Uint8Array {
  const routed = routedPath(decode(ConnectionOwnerRequest, data));
  const path = typeof routed === "number" ? routed : ioPath(routed.application);
  if (typeof path === "number" || manager.io?.offers(path) !== true)
    throw refuse(Status.pathDestinationUnknown, { reason: "no connection is offered at this path" });
  const connections = manager.io.connections.filter(
    ({ point }) => point.consume === path.consume && point.produce === path.produce,
  );
  const owner = connections.find(({ point }) => point.type === "exclusive-owner");
  const isRun = owner?.consumed.isRun;
  return encode(ConnectionOwnerReply, {
    connections: Math.min(connections.length, 0xff),
    claimingOwnership: 0,
    readyForOwnership: 0,
    lastAction: owner === undefined ? LastAction.none : lastAction(isRun),
    connectionSerial: owner?.connectionSerial ?? 0,
    originatorVendor: owner?.originatorVendor ?? 0,
    originatorSerial: owner?.originatorSerial ?? 0,
  });
}

function lastAction(isRun: boolean | undefined): number {
  if (isRun === undefined) return LastAction.unknown;
  return isRun ? LastAction.run : LastAction.idle;
}

const reserved = new Uint8Array(3);

function answer(request: Request, data: Uint8Array): Reply {
  return { service: request.service, status: Status.success, extended: [], data };
}
