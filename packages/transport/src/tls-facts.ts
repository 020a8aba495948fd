import { createHash } from "node:crypto";
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { BugError, cipherSuites } from "@cipsec/wire";
import type { PeerIdentity, SecurityFacts } from "./channel.ts";

/** Deeper chains than a plant's: root, two issuing levels, leaf, and room. */
const maxChain = 8;

/**
 * What a finished handshake has agreed on.
 *
 * @param chain What {@link peerChain} gave.
 * @param psk The identity that the handshake asked a pre-shared key for, if it did. That it was asked for does not yet
 * mean that it was used: a TLS 1.3 client may name one and then go on with certificates.
 */
export function securityFacts(
  socket: TLSSocket,
  chain: readonly X509Certificate[],
  psk: string | undefined,
): SecurityFacts {
  const { standardName } = socket.getCipher();
  const suite = cipherSuites.find(({ name }) => name === standardName);
  const version = socket.getProtocol();
  if (suite === undefined || (version !== "TLSv1.2" && version !== "TLSv1.3")) {
    throw new BugError("bug/unreachable", `a TLS session that was not offered came about: ${version} ${standardName}`);
  }
  const usedPsk = suite.auth === "psk" || (version === "TLSv1.3" && psk !== undefined && socket.isSessionReused());
  const peer = usedPsk ? pskPeer(psk) : certificatePeer(chain[0]);
  return { version, suite: suite.id, suiteName: suite.name, encrypts: suite.encrypts, peer };
}

/**
 * The peer's chain, leaf first, as far as one certificate leads to the next; empty where it showed none. To be read once:
 * Node 22 takes certificates off the session as it hands them out.
 */
export function peerChain(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let next = socket.getPeerX509Certificate(); next && chain.length < maxChain; next = next.issuerCertificate) {
    chain.push(next);
  }
  return chain;
}

function pskPeer(identity: string | undefined): PeerIdentity {
  if (identity === undefined) throw new BugError("bug/unreachable", "a pre-shared key was used without an identity");
  return { kind: "psk", identity };
}

/** Who a certificate makes of a peer; without one it is anybody. */
export function certificatePeer(certificate: X509Certificate | undefined): PeerIdentity {
  if (certificate === undefined) return { kind: "anonymous" };
  const der = new Uint8Array(certificate.raw);
  const sha256 = createHash("sha256").update(der).digest("hex");
  return { kind: "certificate", subject: certificate.subject.replaceAll("\n", ", "), sha256, der };
}
