import net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { FrameStream, isStackError, type Frame } from "@cipsec/wire";

/** Where the target is, and from where it is attacked: its limits count by address. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly from: string;
}

/** A connection to the target that knows how to wait. */
export interface Wire {
  send(bytes: Uint8Array): Promise<void>;
  /** The next frame that `wanted` accepts; others are passed over. `closed` when the target hung up, `silent` when time is up. */
  next(wanted: (frame: Frame) => boolean, timeoutMs: number): Promise<Frame | "closed" | "silent">;
  readonly isClosed: boolean;
  end(): void;
}

const dialMs = 5000;

/** Dials, or says why not. */
export async function dialPlain(place: Place): Promise<Wire | undefined> {
  const socket = net.connect({ host: place.address, port: place.port, localAddress: place.from });
  socket.setNoDelay(true);
  return (await isUp(socket, "connect")) ? wire(socket) : undefined;
}

/** Dials TLS and takes any certificate: who the target is does not matter to an attacker. */
export async function dialTls(place: Place): Promise<Wire | undefined> {
  const raw = net.connect({ host: place.address, port: place.port, localAddress: place.from });
  raw.setNoDelay(true);
  raw.on("error", () => undefined);
  const socket = tls.connect({ socket: raw, rejectUnauthorized: false });
  return (await isUp(socket, "secureConnect")) ? wire(socket) : undefined;
}

/**
 * Does a TLS handshake, then sends two frames, with `alter` changing what goes out; resolves when the target has hung up or
 * `patienceMs` have passed.
 *
 * @param alter Gets each chunk for the network and its number, and returns what is sent instead.
 */
export async function alteredTls(
  place: Place,
  alter: (bytes: Uint8Array, n: number) => Uint8Array,
  inside: Uint8Array,
  patienceMs: number,
): Promise<void> {
  const raw = net.connect({ host: place.address, port: place.port, localAddress: place.from });
  raw.setNoDelay(true);
  let n = 0;
  const between = new Duplex({
    read: () => undefined,
    write(bytes: Uint8Array, _, done) {
      if (!raw.destroyed) raw.write(alter(bytes, n));
      n += 1;
      done();
    },
  });
  raw.on("data", (bytes) => between.push(bytes));
  raw.on("error", () => undefined);
  const socket = tls.connect({ socket: between, rejectUnauthorized: false });
  socket.on("error", () => undefined);
  socket.once("secureConnect", () => {
    socket.write(inside);
    setTimeout(() => socket.write(inside), 1);
  });
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, patienceMs);
    raw.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  socket.destroy();
  between.destroy();
  raw.destroy();
}

async function isUp(socket: net.Socket, event: "connect" | "secureConnect"): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => settle(false), dialMs);
    const settle = (up: boolean): void => {
      clearTimeout(timer);
      if (!up) socket.destroy();
      resolve(up);
    };
    socket.once(event, () => settle(true));
    socket.once("close", () => settle(false));
    socket.on("error", () => settle(false));
  });
}

function wire(socket: net.Socket): Wire {
  const stream = new FrameStream();
  const frames: Frame[] = [];
  let wake: () => void = () => undefined;
  let isClosed = false;
  socket.on("data", (bytes: Buffer) => {
    try {
      for (const event of stream.push(bytes)) if (event.type === "frame") frames.push(event.frame);
    } catch (error) {
      if (!isStackError(error)) throw error;
      socket.destroy();
    }
    wake();
  });
  socket.once("close", () => {
    isClosed = true;
    wake();
  });
  return {
    get isClosed() {
      return isClosed;
    },
    async send(bytes) {
      if (isClosed || !socket.writable) return;
      if (!socket.write(bytes)) await new Promise<void>((resolve) => void setTimeout(resolve, 1));
    },
    async next(wanted, timeoutMs) {
      const until = performance.now() + timeoutMs;
      for (;;) {
        for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) if (wanted(frame)) return frame;
        if (isClosed) return "closed";
        const left = until - performance.now();
        if (left <= 0) return "silent";
        await new Promise<void>((resolve) => {
          // When this process was kept from running, what has arrived meanwhile is read before time counts as up.
          const timer = setTimeout(() => setImmediate(resolve), left);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    end: () => void socket.destroy(),
  };
}
