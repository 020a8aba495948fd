import type { Command } from "commander";
import { discover, type DiscoveredDevice } from "@cipsec/originator";
import { addCommand, addNotes, wholeNumber, type Shell } from "../command.ts";
import { broadcastsFrom, ownBroadcasts } from "../interfaces.ts";
import type { Output } from "../output.ts";

/** Progress is told after so many addresses at the earliest: a /16 takes minutes. */
const progressEvery = 256;

/** `discover`: who is there. */
export function addDiscover(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "discover",
    "find devices: identity, security posture, open ports",
    async (context, options, args) => {
      const named = options["broadcast"];
      const rate = options["rate"];
      const broadcast = Array.isArray(named)
        ? named.flatMap((text) => broadcastsFrom(String(text)))
        : args.length > 0
          ? []
          : ownBroadcasts();
      for (const { address, to } of broadcast) context.output.progress(`asking everybody at ${to} from ${address}`);
      let told = 0;
      const found = await discover({
        ranges: args,
        broadcast,
        listenMs: Number(options["listen"]) * 1000,
        timeoutMs: Math.min(context.timeoutMs, 1000),
        ...(typeof rate === "number" ? { ratePerSecond: rate } : {}),
        signal: context.signal,
        progress: ({ asked, total, found: count }) => {
          if (asked < told + progressEvery || total <= progressEvery) return;
          told = asked;
          context.output.progress(`asked ${asked} of ${total} addresses, ${count} devices found`);
        },
      });
      context.output.document(found);
      if (found.devices.length > 0) showDevices(context.output, found.devices);
      for (const address of found.secureOnly)
        context.output.say(`${address} accepts on the secure port 2221 only and does not say who it is.`);
      const asked = found.scanned === 0 ? "by broadcast" : `at ${plural(found.scanned, "address", "addresses")}`;
      const seconds = (found.elapsedMs / 1000).toFixed(1);
      context.output.say(`${plural(found.devices.length, "device", "devices")} found ${asked} in ${seconds} s.`);
    },
  )
    .argument("[range...]", "addresses to ask: a.b.c.d, a.b.c.d/nn or a.b.c.d-e; none: broadcast on every own network")
    .option(
      "--broadcast <interface...>",
      "own interface, by name or address, to broadcast from; ADDRESS>TO names the broadcast address",
    )
    .option("--listen <s>", "seconds to wait for answers", (text) => wholeNumber(text, 1, 60), 1)
    .option("--rate <n>", "requests a second at most", (text) => wholeNumber(text, 1, 10_000), 500);
  addNotes(command, {
    json:
      "{devices: [{address, ports: {eip, eips, eipUdp, io, eipd}, " +
      "identity: {vendorId, deviceType, productCode, revision, serial, name, state}, " +
      "security: {profiles, cipState, ethernetIpState, securePortsOnly} | null}], " +
      "secureOnly: [address], scanned, elapsedMs}",
    examples: [
      ["cipsec discover", "asks everybody on the networks of this machine"],
      ["cipsec discover 192.0.2.0/24 198.51.100.10-40", "asks each address on its own, also behind routers"],
      ["cipsec discover --broadcast eth1 --listen 3", "asks on one network and waits for slow devices"],
    ],
  });
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** The devices as a table that can be scanned. */
export function showDevices(output: Output, devices: readonly DiscoveredDevice[]): void {
  output.table(
    ["address", "name", "revision", "serial", "CIP Security", "open ports"],
    devices.map(({ address, identity, security, ports }) => [
      address,
      identity.name,
      identity.revision,
      identity.serial,
      security === null ? "none" : `${security.cipState}${security.securePortsOnly ? ", secure ports only" : ""}`,
      openPorts(ports),
    ]),
  );
}

/** Open ports as people know them. */
export function openPorts(ports: DiscoveredDevice["ports"]): string {
  const names = {
    eip: "44818/tcp",
    eipUdp: "44818/udp",
    io: "2222/udp",
    eips: "2221/tcp TLS",
    eipd: "2221/udp DTLS",
  } as const;
  const open = Object.entries(names).filter(([name]) =>
    Object.entries(ports).some(([key, isOpen]) => key === name && isOpen),
  );
  return open.length === 0 ? "none" : open.map(([, text]) => text).join(" ");
}
