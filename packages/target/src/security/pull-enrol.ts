import { randomBytes, type KeyObject } from "node:crypto";
import { isIPv4 } from "node:net";
import {
  bootstrapEst,
  certificateSubject,
  createCsr,
  estClient,
  type CaCerts,
  type Certificate,
  type CsrBuilder,
  type EstClientOptions,
  type FoundEst,
  readEstUrl,
  TrustError,
  type KeyKind,
} from "@cipsec/pki";
import { isStackError } from "@cipsec/wire";
import { serialText } from "./default-certificate.ts";
import type { OwnCertificate } from "./inventory.ts";
import type { PullFailure } from "./pull-machine.ts";
import type { DeviceFacts } from "./services.ts";

/** By what a device knows its EST server at the first contact; then by the authorities that it got there. */
export interface PullTrust {
  /** Authorities that were built in or loaded before. */
  readonly anchors: readonly Certificate[];
  /** SHA-256 of an authority, hexadecimal: the server is asked for it, and believed if it has it. */
  readonly fingerprint?: string;
  /** Whether to believe whoever answers first: in an onboarding network only. */
  readonly trustOnFirstUse: boolean;
}

/** One attempt at one server. */
export interface EnrolAttempt {
  readonly server: FoundEst;
  readonly trust: PullTrust;
  /** Authorities from an earlier enrolment, or from an attempt that is still held. */
  readonly known: readonly Certificate[];
  /** By what the device proves who it is. */
  readonly identity: OwnCertificate;
  /** Whether the identity is the certificate to be renewed. */
  readonly renews: boolean;
  readonly device: DeviceFacts;
  /** The key to certify; asked for once the server has told its wishes. */
  readonly key: (kind: KeyKind | undefined) => Promise<KeyObject>;
  readonly now: () => Date | undefined;
  readonly signal: AbortSignal;
  /** Milliseconds for one connection or answer. */
  readonly timeoutMs: number;
}

/** What came of an attempt. */
export type EnrolOutcome =
  | {
      readonly type: "issued";
      readonly chain: readonly Certificate[];
      readonly anchors: readonly Certificate[];
      readonly key: KeyObject;
    }
  | { readonly type: "pending"; readonly retryAfterMs: number; readonly anchors: readonly Certificate[] }
  | { readonly type: "failed"; readonly reason: PullFailure; readonly code: string; readonly said: string };

/**
 * Asks an EST server for a certificate: trust first, then its wishes, then the request. Never throws.
 *
 * @see reference cip-security.md 5; RFC 7030 4.1, 4.2, 4.5
 */
export async function enrolAt(attempt: EnrolAttempt): Promise<EnrolOutcome> {
  let isTrusted = false;
  try {
    const { anchors, intermediates } = await authoritiesOf(attempt);
    isTrusted = true;
    const client = estClient({
      ...optionsOf(attempt),
      // Answers hold the certificate alone: what stands above it has come before.
      trust: { explicit: [...anchors, ...intermediates] },
      identity: { certificate: attempt.identity },
    });
    const wishes = await client.csrattrs();
    const key = await attempt.key(wishes?.keyKind);
    const [current] = attempt.identity.chain;
    const isRenewal = attempt.renews && current !== undefined;
    const wanted = isRenewal
      ? { subject: certificateSubject(current), san: current.facts.san }
      : namesOf(attempt.device);
    const build: CsrBuilder = ({ challengePassword }) =>
      createCsr({ ...wanted, privateKey: key, ...(challengePassword === undefined ? {} : { challengePassword }) });
    const answer = await (isRenewal ? client.reenroll(build) : client.enroll(build));
    if (answer.status === "pending") return { type: "pending", retryAfterMs: answer.retryAfterMs, anchors };
    requireOurs(answer.certificate, [wanted.subject, ...(current === undefined ? [] : [certificateSubject(current)])]);
    return { type: "issued", chain: answer.chain, anchors, key };
  } catch (error) {
    return failureOf(error, isTrusted);
  }
}

/** The authorities that the server tells of, once it is believed. */
async function authoritiesOf(attempt: EnrolAttempt): Promise<CaCerts> {
  const { known, trust } = attempt;
  const options = optionsOf(attempt);
  if (known.length > 0) return await estClient({ ...options, trust: { explicit: known } }).cacerts();
  if (trust.anchors.length > 0) return await estClient({ ...options, trust: { implicit: trust.anchors } }).cacerts();
  // Without a fingerprint this trusts whoever answers: the description has to say so. No authority has the empty one.
  return await bootstrapEst(options, trust.fingerprint ?? (trust.trustOnFirstUse ? undefined : ""));
}

function optionsOf({
  server,
  device,
  now,
  signal,
  timeoutMs,
}: EnrolAttempt): Omit<EstClientOptions, "trust" | "identity"> {
  const { url, address } = server;
  const localAddress = sourceFor(device.address, address ?? readEstUrl(url).host);
  return {
    url,
    now,
    signal,
    timeoutMs,
    randomBytes: (count) => randomBytes(count),
    ...(address === undefined ? {} : { address }),
    ...(localAddress === undefined ? {} : { localAddress }),
  };
}

/** The device speaks from its own address, where the server may look at it. A loopback address reaches no other machine. */
function sourceFor(own: string, server: string): string | undefined {
  const isLoopback = (address: string): boolean => address.startsWith("127.");
  return own !== "0.0.0.0" && isIPv4(server) && isLoopback(own) === isLoopback(server) ? own : undefined;
}

function namesOf({ productName, serialNumber, address, hostName }: DeviceFacts): {
  readonly subject: { readonly commonName: string; readonly serialNumber: string };
  readonly san: { readonly ip: readonly string[]; readonly dns: readonly string[] };
} {
  const serial = serialText(serialNumber);
  return {
    subject: { commonName: `${productName} ${serial}`.slice(-64), serialNumber: serial },
    san: { ip: address === "0.0.0.0" ? [] : [address], dns: hostName === "" ? [] : [hostName] },
  };
}

/**
 * Rules give a device what subject they like, but not the serial number of another one: to peers it would be that one.
 *
 * @throws {TrustError} `trust/name`
 */
function requireOurs(certificate: Certificate, own: readonly { readonly serialNumber?: string }[]): void {
  const { serialNumber } = certificateSubject(certificate);
  if (serialNumber === undefined || own.some((subject) => subject.serialNumber === serialNumber)) return;
  throw new TrustError("trust/name", `the certificate is for another device, '${serialNumber}'`, {
    facts: { serialNumber },
  });
}

/** Before the server is believed, what is wrong is its TLS; after, its answer. */
function failureOf(error: unknown, isTrusted: boolean): EnrolOutcome {
  const code = isStackError(error) ? error.code : "bug/unreachable";
  const status = isStackError(error) ? error.facts["status"] : undefined;
  const said = error instanceof Error ? error.message.slice(0, 300) : "";
  const failed = (reason: PullFailure): EnrolOutcome => ({ type: "failed", reason, code, said });
  if (code.startsWith("transport/")) return failed("noServer");
  // The server ended the handshake: it did not like what we showed, or how.
  if (code === "est/http" && status === 0) return failed("tlsFailure");
  if (code === "est/http" || code === "est/unavailable") return failed("refused");
  if (code.startsWith("trust/")) return failed(isTrusted ? "badCertificate" : "tlsFailure");
  return failed("badCertificate");
}
