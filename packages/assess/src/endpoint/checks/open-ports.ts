import { identifyUdp, isPortOpen } from "@cipsec/originator";
import type { Check } from "../../check.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { isPlainOpen } from "../plain-port.ts";
import type { EndpointSubject } from "../subject.ts";

/** Ports of services that automation devices are found to have open, beside their own. */
const usualPorts: readonly number[] = [
  20, 21, 22, 23, 25, 53, 69, 80, 102, 110, 111, 135, 139, 143, 161, 389, 443, 445, 502, 513, 514, 515, 548, 554, 587,
  631, 873, 989, 990, 992, 993, 1080, 1099, 1433, 1521, 1723, 1880, 1883, 1900, 1962, 2000, 2049, 2121, 2181, 2221,
  2222, 2323, 2375, 2376, 2404, 2455, 3000, 3306, 3389, 3671, 4000, 4443, 4444, 4712, 4840, 4843, 5000, 5001, 5006,
  5007, 5060, 5061, 5094, 5222, 5353, 5432, 5555, 5601, 5671, 5672, 5800, 5900, 5985, 5986, 6000, 6379, 6443, 6667,
  7000, 7001, 7547, 8000, 8008, 8009, 8080, 8081, 8086, 8123, 8161, 8291, 8443, 8500, 8554, 8834, 8880, 8883, 8888,
  9000, 9001, 9090, 9092, 9100, 9200, 9229, 9418, 9443, 9600, 9999, 10_000, 10_250, 11_211, 18_245, 20_000, 20_547,
  27_017, 34_962, 34_964, 44_818, 47_808, 48_898, 50_000, 55_000,
];

/** Attempts that run at once: enough to be quick, few enough for a small device. */
const width = 16;

/** B-7.7, without closing anything: what is open is what the device says is open. */
export const openPorts: Check<EndpointSubject> = {
  id: "B-7.7",
  version: "1.2",
  title: "Nothing is open that is not declared",
  requirements: ["CR 7.7", "CR 7.1"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 8000,
  async run(subject, recorder) {
    const { host, signal, posture, eips, eip } = subject;
    const ports = [...new Set([...usualPorts, eips, eip, ...(subject.ports ?? [])])];
    const open: number[] = [];
    for (let at = 0; at < ports.length; at += width) {
      signal.throwIfAborted();
      recorder.doing(`TCP port ${at + 1} of ${ports.length}`);
      const some = ports.slice(at, at + width);
      const states = await Promise.all(
        some.map(async (port) => await isPortOpen(host, port, Math.min(subject.timeoutMs, 1000), signal)),
      );
      open.push(...some.filter((_port, index) => states[index] === true));
    }
    const declared = new Set(
      (posture?.ports ?? []).filter(({ protocol, open }) => open && protocol === "tcp").map(({ port }) => port),
    );
    const undeclared: number[] = [];
    for (const port of open)
      // Where TLS is served on the plain port too, it can be connected to while it is closed for what is plain.
      if (!declared.has(port) && (port !== eip || (await isPlainOpen(subject, port)))) undeclared.push(port);
    const silent = [...declared].filter((port) => ports.includes(port) && !open.includes(port));
    const discovered = await identifyUdp(host, { timeoutMs: 1000, signal });
    const udp = posture?.ports.find(({ port, protocol }) => port === eip && protocol === "udp");
    const evidence = [
      await recorder.settings("ports", {
        tried: ports,
        open,
        declared: posture?.ports ?? [],
        discoveryAnswers: discovered !== undefined,
      }),
    ];
    const observations: Observation[] = [
      control({
        name: "a port that must be open",
        expected: "found open",
        observed: open.length === 0 ? "nothing was found open" : open.map((port) => `${port}/tcp`).join(" "),
        holds: open.includes(eips) || open.includes(eip),
        evidence,
      }),
      negative({
        name: "undeclared open ports",
        expected: `none of ${ports.length} TCP ports that were tried`,
        observed: undeclared.length === 0 ? "none" : undeclared.map((port) => `${port}/tcp`).join(" "),
        holds: undeclared.length === 0,
        evidence,
      }),
      capability({
        name: "declared ports answer",
        expected: "each that is declared open",
        observed: silent.length === 0 ? "they do" : silent.map((port) => `${port}/tcp does not`).join(" "),
        holds: silent.length === 0,
        otherwise: "partial",
        evidence,
      }),
    ];
    if (udp !== undefined)
      observations.push(
        negative({
          name: "discovery port",
          expected: udp.open ? "declared open" : "declared closed, and silent",
          observed: discovered === undefined ? "silent" : "answers ListIdentity",
          holds: udp.open || discovered === undefined,
          evidence,
        }),
      );
    if (posture?.security !== null && posture !== undefined)
      observations.push(
        capability({
          name: "unneeded ports can be closed",
          expected: "44818/tcp and 2222/udp are closed, or can be",
          observed: posture.ports
            .map(
              ({ port, protocol, open, configurable }) =>
                `${port}/${protocol} ${open ? "open" : "closed"}${configurable ? ", can be set" : ""}`,
            )
            .join("; "),
          holds: posture.ports
            .filter(
              ({ port, protocol }) => (port === 44_818 && protocol === "tcp") || (port === 2222 && protocol === "udp"),
            )
            .every(({ open, configurable }) => !open || configurable),
          evidence,
        }),
      );
    return {
      observations,
      howMet:
        "Only the ports that the device lists in its port table answer, and the unprotected ones are or can be closed.",
      limits: [`${ports.length} TCP ports were tried; other UDP services and IP protocols were not`],
      userAction: "Close the ports that the plant does not need.",
    };
  },
};
