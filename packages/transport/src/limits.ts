/** What one listener or channel may cost before it is cut off. Every bound is here, with its reason. */
export interface ChannelLimits {
  /** Connections of one listener, handshaking ones included: bounds file descriptors and memory. */
  readonly maxConnections: number;
  /** Connections from one address: one faulty or hostile host must not take all of them. */
  readonly maxPerAddress: number;
  /**
   * Connections that have not finished their handshake: a handshake costs a signature, a connection at rest nearly
   * nothing, so a flood of them is what starves the sessions that exist.
   */
  readonly maxHandshakes: number;
  /** Milliseconds from TCP accept to the end of the handshake: a silent or slow peer holds a place no longer. */
  readonly handshakeTimeoutMs: number;
  /** Octets that wait for a slow reader: above that the peer is cut off, not the memory used up. */
  readonly maxQueuedBytes: number;
  /** Milliseconds in which a peer must take something while octets wait for it: a dead or hostile reader ends. */
  readonly sendStallMs: number;
  /** Octets kept for a receiver that is not set yet; above that the peer waits (TCP flow control). */
  readonly maxUnreadBytes: number;
}

/**
 * 64 connections are more than an EtherNet/IP device is used by; 16 from one address leave room for a few tools behind
 * one host. Ten seconds suit a handshake over slow radio. 1 MiB is sixteen of the largest encapsulation frames. After 30 s
 * without an acknowledged octet TCP itself would still try for minutes. 64 KiB is one largest frame.
 */
export const defaultLimits: ChannelLimits = {
  maxConnections: 64,
  maxPerAddress: 16,
  maxHandshakes: 32,
  handshakeTimeoutMs: 10_000,
  maxQueuedBytes: 1024 * 1024,
  sendStallMs: 30_000,
  maxUnreadBytes: 64 * 1024,
};
