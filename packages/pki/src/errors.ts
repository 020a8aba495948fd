/** Flat, loggable facts about an error or a verdict: never a key, a passphrase or file content. */
export type Facts = Readonly<Record<string, string | number | boolean>>;

/**
 * Every code that an error or a verdict of this package may carry, with its cause and the fix that a person is told.
 * Codes that other packages have too (`usage/argument`, `usage/file`, `state/…`) mean the same there.
 */
export const errorCodes = {
  "trust/bad-signature": {
    cause: "The issuer's key did not make the signature of a certificate in the chain.",
    fix: "Get the certificate again from its authority: it was changed, damaged or forged.",
  },
  "trust/unknown-authority": {
    cause: "The chain does not lead to a listed authority.",
    fix: "Send the whole chain, or list the authority that issued the certificate.",
  },
  "trust/not-a-ca": {
    cause: "A certificate in the chain may not issue certificates, or not this deep.",
    fix: "Enrol with an authority whose certificate allows it to sign (CA true, keyCertSign, path length).",
  },
  "trust/self-signed": {
    cause: "The certificate is self-signed and not listed.",
    fix: "Enrol the peer with the plant's authority, or list exactly this certificate.",
  },
  "trust/revoked": {
    cause: "The authority has revoked the certificate.",
    fix: "Enrol the peer again; find out why the certificate was revoked.",
  },
  "trust/crl-stale": {
    cause: "The certificate revocation list is out of date, or from the future.",
    fix: "Load a fresh list ('cipsec ca crl' makes one), and check the clock.",
  },
  "trust/crl-missing": {
    cause: "No revocation list of the issuer is loaded, and one is required.",
    fix: "Load the list of every authority in the chain.",
  },
  "trust/crl-signature": {
    cause: "The revocation list was not signed by the authority it names.",
    fix: "Get the list again from its authority: it was changed, damaged or forged.",
  },
  "trust/expired": {
    cause: "A certificate in the chain is past its last day.",
    fix: "Renew it; if it should still be valid, check the clock.",
  },
  "trust/not-yet-valid": {
    cause: "A certificate in the chain is before its first day.",
    fix: "Check the clocks of this machine and of the authority.",
  },
  "trust/usage": {
    cause: "The certificate is not meant for this end of a TLS connection.",
    fix: "Issue one with the right profile: device (server and client), tool or user (client).",
  },
  "trust/extension": {
    cause: "A certificate in the chain carries a restriction that is not understood.",
    fix: "Issue it without the extension that the message names.",
  },
  "trust/name": {
    cause: "The certificate was not issued for this address or host name.",
    fix: "Issue one whose subject alternative name has the address, or connect by a name that it has.",
  },
  "trust/not-pinned": {
    cause: "The certificate is good but not among the trusted identities.",
    fix: "Add its fingerprint to the trusted identities, or use one that is listed.",
  },
  "trust/weak": {
    cause: "A key or signature algorithm is below the required strength.",
    fix: "Use ECDSA P-256 or stronger, or RSA of 2048 bits or more, with SHA-256 or stronger.",
  },
  "trust/key-mismatch": {
    cause: "The certificate belongs to another key.",
    fix: "Use the key that the certificate was requested with, or request a new one for this key.",
  },
  "trust/disagreement": {
    cause: "Two implementations read a certificate chain differently.",
    fix: "Issue the certificate again with a standard tool, and report this one.",
  },
  "usage/argument": { cause: "An argument is wrong.", fix: "See the message and --help." },
  "usage/file": {
    cause: "A file cannot be read, written or understood.",
    fix: "Check the path, its permissions and its content.",
  },
  "usage/encoding": {
    cause: "The octets are not DER.",
    fix: "Give PEM, DER or PKCS#7 as it came from the tool that made it.",
  },
  "usage/certificate": {
    cause: "This is not a certificate, or not a sound one.",
    fix: "Give an X.509 certificate as PEM, DER or PKCS#7.",
  },
  "usage/csr": {
    cause: "This is not a certificate signing request, or not a sound one.",
    fix: "Give a PKCS#10 request as PEM or DER, signed with SHA-256 or stronger.",
  },
  "usage/crl": {
    cause: "This is not a certificate revocation list, or not a sound one.",
    fix: "Give an X.509 CRL as PEM, DER or PKCS#7.",
  },
  "usage/key": {
    cause: "This is not a usable private key.",
    fix: "Give a PKCS#8 PEM key (ECDSA P-256, P-384, P-521 or RSA) and its passphrase, if it has one.",
  },
  "usage/key-permissions": {
    cause: "Others on this machine can read the private key.",
    fix: "Run 'chmod 600' on the key file; replace the key if it may have been copied.",
  },
  "usage/ca-exists": {
    cause: "There is a certificate authority in this folder already.",
    fix: "Use it, or choose another data folder.",
  },
  "usage/ca-missing": {
    cause: "There is no certificate authority in this folder.",
    fix: "Make one with 'cipsec ca init', or give the right --data folder.",
  },
  "usage/serial": {
    cause: "The authority has not issued a certificate with this serial number.",
    fix: "See 'cipsec ca list'.",
  },
  "usage/est": {
    cause: "The EST server's rules, users or address are wrong.",
    fix: "See docs/est.md for the form of rules and users.",
  },
  "usage/est-request": {
    cause: "There is no waiting enrolment request with this id, or it is decided already.",
    fix: "See 'cipsec est pending'.",
  },
  "est/http": {
    cause: "The EST server refused the request.",
    fix: "The message repeats the server's reason; 401 and 403 are about who asks, 400 about the request, 429 and 503 about load.",
  },
  "est/answer": {
    cause: "The EST server's answer is not what RFC 7030 has in this place.",
    fix: "Check that the URL leads to an EST server, and that no proxy changes its answers.",
  },
  "est/pending": {
    cause: "The request waits for a person at the EST server.",
    fix: "Approve it there ('cipsec est approve'), then ask again.",
  },
  "est/unavailable": {
    cause: "The EST server does not offer this operation.",
    fix: "Leave it out, or have it switched on at the server.",
  },
  "cmp/refused": {
    cause: "The CMP server refused the request.",
    fix: "The message repeats the server's reason; have its operator let this registrar in, and ask for what it may have.",
  },
  "cmp/answer": {
    cause: "The answer is not what RFC 9810 has in this place.",
    fix: "Check that the URL leads to a CMP server, its path included, and that no proxy changes its answers.",
  },
  "transport/timeout": {
    cause: "No answer came in time.",
    fix: "Check address, port, firewall and that the server runs; raise --timeout on slow links.",
  },
  "transport/closed": {
    cause: "The other side closed the connection.",
    fix: "Look at the server's log; it closes on refused certificates and full tables.",
  },
  "transport/unreachable": {
    cause: "The network has no way to this address, or nothing listens there.",
    fix: "Check the address, the port, the route and the cable.",
  },
  "transport/address": {
    cause: "The address could not be used or resolved.",
    fix: "Check the spelling, and that the address belongs to this machine when listening.",
  },
  "state/corrupt": {
    cause: "Stored state fails its checksum and no earlier generation is good.",
    fix: "Restore a backup, or reset to factory default.",
  },
  "state/write": {
    cause: "State could not be written to disk.",
    fix: "Check free space and permissions of the data folder.",
  },
  "state/locked": {
    cause: "Another process is changing this folder.",
    fix: "Wait for it to end; the message names its process id.",
  },
} as const satisfies Record<string, { cause: string; fix: string }>;

