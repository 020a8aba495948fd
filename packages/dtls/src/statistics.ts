import { dropReasons } from "./record/layer.ts";
import type { DropReason } from "./record/layer.ts";

/** Counters of one association or, added up, of an endpoint. */
export class Statistics {
  datagramsIn = 0;
  datagramsOut = 0;
  /** Protected records that proved to be the peer's. */
  recordsIn = 0;
  /** Payloads sent. */
  recordsOut = 0;
  flightsRepeated = 0;
  /** Records dropped, by reason. None of them changed anything. */
  readonly dropped: Record<DropReason, number> = {
    malformed: 0,
    unauthentic: 0,
    replayed: 0,
    "wrong-epoch": 0,
    plaintext: 0,
    unexpected: 0,
    overflow: 0,
  };

  /** Adds another's counters to these. */
  add(other: Statistics): void {
    this.datagramsIn += other.datagramsIn;
    this.datagramsOut += other.datagramsOut;
    this.recordsIn += other.recordsIn;
    this.recordsOut += other.recordsOut;
    this.flightsRepeated += other.flightsRepeated;
    for (const reason of dropReasons) this.dropped[reason] += other.dropped[reason];
  }
}
