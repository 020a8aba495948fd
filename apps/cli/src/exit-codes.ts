import { isStackError, type StackErrorShape } from "@cipsec/wire";

/** Exit codes of every command. @see docs/cli.md */
export const ExitCode = {
  /** Done, and what was asked holds. */
  ok: 0,
  /** Done, but what was asked does not hold. */
  doesNotHold: 1,
  /** Wrong usage or input. */
  usage: 2,
  /** The other side or the network refused or did not answer. */
  peer: 3,
  /** Certificate, key, token or role. */
  trust: 4,
  /** A fault of cipsec. */
  bug: 70,
  /** Ended by Ctrl-C or a termination signal before it was done. */
  interrupted: 130,
} as const;

/** Exit codes in words, for the reference. */
export const exitCodes: readonly (readonly [code: number, means: string])[] = [
  [
    ExitCode.ok,
    "Done, and what was asked holds. `target` and `lab` end with it when they are interrupted: that is how they end.",
  ],
  [
    ExitCode.doesNotHold,
    "Done, but what was asked does not hold: a proof of `demo`, a finding that `posture --fail-on` names, a device for which no `posture --vendor` vouches, a request that `commission --pull` saw wait for a person, something that ends and that `ca forecast` found nobody to renew, a step of `ca rollover` that would cut devices off.",
  ],
  [ExitCode.usage, "Wrong usage or input: an argument, a file, the state of the data folder or of the device."],
  [ExitCode.peer, "The other side or the network refused, did not answer, or answered wrongly."],
  [ExitCode.trust, "A certificate, key, token or role is not trusted, by us or by the other side."],
  [ExitCode.bug, "A fault of cipsec; please report it."],
  [ExitCode.interrupted, "Ended by Ctrl-C or a termination signal before it was done."],
];

/** An error as people and machines are told it. */
export interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
  readonly fix: string;
}

/** The exit code that an error calls for, by the family of its code. */
export function exitCodeOf(error: unknown): number {
  if (!isStackError(error)) return ExitCode.bug;
  if (error.code === "usage/interrupted") return ExitCode.interrupted;
  // The device does what was asked; it is a person who has not yet.
  if (error.code === "pull/pending") return ExitCode.doesNotHold;
  if (isAboutTrust(error)) return ExitCode.trust;
  switch (error.code.slice(0, error.code.indexOf("/"))) {
    case "usage":
    case "state":
    case "policy":
      return ExitCode.usage;
    case "trust":
      return ExitCode.trust;
    case "bug":
      return ExitCode.bug;
    case "wire":
    case "cip":
    case "encap":
    case "pull":
    case "tls":
    case "transport":
    case "est":
    case "cmp":
      return ExitCode.peer;
    default:
      return ExitCode.bug;
  }
}

/** Alerts by which the other side says that our certificate or key is the reason. @see RFC 5246, 7.2; RFC 8446, 6 */
const trustAlerts: readonly unknown[] = [
  "bad_record_mac",
  "no_certificate",
  "bad_certificate",
  "unsupported_certificate",
  "certificate_revoked",
  "certificate_expired",
  "certificate_unknown",
  "unknown_ca",
  "access_denied",
  "decrypt_error",
  "unknown_psk_identity",
  "certificate_required",
];

/** Whether TLS failed over who we are: the operator acts on that as on a certificate that we refuse. */
function isAboutTrust({ code, facts }: StackErrorShape): boolean {
  if (code === "tls/alert") return trustAlerts.includes(facts["alert"]);
  // An EST server that does not know us, or has no rule that lets us in.
  if (code === "est/http") return facts["status"] === 401 || facts["status"] === 403;
  return code === "tls/handshake" && facts["reason"] === "keys-differ";
}

/** An error in words. A value that no part of the stack throws on purpose is told as a fault of ours. */
export function told(error: unknown): ToldError {
  if (isStackError(error)) return { code: error.code, message: error.message, facts: error.facts, fix: error.fix };
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "bug/unreachable",
    message,
    facts: {},
    fix: "This is a fault in cipsec: please report it with what you did.",
  };
}
