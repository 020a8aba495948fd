import net from "node:net";
import {
  Command,
  FrameStream,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  SendData,
  decode,
  encode,
  frame,
  type Frame,
  type Reply,
  type Request,
} from "@cipsec/wire";

/** What a fake device does with a frame: octets to send (each in a write of its own), or hang up. */
export type Answer = readonly Uint8Array[] | "hang-up" | undefined;

export interface FakeDevice extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** Every frame that came, of all connections. */
  readonly frames: Frame[];
  connections: number;
  dropAll(): void;
}

/** A TCP device of a few lines that answers as the test says; not a target. */
export async function fakeDevice(
  address: string,
  answer: (frame: Frame, connection: number) => Answer | Promise<Answer>,
  port = 0,
): Promise<FakeDevice> {
  const sockets = new Set<net.Socket>();
  const frames: Frame[] = [];
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    device.connections += 1;
    const connection = device.connections;
    const stream = new FrameStream();
    const take = async (chunk: Uint8Array): Promise<void> => {
      for (const event of stream.push(chunk)) {
        if (event.type !== "frame") continue;
        frames.push(event.frame);
        const octets = await answer(event.frame, connection);
        if (octets === "hang-up") socket.destroy();
        else
          for (const part of octets ?? []) {
            socket.write(part);
            await new Promise((resolve) => setTimeout(resolve, 2));
          }
      }
    };
    socket.on("data", (chunk: Buffer) => void take(chunk));
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  const device: FakeDevice = {
    address,
    port: (server.address() as net.AddressInfo).port,
    frames,
    connections: 0,
    dropAll: () => sockets.forEach((socket) => socket.destroy()),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return device;
}

export const handle = 0x1234_5678;

/** The usual answer to RegisterSession. */
export function registered(request: Frame): Uint8Array {
  return frame(Command.registerSession, { session: handle, context: request.context, data: request.data });
}

/** The CIP request in a SendRRData. */
export function requestIn({ data }: Frame): Request {
  const { items } = decode(SendData, data);
  return decode(MessageRouterRequest, items[1]!.data);
}

/** A SendRRData that answers `request` with `reply`. */
export function answered(request: Frame, reply: Partial<Reply>, fields: Partial<Frame> = {}): Uint8Array {
  const message = encode(MessageRouterReply, {
    service: requestIn(request).service,
    status: 0,
    extended: [],
    data: new Uint8Array(0),
    ...reply,
  });
  const items = [
    { type: ItemType.nullAddress, data: new Uint8Array(0) },
    { type: ItemType.unconnectedData, data: message },
  ];
  const data = encode(SendData, { interfaceHandle: 0, timeoutS: 0, items });
  const { command = Command.sendRRData, ...rest } = fields;
  return frame(command, { session: handle, context: request.context, data, ...rest });
}

/** A device that registers, and answers each request as the function says. */
export function device(address: string, reply: (request: Request, frame: Frame, connection: number) => Answer) {
  return fakeDevice(address, (request, connection) => {
    if (request.command === Command.registerSession) return [registered(request)];
    if (request.command === Command.sendRRData) return reply(requestIn(request), request, connection);
    return undefined;
  });
}
