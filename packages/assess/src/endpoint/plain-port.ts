import { identifyTcp, isPortOpen } from "@cipsec/originator";
import { sayHello } from "./client-hello.ts";
import { sayDtlsHello } from "./dtls-hello.ts";
import type { EndpointSubject } from "./subject.ts";

/** Some device has one of them. */
const suites = [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xc023, 0xc024, 0xc037, 0x003c, 0x003d];

const patienceMs = 1000;

/**
 * Whether a TCP port takes what comes in plain. Some devices serve plain messages and TLS on one port, told by the first octet: there a
 * port that is closed for plain messages can still be connected to.
 */
export async function isPlainOpen(subject: EndpointSubject, port: number): Promise<boolean> {
  const { host, signal } = subject;
  if (!(await isPortOpen(host, port, patienceMs, signal))) return false;
  if (!(await takesTls(subject, port))) return true;
  return (await identifyTcp(host, { port, timeoutMs: patienceMs, signal })) !== undefined;
}

/** Whether a TCP port answers a hello of TLS. */
export async function takesTls(subject: EndpointSubject, port: number): Promise<boolean> {
  const { kind } = await sayHello({ ...subject, eips: port, timeoutMs: patienceMs }, { version: 0x0303, suites });
  return kind === "hello" || kind === "alert";
}

/** Whether a UDP port answers a hello of DTLS. */
export async function takesDtls(subject: EndpointSubject, port: number): Promise<boolean> {
  const { kind, cookie } = await sayDtlsHello({ ...subject, eips: port }, { version: 0xfefd, suites });
  return cookie !== undefined || kind === "hello" || kind === "alert";
}
