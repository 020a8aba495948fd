import { openUdp, type Endpoint, type UdpSocket } from "@cipsec/transport";

/** Which way a datagram goes. */
export type Way = "toDevice" | "toTool";

/** Datagrams of each way, in the order they came. */
export type Captured = Readonly<Record<Way, readonly Uint8Array[]>>;

/**
 * Somebody on the cable between a tool and a device: every datagram passes through, is noted, and can be held back; and whatever is
 * sent from here comes from where the other end expects it. Nobody can stand closer without the keys.
 */
export interface Relay extends AsyncDisposable {
  /** Where the tool finds the device. */
  readonly local: Endpoint;
  /** Where the tool sends from, once it has sent. */
  readonly tool: Endpoint | undefined;
  /** Takes what has been noted since the last call. */
  take(): Captured;
  /** Holds back all that comes from now on: it is noted and not passed. */
  hold(): void;
  pass(): void;
  /** Sends a datagram as if the other end had. */
  send(way: Way, bytes: Uint8Array): void;
}

/** Bounds what is noted: a proof takes a second, at tens of datagrams. */
const maxNoted = 10_000;

/** Stands between whoever sends to {@link Relay.local} and `device`. */
export async function openRelay(device: Endpoint): Promise<Relay> {
  const noted: Record<Way, Uint8Array[]> = { toDevice: [], toTool: [] };
  let isHeld = false;
  let tool: Endpoint | undefined;
  let near: UdpSocket | undefined;
  const take = (way: Way, bytes: Uint8Array): void => {
    if (noted[way].length < maxNoted) noted[way].push(bytes.slice());
    if (!isHeld) send(way, bytes.slice());
  };
  const far = await openUdp({
    address: "127.0.0.1",
    port: 0,
    receive: (bytes, from) => {
      if (from.address === device.address && from.port === device.port) take("toTool", bytes);
    },
  });
  function send(way: Way, bytes: Uint8Array): void {
    if (way === "toDevice") far.send(bytes, device);
    else if (tool !== undefined) near?.send(bytes, tool);
  }
  try {
    near = await openUdp({
      address: "127.0.0.1",
      port: 0,
      receive: (bytes, from) => {
        tool = from;
        take("toDevice", bytes);
      },
    });
  } catch (error) {
    await far.close();
    throw error;
  }
  const { local } = near;
  return {
    local,
    get tool() {
      return tool;
    },
    take: () => ({ toDevice: noted.toDevice.splice(0), toTool: noted.toTool.splice(0) }),
    hold: () => {
      isHeld = true;
    },
    pass: () => {
      isHeld = false;
    },
    send,
    async [Symbol.asyncDispose]() {
      await Promise.all([near.close(), far.close()]);
    },
  };
}
