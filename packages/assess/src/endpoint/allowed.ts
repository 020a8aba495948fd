import { EtherNetIpSecurity } from "@cipsec/objects";
import { cipherSuite, type CipherSuite } from "@cipsec/wire";
import type { EndpointSubject } from "./subject.ts";

/**
 * The suites that a device allows, by IANA number, as attribute 4 of EtherNet/IP Security says.
 *
 * @returns Nothing where there is no such object: the channel is that of something in front of the device.
 */
export async function allowedSuites(subject: EndpointSubject): Promise<readonly number[] | undefined> {
  if (subject.posture === undefined || subject.posture.security === null) return undefined;
  await using session = await subject.open();
  return await session.object(EtherNetIpSecurity, 1).get("allowedCipherSuites");
}

/** Those of the suites that are known here. */
export function knownSuites(ids: readonly number[] | undefined): readonly CipherSuite[] {
  return (ids ?? []).flatMap((id) => cipherSuite(id) ?? []);
}

/** Whether the device says that it serves DTLS: port 2221/udp open. */
export function servesDtls({ posture, eips }: EndpointSubject): boolean {
  return posture?.ports.some(({ port, protocol, open }) => port === eips && protocol === "udp" && open) ?? false;
}
