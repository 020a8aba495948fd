/** Flat, loggable facts about an error: never a key, a password or a payload. */
export type Facts = Readonly<Record<string, string | number | boolean>>;

/** Every code that an error of this package may carry, with its cause and the fix that a person is told. */
export const errorCodes = {
  "dtls/decode": {
    cause: "The peer sent a handshake message that breaks its own layout.",
    fix: "Capture the handshake and compare it with the RFC; the message names the field.",
  },
  "dtls/handshake": {
    cause: "The two ends share no way to talk, or the peer broke the order of the handshake.",
    fix: "Compare suites, groups, signature algorithms and credentials on both sides.",
  },
  "dtls/verify": {
    cause: "The peer's proof of identity was not accepted.",
    fix: "Look at the verdict: enrol the peer with an authority that this side trusts, or correct the pre-shared key.",
  },
  "dtls/no-certificate": {
    cause: "The peer showed no certificate where one is required.",
    fix: "Give the peer a certificate of an authority that this side trusts.",
  },
  "dtls/alert": {
    cause: "The peer ended the handshake or the association with an alert.",
    fix: "The alert names the reason; look at the peer's log.",
  },
  "dtls/timeout": {
    cause: "No answer came in time.",
    fix: "Check address, port and firewall; with pre-shared keys, that both sides hold the same key.",
  },
  "dtls/closed": {
    cause: "The association is closed.",
    fix: "Connect again; the event 'close' said why it ended.",
  },
  "dtls/size": {
    cause: "The payload does not fit into one datagram.",
    fix: "Send less at once, or raise 'mtu' where the path carries more.",
  },
  "dtls/limit": {
    cause: "A limit on associations or handshakes was reached.",
    fix: "Close unused associations or raise the limit.",
  },
  "dtls/socket": {
    cause: "The UDP socket could not be opened or used.",
    fix: "Check that the address belongs to this machine and that the port is free.",
  },
  "usage/argument": { cause: "An argument is wrong.", fix: "See the message and the API reference." },
  "usage/state": { cause: "This cannot be done in the present state.", fix: "See the message." },
  "bug/unreachable": { cause: "A fault in this package.", fix: "Please report it with the message and what you did." },
} as const satisfies Record<string, { cause: string; fix: string }>;

/** One of the codes of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;

/** What an error may carry beside code and message. */
export interface DtlsErrorOptions {
  readonly facts?: Facts;
  readonly cause?: unknown;
  readonly fix?: string;
  /** The alert that the peer is told, where one is due. */
  readonly alert?: number;
}

/** An error of this package: match on `code`; `facts` are flat and hold no secret; `fix` is for a person. */
export class DtlsError extends Error {
  readonly code: ErrorCode;
  readonly facts: Facts;
  readonly fix: string;
  readonly alert: number | undefined;

  constructor(code: ErrorCode, message: string, options: DtlsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "DtlsError";
    this.code = code;
    this.facts = options.facts ?? {};
    this.fix = options.fix ?? errorCodes[code].fix;
    this.alert = options.alert;
  }
}
