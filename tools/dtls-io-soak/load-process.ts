import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { connect as secure } from "node:tls";
import { Command, frame } from "@cipsec/wire";
import { answering, deviceAddress, type LoadFigures } from "./messages.ts";

/*
 * What else is on a plant's network: tools that look for devices, small frames that mean nothing to them, and TLS sessions that
 * open and close.
 */

const discoveryPort = 44_818;
const securePort = 2221;

/** As many octets as an ARP request has; loopback has no ARP of its own. */
const smallOctets = 28;

const tickMs = 10;

answering("load", async ({ devices, address, listIdentities, smallDatagrams, handshakes }) => {
  const socket = createSocket({ type: "udp4", lookup: (host, _options, done) => done(null, host, 4) });
  await new Promise<void>((resolve) => void socket.bind(0, address, resolve));
  let seen = { asked: 0, answered: 0, small: 0, begun: 0, done: 0 };
  socket.on("message", () => void (seen.answered += 1));
  const question = frame(Command.listIdentity);
  const small = new Uint8Array(smallOctets).fill(0xa5);
  const someone = (): string => deviceAddress(devices, Math.floor(Math.random() * devices.count));
  const began = performance.now();
  const made = { asked: 0, small: 0, begun: 0 };
  const due = (perSecond: number): number => ((performance.now() - began) / 1000) * perSecond;
  setInterval(() => {
    for (; made.asked < due(listIdentities); made.asked += 1) {
      seen.asked += 1;
      socket.send(question, discoveryPort, someone());
    }
    for (; made.small < due(smallDatagrams); made.small += 1) {
      seen.small += 1;
      socket.send(small, made.small % 2 === 0 ? discoveryPort : securePort, someone());
    }
    for (; made.begun < due(handshakes); made.begun += 1) shakeHands(someone());
  }, tickMs);

  function shakeHands(host: string): void {
    const counts = seen;
    counts.begun += 1;
    // Who the device is does not matter here, what its handshake costs does.
    const socket = connect({ host, port: securePort, localAddress: address });
    const tls = secure({ socket, rejectUnauthorized: false }, () => {
      counts.done += 1;
      tls.end();
    });
    tls.on("error", () => tls.destroy());
    tls.setTimeout(10_000, () => tls.destroy());
    tls.resume();
  }

  return {
    begin() {
      seen = { asked: 0, answered: 0, small: 0, begun: 0, done: 0 };
    },
    figures: (): Omit<LoadFigures, "cpuPercent" | "residentMib" | "stalledMs"> => ({
      listIdentities: { asked: seen.asked, answered: seen.answered },
      smallDatagrams: seen.small,
      handshakes: { begun: seen.begun, done: seen.done },
    }),
  };
});
