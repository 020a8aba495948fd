import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { BugError, isStackError, TrustError } from "@cipsec/wire";
import type { StackErrorShape } from "@cipsec/wire";
import type { Endpoint, SecurityFacts } from "./channel.ts";
import { endpointText } from "./endpoint.ts";
import { alertForVerdict } from "./tls-alerts.ts";
import { tlsContext } from "./tls-context.ts";
import { closedInHandshake, tlsError } from "./tls-errors.ts";
import { peerChain, securityFacts } from "./tls-facts.ts";
import type { Handshake, TlsPeer, TlsPolicy, Verdict } from "./tls-policy.ts";

/** How a handshake as the dialled side ended. */
export interface TlsOutcome {
  /** Called once, in the moment the handshake and the verdict on the peer are done: no octet has been delivered. */
  accepted(socket: TLSSocket, settled: Settled): void;
  /** Called once; the socket has been destroyed. */
  refused(error: StackErrorShape): void;
}

/** What a finished handshake has come to. */
export interface Settled {
  readonly security: SecurityFacts;
  readonly handshake: Handshake;
}

/**
 * Does the handshake on an accepted connection.
 *
 * The TLS socket is made without a `tls.Server`, because that one either lets clients without a certificate in
 * (`rejectUnauthorized: false`) or judges certificates by its own store (`true`). Made this way OpenSSL itself refuses a
 * missing certificate with the right alert, and the verdict on a certificate stays with the policy.
 * See docs/decisions/004.
 */
export function acceptTls(
  raw: Socket,
  choosePolicy: () => TlsPolicy,
  remote: Endpoint,
  outcome: TlsOutcome,
  keyLog?: (line: string) => void,
): void {
  const where = endpointText(remote);
  let psk: string | undefined;
  let isDone = false;
  const refuse = (error: StackErrorShape): void => {
    if (isDone) return;
    isDone = true;
    raw.destroy();
    outcome.refused(error);
  };
  let policy: TlsPolicy;
  let socket: TLSSocket;
  try {
    policy = choosePolicy();
    const { secure, psks } = tlsContext(policy, "server");
    socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: secure,
      requestCert: policy.verifyPeer,
      rejectUnauthorized: policy.verifyPeer,
      ...(psks.size > 0 && {
        pskCallback: (_: TLSSocket, identity: string) => {
          const key = psks.get(identity);
          if (key !== undefined) psk = identity;
          return key ?? null;
        },
      }),
    });
  } catch (error) {
    refuse(tlsError(error, where));
    return;
  }
  if (keyLog !== undefined) socket.on("keylog", (line) => keyLog(line.toString("latin1").trimEnd()));
  const failed = (error: unknown): void => refuse(tlsError(error, where));
  const closed = (): void => refuse(closedInHandshake(where));
  socket.on("error", failed);
  socket.on("_tlsError", failed);
  socket.once("close", closed);
  socket.once("secure", () => {
    if (isDone) return;
    const result = settled(socket, policy, psk, { role: "client", remote });
    if (isStackError(result)) {
      sayWhy(raw, socket, result);
      socket.destroy();
      refuse(result);
      return;
    }
    isDone = true;
    socket.off("error", failed);
    socket.off("_tlsError", failed);
    socket.off("close", closed);
    outcome.accepted(socket, result);
  });
}

/** What the handshake agreed on, once the peer has passed the policy; the error where it has not. */
export function settled(
  socket: TLSSocket,
  policy: TlsPolicy,
  psk: string | undefined,
  peer: Omit<TlsPeer, "chain">,
): Settled | StackErrorShape {
  try {
    const chain = peerChain(socket);
    const security = securityFacts(socket, chain, psk);
    const handshake = { policy, peer: { ...peer, chain: chain.map(octets) } };
    const verdict = security.peer.kind === "psk" ? accepted : judge(policy, handshake.peer);
    return verdict.ok ? { security, handshake } : verdict.error;
  } catch (error) {
    const words = `${endpointText(peer.remote)}: judging the other side failed`;
    return isStackError(error) ? error : new BugError("bug/unreachable", words, { cause: error });
  }
}

const accepted: Verdict = { ok: true };

/** The policy's verdict on what a peer has shown; `chain` is empty where that is nothing. */
export function judge(policy: TlsPolicy, peer: TlsPeer): Verdict {
  if (peer.role === "client" && !policy.verifyPeer) return accepted;
  if (peer.chain.length === 0) return refusal(peer, "showed no certificate");
  if (policy.verify === undefined) return refusal(peer, "showed a certificate, but no authority is trusted here");
  return policy.verify(peer);
}

function octets({ raw }: X509Certificate): Uint8Array {
  return new Uint8Array(raw);
}

function refusal({ remote }: TlsPeer, words: string): Verdict {
  return { ok: false, error: new TrustError("trust/refused", `${endpointText(remote)}: the other side ${words}`) };
}

/**
 * Tells a TLS 1.2 client why its certificate was refused. Node has no call for an alert; but when it says `secure`, our
 * ChangeCipherSpec and Finished are not on the wire yet, so an alert in the clear is what the client has to expect here
 * (RFC 5246, 7.2). Should a release of Node ever send earlier, the client sees a bad record instead of the reason and is
 * out all the same. In TLS 1.3 only OpenSSL could send one.
 */
function sayWhy(raw: Socket, socket: TLSSocket, error: StackErrorShape): void {
  if (socket.getProtocol() !== "TLSv1.2" || !raw.writable) return;
  raw.write(Uint8Array.of(21, 3, 3, 0, 2, 2, alertForVerdict(error.code)));
}
