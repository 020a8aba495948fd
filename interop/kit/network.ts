import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { ended, ownNetwork, printed, start, stop } from "./programs.ts";

/** What a network of its own needs. */
export const networkPeers = ["unshare", "nsenter", "ip", "bash", ownNetwork] as const;

/** A network of its own, with nothing but loopback: for programs that listen at every address there is. */
export interface PrivateNetwork {
  /** Starts a program there; give it to {@link stop}. */
  start(program: string, args: readonly string[]): ReturnType<typeof start>;
  /** Lays a wire to another one, with an address at each end. */
  join(other: PrivateNetwork, own: string, others: string): Promise<void>;
  /** The octets of a new connection to a port there. */
  connect(port: number): Connected;
  close(): Promise<void>;
  /** The process that the network lives as long as. */
  readonly holder: number | undefined;
}

/** A connection into the network; ended by ending its input. */
export type Connected = ReturnType<typeof start>;

/** Makes one. */
export async function privateNetwork(): Promise<PrivateNetwork> {
  const holder = start("unshare", ["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]);
  await printed(holder, /up/);
  const inside = (program: string, args: readonly string[]): ReturnType<typeof start> =>
    start("nsenter", [`--net=/proc/${holder.pid}/ns/net`, program, ...args]);
  return {
    start: inside,
    holder: holder.pid,
    async join(other, own, others) {
      const peer = ["peer", "name", "wire", "netns", `${other.holder}`];
      await ended(inside("ip", ["link", "add", "wire", "type", "veth", ...peer]));
      for (const [network, address] of [
        [inside, own],
        [other.start, others],
      ] as const) {
        await ended(network("ip", ["address", "add", `${address}/24`, "dev", "wire"]));
        await ended(network("ip", ["link", "set", "wire", "up"]));
      }
    },
    connect: (port) => inside("bash", ["-c", `exec 3<>/dev/tcp/127.0.0.1/${port}; cat <&3 & cat >&3; kill $!`]),
    close: async () => await stop(holder, "SIGKILL"),
  };
}

/** Listens at a loopback address of ours, and hands each connection over. */
export async function relay(
  host: string,
  port: number,
  answer: (socket: Socket) => void,
): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    answer(socket);
  });
  server.listen({ host, port });
  await once(server, "listening");
  return {
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
