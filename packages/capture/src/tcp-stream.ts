import type { TcpSegment } from "./segments.ts";

/** What one direction of a TCP connection gave, in stream order. */
export type StreamEvent =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** That many octets were sent and acknowledged, or passed over, but are not in the capture. */
  | { readonly kind: "gap"; readonly octets: number }
  /** Everything up to the sender's FIN was given. */
  | { readonly kind: "closed" };

/** Octets waiting behind holes, shared by all streams of a capture so that their sum can be bounded. */
export interface HeldOctets {
  held: number;
}

/** Octets that one direction may hold behind a hole: more than the largest usual window. */
const maxHeldPerStream = 4 * 1024 * 1024;

/** The same for all streams of a capture together. */
const maxHeldInAll = 64 * 1024 * 1024;

/** Pieces behind a hole; bounds the work that one-octet segments can cause. */
const maxPieces = 2048;

/**
 * Frames of the connection that may pass after the receiver acknowledged a hole before it counts as lost to the capture:
 * a tap or a multi-queue interface may write an acknowledgement before the segment it answers.
 */
const graceFrames = 8;

/** The largest TCP window (RFC 7323, 2.3); a segment farther ahead belongs to no window. */
const maxWindow = 0x4000_0000;

interface Piece {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/**
 * One direction of a TCP connection: puts segments in order, drops what came before (the first copy wins), passes over
 * what the capture lost. Starts at the SYN or, in a capture that begins later, at the first data seen.
 *
 * @see RFC 9293
 */
export class TcpStream {
  readonly #all: HeldOctets;
  #next: number | undefined;
  /** Sorted by sequence, without overlap, all behind `#next`. */
  #pieces: Piece[] = [];
  #held = 0;
  #fin: number | undefined;
  #closed = false;
  #framesSinceAcknowledged = 0;

  constructor(all: HeldOctets) {
    this.#all = all;
  }

  /** Sequence number expected next; `undefined` before anything was seen. */
  get next(): number | undefined {
    return this.#next;
  }

  /** Tells the stream where it starts, known from the other side's acknowledgement of a SYN that was not captured. */
  startAt(sequence: number): void {
    this.#next ??= sequence;
  }

  /** Takes a segment of this direction. */
  take(segment: TcpSegment): readonly StreamEvent[] {
    const start = segment.syn ? after(segment.sequence, 1) : segment.sequence;
    const carries = segment.payload.length > 0 || segment.missing > 0;
    // An empty segment without SYN or FIN may be a keep-alive, whose sequence number is one too low.
    if (segment.syn || segment.fin || carries) this.#next ??= start;
    if (this.#next === undefined || this.#closed) return [];
    const end = after(start, segment.payload.length + segment.missing);
    // A FIN behind what was given already is a late copy from an earlier connection, or forged.
    if (segment.fin && distance(end, this.#next) >= 0) this.#fin ??= end;
    this.#place(start, segment.payload);
    const events: StreamEvent[] = [];
    this.#release(events);
    while (this.#pieces.length > 0 && this.#isFull()) this.#skipHole(events);
    return events;
  }

  /**
   * Takes note of a frame of either direction and of what the receiver had acknowledged by then.
   *
   * @param answered The frame carries the receiver's own data: it acted on what it acknowledges, so a hole before that
   * is passed over at once, and the question stands before the answer.
   */
  acknowledge(acknowledgement: number | undefined, answered: boolean): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    if (acknowledgement === undefined) return events;
    for (let first = this.#pieces[0]; first !== undefined; first = this.#pieces[0]) {
      if (distance(acknowledgement, first.sequence) <= 0) break;
      if (!answered && ++this.#framesSinceAcknowledged <= graceFrames) break;
      this.#skipHole(events);
    }
    return events;
  }

  /** Gives what is left, across holes: the connection was reset, replaced, or the capture ends. */
  flush(): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    while (this.#pieces.length > 0) this.#skipHole(events);
    if (this.#fin !== undefined && this.#next !== undefined && !this.#closed) {
      const octets = distance(this.#fin, this.#next);
      if (octets > 0) events.push({ kind: "gap", octets });
      this.#next = this.#fin;
      this.#release(events);
    }
    return events;
  }

  #isFull(): boolean {
    return this.#held > maxHeldPerStream || this.#all.held > maxHeldInAll || this.#pieces.length > maxPieces;
  }

  /** Keeps the parts of a segment that neither were given nor wait already. */
  #place(start: number, bytes: Uint8Array): void {
    if (this.#next === undefined) return;
    const base = this.#next;
    const offset = distance(start, base);
    if (offset > maxWindow) return;
    let from = Math.max(0, offset);
    const end = offset + bytes.length;
    if (from >= end) return;
    const fresh: Piece[] = [];
    const keep = (to: number): void => {
      if (to > from) fresh.push({ sequence: after(base, from), bytes: bytes.subarray(from - offset, to - offset) });
    };
    for (const piece of this.#pieces) {
      const at = distance(piece.sequence, base);
      keep(Math.min(at, end));
      from = Math.max(from, Math.min(end, at + piece.bytes.length));
    }
    keep(end);
    if (fresh.length === 0) return;
    for (const piece of fresh) this.#hold(piece.bytes.length);
    this.#pieces.push(...fresh);
    this.#pieces.sort((a, b) => distance(a.sequence, base) - distance(b.sequence, base));
  }

  #release(events: StreamEvent[]): void {
    let count = 0;
    for (const piece of this.#pieces) {
      if (piece.sequence !== this.#next) break;
      events.push({ kind: "data", bytes: piece.bytes });
      this.#next = after(piece.sequence, piece.bytes.length);
      this.#hold(-piece.bytes.length);
      count++;
    }
    if (count > 0) {
      this.#pieces = this.#pieces.slice(count);
      this.#framesSinceAcknowledged = 0;
    }
    if (this.#fin !== undefined && this.#next !== undefined && !this.#closed && distance(this.#fin, this.#next) <= 0) {
      this.#closed = true;
      events.push({ kind: "closed" });
      // A segment behind the FIN is no part of the stream.
      for (const piece of this.#pieces) this.#hold(-piece.bytes.length);
      this.#pieces = [];
    }
  }

  #skipHole(events: StreamEvent[]): void {
    const first = this.#pieces[0];
    if (first === undefined || this.#next === undefined) return;
    const octets = distance(first.sequence, this.#next);
    if (octets > 0) events.push({ kind: "gap", octets });
    this.#next = first.sequence;
    this.#framesSinceAcknowledged = 0;
    this.#release(events);
  }

  #hold(octets: number): void {
    this.#held += octets;
    this.#all.held += octets;
  }
}

/** Sequence numbers count modulo 2^32: how far `a` is ahead of `b`, negative when behind. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

function after(sequence: number, octets: number): number {
  return (sequence + octets) >>> 0;
}
