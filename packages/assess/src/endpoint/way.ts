import { isIP } from "node:net";
import { connect, type ConnectOptions, type SecurityOptions, type Session } from "@cipsec/originator";
import { servesDtls } from "./allowed.ts";
import type { EndpointSubject } from "./subject.ts";
import { openTcpRelay, type TcpRelay } from "./tcp-relay.ts";
import { openUdpRelay, type UdpRelay } from "./udp-relay.ts";

/** How sessions of an assessment are opened: within the times of the run, and never again by themselves. */
export function sessionOptions({
  timeoutMs,
  signal,
}: Pick<EndpointSubject, "timeoutMs" | "signal">): Pick<
  ConnectOptions,
  "connectTimeoutMs" | "requestTimeoutMs" | "reconnect" | "signal"
> {
  return { connectTimeoutMs: timeoutMs, requestTimeoutMs: timeoutMs, reconnect: false, signal };
}

/**
 * What a caller trusts the device by, when something of ours stands between: the name in the device's certificate is the device's, not
 * that of the relay before it.
 */
function behindRelay(subject: EndpointSubject, security: SecurityOptions): SecurityOptions {
  return security.checkName === undefined ? { ...security, checkName: subject.host } : security;
}

/**
 * Opens a session through a relay, as the trusted caller unless said otherwise.
 *
 * @throws as `connect` does.
 */
export async function connectThrough(
  subject: EndpointSubject,
  relay: Pick<TcpRelay, "port" | "keyLog">,
  { security = subject.security ?? {}, over = "tls" }: { security?: SecurityOptions; over?: "tls" | "dtls" } = {},
): Promise<Session> {
  return await connect(
    { scheme: over === "tls" ? "eips" : "eipd", host: "127.0.0.1", port: relay.port },
    { ...sessionOptions(subject), security: behindRelay(subject, security), keyLog: relay.keyLog },
  );
}

/**
 * Opens a session whose I/O connections go as the device does I/O: over DTLS where it serves that, plain where it does not.
 *
 * @param security Who opens it; the trusted caller unless said otherwise.
 */
export async function connectForIo(subject: EndpointSubject, security = subject.security): Promise<Session> {
  const { host, eip, eips } = subject;
  const isSecure = servesDtls(subject);
  return await connect(isSecure ? { scheme: "eipd", host, port: eips } : { scheme: "eip", host, port: eip }, {
    ...sessionOptions(subject),
    ...(isSecure && security !== undefined ? { security } : {}),
  });
}

/**
 * A relay for TLS or DTLS, to the device's secure port.
 *
 * @returns Nothing for DTLS to a device that is known by name only: datagrams go to numeric addresses.
 */
export async function openRelay(subject: EndpointSubject, over: "tls"): Promise<TcpRelay>;
export async function openRelay(subject: EndpointSubject, over: "dtls"): Promise<UdpRelay | undefined>;
export async function openRelay(
  subject: EndpointSubject,
  over: "tls" | "dtls",
): Promise<TcpRelay | UdpRelay | undefined>;
export async function openRelay(
  { host, eips, clock }: EndpointSubject,
  over: "tls" | "dtls",
): Promise<TcpRelay | UdpRelay | undefined> {
  if (over === "tls") return await openTcpRelay(host, eips, clock);
  return isIP(host) === 0 ? undefined : await openUdpRelay(host, eips, clock);
}
