import { noOctets } from "./events.ts";
import type { CaptureEvent, EventBase } from "./events.ts";
import type { SecretSource } from "./key-log.ts";
import type { Endpoint, TcpSegment } from "./segments.ts";
import { TcpStream, distance } from "./tcp-stream.ts";
import type { HeldOctets, StreamEvent } from "./tcp-stream.ts";
import { TlsDecoder } from "./tls-decoder.ts";
import type { Direction, TlsEvent } from "./tls-decoder.ts";
import { looksLikeTls } from "./tls-records.ts";

/** TCP and UDP port of EtherNet/IP over TLS and DTLS. */
export const securePort = 2221;

/** The frame under which events are reported. */
export interface Mark {
  readonly n: number;
  readonly time: string;
}

/** A reset farther from what was expected than this is not from the peer (RFC 5961, 3, in the spirit of it). */
const maxResetDistance = 0x10_0000;

/**
 * One TCP connection of a capture: both directions in order, and TLS taken off where the first octets are TLS. On port
 * 2221 a connection whose beginning is not in the capture counts as TLS too.
 */
export class Connection {
  readonly flow: number;
  readonly #ends: readonly [Endpoint, Endpoint];
  readonly #streams: readonly [TcpStream, TcpStream];
  readonly #secrets: SecretSource;
  readonly #acknowledged: [number | undefined, number | undefined] = [undefined, undefined];
  /** First octets of each direction, until three tell what the connection carries. */
  readonly #undecided: [Uint8Array, Uint8Array] = [noOctets, noOctets];
  /** Sequence number of the SYN of each direction, to tell a repeated one from a new connection. */
  readonly #syns: [number | undefined, number | undefined] = [undefined, undefined];
  #carries: "unknown" | "plain" | TlsDecoder = "unknown";
  #over = false;

  constructor(flow: number, ends: readonly [Endpoint, Endpoint], held: HeldOctets, secrets: SecretSource) {
    this.flow = flow;
    this.#ends = ends;
    this.#streams = [new TcpStream(held), new TcpStream(held)];
    this.#secrets = secrets;
  }

  /** Tells whether a segment starts another connection between the same ports. */
  isReplacedBy(segment: TcpSegment): boolean {
    if (!segment.syn) return false;
    const direction = this.#directionOf(segment);
    const syn = this.#syns[direction];
    if (syn !== undefined) return syn !== segment.sequence;
    const next = this.#streams[direction].next;
    return this.#over || (next !== undefined && distance(next, segment.sequence) !== 1);
  }

