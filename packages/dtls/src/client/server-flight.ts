import type { KeyObject } from "node:crypto";
import { publicKeyOf } from "../credentials.ts";
import { fail } from "../exchange.ts";
import type { Exchange, Next, Step } from "../exchange.ts";
import { readCertificate } from "../handshake/certificate.ts";
import { readCertificateRequest } from "../handshake/certificate-request.ts";
import type { CertificateRequest } from "../handshake/certificate-request.ts";
import { handshakeTypes } from "../handshake/message.ts";
import type { HandshakeMessage } from "../handshake/message.ts";
import { readPskKeyExchange, readSignedKeyExchange } from "../handshake/server-key-exchange.ts";
import type { EcdhParameters } from "../handshake/server-key-exchange.ts";
import { Reader, concat } from "../presentation.ts";
import { judgeKey, signatureScheme, verifyWith } from "../signatures.ts";
import { sendClientFlight } from "./client-flight.ts";

const { certificate, serverKeyExchange, certificateRequest, serverHelloDone } = handshakeTypes;

/** What the server's flight said. */
export interface ServerFlight {
  readonly sessionId: Uint8Array;
  readonly ticketComes: boolean;
  /** The key of the server's certificate. */
  readonly key?: KeyObject;
  readonly chain: readonly Uint8Array[];
  readonly parameters?: EcdhParameters;
  readonly request?: CertificateRequest;
}

/** Takes the rest of the server's flight, in its one allowed order. @see RFC 5246 7.3 */
export function awaitServerFlight(x: Exchange, sessionId: Uint8Array, ticketComes: boolean): Step {
  const flight: ServerFlight = { sessionId, ticketComes, chain: [] };
  if (x.chosen.authentication === "psk") return awaitKeyExchange(x, flight);
  return {
    name: "waiting for Certificate",
    takes: [certificate],
    on: (message) => takeCertificate(x, flight, message),
  };
}

function takeCertificate(x: Exchange, flight: ServerFlight, message: HandshakeMessage): Next {
  const chain = readCertificate(message.body);
  const [first] = chain;
  if (first === undefined) throw fail("bad_certificate", "the server sent no certificate");
  const key = publicKeyOf(first);
  if (key === undefined) throw fail("bad_certificate", "the server's certificate cannot be read");
  const judged = judgeKey(key);
  if ("refused" in judged) throw fail("unsupported_certificate", `the server's certificate: ${judged.refused}`);
  if ((judged.kind === "rsa") !== (x.chosen.authentication === "rsa")) {
    throw fail(
      "illegal_parameter",
      `the server's certificate has a key for ${judged.kind}, the suite is ${x.chosen.name}`,
    );
  }
  x.hear(message);
  x.proof = { kind: "certificate", chain };
  const known: ServerFlight = { ...flight, chain, key };
  const ask = { chain, peer: "server", serverName: x.serverName, resumed: false } as const;
  return { ask, accepted: () => (x.chosen.keyExchange === "rsa" ? awaitDone(x, known) : awaitKeyExchange(x, known)) };
}

function awaitKeyExchange(x: Exchange, flight: ServerFlight): Step {
  return {
    name: "waiting for ServerKeyExchange",
    takes: [serverKeyExchange],
    on(message) {
      const { key } = flight;
      const parameters = key === undefined ? readPskKeyExchange(message.body) : checkSigned(x, key, message.body);
      if (!x.settings.groups.includes(parameters.group)) {
        throw fail("illegal_parameter", `the server chose group ${parameters.group}, which was not offered`);
      }
      x.group = parameters.group;
      x.hear(message);
      return awaitDone(x, { ...flight, parameters });
    },
  };
}

function checkSigned(x: Exchange, key: KeyObject, body: Uint8Array): EcdhParameters {
  const { parameters, signed, proof } = readSignedKeyExchange(body);
  const scheme = signatureScheme(proof.scheme);
  if (scheme === undefined || !x.settings.signatureSchemes.includes(proof.scheme)) {
    throw fail(
      "illegal_parameter",
      `the server signed with scheme 0x${proof.scheme.toString(16)}, which was not offered`,
    );
  }
  if (!verifyWith(scheme, key, concat(x.clientRandom, x.serverRandom, signed), proof.signature)) {
    throw fail("decrypt_error", "the server's signature is not that of its certificate");
  }
  x.signatureScheme = scheme.id;
  return parameters;
}

/** CertificateRequest may stand before ServerHelloDone where the server showed a certificate itself. */
function awaitDone(x: Exchange, flight: ServerFlight): Step {
  const asks = flight.key !== undefined && flight.request === undefined;
  return {
    name: "waiting for ServerHelloDone",
    takes: asks ? [certificateRequest, serverHelloDone] : [serverHelloDone],
    on(message) {
      x.hear(message);
      if (message.type === certificateRequest) {
        return awaitDone(x, { ...flight, request: readCertificateRequest(message.body) });
      }
      new Reader(message.body, "ServerHelloDone").end();
      return sendClientFlight(x, flight);
    },
  };
}
