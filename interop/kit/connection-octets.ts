import {
  ConnectionService,
  ConnectionType,
  ForwardClose,
  ForwardOpen,
  MessageRouterRequest,
  Service,
  encode,
  objectPath,
} from "@cipsec/wire";

/** Requests of a class 3 connection in octets, for clients that carry messages but do not make these. */
export function connectionRequests(): {
  readonly open: Buffer;
  readonly close: Buffer;
  readonly getSerialNumber: Buffer;
} {
  const manager = objectPath(0x06, 1);
  const common = {
    priorityTick: 7,
    timeoutTicks: 39,
    connectionSerial: 0x4711,
    originatorVendor: 0xffff,
    originatorSerial: 0x0042_0042,
    path: objectPath(0x02, 1),
  };
  const parameters = {
    redundantOwner: false,
    type: ConnectionType.pointToPoint,
    priority: 0,
    variable: true,
    size: 500,
  };
  const open = encode(ForwardOpen, {
    ...common,
    oToTConnectionId: 0,
    tToOConnectionId: 0x0051_0051,
    timeoutMultiplier: 2,
    oToTRpiMicros: 1_000_000,
    oToT: parameters,
    tToORpiMicros: 1_000_000,
    tToO: parameters,
    transport: 0xa3,
  });
  const message = (service: number, path: typeof manager, data: Uint8Array): Buffer =>
    Buffer.from(encode(MessageRouterRequest, { service, path, data }));
  return {
    open: message(ConnectionService.forwardOpen, manager, open),
    close: message(ConnectionService.forwardClose, manager, encode(ForwardClose, common)),
    getSerialNumber: message(Service.getAttributeSingle, objectPath(0x01, 1, 6), new Uint8Array()),
  };
}
