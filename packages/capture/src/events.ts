import type { Endpoint } from "./segments.ts";
import type { TlsInfo } from "./tls-decoder.ts";

/** What every event of a capture says. Events come in the order of `n`. */
export interface EventBase {
  /** Number of the frame that completed the event, from 1, as capture tools count. */
  readonly n: number;
  /** Epoch seconds of that frame, with nine decimals. */
  readonly time: string;
  readonly src: Endpoint;
  readonly dst: Endpoint;
  /**
   * `tls` and `dtls`: octets out of verified records (but see `authenticated`);
   * `none`: the event is about a frame or the file, and `src` and `dst` are {@link nowhere}.
   */
  readonly transport: "tcp" | "udp" | "tls" | "dtls" | "none";
  /** Number of the TCP connection, or of the UDP pair of endpoints, from 1; 0 where there is none. */
  readonly flow: number;
  /** Payload of a `data` or `sealed` event; empty in all others. */
  readonly bytes: Uint8Array;
}

/** One step of a capture. */
export type CaptureEvent = EventBase & EventDetail;

/** What an event is about. */
export type EventDetail =
  /** Payload, `src` to `dst`. `authenticated` is there for `tls` and `dtls`; false: a NULL suite read without its key. */
  | { readonly kind: "data"; readonly authenticated?: boolean }
  /** A datagram of DTLS, or of its port, with something in it that stays closed; `bytes` is all of it. */
  | { readonly kind: "sealed"; readonly reason: SealedReason }
  /** Octets that were sent but not captured. */
  | { readonly kind: "gap"; readonly octets: number }
  /** `src` reset the connection. */
  | { readonly kind: "reset" }
  /** `src` will send no more; the other direction may go on. */
  | { readonly kind: "closed" }
  | { readonly kind: "notice" | "error"; readonly message: string }
  | { readonly kind: "tls-info"; readonly info: TlsInfo };

/** Why a datagram stays closed: no secret for it, seen before, altered or of another key, or no octets of DTLS. */
export type SealedReason = "not-opened" | "replayed" | "unauthentic" | "malformed";

/** Stands for the endpoints of an event that has none. */
export const nowhere: Endpoint = { address: "", port: 0 };

/** The payload of an event that has none. */
export const noOctets: Uint8Array = new Uint8Array(0);
