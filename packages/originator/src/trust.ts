import type { KeyObject } from "node:crypto";
import { isIP } from "node:net";
import {
  canonicalIp,
  parseCertificate,
  refusalError,
  verifyChain,
  type Certificate,
  type ChainQuestion,
  type Checked,
  type Crl,
  type RevocationPolicy,
} from "@cipsec/pki";
import { systemClock, type Clock, type TlsPeer, type TlsPolicy, type Verdict } from "@cipsec/transport";
import { PskUsage, TrustError, UsageError, cipherSuite, cipherSuites, isStackError } from "@cipsec/wire";

/** What a channel does for its messages beside proving who sends them: hides them, or leaves them readable. */
export type Protection = "encrypted" | "integrity";

/** Who we are and whom we trust. Strict unless an option says otherwise. */
export interface SecurityOptions {
  /** Our certificate, leaf first, with its key. Without it only devices that do not verify clients let us in. */
  readonly certificate?: { readonly chain: readonly Certificate[]; readonly key: KeyObject };
  /** Pre-shared key; the device proves by it too, so no trust anchors are needed. */
  readonly psk?: { readonly identity: Uint8Array; readonly key: Uint8Array };
  /** Authorities whose devices we talk to; exactly listed self-signed certificates may stand here too. */
  readonly anchors?: readonly Certificate[];
  readonly crls?: readonly Crl[];
  readonly revocation?: RevocationPolicy;
  /** SHA-256 fingerprints (hex); only these devices are accepted. */
  readonly pinned?: readonly string[];
  /** The dialled address or name must stand in the certificate; default true. A text is expected in place of the dialled host. */
  readonly checkName?: boolean | string;
  /** Default true. */
  readonly checkExpiration?: boolean;
  /** IANA numbers, best first; default: all that encrypt, or what {@link SecurityOptions.protection} asks for. */
  readonly suites?: readonly number[];
  /** Offer only suites that encrypt, or only such that are integrity only. The device's allowed suites decide whether there is one. */
  readonly protection?: Protection;
  /** Default TLS 1.3, with a pre-shared key TLS 1.2. */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** Send our whole chain; default true, as a device may know the root only. */
  readonly sendChain?: boolean;
  /** Accepts whatever certificate the device has: for commissioning and for reading posture only. Announced each time. */
  readonly acceptAny?: boolean;
  /** Called with each certificate that only `acceptAny` let in. */
  readonly announce?: (accepted: AcceptedPeer) => void;
  /** With `acceptAny`: roots of device makers, to tell whether one of them vouches for the certificate. */
  readonly vendorAnchors?: readonly Certificate[];
  /** Used for expiry; default the machine's clock. */
  readonly clock?: Clock;
}

/** A certificate that was accepted without being trusted. */
export interface AcceptedPeer {
  readonly host: string;
  readonly sha256: string;
  readonly subject: string;
  readonly selfSigned: boolean;
  /** Subject of the vendor root that vouches for it, where one does. */
  readonly vouchedBy?: string;
  /** Code of the refusal that would have been, such as `trust/unknown-authority`. */
  readonly refusal: string;
}

/** What the trust in the other end of a secure channel rests on. */
export type TrustFacts =
  | { readonly kind: "verified"; readonly anchor: string; readonly checked: Checked }
  | { readonly kind: "accepted-any"; readonly accepted: AcceptedPeer }
  | { readonly kind: "psk"; readonly identity: string };

/** TLS as an originator does it, and what the last verdict rested on. One object for a session and all its reconnects. */
export interface OriginatorTrust {
  readonly policy: TlsPolicy;
  /** Nothing before the first handshake. */
  readonly facts: () => TrustFacts | undefined;
}

/**
 * Builds the TLS policy of an originator.
 *
 * @throws {UsageError} `usage/argument` when there is neither an authority, a pinned certificate, a pre-shared key nor
 *   `acceptAny`: every device would be refused. Also when no suite is left that gives the protection asked for.
 */
