import { LldpManagement } from "@cipsec/objects";
import { Status } from "@cipsec/wire";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";

/** The device as a whole, and its one Ethernet port. */
const bits = 2;

const interval = 30;
const hold = 4;

/**
 * Hosts the LLDP Management Object of a device that sends no LLDP itself: frames of the link belong to the host, whose agent
 * may announce it. It can be set to what it is.
 *
 * @see CIP Vol 2, LLDP Management Object; reference ethernet-ip.md 7.10
 */
export function hostLldp(router: Router): void {
  router.host(LldpManagement, 1, {
    lldpEnable: {
      get: () => Array.from({ length: bits }, () => false),
      set: (enabled) => refuseUnless(enabled.length === bits && !enabled.includes(true)),
    },
    msgTxInterval: { get: () => interval, set: (seconds) => refuseUnless(seconds === interval) },
    msgTxHold: { get: () => hold, set: (intervals) => refuseUnless(intervals === hold) },
    datastore: { get: () => 0 },
    lastChange: { get: () => 0 },
  });
}

function refuseUnless(isAsItIs: boolean): void {
  if (!isAsItIs) throw refuse(Status.invalidAttributeValue, { reason: "LLDP is for the host to send" });
}
