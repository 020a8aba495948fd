import { randomInt } from "node:crypto";
import { isIP } from "node:net";
import { probeUdp } from "@cipsec/transport";
import { takesDtls } from "./plain-port.ts";
import type { EndpointSubject } from "./subject.ts";

/** A refusal comes at once, or not at all. */
const waitMs = 400;

/** No item at all: what no connection is for. */
const nothing = Uint8Array.of(0, 0);

/** Nobody has this address of the loopback network: what is silent there listens at every address of this machine. */
const nobody = "127.255.255.253";

/** Whether nobody listens on a UDP port: its system refuses what comes there. Where it stays silent, nothing is known. */
export async function isUdpRefused(
  { clock, signal }: Pick<EndpointSubject, "clock" | "signal">,
  address: string,
  port: number,
): Promise<boolean> {
  return (await probeUdp({ address, port, octets: nothing, waitMs, signal, clock })) === "refused";
}

/**
 * Whether a closed UDP port of a device can be told from an open one that is silent: ports that it does not have are refused, nothing
 * else is served on this one, and no program of this machine would answer in its place.
 *
 * @returns Why not, in words; nothing where it can.
 */
export async function whyNotTold(subject: EndpointSubject, port: number): Promise<string | undefined> {
  const { host, posture } = subject;
  if (isIP(host) === 0) return "the device is known by name alone";
  if (!(await isUdpRefused(subject, host, port)) && (await takesDtls(subject, port))) return "DTLS is served there too";
  const taken = new Set(posture?.ports.map((one) => one.port));
  let unused = randomInt(50_000, 60_000);
  while (taken.has(unused)) unused += 1;
  // Refusals are rationed by some systems: one a second.
  if (!(await isUdpRefused(subject, host, unused)) && !(await isUdpRefused(subject, host, unused)))
    return "ports that the device does not have are not refused either";
  if (host.startsWith("127.") && !(await isUdpRefused(subject, nobody, port)))
    return "a program of this machine listens on the port at every address";
  return undefined;
}
