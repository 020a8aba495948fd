import {
  Command,
  ConnectedAddress,
  Cpf,
  Encapsulation,
  FrameStream,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  SendData,
  SequencedAddress,
  Service,
  UnconnectedMessage,
  UnconnectedSend,
  WireError,
  decode,
  type CpfItem,
  type Frame,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import type { CaptureEvent } from "./events.ts";
import type { Endpoint } from "./segments.ts";

/** One CIP message; what the octets do not say is `null`: a response names no object. */
export interface CipLine {
  readonly service: number;
  readonly response: boolean;
  readonly class: number | null;
  readonly instance: number | null;
  readonly attribute: number | null;
  /** General status of a response. */
  readonly status: number | null;
  readonly extended: readonly number[];
  /** Service data. */
  readonly dataHex: string;
}

/** One CPF item. Octets that are a CIP message stand in `cip`, all others in `dataHex`. */
export interface ItemLine {
  readonly type: number;
  readonly length: number;
  readonly connectionId?: number;
  readonly sequence?: number;
  readonly dataHex: string;
}

/** One EtherNet/IP message of a capture, as `cipsec decode` prints it. */
export interface MessageLine {
  /** Number of the frame that completed the message. */
  readonly n: number;
  /** Epoch seconds. */
  readonly time: string;
  readonly src: string;
  readonly dst: string;
  readonly transport: "tcp" | "udp" | "tls" | "dtls";
  /** Encapsulation command; `null` for I/O and for messages over DTLS, which have no encapsulation header. */
  readonly command: number | null;
  readonly session: number | null;
  /** Encapsulation status. */
  readonly status: number | null;
  readonly items: readonly ItemLine[];
  readonly cip: readonly CipLine[];
  /** Why the message could not be read to its end, and at which octet of it. */
  readonly error: { readonly code: string; readonly offset: number } | null;
}

/** Ports on which EtherNet/IP is looked for. */
export interface DissectOptions {
  /** Encapsulated messages; default 44818 and 2221. */
  readonly messagePorts?: readonly number[];
  /** I/O without encapsulation; default 2222. */
  readonly ioPorts?: readonly number[];
}

/**
 * Reads EtherNet/IP messages out of a capture's events, in frame order. Lines with an `error` still say what was read before it;
 * datagrams of DTLS that stay closed give a line with the error `dtls/not-opened`, `dtls/replayed` (a copy of one that was opened),
 * `dtls/unauthentic` (altered, or under another key) or `dtls/malformed`.
 */
export function* dissect(
  events: Iterable<CaptureEvent>,
  options: DissectOptions = {},
): Generator<MessageLine, void, undefined> {
  const messagePorts = options.messagePorts ?? [44_818, 2221];
  const ioPorts = options.ioPorts ?? [2222];
  const streams = new Map<string, FrameStream>();
  for (const event of events) {
    const direction = `${event.flow} ${event.src.address} ${event.src.port}`;
    if (event.kind === "gap" || event.kind === "reset" || event.kind === "closed") streams.delete(direction);
    const isMessage = uses(event, messagePorts);
    if (event.kind === "sealed" && (isMessage || uses(event, ioPorts)))
      yield { ...start(event, "dtls"), error: { code: `dtls/${event.reason}`, offset: 0 } };
    if (event.kind !== "data" || event.transport === "none") continue;
    if (event.transport === "dtls") {
      if (isMessage || uses(event, ioPorts)) yield isFrame(event.bytes) ? datagram(event) : bare(event, "dtls");
    } else if (event.transport === "udp") {
      if (uses(event, ioPorts)) yield isEncapsulated(event.bytes) ? datagram(event, true) : bare(event, "udp");
      else if (isMessage) yield datagram(event);
    } else if (isMessage) {
      const stream = streams.get(direction) ?? new FrameStream();
      streams.set(direction, stream);
      yield* streamed(event, event.transport, stream, () => streams.delete(direction));
    }
  }
}

/** Some devices send I/O with an encapsulation header; its command, read as an item count, is out of bounds. */
function isEncapsulated(bytes: Uint8Array): boolean {
  return bytes.length >= 24 && bytes[0] === Command.sendUnitData && bytes[1] === 0;
}

/** Whether octets out of DTLS are an encapsulation frame, as on 44818: its length, read as an item type, is none. */
function isFrame(bytes: Uint8Array): boolean {
  return bytes.length >= 24 && (bytes[2] ?? 0) + 256 * (bytes[3] ?? 0) === bytes.length - 24;
}

/** A message without encapsulation header: I/O on UDP 2222, or anything inside DTLS. */
export function bare(event: CaptureEvent, transport: "udp" | "dtls"): MessageLine {
  const line = start(event, transport);
  try {
    return { ...line, ...contents(decode(Cpf, event.bytes)) };
  } catch (error) {
    return { ...line, error: problem(error) };
  }
}

function* streamed(
  event: CaptureEvent,
  transport: "tcp" | "tls",
  stream: FrameStream,
  outOfStep: () => void,
): Generator<MessageLine> {
  const line = start(event, transport);
  try {
    for (const step of stream.push(event.bytes)) {
      if (step.type === "frame") yield message(line, step.frame);
    }
  } catch (error) {
    outOfStep();
    yield { ...line, error: problem(error) };
  }
}

function datagram(event: CaptureEvent, isIo = false): MessageLine {
  const line = start(event, event.transport === "dtls" ? "dtls" : "udp");
  try {
    return message(line, decode(Encapsulation, event.bytes), isIo);
  } catch (error) {
    const trailing = error instanceof WireError && error.code === "wire/trailing" ? shorter(line, event.bytes) : line;
    return { ...trailing, error: problem(error) };
  }
}

/** A peer whose length field leaves out what follows: what the length covers is read all the same. */
function shorter(line: MessageLine, bytes: Uint8Array): MessageLine {
  const length = bytes.length >= 4 ? 24 + (bytes[2] ?? 0) + 256 * (bytes[3] ?? 0) : bytes.length;
  try {
    return message(line, decode(Encapsulation, bytes.subarray(0, length)));
  } catch {
    return line;
  }
}

function message(line: MessageLine, frame: Frame, isIo = false): MessageLine {
  const head = { ...line, command: frame.command, session: frame.session, status: frame.status };
  if (frame.data.length === 0) return head;
  try {
    switch (frame.command) {
      case Command.sendRRData:
      case Command.sendUnitData:
        return { ...head, ...contents(decode(SendData, frame.data).items, isIo) };
      case Command.listIdentity:
      case Command.listServices:
      case Command.listInterfaces:
        return { ...head, ...contents(decode(Cpf, frame.data)) };
      default:
        return head;
    }
  } catch (error) {
    return { ...head, error: problem(error) };
  }
}

function contents(items: readonly CpfItem[], isIoPort = false): Pick<MessageLine, "items" | "cip" | "error"> {
  const cip: CipLine[] = [];
  let error: MessageLine["error"] = null;
  const isIo = isIoPort || items.some((item) => item.type === ItemType.sequencedAddress);
  const shown = items.map((item) => {
    const carried = isIo ? undefined : cipOctets(item);
    if (carried !== undefined) {
      try {
        cipLines(carried, cip);
      } catch (caught) {
        error ??= problem(caught);
      }
    }
    return {
      type: item.type,
      length: item.data.length,
      ...address(item),
      dataHex: carried === undefined ? hex(item.data) : "",
    };
  });
  return { items: shown, cip, error };
}

function address(item: CpfItem): { connectionId?: number; sequence?: number } {
  if (item.type === ItemType.connectedAddress && item.data.length === 4)
    return { connectionId: decode(ConnectedAddress, item.data) };
  return item.type === ItemType.sequencedAddress && item.data.length === 8 ? decode(SequencedAddress, item.data) : {};
}

/** The CIP message inside an item; behind a sequence count in a class 3 connection. */
function cipOctets(item: CpfItem): Uint8Array | undefined {
  if (item.type === ItemType.unconnectedData) return item.data;
  if (item.type === ItemType.connectedData) return item.data.subarray(Math.min(2, item.data.length));
  return item.type === ItemType.unconnectedMessage ? decode(UnconnectedMessage, item.data).message : undefined;
}

/**
 * A packet of services within Unconnected_Sends over some hops is as deep as it gets; each level repeats the data of those
 * within, so that a deeper one would make a small frame into an endless line.
 */
const maxNesting = 8;

/** Adds the message and, behind it, those that it embeds. */
function cipLines(bytes: Uint8Array, lines: CipLine[], depth = 0): void {
  if (bytes.length === 0) return;
  if ((bytes[0] ?? 0) >= 0x80) addReply(decode(MessageRouterReply, bytes), lines, depth);
  else addRequest(decode(MessageRouterRequest, bytes), lines, depth);
}

function checkDepth(depth: number): void {
  if (depth >= maxNesting)
    throw new WireError("wire/length", `messages within messages: more than ${maxNesting} levels`, {
      facts: { max: maxNesting },
    });
}

function addRequest(request: Request, lines: CipLine[], depth: number): void {
  checkDepth(depth);
  lines.push({
    service: request.service,
    response: false,
    ...object(request.path),
    status: null,
    extended: [],
    dataHex: hex(request.data),
  });
  if (request.service === Service.multipleServicePacket) {
    for (const embedded of decode(MultipleServiceRequest, request.data)) addRequest(embedded, lines, depth + 1);
  } else if (request.service === 0x52 && object(request.path).class === 0x06) {
    cipLines(decode(UnconnectedSend, request.data).message, lines, depth + 1);
  }
}

function addReply(reply: Reply, lines: CipLine[], depth: number): void {
  checkDepth(depth);
  const { service, status, extended, data } = reply;
  lines.push({
    service,
    response: true,
    class: null,
    instance: null,
    attribute: null,
    status,
    extended,
    dataHex: hex(data),
  });
  if (service === Service.multipleServicePacket && data.length > 0) {
    for (const embedded of decode(MultipleServiceReply, data)) addReply(embedded, lines, depth + 1);
  }
}

function object(path: readonly Segment[]): { class: number | null; instance: number | null; attribute: number | null } {
  const value = (kind: "class" | "instance" | "attribute"): number | null => {
    for (const segment of path) if (segment.kind === kind) return segment.value;
    return null;
  };
  return { class: value("class"), instance: value("instance"), attribute: value("attribute") };
}

function start(event: CaptureEvent, transport: MessageLine["transport"]): MessageLine {
  const { n, time, src, dst } = event;
  return {
    n,
    time,
    src: text(src),
    dst: text(dst),
    transport,
    command: null,
    session: null,
    status: null,
    items: [],
    cip: [],
    error: null,
  };
}

function uses(event: CaptureEvent, ports: readonly number[]): boolean {
  return ports.includes(event.src.port) || ports.includes(event.dst.port);
}

function text({ address: host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function problem(error: unknown): { code: string; offset: number } {
  if (!(error instanceof WireError)) throw error;
  const { offset } = error.facts;
  return { code: error.code, offset: typeof offset === "number" ? offset : 0 };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
