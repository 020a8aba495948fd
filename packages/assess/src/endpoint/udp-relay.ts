import { isIP } from "node:net";
import { openUdp, systemClock, type Clock, type Endpoint, type UdpSocket } from "@cipsec/transport";
import { captureOf, type RecordedConnection, type Segment } from "./capture-file.ts";

/** What becomes of a datagram on its way: those that go on in its place, in this order; none drops it. */
export type AlterDatagram = (way: Segment["way"], octets: Uint8Array) => readonly Uint8Array[];

/**
 * Somebody on the cable between the tester and a device's UDP port: all datagrams pass through, are noted for the capture, and can be
 * altered, dropped and sent again.
 */
export interface UdpRelay extends AsyncDisposable {
  /** Where the tester finds the device. */
  readonly port: number;
  /** Datagrams of a way, in the order in which they were passed on. */
  datagrams(way: Segment["way"]): readonly Segment[];
  /** Sets what happens to datagrams from now on. */
  alter(how: AlterDatagram | undefined): void;
  /** Sends a datagram to one end, as if the other end had sent it. */
  inject(way: Segment["way"], octets: Uint8Array): void;
  /** A line of the key log of an association of ours. */
  readonly keyLog: (line: string) => void;
  /** A pcapng file of all that went through, with the key log in it. */
  capture(): Uint8Array;
}

/** Bounds what is noted of one check. */
const maxNotedOctets = 32 * 1024 * 1024;

/** Ports of the tester that one relay keeps apart. */
const maxPeers = 64;

interface Peer {
  readonly far: UdpSocket;
  readonly record: RecordedConnection & { readonly segments: Segment[] };
}

/**
 * Stands between whoever sends to its port, on loopback, and a device's UDP port.
 *
 * @param host Numeric: names are not looked up for datagrams.
 */
export async function openUdpRelay(host: string, port: number, clock: Clock = systemClock): Promise<UdpRelay> {
  const peers = new Map<string, Promise<Peer>>();
  const opened: Peer[] = [];
  const keyLines: string[] = [];
  let alter: AlterDatagram | undefined;
  let noted = 0;
  let latest: { readonly peer: Peer; readonly tool: Endpoint } | undefined;
  let isClosed = false;

  const note = ({ record }: Peer, way: Segment["way"], octets: Uint8Array): void => {
    noted += octets.length;
    if (noted > maxNotedOctets) return;
    record.segments.push({ timeNanos: BigInt(Math.round((clock.wallNow() ?? 0) * 1000)) * 1000n, way, octets });
  };
  const send = (peer: Peer, tool: Endpoint, way: Segment["way"], octets: Uint8Array): void => {
    if (isClosed) return;
    note(peer, way, octets);
    if (way === "toDevice") peer.far.send(octets, { address: host, port });
    else near.send(octets, tool);
  };
  const pass = (peer: Peer, tool: Endpoint, way: Segment["way"], octets: Uint8Array): void => {
    for (const one of alter?.(way, octets) ?? [octets]) send(peer, tool, way, one);
  };
  const join = async (tool: Endpoint): Promise<Peer> => {
    const waiting: Uint8Array[] = [];
    let peer: Peer | undefined;
    const far = await openUdp({
      address: isIP(host) === 6 ? "::" : "0.0.0.0",
      port: 0,
      receive: (octets) => {
        if (peer === undefined) waiting.push(octets.slice());
        else pass(peer, tool, "toTool", octets.slice());
      },
    });
    peer = { far, record: { protocol: "udp", tool, device: { address: host, port }, segments: [] } };
    opened.push(peer);
    for (const octets of waiting) pass(peer, tool, "toTool", octets);
    return peer;
  };
  const near = await openUdp({
    address: "127.0.0.1",
    port: 0,
    receive: (bytes, tool) => {
      const octets = bytes.slice();
      const key = `${tool.address}:${tool.port}`;
      const known = peers.get(key) ?? (peers.size < maxPeers && !isClosed ? join(tool) : undefined);
      if (known === undefined) return;
      peers.set(key, known);
      void known.then((peer) => {
        latest = { peer, tool };
        pass(peer, tool, "toDevice", octets);
      });
    },
  });
  return {
    port: near.local.port,
    datagrams: (way) => opened.flatMap(({ record }) => record.segments.filter((one) => one.way === way)),
    alter: (how) => {
      alter = how;
    },
    inject(way, octets) {
      if (latest !== undefined) send(latest.peer, latest.tool, way, octets);
    },
    keyLog: (line) => void keyLines.push(line.trimEnd()),
    capture: () =>
      captureOf(
        opened.map(({ record }) => record),
        keyLines.length === 0 ? "" : `${keyLines.join("\n")}\n`,
      ),
    async [Symbol.asyncDispose]() {
      isClosed = true;
      await near.close();
      for (const peer of await Promise.all(peers.values())) await peer.far.close();
    },
  };
}
