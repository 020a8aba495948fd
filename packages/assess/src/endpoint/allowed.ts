import { EtherNetIpSecurity } from "@cipsec/objects";
import { cipherSuite, type CipherSuite } from "@cipsec/wire";
import type { Findings } from "../check.ts";
import { absence } from "../observation.ts";
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

/** Who is asked for the suites of a channel that no object of the device tells. */
export const whoKnowsSuites = "who set up the secure channel: which suites its configuration allows";

/** Those of the suites that are known here. */
export function knownSuites(ids: readonly number[] | undefined): readonly CipherSuite[] {
  return (ids ?? []).flatMap((id) => cipherSuite(id) ?? []);
}

/**
 * What the checks of certificates find at a device that lets nobody in by one: there is nothing to judge.
 *
 * @returns Nothing for a device that allows a suite with certificates, or whose suites are not known.
 */
export async function withoutCertificates(subject: EndpointSubject): Promise<Findings | undefined> {
  const suites = knownSuites(await allowedSuites(subject));
  if (suites.length === 0 || suites.some(({ auth }) => auth !== "psk")) return undefined;
  return {
    observations: [
      absence({
        name: "no certificates in use",
        expected: "no suite with certificates is allowed",
        observed: `only ${suites.map(({ name }) => name).join(", ")}`,
        holds: true,
      }),
    ],
  };
}

/** Whether the device says that it serves DTLS: port 2221/udp open. */
export function servesDtls({ posture, eips }: EndpointSubject): boolean {
  return posture?.ports.some(({ port, protocol, open }) => port === eips && protocol === "udp" && open) ?? false;
}
