import type { Certificate, Enrolment } from "@cipsec/pki";
import { isStackError } from "@cipsec/wire";
import { parseTarget } from "./address.ts";
import { connect } from "./connect.ts";
import { identify } from "./identify.ts";
import { verifyVendorIdentity } from "./vendor-identity.ts";

/** Milliseconds for a device to answer; it is busy enrolling. */
const patienceMs = 10_000;

/**
 * Looks at a device that asks an EST server for its first certificate: at the address that it calls from it has to say that it is what
 * its birth certificate says, by discovery and by its Identity Object, and prove the key of that certificate. A certificate that was
 * taken from another device, key and all, is found out by this. Reads only.
 *
 * @param anchors Roots of the vendors.
 * @returns For an EST server: why the device is refused, or nothing.
 */
export function vouchByIdentity(anchors: readonly Certificate[]): (asked: Enrolment) => Promise<string | undefined> {
  return async ({ caller, address, request }) => {
    if (caller.kind !== "birth") return undefined;
    const other = request.san.ip.find((ip) => ip !== address);
    if (other !== undefined) return `the request names the address ${other} and comes from ${address}`;
    try {
      const announced = await identify(address);
      await using session = await connect(parseTarget(`eips://${address}`), {
        security: { acceptAny: true },
        reconnect: false,
        connectTimeoutMs: patienceMs,
        requestTimeoutMs: patienceMs,
      });
      const { subject } = await verifyVendorIdentity(session, {
        anchors,
        ...(announced === undefined ? {} : { announced }),
      });
      const asking = caller.certificate.facts.subject;
      return subject === asking
        ? undefined
        : `it shows the certificate of ${String(subject)} and asks with that of ${asking}`;
    } catch (error) {
      if (!isStackError(error)) throw error;
      return error.message;
    }
  };
}
