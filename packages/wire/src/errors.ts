/** Flat, loggable facts about an error: never a key, a password or file content. */
export type Facts = Readonly<Record<string, string | number | boolean>>;

/**
 * Every code that an error of the stack may carry, with its cause and the fix that a person is told.
 * `docs/errors.md` is derived from this table. Certificate verdicts have their own table in `@cipsec/pki`.
 */
export const errorCodes = {
  "wire/truncated": {
    cause: "A field claims more octets than follow.",
    fix: "Check the sender's length fields; capture the exchange and run 'cipsec decode' on it.",
  },
  "wire/length": {
    cause: "A length or count is above the bound for this field.",
    fix: "Send less in one message, or check the sender's length field.",
  },
  "wire/trailing": {
    cause: "Octets follow the last field.",
    fix: "Check the sender: the layout it uses is longer than this service takes.",
  },
  "wire/value": {
    cause: "A field holds a value that its type does not allow.",
    fix: "Use a value from the range that the message names.",
  },
  "wire/segment": {
    cause: "A path segment is malformed or of a reserved type.",
    fix: "Check the path; segments are listed in docs/wire.md.",
  },
  "wire/path-size": {
    cause: "The path size runs past the end of the message.",
    fix: "Check the path size octet: it counts 16-bit words.",
  },
  "cip/status": {
    cause: "The device answered with a CIP error status.",
    fix: "Read the status name and extended status; see docs/errors.md.",
  },
  "cip/mismatch": {
    cause: "The device's answer does not belong to the request.",
    fix: "Check for a faulty proxy between, or report the device.",
  },
  "encap/status": {
    cause: "The device refused an encapsulation command.",
    fix: "Read the status; 0x64 means that the session is gone, 0x6A that the port is closed to this service.",
  },
  "pull/no-server": {
    cause: "The device found no EST server, or could not reach it.",
    fix: "Start one ('cipsec est serve --announce'), or see which URL, domain and DNS the device was given; it tries again.",
  },
  "pull/tls": {
    cause: "TLS between the device and the EST server failed, or the device does not believe the server.",
    fix: "Compare the server's certificate and name with the anchors that the device was given; the server's log has its side.",
  },
  "pull/refused": {
    cause: "The EST server refused to enrol the device.",
    fix: "The server's log says why: no rule fits, it was denied, or its vendor is not known there (--vendor).",
  },
  "pull/pending": {
    cause: "The device's request waits for a person at the EST server.",
    fix: "Look with 'cipsec est pending', let it through with 'cipsec est approve ID', then run this again.",
  },
  "pull/bad-certificate": {
    cause: "The device could not use the certificate that the EST server gave, or not save it.",
    fix: "Look at the server's log for what it issued, and at the device's for why it will not do.",
  },
  "pull/timeout": {
    cause: "The device was not enrolled in time.",
    fix: "Run it again, with a longer --wait: nothing that was begun is lost.",
  },
  "tls/alert": {
    cause: "The other side refused the TLS handshake or closed it with an alert.",
    fix: "The alert names the reason; compare suites, certificates and trust on both sides.",
  },
  "tls/handshake": {
    cause: "The TLS handshake did not complete.",
    fix: "Check that the port speaks TLS and that both sides share a cipher suite and version.",
  },
  "trust/refused": {
    cause: "A certificate, key or token was not accepted.",
    fix: "Enrol with the right authority, or add it to the trusted authorities.",
  },
  "trust/counterfeit": {
    cause: "A device is not the one that its maker's certificate says.",
    fix: "Take it off the network and compare type plate, certificate and both values; its key may be another device's.",
  },
  "trust/privilege": {
    cause: "The device refuses this without the needed rights.",
    fix: "Connect over TLS with an identity that the device trusts.",
  },
  "transport/timeout": {
    cause: "No answer came in time.",
    fix: "Check address, port, firewall and that the device runs; raise --timeout on slow links.",
  },
  "transport/closed": {
    cause: "The other side closed the connection.",
    fix: "Look at the device's log; it closes on refused certificates, idle sessions and full tables.",
  },
  "transport/refused": {
    cause: "Nothing listens at this address and port.",
    fix: "Check the port: 44818 plain, 2221 secure; 'cipsec discover' shows which are open.",
  },
  "transport/unreachable": {
    cause: "The network has no way to this address.",
    fix: "Check the address, the route and the cable.",
  },
  "transport/address": {
    cause: "The address could not be used or resolved.",
    fix: "Check the spelling, and that the address belongs to this machine when listening.",
  },
  "transport/limit": {
    cause: "A configured limit on connections or sessions was reached.",
    fix: "Close unused sessions or raise the limit.",
  },
  "usage/argument": { cause: "An argument is wrong.", fix: "See the message and --help." },
  "usage/state": { cause: "This cannot be done in the present state.", fix: "See the message." },
  "usage/interrupted": {
    cause: "The person at the keyboard, or the system, ended the command.",
    fix: "Run it again; what it had begun on a device is put back or ends by the device's own timer.",
  },
  "usage/file": {
    cause: "A file cannot be read, written or understood.",
    fix: "Check the path, its permissions and its content.",
  },
  "state/corrupt": {
    cause: "Stored state fails its checksum and no earlier generation is good.",
    fix: "Restore a backup, or reset the device to factory default.",
  },
  "state/write": {
    cause: "State could not be written to disk.",
    fix: "Check free space and permissions of the data folder.",
  },
  "bug/unreachable": { cause: "A fault in cipsec.", fix: "Please report it with the message and what you did." },
} as const satisfies Record<string, { cause: string; fix: string }>;

