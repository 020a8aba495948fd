import { randomBytes } from "node:crypto";
import type { CertificateCredential } from "../credentials.ts";
import { fail, pskPremaster } from "../exchange.ts";
import type { Exchange, Step } from "../exchange.ts";
import { groupOf } from "../groups.ts";
import { writeCertificate } from "../handshake/certificate.ts";
import { writeClientKeyExchange, writeEncryptedPremaster } from "../handshake/client-key-exchange.ts";
import { handshakeTypes } from "../handshake/message.ts";
import { readNewSessionTicket } from "../handshake/new-session-ticket.ts";
import { writeSigned } from "../handshake/server-key-exchange.ts";
import { masterLength } from "../key-schedule.ts";
import { dtls12 } from "../record/header.ts";
import { encryptPremaster } from "../rsa-premaster.ts";
import { ClientSession } from "../session.ts";
import type { SessionState } from "../session.ts";
import { chooseScheme, signWith } from "../signatures.ts";
import type { SignatureScheme } from "../signatures.ts";
import type { ServerFlight } from "./server-flight.ts";

/** The client's answer: certificate where asked for, key exchange, proof, Finished. @see RFC 5246 7.3 */
export function sendClientFlight(x: Exchange, flight: ServerFlight): Step {
  const own = flight.request && chooseCertificate(x, flight.request);
  if (flight.request !== undefined) x.say(handshakeTypes.certificate, writeCertificate(own?.credential.chain ?? []));
  const premaster = exchangeKeys(x, flight);
  x.deriveMaster(premaster);
  if (own !== undefined) {
    const signature = signWith(own.scheme, own.credential.key, x.transcript);
    x.say(handshakeTypes.certificateVerify, writeSigned({ scheme: own.scheme.id, signature }));
  }
  x.installKeys();
  x.sayFinished();
  x.endFlight(true);
  return awaitFinished(x, flight, undefined);
}

/** Says ClientKeyExchange. @returns The premaster secret. */
function exchangeKeys(x: Exchange, { parameters, key }: ServerFlight): Uint8Array {
  const { psk } = x.settings.credentials;
  if (x.chosen.keyExchange === "rsa" && key !== undefined) {
    const premaster = randomBytes(masterLength);
    premaster.writeUInt16BE(dtls12, 0);
    x.say(handshakeTypes.clientKeyExchange, writeEncryptedPremaster(encryptPremaster(key, premaster)));
    return premaster;
  }
  const group = groupOf(parameters?.group ?? 0);
  if (group === undefined || parameters === undefined) throw fail("internal_error", "no group was chosen");
  const ephemeral = group.generate();
  const agreed = ephemeral.agree(parameters.point);
  const identity = x.chosen.authentication === "psk" ? psk?.identity : undefined;
  x.say(handshakeTypes.clientKeyExchange, writeClientKeyExchange({ identity, point: ephemeral.point }));
  if (identity === undefined || psk === undefined) return agreed;
  x.proof = { kind: "psk", identity };
  return pskPremaster(agreed, psk.key);
}

/** The first certificate that the server can check; none is a valid answer too. */
function chooseCertificate(
  { settings }: Exchange,
  request: NonNullable<ServerFlight["request"]>,
): { credential: CertificateCredential; scheme: SignatureScheme } | undefined {
  for (const credential of settings.credentials.certificates ?? []) {
    const scheme = chooseScheme(credential.key, request.signatureSchemes, settings.signatureSchemes);
    if (scheme !== undefined && request.types.includes(scheme.key === "rsa" ? rsaSign : ecdsaSign)) {
      return { credential, scheme };
    }
  }
  return undefined;
}

/** Certificate types in requests. @see RFC 5246 7.4.4; RFC 8422 5.5 */
export const rsaSign = 1;
export const ecdsaSign = 64;

function awaitFinished(x: Exchange, flight: ServerFlight, ticket: Uint8Array | undefined): Step {
  const ticketDue = flight.ticketComes && ticket === undefined;
  return {
    name: x.chosen.authentication === "psk" ? "waiting for Finished after the pre-shared key" : "waiting for Finished",
    takes: ticketDue ? [handshakeTypes.newSessionTicket] : [handshakeTypes.finished],
    on(message) {
      if (message.type === handshakeTypes.newSessionTicket) {
        x.hear(message);
        return awaitFinished(x, flight, readNewSessionTicket(message.body).ticket);
      }
      x.checkFinished(message);
      keepSession(x, flight, ticket);
      return "done";
    },
  };
}

/** Only a session bound to its handshake may be taken up again. @see RFC 7627 5.3 */
function keepSession(x: Exchange, { sessionId, chain }: ServerFlight, ticket: Uint8Array | undefined): void {
  const resumable = ticket !== undefined && ticket.length > 0 ? ticket : undefined;
  if (!x.extendedMaster || (resumable === undefined && sessionId.length === 0)) return;
  const state: SessionState = {
    suite: x.chosen.id,
    master: x.master.slice(),
    pskIdentity: x.proof.kind === "psk" ? x.proof.identity : undefined,
    peerChain: chain,
    serverName: x.serverName,
  };
  x.session = new ClientSession(state, sessionId, resumable);
}
