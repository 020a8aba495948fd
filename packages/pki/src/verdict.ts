import type { KeyObject } from "node:crypto";
import type { Certificate } from "./certificate.ts";
import type { Crl } from "./crl.ts";
import { errorCodes, TrustError, type Facts, type TrustCode } from "./errors.ts";
import type { Strength } from "./strength.ts";

/** The end of a TLS connection that a certificate is used for; `any` skips the usage check. */
export type Purpose = "server" | "client" | "any";

/** What to do where revocation lists do not give an answer. */
export interface RevocationPolicy {
  /** No list of an issuer is at hand; default `accept`, as attribute 8 of 0x5E may be empty. */
  readonly missing?: "accept" | "refuse";
  /** The newest list is past its next update, or from the future; default `refuse`. */
  readonly stale?: "accept" | "refuse";
}

/** The question that a chain verdict answers. */
export interface ChainQuestion {
  readonly leaf: Certificate;
  /** Untrusted intermediates, in any order, as the peer sent them. */
  readonly chain?: readonly Certificate[];
  /** Trusted: authorities, also intermediate ones, and exactly listed self-signed certificates. */
  readonly anchors: readonly Certificate[];
  readonly crls?: readonly Crl[];
  readonly revocation?: RevocationPolicy;
  /** Nothing where there is no clock: days and freshness are then not judged, and the verdict says so. */
  readonly time: Date | undefined;
  /** Attribute 11 of 0x5E; default true. */
  readonly checkExpiration?: boolean;
  readonly purpose: Purpose;
  /** Attribute 17 of 0x5E: one of them has to match. Absent: names are not checked. */
  readonly expectedNames?: { readonly ip?: string; readonly dns?: string };
  /** Attribute 12 of 0x5E: SHA-256 fingerprints (hex) or certificates. Absent or empty: every good chain will do. */
  readonly pinned?: readonly (string | Certificate)[];
  readonly minimumStrength?: Strength;
  /** The key that the leaf has to belong to, as Verify_Certificate asks. */
  readonly publicKey?: KeyObject;
}

/** What a good verdict rests on. */
export interface Checked {
  readonly expiration: boolean;
  /** Every certificate below the anchor was looked up in a list that was signed by its issuer and fresh. */
  readonly revocation: boolean;
  readonly name: boolean;
  readonly pinned: boolean;
}

/** The chain is good. */
export interface GoodChain {
  readonly ok: true;
  /** Leaf first, anchor last. */
  readonly chain: readonly Certificate[];
  readonly checked: Checked;
}

/** The chain is refused, for one reason. */
export interface Refusal {
  readonly ok: false;
  readonly code: TrustCode;
  readonly message: string;
  readonly facts: Facts;
  readonly fix: string;
}

/** The answer to a {@link ChainQuestion}. */
export type Verdict = GoodChain | Refusal;

/** Refuses because of one certificate of the chain. */
export function refuse(code: TrustCode, { facts }: Certificate, why: string, more: Facts = {}): Refusal {
  const subject = facts.subject.slice(0, 200);
  const message = `certificate '${subject}' ${why}`;
  return {
    ok: false,
    code,
    message,
    facts: { subject, serial: facts.serialHex, sha256: facts.sha256, ...more },
    fix: errorCodes[code].fix,
  };
}

/** The refusal as an error, for callers that stop there. */
export function refusalError({ code, message, facts, fix }: Refusal): TrustError {
  return new TrustError(code, message, { facts, fix });
}
