import dgram from "node:dgram";
import { isIP } from "node:net";
import { TransportError } from "@cipsec/wire";
import { systemClock, type Clock } from "./clock.ts";

/** Whom to ask, and how long to wait for what comes back. */
export interface UdpProbe {
  /** Numeric. */
  readonly address: string;
  readonly port: number;
  readonly octets: Uint8Array;
  readonly waitMs: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Sends one datagram and tells what became of it. A port that nobody listens on makes its system refuse (ICMP "port unreachable"), where
 * that system says so and nothing between drops it; a port that is open may be silent as well.
 *
 * @throws {TransportError} `transport/address` for an address that is not numeric.
 */
export async function probeUdp(probe: UdpProbe): Promise<"answered" | "refused" | "silent"> {
  const { address, port, octets, waitMs, signal, clock = systemClock } = probe;
  signal?.throwIfAborted();
  if (isIP(address) === 0) throw new TransportError("transport/address", `${address}: not a numeric address`);
  const socket = dgram.createSocket(isIP(address) === 6 ? "udp6" : "udp4");
  const { promise, resolve } = Promise.withResolvers<"answered" | "refused" | "silent">();
  const failed = (error: NodeJS.ErrnoException): void => {
    // What else goes wrong, such as a network that is not there, says nothing about the port.
    resolve(error.code === "ECONNREFUSED" ? "refused" : "silent");
  };
  socket.on("error", failed);
  socket.on("message", () => resolve("answered"));
  socket.connect(port, address, () => {
    socket.send(octets, (error) => (error === null ? undefined : failed(error)));
  });
  // In two halves: where the process was held up, what has come meanwhile is looked at before the second one is over.
  let cancel = clock.after(
    waitMs / 2,
    () => {
      cancel = clock.after(waitMs / 2, () => resolve("silent"), true);
    },
    true,
  );
  const aborted = (): void => resolve("silent");
  signal?.addEventListener("abort", aborted, { once: true });
  try {
    const answer = await promise;
    signal?.throwIfAborted();
    return answer;
  } finally {
    cancel();
    signal?.removeEventListener("abort", aborted);
    await new Promise<void>((done) => socket.close(() => done()));
  }
}
