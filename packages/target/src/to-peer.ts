import { BugError, Status, WireError, isStackError, noOctets } from "@cipsec/wire";
import { Refusal } from "./refusal.ts";

/** What the peer is told of an error. */
export interface PeerAnswer {
  readonly status: number;
  readonly extended: readonly number[];
  readonly data: Uint8Array;
}

/** Where the error came up: while reading the request's frame, an attribute's value, a service's data, or in the object itself. */
export type Where = "message" | "attribute" | "service" | "object";

/**
 * The one place that turns an error into a CIP status. Faults of ours and of the disk tell the peer no more than that.
 *
 * @see CIP Vol 1, appendix B; reference ethernet-ip.md 1.8 and 3.2
 */
export function toPeer(error: unknown, where: Where): PeerAnswer {
  if (error instanceof Refusal) return { status: error.status, extended: error.extended, data: error.data };
  return { status: statusOf(error, where), extended: [], data: noOctets };
}

function statusOf(error: unknown, where: Where): number {
  if (error instanceof WireError) return wireStatus(error, where);
  if (!isStackError(error)) return Status.vendorSpecificError;
  const family = error.code.slice(0, error.code.indexOf("/"));
  switch (family) {
    case "trust":
      return Status.privilegeViolation;
    case "state":
      return Status.storeOperationFailure;
    case "usage":
      return where === "attribute" ? Status.invalidAttributeValue : Status.invalidParameter;
    case "transport":
      return Status.resourceUnavailable;
    default:
      return Status.vendorSpecificError;
  }
}

/** Of a message's own frame only the service can have a wrong value: one with the reply bit set. */
function wireStatus(error: WireError, where: Where): number {
  switch (error.code) {
    case "wire/path-size":
      return Status.pathSizeInvalid;
    case "wire/segment":
      return where === "message" ? Status.pathSegmentError : badValue(where);
    case "wire/truncated":
      return Status.notEnoughData;
    case "wire/trailing":
      return Status.tooMuchData;
    case "wire/length":
    case "wire/value":
      return where === "message" ? Status.serviceNotSupported : badValue(where);
    default:
      return unreachable(error.code);
  }
}

function badValue(where: Where): number {
  return where === "attribute" ? Status.invalidAttributeValue : Status.invalidParameter;
}

function unreachable(code: never): never {
  throw new BugError("bug/unreachable", `no CIP status for ${String(code)}`);
}