/** One of the codes of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;

type Under<P extends string> = Extract<ErrorCode, `${P}/${string}`>;

/** What an error may carry beside code and message. */
export interface ErrorOptionsWithFacts {
  readonly facts?: Facts;
  readonly cause?: unknown;
  /** Replaces the general fix of the code where a better one is known. */
  readonly fix?: string;
}

/**
 * The shape that every error of the stack has, also those of packages that import nothing of ours (`pki`):
 * match on `code`, never on class or message.
 */
export interface StackErrorShape extends Error {
  readonly code: string;
  readonly facts: Facts;
  readonly fix: string;
}

/** Base of the stack's errors: a stable `code`, flat `facts`, and the `fix` that a person can apply. */
export abstract class StackError<C extends ErrorCode = ErrorCode> extends Error implements StackErrorShape {
  readonly code: C;
  readonly facts: Facts;
  readonly fix: string;

  constructor(code: C, message: string, options: ErrorOptionsWithFacts = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.facts = options.facts ?? {};
    this.fix = options.fix ?? errorCodes[code].fix;
    this.name = new.target.name;
  }
}

/** The peer sent bad octets. */
export class WireError extends StackError<Under<"wire">> {}

/** The peer refused us. */
export class PeerError extends StackError<Under<"cip"> | Under<"encap"> | Under<"pull"> | Under<"tls">> {}

/** A certificate, key, token or role is not accepted; the operator must act. */
export class TrustError extends StackError<Under<"trust">> {}

/** The network, or the other end of it, failed. */
export class TransportError extends StackError<Under<"transport">> {}

/** Our caller, or the person at the keyboard, asked for something that cannot be. */
export class UsageError extends StackError<Under<"usage">> {}

/** State on disk is unreadable or cannot be written. */
export class StateError extends StackError<Under<"state">> {}

/** A fault of ours. */
export class BugError extends StackError<Under<"bug">> {}

/** Tells whether a caught value is an error of the stack, from whichever package. */
export function isStackError(error: unknown): error is StackErrorShape {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    error.code.includes("/") &&
    "facts" in error &&
    "fix" in error
  );
}
