import type { Socket } from "node:net";

/** A peer that was switched off is found in half a minute and the kernel's probes, not in two hours. */
const keepAliveMs = 30_000;

/** Sets what every connection has: no Nagle delay, keep-alive, and a code point where the runtime can set one. */
export function prepareSocket(socket: Socket, dscp?: number): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
  if (dscp !== undefined && typeof socket.setTypeOfService === "function") socket.setTypeOfService(dscp << 2);
}