  /** Takes a segment. */
  take(segment: TcpSegment, mark: Mark): readonly CaptureEvent[] {
    // What still arrives after a reset belongs to nobody.
    if (this.#over) return [];
    const direction = this.#directionOf(segment);
    const back = other(direction);
    if (segment.syn) this.#syns[direction] ??= segment.sequence;
    if (segment.acknowledgement !== undefined) {
      this.#acknowledged[back] = segment.acknowledgement;
      if (segment.syn) this.#streams[back].startAt(segment.acknowledgement);
    }
    const events: CaptureEvent[] = [];
    if (segment.rst) return this.#reset(direction, segment, mark);
    const answered = segment.payload.length > 0;
    this.#stream(back, this.#streams[back].acknowledge(this.#acknowledged[back], answered), mark, events);
    this.#stream(direction, this.#streams[direction].take(segment), mark, events);
    this.#stream(direction, this.#streams[direction].acknowledge(this.#acknowledged[direction], false), mark, events);
    return events;
  }

  /** Gives what still waits: the connection is replaced, put away, or the capture ends. */
  finish(mark: Mark): readonly CaptureEvent[] {
    const events: CaptureEvent[] = [];
    for (const direction of [0, 1] as const) {
      this.#stream(direction, this.#streams[direction].flush(), mark, events);
      const rest = this.#undecided[direction];
      if (rest.length > 0) events.push({ ...this.#base(direction, mark, "tcp"), kind: "data", bytes: rest });
      this.#undecided[direction] = noOctets;
    }
    return events;
  }

  #reset(direction: Direction, { sequence }: TcpSegment, mark: Mark): readonly CaptureEvent[] {
    const next = this.#streams[direction].next;
    if (next !== undefined && Math.abs(distance(sequence, next)) > maxResetDistance) {
      const message = "TCP: a reset outside the window was passed over";
      return [{ ...this.#base(direction, mark, "tcp"), kind: "notice", message }];
    }
    this.#over = true;
    return [...this.finish(mark), { ...this.#base(direction, mark), kind: "reset" }];
  }

  #stream(direction: Direction, given: readonly StreamEvent[], mark: Mark, events: CaptureEvent[]): void {
    for (const event of given) {
      if (event.kind === "data") this.#data(direction, event.bytes, mark, events);
      else if (event.kind === "gap") this.#gap(direction, event.octets, mark, events);
      else events.push({ ...this.#base(direction, mark), kind: "closed" });
    }
  }

  #data(direction: Direction, bytes: Uint8Array, mark: Mark, events: CaptureEvent[]): void {
    if (this.#carries === "unknown") {
      const start = joined(this.#undecided[direction], bytes);
      this.#undecided[direction] = start;
      if (start.length < 3 && couldBeTls(start)) return;
      this.#decide(direction, start, mark, events);
      // The direction that decided goes first; the other may hold an octet or two.
      for (const side of [direction, other(direction)] as const) {
        const waiting = this.#undecided[side];
        this.#undecided[side] = noOctets;
        if (waiting.length > 0) this.#data(side, waiting, mark, events);
      }
      return;
    }
    if (this.#carries === "plain") events.push({ ...this.#base(direction, mark, "tcp"), kind: "data", bytes });
    else this.#tls(this.#carries.push(direction, bytes), mark, events);
  }

  #decide(direction: Direction, start: Uint8Array, mark: Mark, events: CaptureEvent[]): void {
    const onSecurePort = this.#ends.some(({ port }) => port === securePort);
    const fromStart = this.#syns[0] !== undefined || this.#syns[1] !== undefined;
    if (looksLikeTls(start) || (onSecurePort && !fromStart)) {
      this.#carries = new TlsDecoder(this.#secrets);
      return;
    }
    this.#carries = "plain";
    if (onSecurePort)
      events.push({
        ...this.#base(direction, mark, "tcp"),
        kind: "notice",
        message: `TCP: port ${securePort} carries no TLS here`,
      });
  }

  #gap(direction: Direction, octets: number, mark: Mark, events: CaptureEvent[]): void {
    events.push({ ...this.#base(direction, mark), kind: "gap", octets });
    const start = this.#undecided[direction];
    if (this.#carries === "unknown" && start.length > 0) {
      // What came before a gap can no longer grow to three octets.
      this.#undecided[direction] = noOctets;
      events.splice(-1, 0, { ...this.#base(direction, mark, "tcp"), kind: "data", bytes: start });
    }
    if (this.#carries instanceof TlsDecoder) this.#tls(this.#carries.gap(direction, octets), mark, events);
  }

  #tls(given: readonly TlsEvent[], mark: Mark, events: CaptureEvent[]): void {
    for (const { from, ...event } of given) events.push({ ...this.#base(from, mark, "tls"), ...event });
  }

  #base(
    direction: Direction,
    { n, time }: Mark,
    transport: "tcp" | "tls" = this.#carries instanceof TlsDecoder ? "tls" : "tcp",
  ): EventBase {
    return {
      n,
      time,
      src: this.#ends[direction],
      dst: this.#ends[other(direction)],
      transport,
      flow: this.flow,
      bytes: noOctets,
    };
  }

  #directionOf({ src }: TcpSegment): Direction {
    return src.port === this.#ends[0].port && src.address === this.#ends[0].address ? 0 : 1;
  }
}

function other(direction: Direction): Direction {
  return direction === 0 ? 1 : 0;
}

/** With fewer than three octets: nothing yet speaks against TLS. */
function couldBeTls([type = 0x16, major = 3]: Uint8Array): boolean {
  return looksLikeTls(Uint8Array.of(type, major, 0));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const out = new Uint8Array(a.length + b.length);
  out.set(a, 0);
  out.set(b, a.length);
  return out;
}