export function originatorTrust(options: SecurityOptions): OriginatorTrust {
  const { certificate, psk, anchors = [], acceptAny = false } = options;
  if (anchors.length === 0 && psk === undefined && !acceptAny)
    throw new UsageError("usage/argument", "a secure connection needs something to trust the device by", {
      fix: "Give the plant's authority (--ca FILE) or a pre-shared key (--psk-identity, --psk-file).",
    });
  let facts: TrustFacts | undefined =
    psk === undefined ? undefined : { kind: "psk", identity: Buffer.from(psk.identity).toString("latin1") };
  const onlyPsk = psk !== undefined && anchors.length === 0 && !acceptAny;
  const { protection } = options;
  const encrypts = protection !== "integrity";
  const given = options.suites?.filter((id) => protection === undefined || cipherSuite(id)?.encrypts === encrypts);
  // No suites at all is the caller's business; none left of those given is a contradiction.
  if (given?.length === 0)
    throw new UsageError("usage/argument", `none of the given cipher suites is ${words[protection ?? "encrypted"]}`, {
      fix: "Leave the suites out, or ask for the protection that they give.",
    });
  const policy: TlsPolicy = {
    suites: given ?? defaultSuites(psk !== undefined, onlyPsk, encrypts),
    maxVersion: options.maxVersion ?? (psk === undefined && encrypts ? "TLSv1.3" : "TLSv1.2"),
    certificates:
      certificate === undefined ? [] : [{ chain: certificate.chain.map(({ der }) => der), key: certificate.key }],
    sendChain: options.sendChain ?? true,
    psks: psk === undefined ? [] : [{ identity: psk.identity, key: psk.key, usage: PskUsage.client }],
    verifyPeer: true,
    verify: (peer) => judge(peer, options, (next) => (facts = next)),
  };
  return { policy, facts: () => facts };
}

const words = { encrypted: "encrypting", integrity: "integrity only" } as const;

/** All that encrypt, or none that does; pre-shared key suites only with a key, and alone where the key is all there is. */
function defaultSuites(hasPsk: boolean, onlyPsk: boolean, encrypts: boolean): readonly number[] {
  return cipherSuites
    .filter((suite) => suite.encrypts === encrypts && (suite.auth === "psk" ? hasPsk : !onlyPsk))
    .map((suite) => suite.id);
}

function judge(peer: TlsPeer, options: SecurityOptions, note: (facts: TrustFacts) => void): Verdict {
  const chain = parseChain(peer.chain);
  if (!Array.isArray(chain)) return { ok: false, error: chain };
  const [leaf, ...rest] = chain;
  if (leaf === undefined) return { ok: false, error: unreadable("it sent none") };
  const verdict = verifyChain(question(leaf, rest, peer, options, options.anchors ?? []));
  if (verdict.ok) {
    const anchor = verdict.chain.at(-1) ?? leaf;
    note({ kind: "verified", anchor: anchor.facts.subject, checked: verdict.checked });
    return { ok: true };
  }
  if (options.acceptAny !== true) return { ok: false, error: refusalError(verdict) };
  const accepted = acceptedPeer(leaf, rest, peer, options, verdict.code);
  note({ kind: "accepted-any", accepted });
  options.announce?.(accepted);
  return { ok: true };
}

function question(
  leaf: Certificate,
  chain: readonly Certificate[],
  peer: TlsPeer,
  options: SecurityOptions,
  anchors: readonly Certificate[],
): ChainQuestion {
  const { checkName = true, crls, revocation, pinned, checkExpiration = true, clock = systemClock } = options;
  const wall = clock.wallNow();
  return {
    leaf,
    chain,
    anchors,
    time: wall === undefined ? undefined : new Date(wall),
    checkExpiration,
    purpose: "server",
    ...(checkName === false ? {} : { expectedNames: expectedNames(checkName === true ? hostOf(peer) : checkName) }),
    ...(crls === undefined ? {} : { crls }),
    ...(revocation === undefined ? {} : { revocation }),
    ...(pinned === undefined ? {} : { pinned }),
  };
}

function acceptedPeer(
  leaf: Certificate,
  chain: readonly Certificate[],
  peer: TlsPeer,
  { vendorAnchors = [] }: SecurityOptions,
  refusal: string,
): AcceptedPeer {
  // A maker's certificate names no address of the plant, and the device has its clock from nowhere yet.
  const vendor = verifyChain({
    leaf,
    chain,
    anchors: vendorAnchors,
    time: undefined,
    purpose: "any",
  });
  const { sha256, subject, selfSigned } = leaf.facts;
  const vouchedBy = vendor.ok ? vendor.chain.at(-1)?.facts.subject : undefined;
  return {
    host: hostOf(peer),
    sha256,
    subject,
    selfSigned,
    refusal,
    ...(vouchedBy === undefined ? {} : { vouchedBy }),
  };
}

function expectedNames(host: string): { readonly ip?: string; readonly dns?: string } {
  return isIP(host) === 0 ? { dns: host } : { ip: canonicalIp(host) ?? host };
}

function hostOf(peer: TlsPeer): string {
  return peer.host ?? peer.remote.address;
}

function parseChain(ders: readonly Uint8Array[]): Certificate[] | TrustError {
  try {
    return ders.map((der) => parseCertificate(der));
  } catch (error) {
    return unreadable(isStackError(error) ? error.message : "it is not X.509", error);
  }
}

function unreadable(why: string, cause?: unknown): TrustError {
  return new TrustError("trust/refused", `the device's certificate cannot be read: ${why}`, { cause });
}
