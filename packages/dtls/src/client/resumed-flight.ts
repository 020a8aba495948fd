import type { Exchange, Next, Step } from "../exchange.ts";
import { handshakeTypes } from "../handshake/message.ts";
import { readNewSessionTicket } from "../handshake/new-session-ticket.ts";
import { ClientSession } from "../session.ts";
import type { SessionState } from "../session.ts";

/** The server took the session up: its Finished comes at once, and ours is the last flight. @see RFC 5246 7.3 */
export function awaitResumedFinish(x: Exchange, session: SessionState, ticketComes: boolean): Next {
  x.resumed = true;
  x.master = session.master.slice();
  if (session.pskIdentity !== undefined) x.proof = { kind: "psk", identity: session.pskIdentity };
  if (session.peerChain.length > 0) x.proof = { kind: "certificate", chain: session.peerChain };
  x.installKeys();
  const step = awaitFinished(x, session, ticketComes);
  if (session.peerChain.length === 0) return step;
  const ask = { chain: session.peerChain, peer: "server", serverName: x.serverName, resumed: true } as const;
  return { ask, accepted: () => step };
}

function awaitFinished(x: Exchange, session: SessionState, ticketComes: boolean): Step {
  return {
    name: "waiting for Finished of a resumed session",
    takes: ticketComes ? [handshakeTypes.newSessionTicket] : [handshakeTypes.finished],
    on(message) {
      if (message.type === handshakeTypes.newSessionTicket) {
        const { ticket } = readNewSessionTicket(message.body);
        if (ticket.length > 0) x.session = new ClientSession(session, new Uint8Array(0), ticket);
        x.hear(message);
        return awaitFinished(x, session, false);
      }
      x.checkFinished(message);
      x.sayFinished();
      x.endFlight(false);
      return "done";
    },
  };
}
