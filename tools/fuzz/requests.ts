import { allClasses } from "@cipsec/objects";
import {
  Command,
  ConnectionService,
  ConnectionType,
  ForwardClose,
  ForwardOpen,
  ItemType,
  LargeForwardOpen,
  MessageRouterRequest,
  MultipleServiceRequest,
  SendData,
  Service,
  UnconnectedSend,
  encode,
  frame,
  noOctets,
  objectPath,
  type CpfItem,
  type Request,
} from "@cipsec/wire";
import { validEncodings } from "./corpus.ts";
import type { Random } from "./random.ts";

/** Get_Attribute_Single of Identity's product name: the request whose answer everybody knows. */
export const nameRequest = request(Service.getAttributeSingle, 0x01, 1, 7);

/** Instances that are there from the start, or may come to be by what the fuzzer creates. */
const instances = [0, 1, 2, 3, 4, 5, 0x64, 0x65, 0xc8, 0xc9];

/** Good requests to mutate: every attribute and service of every class, connections, packets of packets. */
export function goodRequests(random: Random, captured: readonly Uint8Array[]): readonly Uint8Array[] {
  const all = captured.filter(([service = 0x80]) => service < 0x80);
  for (const { classId, attributes, services } of allClasses) {
    for (const instance of instances) {
      all.push(request(Service.getAttributesAll, classId, instance));
      all.push(request(Service.getAttributeList, classId, instance, undefined, Uint8Array.of(3, 0, 1, 0, 4, 0, 9, 0)));
      for (const { code, request: layout } of Object.values(services)) {
        const data = layout === undefined ? [noOctets] : validEncodings(layout, random, 3);
        for (const bytes of data) all.push(request(code, classId, instance, undefined, bytes));
      }
    }
    for (const { id, type } of Object.values(attributes)) {
      all.push(request(Service.getAttributeSingle, classId, 1, id));
      for (const bytes of validEncodings(type, random, 2)) {
        all.push(request(Service.setAttributeSingle, classId, 1, id, bytes));
        all.push(request(Service.setAttributeList, classId, 1, undefined, Uint8Array.of(1, 0, id, 0, ...bytes)));
      }
    }
  }
  const embedded: readonly Request[] = [1, 7].map((attribute) => ({
    service: Service.getAttributeSingle,
    path: objectPath(1, 1, attribute),
    data: noOctets,
  }));
  return [
    ...all,
    nameRequest,
    request(Service.multipleServicePacket, 2, 1, undefined, encode(MultipleServiceRequest, embedded)),
    request(ConnectionService.forwardOpen, 6, 1, undefined, encode(ForwardOpen, connection(1, 500))),
    request(ConnectionService.largeForwardOpen, 6, 1, undefined, encode(LargeForwardOpen, connection(2, 4000))),
    closeRequest(1),
    request(
      ConnectionService.unconnectedSend,
      6,
      1,
      undefined,
      encode(UnconnectedSend, { priorityTick: 5, timeoutTicks: 200, message: nameRequest, route: [] }),
    ),
  ];
}

/** A class 3 connection to the Message Router of the device. */
export function openRequest(serial: number): Uint8Array {
  return request(ConnectionService.forwardOpen, 6, 1, undefined, encode(ForwardOpen, connection(serial, 500)));
}

function closeRequest(serial: number): Uint8Array {
  const { priorityTick, timeoutTicks, originatorVendor, originatorSerial, path } = connection(serial, 500);
  const close = { priorityTick, timeoutTicks, connectionSerial: serial, originatorVendor, originatorSerial, path };
  return request(ConnectionService.forwardClose, 6, 1, undefined, encode(ForwardClose, close));
}

function connection(serial: number, size: number): ForwardOpen {
  const direction = { redundantOwner: false, type: ConnectionType.pointToPoint, priority: 0, variable: true, size };
  return {
    priorityTick: 5,
    timeoutTicks: 200,
    oToTConnectionId: 0,
    tToOConnectionId: 0x1000 + serial,
    connectionSerial: serial,
    originatorVendor: 0xffff,
    originatorSerial: serial,
    timeoutMultiplier: 3,
    oToTRpiMicros: 2_000_000,
    oToT: direction,
    tToORpiMicros: 2_000_000,
    tToO: direction,
    transport: 0xa3,
    path: objectPath(2, 1),
  };
}

/** A SendRRData frame. */
export function unconnected(session: number, message: Uint8Array, context: Uint8Array): Uint8Array {
  const items = [
    { type: ItemType.nullAddress, data: noOctets },
    { type: ItemType.unconnectedData, data: message },
  ];
  return frame(Command.sendRRData, { session, context, data: sendData(items) });
}

/** A SendUnitData frame. */
export function connected(session: number, id: number, sequence: number, message: Uint8Array): Uint8Array {
  const address = Uint8Array.of(id & 0xff, (id >>> 8) & 0xff, (id >>> 16) & 0xff, id >>> 24);
  const items = [
    { type: ItemType.connectedAddress, data: address },
    { type: ItemType.connectedData, data: Uint8Array.of(sequence & 0xff, (sequence >> 8) & 0xff, ...message) },
  ];
  return frame(Command.sendUnitData, { session, data: sendData(items) });
}

function sendData(items: readonly CpfItem[]): Uint8Array {
  return encode(SendData, { interfaceHandle: 0, timeoutS: 10, items });
}

function request(
  service: number,
  classId: number,
  instance: number,
  attribute?: number,
  data: Uint8Array = noOctets,
): Uint8Array {
  return encode(MessageRouterRequest, { service, path: objectPath(classId, instance, attribute), data });
}
