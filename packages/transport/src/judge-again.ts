import { timingSafeEqual } from "node:crypto";
import { TrustError } from "@cipsec/wire";
import type { Channel, SecurityFacts } from "./channel.ts";
import { endpointText } from "./endpoint.ts";
import { judge } from "./tls-accept.ts";
import type { Handshake, TlsPolicy, Verdict } from "./tls-policy.ts";
import { keysFor } from "./tls-psk.ts";

/**
 * Judges the peer of an open channel as a handshake by `policy` would now: its suite and version have to be allowed still, its
 * certificate passes the policy's verdict, its pre-shared key is there with the same octets. A channel that nothing protects
 * always passes.
 *
 * @returns The verdict; refusals beside those of the policy's own verdict are `trust/refused`, with `facts.reason` `suite`,
 * `version` or `psk`.
 */
export function judgeAgain({ facts, handshake }: Pick<Channel, "facts" | "handshake">, policy: TlsPolicy): Verdict {
  const { security } = facts;
  if (security === undefined || handshake === undefined) return accepted;
  const refused = (reason: string, words: string): Verdict => {
    const where = endpointText(facts.remote);
    return { ok: false, error: new TrustError("trust/refused", `${where}: ${words}`, { facts: { where, reason } }) };
  };
  const { suite, suiteName, version, peer } = security;
  if (!policy.suites.includes(suite)) return refused("suite", `${suiteName} is not allowed any more`);
  if (version === "TLSv1.3" && policy.maxVersion !== "TLSv1.3") return refused("version", "TLS 1.3 is not allowed");
  if (peer.kind !== "psk") return judge(policy, handshake.peer);
  return hasSameKey(peer.identity, handshake, policy)
    ? accepted
    : refused("psk", "the pre-shared key of this session has been withdrawn or replaced");
}

/**
 * Whether an end still presents what it presented in a handshake: each certificate of then that fits the suite is one of `policy`.
 * With a pre-shared key there is nothing to present.
 */
export function presentsTheSame(
  { facts, handshake }: Pick<Channel, "facts" | "handshake">,
  policy: TlsPolicy,
): boolean {
  const { security } = facts;
  if (security === undefined || handshake === undefined || security.peer.kind === "psk") return true;
  const now = policy.certificates.map(leafOf);
  return presented(security, handshake).every((leaf) => now.some((other) => leaf.equals(other)));
}

/** Leaf certificates, DER, of which one was presented in a handshake. */
export function presented({ suiteName }: SecurityFacts, { policy }: Handshake): readonly Buffer[] {
  const wanted = suiteName.includes("ECDSA") ? "ec" : suiteName.includes("RSA") ? "rsa" : undefined;
  const all = policy.certificates;
  const fitting = all.filter(({ key }) => wanted === undefined || key.asymmetricKeyType === wanted);
  return (fitting.length > 0 ? fitting : all).map(leafOf);
}

const accepted: Verdict = { ok: true };

function hasSameKey(identity: string, { policy: before, peer }: Handshake, policy: TlsPolicy): boolean {
  const ours = peer.role === "client" ? "server" : "client";
  const then = keysFor(ours, before.psks).get(identity);
  const now = keysFor(ours, policy.psks).get(identity);
  return then !== undefined && now !== undefined && then.length === now.length && timingSafeEqual(then, now);
}

function leafOf({ chain }: TlsPolicy["certificates"][number]): Buffer {
  return Buffer.from(chain[0] ?? []);
}
