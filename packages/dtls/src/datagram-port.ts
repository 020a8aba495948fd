import type { Remote } from "./peers.ts";

/** What an endpoint sends by and hears from: a UDP socket, however it is driven. */
export interface DatagramPort {
  /** Where it is bound. */
  readonly local: Remote;
  /** Datagrams that did not go out. */
  readonly sendErrors: number;
  /**
   * Sends one datagram; never throws. Nothing changes the octets afterwards. What waits to go out together with others goes no
   * later than at the end of this turn of the event loop.
   *
   * @param remote The same object each time for a peer that stays where it is.
   * @param dscp Code point that it shall carry, 0 to 63; where it cannot be marked, it goes unmarked.
   */
  send(bytes: Uint8Array, remote: Remote, dscp: number | undefined): void;
  /** Sets who gets what comes. The octets are the receiver's: nothing else changes them afterwards. */
  listen(receive: (bytes: Uint8Array, remote: Remote) => void): void;
  /** Sends what waits and gives nothing more. Called once. */
  close(): Promise<void>;
}
