import type { Findings } from "../check.ts";
import { capability, control } from "../observation.ts";
import type { EndpointSubject } from "./subject.ts";

/**
 * What every check of a secure channel finds at a device that has none: it answers, and lacks what is asked for.
 *
 * @returns Nothing for a device that has one, or that could not be read.
 */
export function withoutSecurity({ isSecured, identity }: EndpointSubject): Findings | undefined {
  if (isSecured !== false) return undefined;
  return {
    observations: [
      control({
        name: "the device answers",
        expected: "its identity is read",
        observed: `${identity?.name ?? ""} ${identity?.revision ?? ""} read over plain TCP`,
        holds: true,
      }),
      capability({
        name: "CIP Security",
        expected: "the device has the CIP Security object and a secure port",
        observed: "it has neither: everything goes over plain TCP and UDP",
        holds: false,
      }),
    ],
    deviation: "The device has no CIP Security.",
    userAction: "Put the device behind a shield, or into a zone of its own with a protected conduit.",
  };
}
