import { dial, listen, systemClock, type Channel, type Clock } from "@cipsec/transport";
import { captureOf, type RecordedConnection, type Segment } from "./capture-file.ts";

/** What a relay does with octets on their way: passes them as they are unless told otherwise. */
export type Alter = (way: Segment["way"], octets: Uint8Array) => Uint8Array;

/**
 * Somebody on the cable between the tester and a device: all octets pass through, are noted for the capture, and can be altered.
 */
export interface TcpRelay extends AsyncDisposable {
  /** Where the tester finds the device. */
  readonly port: number;
  /** All octets of a way, of all connections since the start. */
  octets(way: Segment["way"]): Uint8Array;
  /** Sets what happens to octets from now on. */
  alter(how: Alter | undefined): void;
  /** Puts octets in between, as if the other end had sent them. */
  inject(way: Segment["way"], octets: Uint8Array): void;
  /** A line of the key log of a session of ours. */
  readonly keyLog: (line: string) => void;
  /** A pcapng file of all that went through, with the key log in it. */
  capture(): Uint8Array;
}

/** Bounds what is noted of one check: handshakes and a few messages take some kilobytes. */
const maxNotedOctets = 32 * 1024 * 1024;

/** Stands between whoever connects to its port, on loopback, and a device's TCP port. */
export async function openTcpRelay(host: string, port: number, clock: Clock = systemClock): Promise<TcpRelay> {
  const connections: { tool: RecordedConnection["tool"]; device: RecordedConnection["device"]; segments: Segment[] }[] =
    [];
  const keyLines: string[] = [];
  const open = new Set<Channel>();
  let alter: Alter | undefined;
  let noted = 0;
  let latest: { readonly near: Channel; readonly far: Channel } | undefined;

  const join = async (near: Channel): Promise<void> => {
    const waiting: Uint8Array[] = [];
    let far: Channel | undefined;
    open.add(near);
    near.receive((octets) => (far === undefined ? void waiting.push(octets.slice()) : pass("toDevice", octets, far)));
    let segments: Segment[] = [];
    const pass = (way: Segment["way"], octets: Uint8Array, to: Channel): void => {
      const sent = (alter?.(way, octets) ?? octets).slice();
      noted += sent.length;
      if (noted <= maxNotedOctets) segments.push({ timeNanos: nanos(clock), way, octets: sent });
      to.send(sent);
    };
    try {
      far = await dial({ protocol: "tcp", host, port, timeoutMs: 5000 });
    } catch {
      near.destroy();
      return;
    }
    const device = far;
    open.add(device);
    connections.push({ tool: near.facts.remote, device: { address: device.facts.remote.address, port }, segments });
    latest = { near, far: device };
    device.receive((octets) => pass("toTool", octets, near));
    for (const octets of waiting) pass("toDevice", octets, device);
    void device.closed.then(async () => await near.close());
    void near.closed.then(async () => await device.close());
  };
  const listener = await listen({ protocol: "tcp", address: "127.0.0.1", port: 0, accept: (near) => void join(near) });
  return {
    port: listener.port,
    octets: (way) =>
      Buffer.concat(
        connections.flatMap(({ segments }) => segments.filter((one) => one.way === way).map((one) => one.octets)),
      ),
    alter: (how) => {
      alter = how;
    },
    inject(way, octets) {
      if (way === "toDevice") latest?.far.send(octets);
      else latest?.near.send(octets);
    },
    keyLog: (line) => void keyLines.push(line.trimEnd()),
    capture: () => captureOf(connections, keyLines.length === 0 ? "" : `${keyLines.join("\n")}\n`),
    async [Symbol.asyncDispose]() {
      for (const channel of open) channel.destroy();
      await listener[Symbol.asyncDispose]();
    },
  };
}

function nanos(clock: Clock): bigint {
  return BigInt(Math.round((clock.wallNow() ?? 0) * 1000)) * 1000n;
}
