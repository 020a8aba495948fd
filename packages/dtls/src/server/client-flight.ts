import { randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { alerts } from "../alert.ts";
import { pskOf, publicKeyOf } from "../credentials.ts";
import { DtlsError } from "../errors.ts";
import { fail, pskPremaster } from "../exchange.ts";
import type { Exchange, Next, Step } from "../exchange.ts";
import type { EphemeralKey } from "../groups.ts";
import { readCertificate } from "../handshake/certificate.ts";
import { readClientKeyExchange, readEncryptedPremaster } from "../handshake/client-key-exchange.ts";
import { handshakeTypes } from "../handshake/message.ts";
import type { HandshakeMessage } from "../handshake/message.ts";
import { writeNewSessionTicket } from "../handshake/new-session-ticket.ts";
import { readCertificateVerify } from "../handshake/server-key-exchange.ts";
import { masterLength } from "../key-schedule.ts";
import { dtls12 } from "../record/header.ts";
import { decryptPremaster } from "../rsa-premaster.ts";
import type { ServerOptions } from "../settings.ts";
import { judgeKey, signatureScheme, verifyWith } from "../signatures.ts";
import type { ServerPlan } from "./server-flight.ts";

/** The secrets that the client's key exchange needs on this side. */
export interface ServerSecrets {
  readonly ephemeral: EphemeralKey | undefined;
  /** Only used by suites whose key exchange is RSA. */
  readonly rsaKey: KeyObject | undefined;
}

interface Context {
  readonly x: Exchange;
  readonly options: ServerOptions;
  readonly plan: ServerPlan;
  readonly secrets: ServerSecrets;
}

/** Takes the client's flight, in its one allowed order. @see RFC 5246 7.3 */
export function awaitClientFlight(x: Exchange, options: ServerOptions, plan: ServerPlan, secrets: ServerSecrets): Step {
  const context: Context = { x, options, plan, secrets };
  if (!plan.asksClient) return awaitKeyExchange(context, undefined);
  return {
    name: "waiting for the client's Certificate",
    takes: [handshakeTypes.certificate],
    on: (message) => takeCertificate(context, message),
  };
}

function takeCertificate(context: Context, message: HandshakeMessage): Next {
  const { x, options } = context;
  const chain = readCertificate(message.body);
  const [first] = chain;
  x.hear(message);
  if (first === undefined) {
    if (options.clientAuth === "require") {
      throw new DtlsError("dtls/no-certificate", "the client showed no certificate", {
        alert: alerts.handshake_failure,
        facts: { alert: "handshake_failure" },
      });
    }
    return awaitKeyExchange(context, undefined);
  }
  const key = publicKeyOf(first);
  if (key === undefined) throw fail("bad_certificate", "the client's certificate cannot be read");
  const judged = judgeKey(key);
  if ("refused" in judged) throw fail("unsupported_certificate", `the client's certificate: ${judged.refused}`);
  x.proof = { kind: "certificate", chain };
  const ask = { chain, peer: "client", serverName: x.serverName, resumed: false } as const;
  return { ask, accepted: () => awaitKeyExchange(context, key) };
}

function awaitKeyExchange(context: Context, key: KeyObject | undefined): Step {
  const { x } = context;
  return {
    name: "waiting for ClientKeyExchange",
    takes: [handshakeTypes.clientKeyExchange],
    on(message) {
      const premaster = readPremaster(context, message.body);
      x.hear(message);
      x.deriveMaster(premaster);
      x.installKeys();
      return key === undefined ? awaitFinished(context) : awaitCertificateVerify(context, key);
    },
  };
}

function readPremaster({ x, secrets }: Context, body: Uint8Array): Uint8Array {
  if (x.chosen.keyExchange === "rsa") {
    if (secrets.rsaKey === undefined) throw fail("internal_error", "no RSA key is set");
    const fallback = randomBytes(masterLength);
    return decryptPremaster(secrets.rsaKey, readEncryptedPremaster(body), dtls12, fallback);
  }
  const withIdentity = x.chosen.authentication === "psk";
  const { identity, point } = readClientKeyExchange(body, withIdentity);
  if (secrets.ephemeral === undefined) throw fail("internal_error", "no ephemeral key was made");
  const agreed = secrets.ephemeral.agree(point);
  if (identity === undefined) return agreed;
  // An unknown identity goes on like a wrong key, so that nobody learns which identities there are (RFC 4279 2).
  const key = pskOf(x.settings.credentials, identity) ?? randomBytes(32);
  x.proof = { kind: "psk", identity };
  return pskPremaster(agreed, key);
}

function awaitCertificateVerify(context: Context, key: KeyObject): Step {
  const { x } = context;
  return {
    name: "waiting for CertificateVerify",
    takes: [handshakeTypes.certificateVerify],
    on(message) {
      const proof = readCertificateVerify(message.body);
      const scheme = signatureScheme(proof.scheme);
      if (scheme === undefined || !x.settings.signatureSchemes.includes(proof.scheme)) {
        throw fail(
          "illegal_parameter",
          `the client signed with scheme 0x${proof.scheme.toString(16)}, which was not asked for`,
        );
      }
      if (!verifyWith(scheme, key, x.transcript, proof.signature)) {
        throw fail("decrypt_error", "the client's signature is not that of its certificate");
      }
      x.hear(message);
      return awaitFinished(context);
    },
  };
}

function awaitFinished({ x, options, plan }: Context): Step {
  return {
    name: x.chosen.authentication === "psk" ? "waiting for Finished after the pre-shared key" : "waiting for Finished",
    takes: [handshakeTypes.finished],
    on(message) {
      x.checkFinished(message);
      keepSession(x, options, plan);
      x.sayFinished();
      x.endFlight(false);
      return "done";
    },
  };
}

function keepSession(x: Exchange, { sessions }: ServerOptions, { ticketDue, sessionId, now }: ServerPlan): void {
  if (sessions === undefined || (!ticketDue && sessionId.length === 0)) return;
  const state = {
    suite: x.chosen.id,
    master: x.master.slice(),
    pskIdentity: x.proof.kind === "psk" ? x.proof.identity : undefined,
    peerChain: x.proof.kind === "certificate" ? x.proof.chain : [],
    serverName: x.serverName,
  };
  if (!ticketDue) {
    sessions.keep(sessionId, state, now());
    return;
  }
  const ticket = sessions.ticketFor(state, now());
  x.say(handshakeTypes.newSessionTicket, writeNewSessionTicket({ lifetimeSeconds: sessions.lifetimeSeconds, ticket }));
}
