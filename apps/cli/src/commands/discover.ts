import type { Command } from "commander";
import { discover, type DiscoveredDevice } from "@cipsec/originator";
import { addCommand, wholeNumber, type Shell } from "../command.ts";
import type { Output } from "../output.ts";

/** Progress is told this often: a /16 takes minutes. */
const progressEvery = 256;

/** `discover`: who is there. */
export function addDiscover(program: Command, shell: Shell): void {
  addCommand(
    program,
    shell,
    "discover [range...]",
    "find devices: identity, security posture, open ports",
    async (context, options, args) => {
      const interfaces = options["broadcast"];
      const rate = options["rate"];
      const found = await discover({
        ranges: args,
        broadcast: Array.isArray(interfaces) ? interfaces.map(String).map(broadcastFrom) : [],
        listenMs: Math.min(context.timeoutMs, Number(options["listen"] ?? 1) * 1000),
        timeoutMs: Math.min(context.timeoutMs, 1000),
        ...(typeof rate === "number" ? { ratePerSecond: rate } : {}),
        signal: context.signal,
        progress: ({ asked, total, found: count }) => {
          if (asked % progressEvery === 0 && total > progressEvery)
            context.output.progress(`asked ${asked} of ${total} addresses, ${count} devices found`);
        },
      });
      context.output.document(found);
      showDevices(context.output, found.devices);
      context.output.say(
        `${found.devices.length} devices at ${found.scanned} addresses in ${(found.elapsedMs / 1000).toFixed(1)} s.`,
      );
    },
  )
    .option(
      "--broadcast <address...>",
      "address of an own interface to broadcast from; ADDRESS>TO names the broadcast address",
    )
    .option("--listen <s>", "seconds to wait for answers", (text) => wholeNumber(text, 1, 60), 1)
    .option("--rate <n>", "requests a second", (text) => wholeNumber(text, 1, 10_000));
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

function broadcastFrom(text: string): string | { address: string; to: string } {
  const [address = text, to] = text.split(">");
  return to === undefined ? address : { address, to };
}
