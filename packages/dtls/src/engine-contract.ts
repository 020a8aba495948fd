import type { Verdict, VerifyRequest } from "./credentials.ts";
import type { DtlsError } from "./errors.ts";
import type { AssociationFacts } from "./facts.ts";
import type { ClientSession } from "./session.ts";
import type { Statistics } from "./statistics.ts";

/** What the engine is told. */
export type EngineInput =
  /** Begins a handshake as client. */
  | { readonly type: "start" }
  | { readonly type: "datagram"; readonly bytes: Uint8Array }
  /** The time that `wakeAt` named has come, and what had arrived by then has been handed over. Nothing else ends or repeats by time. */
  | { readonly type: "timer" }
  | { readonly type: "send"; readonly payload: Uint8Array }
  /** The answer to the event `verify`. */
  | { readonly type: "verdict"; readonly verdict: Verdict }
  | { readonly type: "close" };

/** What happened. */
export type EngineEvent =
  /** The caller has to judge the peer's certificates, and to answer with `verdict`. The handshake waits. */
  | { readonly type: "verify"; readonly request: VerifyRequest }
  | { readonly type: "open"; readonly facts: AssociationFacts; readonly session: ClientSession | undefined }
  /** A line for a key log; only where the options ask for it. Secret. */
  | { readonly type: "keylog"; readonly line: string }
  | {
      readonly type: "closed";
      readonly by: "local" | "peer" | "error" | "idle";
      readonly error: DtlsError | undefined;
    };

/** What the caller has to do. */
export interface EngineOutput {
  /** Datagrams for the peer, in order. */
  readonly send: readonly Uint8Array[];
  /** Payloads from the peer, in order of arrival. */
  readonly received: readonly Uint8Array[];
  readonly events: readonly EngineEvent[];
  /** When to call again with `timer`, milliseconds on the caller's clock; `undefined` when nothing is due. */
  readonly wakeAt: number | undefined;
  /** Records of this input that proved to be the peer's. */
  readonly authentic: number;
  /** Whether one of them is newer than all before: only then may the peer's address have changed (RFC 9146 6). */
  readonly newest: boolean;
}

/** How a server begins: the numbers of the hello whose cookie was right. */
export interface HelloNumbers {
  readonly messageSeq: number;
  readonly recordSeq: number;
}

/**
 * One association, from the first hello to the last record. It has no socket and no clock: each call takes one input and
 * the time, and returns what to send, what was received and when to call again.
 *
 * Input from the network never throws. After the handshake nothing that fails authentication changes anything but a
 * counter.
 */
export interface Engine {
  /**
   * @param now Milliseconds on any clock that never goes back.
   * @throws {DtlsError} on a mistake of the caller only: `dtls/size` for a payload above `facts.maxPayload`,
   * `usage/state` for sending before `open`, `dtls/closed` after the end.
   */
  handle(input: EngineInput, now: number): EngineOutput;
  /** Wipes the keys of an association that is given up without a word to the peer; after its end it does nothing. */
  dispose(): void;
  readonly state: "new" | "handshake" | "open" | "closed";
  readonly statistics: Statistics;
  /** What `open` said, kept. */
  readonly facts: AssociationFacts | undefined;
  /** The random of the client's hello: tells a repeated hello from a new one. */
  readonly clientRandom: Uint8Array;
}
