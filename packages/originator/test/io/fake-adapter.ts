import dgram from "node:dgram";
import {
  Command,
  ConnectionService,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  IoWriter,
  ItemType,
  LargeForwardOpen,
  MessageRouterReply,
  SendData,
  Sockaddr,
  decode,
  encode,
  findItem,
  frame,
  readIo,
  type Frame,
  type IoFrame,
  type RealTimeFormat,
  type Reply,
} from "@cipsec/wire";
import { fakeDevice, handle, registered, requestIn, type FakeDevice } from "../fake-device.ts";

/** How the fake adapter behaves; tests change it as they go. */
export interface AdapterWish {
  /** A refusal of this Forward_Open, or nothing to take it. */
  refuse?: (open: ForwardOpen, large: boolean) => Partial<Reply> | undefined;
  /** Intervals that it grants; the requested ones where left out. */
  apiMicros?: { oToT: number; tToO: number };
  /** Socket address items of its reply. */
  items?: readonly { type: number; data: Uint8Array }[];
  format?: RealTimeFormat;
  transportClass?: 0 | 1;
  size?: number;
  /** Whether it produces by itself. */
  produces?: boolean;
  /** Connection id of its multicasts. */
  multicastId?: number;
}

export interface FakeAdapter extends AsyncDisposable {
  readonly tcp: FakeDevice;
  readonly address: string;
  readonly port: number;
  /** Connections that are open by Forward_Open and not yet closed. */
  readonly open: Map<number, AdapterConnection>;
  /** Datagrams that came, with the time of each, milliseconds. */
  readonly received: { frame: IoFrame; atMs: number; fromPort: number }[];
  readonly opens: { open: ForwardOpen; large: boolean; items: readonly { type: number; data: Uint8Array }[] }[];
  closes: number;
  /** Sends octets as they are from the adapter's I/O port. */
  raw(bytes: Uint8Array, port: number, address: string): void;
}

export interface AdapterConnection {
  readonly open: ForwardOpen;
  readonly writer: IoWriter;
  /** Where its data goes. */
  readonly to: { readonly address: string; readonly port: number };
  send(): void;
  stop(): void;
}

/** An I/O adapter of few lines: TCP for Forward_Open, UDP 2222 for data. Not a target. */
export async function fakeAdapter(
  address: string,
  scanner: string,
  wish: AdapterWish = {},
  port = 0,
): Promise<FakeAdapter> {
  const udp = dgram.createSocket({ type: "udp4", reuseAddr: true });
  await new Promise<void>((resolve) => void udp.bind(2222, address, resolve));
  const open = new Map<number, AdapterConnection>();
  const received: FakeAdapter["received"] = [];
  const opens: FakeAdapter["opens"] = [];
  let nextId = 0x5566_0001;
  udp.on("message", (bytes, from) => {
    const read = readIo(new Uint8Array(bytes));
    if (read !== undefined) received.push({ frame: read, atMs: performance.now(), fromPort: from.port });
  });
  const tcp = await fakeDevice(
    address,
    (f) => {
      if (f.command === Command.registerSession) return [registered(f)];
      if (f.command !== Command.sendRRData) return undefined;
      const { service, data } = requestIn(f);
      const { items } = decode(SendData, f.data);
      if (service === ConnectionService.forwardClose) {
        const { path: _, priorityTick: _p, timeoutTicks: _t, ...triad } = decode(ForwardClose, data);
        adapter.closes += 1;
        open.get(triad.connectionSerial)?.stop();
        const known = open.delete(triad.connectionSerial);
        const reply = encode(ForwardCloseReply, { ...triad, applicationReply: new Uint8Array(0) });
        return [answer(f, known ? { data: reply } : { status: 1, extended: [0x0107] })];
      }
      const large = service === ConnectionService.largeForwardOpen;
      const asked = decode(large ? LargeForwardOpen : ForwardOpen, data);
      opens.push({ open: asked, large, items });
      const refusal = wish.refuse?.(asked, large);
      if (refusal !== undefined) return [answer(f, refusal)];
      const oToTConnectionId = (nextId += 1);
      const isMulticast = asked.tToO.type === 1;
      const tToOConnectionId = isMulticast ? (wish.multicastId ?? 0x7788_0001) : asked.tToOConnectionId;
      const announced = findItem(items, ItemType.sockaddrTtoO);
      const port = announced === undefined ? 2222 : decode(Sockaddr, announced.data).port;
      const tToOApiMicros = wish.apiMicros?.tToO ?? asked.tToORpiMicros;
      const writer = new IoWriter({
        connectionId: tToOConnectionId,
        transportClass: wish.transportClass ?? 1,
        format: wish.format ?? "modeless",
        size: wish.size ?? Math.max(0, asked.tToO.size - 2),
      });
      const group = wish.items?.find(({ type, data }) => type === ItemType.sockaddrTtoO && data.length === 16);
      const to =
        isMulticast && group !== undefined
          ? { address: groupText(group.data), port: 2222 }
          : { address: scanner, port };
      const send = (): void => udp.send(writer.next().slice(), to.port, to.address);
      const timer = wish.produces === false ? undefined : setInterval(send, tToOApiMicros / 1000);
      open.set(asked.connectionSerial, { open: asked, writer, to, send, stop: () => clearInterval(timer) });
      const { connectionSerial, originatorVendor, originatorSerial } = asked;
      const reply = encode(ForwardOpenReply, {
        oToTConnectionId,
        tToOConnectionId,
        connectionSerial,
        originatorVendor,
        originatorSerial,
        oToTApiMicros: wish.apiMicros?.oToT ?? asked.oToTRpiMicros,
        tToOApiMicros,
        applicationReply: new Uint8Array(0),
      });
      return [answer(f, { data: reply }, wish.items)];
    },
    port,
  );
  const adapter: FakeAdapter = {
    tcp,
    address,
    port: tcp.port,
    open,
    received,
    opens,
    closes: 0,
    raw: (bytes, port, to) => udp.send(bytes, port, to),
    async [Symbol.asyncDispose]() {
      for (const connection of open.values()) connection.stop();
      await tcp[Symbol.asyncDispose]();
      await new Promise<void>((resolve) => udp.close(() => resolve()));
    },
  };
  return adapter;
}

/** A socket address item. */
export function sockaddr(type: number, address: number, port: number): { type: number; data: Uint8Array } {
  return { type, data: encode(Sockaddr, { family: 2, port, address }) };
}

function groupText(data: Uint8Array): string {
  const { address } = decode(Sockaddr, data);
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

function answer(
  request: Frame,
  reply: Partial<Reply>,
  further: readonly { type: number; data: Uint8Array }[] = [],
): Uint8Array {
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
    ...further,
  ];
  const data = encode(SendData, { interfaceHandle: 0, timeoutS: 0, items });
  return frame(Command.sendRRData, { session: handle, context: request.context, data });
}
