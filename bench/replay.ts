import net from "node:net";
import { FrameStream, headerSize } from "@cipsec/wire";
import { registerFrame } from "../tools/fuzz/prober.ts";

/** A request and its reply, each one frame. */
export interface Exchange {
  readonly request: Uint8Array;
  readonly reply: Uint8Array;
}

/** Notes what a session sends and gets, to be sent again without it. */
export function recorder() {
  const exchanges: Exchange[] = [];
  let request: Uint8Array | undefined;
  return {
    tap: (direction: "in" | "out", bytes: Uint8Array): void => {
      if (direction === "out") request = bytes.slice();
      else if (request !== undefined) exchanges.push({ request, reply: bytes.slice() });
    },
    /** What came since the last call. */
    take: (): readonly Exchange[] => exchanges.splice(0),
  };
}

/** A bare connection that sends recorded requests in turn, one at a time, and counts octets of the replies. */
export interface Replayer {
  /** Rounds of all exchanges a second. */
  measure(ms: number): Promise<number>;
  close(): void;
}

/** Dials and, where `registers`, opens a session of its own, whose handle goes into the requests. */
export async function replayer(
  exchanges: readonly Exchange[],
  { host, port, localAddress, registers }: net.TcpNetConnectOpts & { readonly registers: boolean },
): Promise<Replayer> {
  const socket = net.connect({
    port,
    ...(host === undefined ? {} : { host }),
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.setNoDelay(true);
  const requests = exchanges.map(({ request }) => Buffer.from(request));
  if (registers) {
    const registered = await answer(socket, registerFrame, headerSize + 4);
    for (const request of requests) registered.copy(request, 4, 4, 8);
    for (const [i, request] of requests.entries())
      check(await answer(socket, request, exchanges[i]?.reply.length ?? 0));
  }
  return {
    async measure(ms) {
      const began = performance.now();
      let rounds = 0;
      while (performance.now() - began < ms) {
        for (const [i, request] of requests.entries()) await answer(socket, request, exchanges[i]?.reply.length ?? 0);
        rounds += 1;
      }
      return (rounds * 1000) / (performance.now() - began);
    },
    close: () => socket.destroy(),
  };
}

/** Waits for so many octets of an answer. */
function answer(socket: net.Socket, request: Uint8Array, octets: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const ended = (): void => reject(new Error("the other side hung up"));
    const take = (bytes: Buffer): void => {
      parts.push(bytes);
      length += bytes.length;
      if (length < octets) return;
      socket.off("data", take).off("close", ended);
      resolve(parts.length === 1 ? bytes : Buffer.concat(parts));
    };
    socket.on("data", take).once("close", ended);
    socket.write(request);
  });
}

/** A reply in CPF of an unconnected message: general status behind 16 octets and reply service. */
function check(reply: Buffer): void {
  const [event] = new FrameStream().push(reply);
  const status = event?.type === "frame" ? event.frame.data[18] : undefined;
  if (status !== 0) throw new Error(`the device refuses what it took before: status ${status}`);
}