/** One of the codes of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;

type Under<P extends string> = Extract<ErrorCode, `${P}/${string}`>;

/** Codes of refused certificates. */
export type TrustCode = Under<"trust">;

/** Codes of wrong input from our caller or from the person at the keyboard. */
export type UsageCode = Under<"usage">;

/** Codes of failed storage. */
export type StateCode = Under<"state">;

/** Codes of refusals by the other side of an enrolment. */
export type PeerCode = Under<"est"> | Under<"cmp">;

/** Codes of a network that failed. */
export type TransportCode = Under<"transport">;

/** What an error may carry beside code and message. */
export interface ErrorOptionsWithFacts {
  readonly facts?: Facts;
  readonly cause?: unknown;
  /** Replaces the general fix of the code where a better one is known. */
  readonly fix?: string;
}

/** Base of this package's errors, of the shape that all errors of the stack have: match on `code`, never on class. */
export abstract class PkiError<C extends ErrorCode = ErrorCode> extends Error {
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

/** A certificate or key is not accepted; the operator must act. */
export class TrustError extends PkiError<TrustCode> {}

/** Our caller, the person at the keyboard, or a file they gave, is wrong. */
export class UsageError extends PkiError<UsageCode> {}

/** State on disk is unreadable, cannot be written, or is held by another process. */
export class StateError extends PkiError<StateCode> {}

/** The EST or CMP server refused us, or answered wrongly. */
export class PeerError extends PkiError<PeerCode> {}

/** The network, or the other end of it, failed. */
export class TransportError extends PkiError<TransportCode> {}

/**
 * Runs a parser over hostile input and lets nothing out but a {@link UsageError} of the given code, whatever the
 * libraries below throw.
 */
export function parsing<T>(code: UsageCode, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError && error.code === code) throw error;
    throw new UsageError(code, `${what}: ${error instanceof UsageError ? error.message : "not understood"}`, {
      cause: error,
    });
  }
}

/** The system's error code (`ENOENT`, …) of a caught value, or an empty string. */
export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
