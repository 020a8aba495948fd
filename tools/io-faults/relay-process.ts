import dgram from "node:dgram";
import net from "node:net";
import { seededRandom } from "../fuzz/random.ts";
import { answering } from "./answering.ts";
import { monotonicMs, reorderMs, type Impairment, type RelayState, type Start } from "./messages.ts";

/*
 * Stands between scanner and device and passes TCP 44818 and UDP 2222, less or later or twice: where the kernel has no netem,
 * this is the bad network. Each way has its own draw of the same seed.
 */

const ioPort = 2222;
const eipPort = 44_818;

answering(async ({ addresses, seed }: Start) => {
  const { scanner, front, back, device } = addresses;
  const random = seededRandom(seed);
  let impairment: Impairment = {};
  const state = { lastToDeviceMs: 0, forwarded: 0, dropped: 0 };
  const [frontSocket, backSocket] = [await bound(front), await bound(back)];

  const pass = (bytes: Buffer, draw: () => number, send: (bytes: Buffer) => void): void => {
    const { loss = 0, delayMs = 0, reorder = 0, duplicate = 0 } = impairment;
    const copies = draw() < duplicate ? 2 : 1;
    for (let i = 0; i < copies; i += 1) {
      if (impairment.isDown === true || draw() < loss) {
        state.dropped += 1;
        continue;
      }
      const lateMs = delayMs + (draw() < reorder ? reorderMs : 0);
      const now = (): void => {
        if (impairment.isDown === true) return;
        state.forwarded += 1;
        send(bytes);
      };
      if (lateMs === 0) now();
      else setTimeout(now, lateMs);
    }
  };
  const [outward, inward] = [random.fork("to-device"), random.fork("to-scanner")];
  frontSocket.on("message", (bytes) =>
    pass(
      bytes,
      () => share(outward),
      (datagram) => {
        // A link that is down takes nothing.
        const atMs = monotonicMs();
        backSocket.send(datagram, ioPort, device, (error) => {
          if (error === null) state.lastToDeviceMs = atMs;
        });
      },
    ),
  );
  backSocket.on("message", (bytes) =>
    pass(
      bytes,
      () => share(inward),
      (datagram) => {
        frontSocket.send(datagram, ioPort, scanner);
      },
    ),
  );
  const streams = await relayTcp(front, back, device, () => impairment.delayMs ?? 0);

  return (question): RelayState => {
    if (question.ask === "impair") {
      ({ impairment } = question);
      streams.hold(impairment.isDown === true);
    }
    return { ...state };
  };
});

function share(random: { below(bound: number): number }): number {
  return random.below(1_000_000) / 1_000_000;
}

async function bound(address: string): Promise<dgram.Socket> {
  const socket = dgram.createSocket("udp4");
  // A link that is down refuses datagrams, which are lost then.
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => void socket.bind(ioPort, address, resolve));
  return socket;
}

/** Passes streams, later by a delay; while held, nothing moves and nobody is told. */
async function relayTcp(
  front: string,
  back: string,
  device: string,
  delayMs: () => number,
): Promise<{ hold(isHeld: boolean): void }> {
  const open = new Set<net.Socket>();
  const waiting: (() => void)[] = [];
  let isHeld = false;
  const later = (run: () => void): void => {
    if (isHeld) waiting.push(run);
    else if (delayMs() === 0) run();
    else setTimeout(() => (isHeld ? waiting.push(run) : run()), delayMs());
  };
  const join = (from: net.Socket, to: net.Socket): void => {
    open.add(from);
    from.setNoDelay(true);
    from.on("error", () => undefined);
    from.on("data", (bytes) => later(() => void to.write(bytes)));
    from.on("close", () => {
      open.delete(from);
      later(() => void to.destroy());
    });
  };
  const server = net.createServer((near) => {
    near.pause();
    later(() => {
      const far = net.connect({ host: device, port: eipPort, localAddress: back });
      join(near, far);
      join(far, near);
      near.resume();
    });
  });
  await new Promise<void>((resolve) => void server.listen(eipPort, front, resolve));
  return {
    hold(held) {
      isHeld = held;
      if (!held) for (const run of waiting.splice(0)) run();
    },
  };
}
