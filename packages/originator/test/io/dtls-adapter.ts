import { listenDtls, type Channel } from "@cipsec/transport";
import {
  ConnectionService,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  IoWriter,
  PskUsage,
  Service,
  decode,
  encode,
  readIo,
  type IoFrame,
  type Reply,
  type Request,
} from "@cipsec/wire";
import type { SecurityOptions } from "../../src/index.ts";
import { requestIn, responseTo } from "../fake-association.ts";

const identity = Buffer.from("plant-key");
const key = Buffer.alloc(32, 7);

/** What lets a test into the adapter. */
export const security: SecurityOptions = { psk: { identity, key } };

/** An adapter of few lines behind DTLS: Forward_Open, Forward_Close and I/O on each association. Not a target. */
export interface DtlsAdapter extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly associations: Channel[];
  /** Open connections, by serial number. */
  readonly open: Map<number, { readonly channel: Channel; readonly stop: () => void }>;
  readonly received: { readonly frame: IoFrame; readonly channel: Channel }[];
  readonly opens: ForwardOpen[];
  closes: number;
  /** From now on it hears and says nothing, as a device that has restarted. */
  isDeaf: boolean;
}

export async function dtlsAdapter(
  address: string,
  port = 0,
  suites: readonly number[] = [0xc037],
): Promise<DtlsAdapter> {
  const associations: Channel[] = [];
  const open: DtlsAdapter["open"] = new Map();
  let nextId = 0x5566_0000;
  const listener = await listenDtls({
    address,
    port,
    tls: () => ({
      suites,
      certificates: [],
      sendChain: false,
      psks: [{ identity, key, usage: PskUsage.any }],
      verifyPeer: false,
    }),
    accept(channel) {
      associations.push(channel);
      channel.receive((bytes) => {
        if (adapter.isDeaf) return;
        const frame = readIo(bytes);
        if (frame !== undefined) {
          adapter.received.push({ frame: { ...frame, data: frame.data.slice() }, channel });
          return;
        }
        const asked = requestIn(bytes);
        if (asked === undefined) return;
        channel.send(responseTo(asked.id, { service: asked.request.service, ...answer(asked.request, channel) }));
      });
      void channel.closed.then(() => {
        for (const connection of open.values()) if (connection.channel === channel) connection.stop();
      });
    },
  });

  function answer({ service, data }: Request, channel: Channel): Partial<Reply> {
    if (service === Service.getAttributeSingle) return { data: Uint8Array.of(0x34, 0x12) };
    if (service === ConnectionService.forwardClose) {
      const { path: _, priorityTick: _p, timeoutTicks: _t, ...triad } = decode(ForwardClose, data);
      adapter.closes += 1;
      const connection = open.get(triad.connectionSerial);
      connection?.stop();
      if (!open.delete(triad.connectionSerial)) return { status: 1, extended: [0x0107] };
      return { data: encode(ForwardCloseReply, { ...triad, applicationReply: new Uint8Array(0) }) };
    }
    const asked = decode(ForwardOpen, data);
    adapter.opens.push(asked);
    nextId += 1;
    const { tToOConnectionId, connectionSerial, originatorVendor, originatorSerial } = asked;
    const writer = new IoWriter({
      connectionId: tToOConnectionId,
      transportClass: 1,
      format: "modeless",
      size: asked.tToO.size - 2,
    });
    const timer = setInterval(() => {
      if (!adapter.isDeaf) channel.send(writer.next());
    }, asked.tToORpiMicros / 1000);
    open.set(connectionSerial, { channel, stop: () => clearInterval(timer) });
    return {
      data: encode(ForwardOpenReply, {
        oToTConnectionId: nextId,
        tToOConnectionId,
        connectionSerial,
        originatorVendor,
        originatorSerial,
        oToTApiMicros: asked.oToTRpiMicros,
        tToOApiMicros: asked.tToORpiMicros,
        applicationReply: new Uint8Array(0),
      }),
    };
  }

  const adapter: DtlsAdapter = {
    address,
    port: listener.port,
    associations,
    open,
    received: [],
    opens: [],
    closes: 0,
    isDeaf: false,
    async [Symbol.asyncDispose]() {
      for (const connection of open.values()) connection.stop();
      await listener[Symbol.asyncDispose]();
    },
  };
  return adapter;
}
