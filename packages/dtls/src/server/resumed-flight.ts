import type { Exchange, Next, Step } from "../exchange.ts";
import { handshakeTypes } from "../handshake/message.ts";
import type { SessionState } from "../session.ts";

/**
 * Takes a session up again: our Finished goes out at once, the client's ends the handshake. A client's certificates are
 * put to the caller again, before anything is sent: what was trusted then may be revoked now.
 *
 * @see RFC 5246 7.3; RFC 5077 3.1
 */
export function sendResumedFlight(x: Exchange, session: SessionState): Next {
  x.resumed = true;
  x.master = session.master.slice();
  if (session.pskIdentity !== undefined) x.proof = { kind: "psk", identity: session.pskIdentity };
  const { peerChain: chain } = session;
  if (chain.length === 0) return send(x);
  x.proof = { kind: "certificate", chain };
  return { ask: { chain, peer: "client", serverName: x.serverName, resumed: true }, accepted: () => send(x) };
}

function send(x: Exchange): Step {
  x.installKeys();
  x.sayFinished();
  x.endFlight(true);
  return {
    name: "waiting for Finished of a resumed session",
    takes: [handshakeTypes.finished],
    on(message) {
      x.checkFinished(message);
      return "done";
    },
  };
}
