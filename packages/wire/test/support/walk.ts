import {
  Command,
  ConnectedAddress,
  ConnectionFailure,
  ConnectionService,
  Cpf,
  EmbeddedMessages,
  Encapsulation,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  FrameStream,
  ItemType,
  LargeForwardOpen,
  CapabilityItem,
  CipSecurityItem,
  ListIdentityItem,
  ListServicesItem,
  MessageRouterReply,
  MessageRouterRequest,
  RegisterSession,
  SendData,
  SequencedAddress,
  Service,
  Sockaddr,
  UnconnectedSend,
  UINT,
  WireError,
  decode,
  encode,
  findItem,
  type Codec,
  type CpfItem,
  type Frame,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import type { Flow } from "./capture.ts";

/** A CIP message as one frame carries it; embedded ones follow the one that carries them. */
export interface Message {
  readonly flow: Flow;
  readonly frame: Frame;
  /** Sequence count of a connected message. */
  readonly sequence?: number;
  readonly connected: boolean;
  readonly depth: number;
  readonly request?: Request;
  readonly reply?: Reply;
  /** The request that this reply answers, where the capture has it. */
  readonly answers?: Request;
}

/** What was found in a capture: how much, and each octet sequence that did not come back as it was. */
export interface Walk {
  readonly counts: Record<string, number>;
  readonly frames: { readonly flow: Flow; readonly frame: Frame }[];
  readonly io: { readonly flow: Flow; readonly items: readonly CpfItem[] }[];
  readonly messages: Message[];
  readonly faults: { readonly layer: string; readonly packet: number; readonly reason: string }[];
}

export const explicitPort = 44818;
export const ioPort = 2222;

/** Decodes every EtherNet/IP octet of these flows as far as this package knows layouts, and encodes it back. */
export function walk(flows: readonly Flow[]): Walk {
  const result: Walk = { counts: {}, frames: [], io: [], messages: [], faults: [] };
  const pending = new Map<string, Request[]>();
  const tcp: { readonly flow: Flow; readonly frame: Frame }[] = [];
  for (const flow of flows) {
    if (flow.protocol === "udp" && (flow.fromPort === ioPort || flow.toPort === ioPort)) {
      io(result, flow);
    }
    if (flow.fromPort !== explicitPort && flow.toPort !== explicitPort) continue;
    if (flow.protocol === "udp") {
      const frame = same(result, flow, "datagram", Encapsulation, flow.bytes);
      if (frame !== undefined) checkFrame(result, flow, frame, pending);
    } else {
      tcp.push(...framesOf(result, flow).map((frame) => ({ flow, frame })));
    }
  }
  // Requests first: flows are per direction, so a reply would come before its request.
  const requestsFirst = tcp.toSorted(
    (a, b) => Number(a.flow.fromPort === explicitPort) - Number(b.flow.fromPort === explicitPort),
  );
  for (const { flow, frame } of requestsFirst) checkFrame(result, flow, frame, pending);
  return result;
}

/** I/O is bare CPF; one stack puts an encapsulation header in front, which is told apart by its command. */
function io(result: Walk, flow: Flow): void {
  if (decode(UINT, flow.bytes.subarray(0, 2)) === Command.sendUnitData) {
    count(result, "I/O datagrams behind an encapsulation header");
    const frame = same(result, flow, "datagram", Encapsulation, flow.bytes);
    const data = frame === undefined ? undefined : same(result, flow, "SendData", SendData, frame.data);
    if (data !== undefined) checkItems(result, flow, data.items);
  } else {
    count(result, "I/O datagrams");
    const items = same(result, flow, "I/O", Cpf, flow.bytes);
    if (items === undefined) return;
    result.io.push({ flow, items });
    checkItems(result, flow, items);
  }
}

function framesOf(result: Walk, flow: Flow): readonly Frame[] {
  const stream = new FrameStream();
  const frames: Frame[] = [];
  try {
    for (const event of stream.push(flow.bytes)) if (event.type === "frame") frames.push(event.frame);
  } catch (error) {
    fault(result, flow, "stream", error);
  }
  if (stream.isPartial) fault(result, flow, "stream", "ends inside a frame");
  const rejoined = Buffer.concat(frames.map((frame) => encode(Encapsulation, frame)));
  if (!equal(rejoined, flow.bytes.subarray(0, rejoined.length))) fault(result, flow, "stream", "octets differ");
  return frames;
}

function checkFrame(result: Walk, flow: Flow, frame: Frame, pending: Map<string, Request[]>): void {
  count(result, `${flow.protocol} frames`);
  result.frames.push({ flow, frame });
  if (frame.command === Command.sendRRData || frame.command === Command.sendUnitData) {
    if (frame.data.length === 0) return count(result, "refused by encapsulation status");
    const data = same(result, flow, "SendData", SendData, frame.data);
    if (data === undefined) return undefined;
    checkItems(result, flow, data.items);
    return checkMessage(result, flow, frame, data.items, pending);
  }
  if (frame.command === Command.registerSession) same(result, flow, "RegisterSession", RegisterSession, frame.data);
  else if (frame.data.length > 0 && frame.command !== Command.nop) {
    const items = same(result, flow, "List", Cpf, frame.data);
    if (items !== undefined) checkItems(result, flow, items);
  }
  return undefined;
}

const itemChecks: ReadonlyMap<number, Check> = new Map([
  [ItemType.listIdentity, check(ListIdentityItem)],
  [ItemType.listServices, check(ListServicesItem)],
  [ItemType.cipSecurity, check(CipSecurityItem)],
  [ItemType.ethernetIpCapability, check(CapabilityItem)],
  [ItemType.ethernetIpUsage, check(CapabilityItem)],
  [ItemType.connectedAddress, check(ConnectedAddress)],
  [ItemType.sequencedAddress, check(SequencedAddress)],
  [ItemType.sockaddrOtoT, check(Sockaddr)],
  [ItemType.sockaddrTtoO, check(Sockaddr)],
]);

function checkItems(result: Walk, flow: Flow, items: readonly CpfItem[]): void {
  for (const { type, data } of items) {
    count(result, "items");
    itemChecks.get(type)?.(result, flow, data);
  }
}

function checkMessage(
  result: Walk,
  flow: Flow,
  frame: Frame,
  items: readonly CpfItem[],
  pending: Map<string, Request[]>,
): void {
  const unconnected = findItem(items, ItemType.unconnectedData);
  const connected = findItem(items, ItemType.connectedData);
  if (unconnected !== undefined) {
    const key = `${ends(flow)} ${frame.session} ${frame.context.join()}`;
    messages(result, { flow, frame, connected: false, depth: 0 }, unconnected.data, key, pending);
  } else if (connected !== undefined) {
    const sequence = decode(UINT, connected.data.subarray(0, 2));
    const key = `${ends(flow)} ${frame.session} ${sequence}`;
    messages(result, { flow, frame, connected: true, sequence, depth: 0 }, connected.data.subarray(2), key, pending);
  }
}

function messages(
  result: Walk,
  at: Pick<Message, "flow" | "frame" | "connected" | "sequence" | "depth">,
  bytes: Uint8Array,
  key: string,
  pending: Map<string, Request[]>,
): void {
  if (((bytes[0] ?? 0) & 0x80) === 0) {
    const request = same(result, at.flow, "request", MessageRouterRequest, bytes);
    if (request === undefined) return;
    count(result, at.flow.fromPort === explicitPort ? "replies without the reply bit" : "requests");
    pending.set(key, [...(pending.get(key) ?? []), request]);
    result.messages.push({ ...at, request });
    requestData(result, at, request, key, pending);
  } else {
    const reply = same(result, at.flow, "reply", MessageRouterReply, bytes);
    if (reply === undefined) return;
    count(result, "replies");
    const answers = answered(pending.get(key) ?? [], reply.service);
    result.messages.push(answers === undefined ? { ...at, reply } : { ...at, reply, answers });
    replyData(result, at, reply, answers, key, pending);
  }
}

/** The oldest request of this service that waits; what is older still was never answered. Some tools send the same context always. */
function answered(waiting: Request[], service: number): Request | undefined {
  const index = waiting.findIndex((request) => request.service === service);
  return index < 0 ? undefined : waiting.splice(0, index + 1).at(-1);
}

type At = Parameters<typeof messages>[1];

function requestData(result: Walk, at: At, request: Request, key: string, pending: Map<string, Request[]>): void {
  if (request.service === Service.multipleServicePacket) {
    const embedded = same(result, at.flow, "packet", EmbeddedMessages, request.data) ?? [];
    for (const [i, bytes] of embedded.entries())
      messages(result, { ...at, depth: at.depth + 1 }, bytes, `${key} ${i}`, pending);
  }
  if (logical(request.path, "class") !== 6) return;
  connectionRequests.get(request.service)?.(result, at.flow, request.data);
  if (request.service === ConnectionService.unconnectedSend) {
    const send = same(result, at.flow, UnconnectedSend.type, UnconnectedSend, request.data);
    if (send !== undefined) messages(result, { ...at, depth: at.depth + 1 }, send.message, key, pending);
  }
}

const connectionRequests: ReadonlyMap<number, Check> = new Map([
  [ConnectionService.forwardOpen, check(ForwardOpen)],
  [ConnectionService.largeForwardOpen, check(LargeForwardOpen)],
  [ConnectionService.forwardClose, check(ForwardClose)],
]);

const connectionReplies: ReadonlyMap<number, Check> = new Map([
  [ConnectionService.forwardOpen, check(ForwardOpenReply)],
  [ConnectionService.largeForwardOpen, check(ForwardOpenReply)],
  [ConnectionService.forwardClose, check(ForwardCloseReply)],
]);

function replyData(
  result: Walk,
  at: At,
  reply: Reply,
  answers: Request | undefined,
  key: string,
  pending: Map<string, Request[]>,
): void {
  if (reply.service === Service.multipleServicePacket && reply.data.length > 0) {
    const embedded = same(result, at.flow, "packet", EmbeddedMessages, reply.data) ?? [];
    for (const [i, bytes] of embedded.entries())
      messages(result, { ...at, depth: at.depth + 1 }, bytes, `${key} ${i}`, pending);
  }
  if (answers === undefined || logical(answers.path, "class") !== 6) return;
  const success = connectionReplies.get(reply.service);
  if (success !== undefined && reply.data.length > 0)
    (reply.status === 0 ? success : failure)(result, at.flow, reply.data);
}

const failure: Check = check(ConnectionFailure);

/** The first logical value of this kind in a path. */
export function logical(path: readonly Segment[], kind: "class" | "instance" | "attribute"): number | undefined {
  for (const segment of path) if (segment.kind === kind) return segment.value;
  return undefined;
}

type Check = (result: Walk, flow: Flow, bytes: Uint8Array) => void;

function check<T>(codec: Codec<T>): Check {
  return (result, flow, bytes) => void same(result, flow, codec.type, codec, bytes);
}

/** Decodes and encodes; a fault where that fails or gives other octets. */
function same<T>(result: Walk, flow: Flow, layer: string, codec: Codec<T>, bytes: Uint8Array): T | undefined {
  try {
    const value = decode(codec, bytes);
    if (!equal(encode(codec, value), bytes)) fault(result, flow, layer, "octets differ");
    return value;
  } catch (error) {
    fault(result, flow, layer, error);
    return undefined;
  }
}

function fault(result: Walk, flow: Flow, layer: string, error: unknown): void {
  if (error instanceof Error && !(error instanceof WireError)) throw error;
  const reason = error instanceof WireError ? `${error.code}: ${error.message}` : String(error);
  result.faults.push({ layer, packet: flow.packet, reason });
}

function count(result: Walk, what: string): void {
  result.counts[what] = (result.counts[what] ?? 0) + 1;
}

function ends(flow: Flow): string {
  const a = `${flow.from}:${flow.fromPort}`;
  const b = `${flow.to}:${flow.toPort}`;
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
