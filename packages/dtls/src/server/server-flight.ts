import { ecdsaSign, rsaSign } from "../client/client-flight.ts";
import { fail } from "../exchange.ts";
import type { Exchange, Next } from "../exchange.ts";
import type { EphemeralKey } from "../groups.ts";
import { writeCertificate } from "../handshake/certificate.ts";
import { writeCertificateRequest } from "../handshake/certificate-request.ts";
import { handshakeTypes } from "../handshake/message.ts";
import { writeParameters, writePskKeyExchange, writeSignedKeyExchange } from "../handshake/server-key-exchange.ts";
import { concat } from "../presentation.ts";
import type { ServerOptions } from "../settings.ts";
import { signWith } from "../signatures.ts";
import type { Choice } from "./choose.ts";
import { awaitClientFlight } from "./client-flight.ts";

/** What the rest of the handshake has to know. */
export interface ServerPlan {
  /** Empty where the session is not kept. */
  readonly sessionId: Uint8Array;
  readonly ticketDue: boolean;
  readonly asksClient: boolean;
  readonly now: () => number;
}

/** What follows ServerHello: certificate, ephemeral key, request for the client's certificate. @see RFC 5246 7.3 */
export function sendServerFlight(x: Exchange, options: ServerOptions, choice: Choice, plan: ServerPlan): Next {
  const { certificate, group } = choice;
  if (certificate !== undefined) x.say(handshakeTypes.certificate, writeCertificate(certificate.credential.chain));
  const ephemeral = group?.generate();
  if (group !== undefined && ephemeral !== undefined) {
    x.group = group.id;
    sayKeyExchange(x, choice, ephemeral, group.id);
  }
  if (plan.asksClient) {
    const request = {
      types: [ecdsaSign, rsaSign],
      signatureSchemes: x.settings.signatureSchemes,
      authorities: options.authorities ?? [],
    };
    x.say(handshakeTypes.certificateRequest, writeCertificateRequest(request));
  }
  x.say(handshakeTypes.serverHelloDone, new Uint8Array(0));
  x.endFlight(true);
  return awaitClientFlight(x, options, plan, { ephemeral, rsaKey: certificate?.credential.key });
}

function sayKeyExchange(x: Exchange, { certificate }: Choice, { point }: EphemeralKey, group: number): void {
  const parameters = { group, point };
  if (certificate === undefined) {
    x.say(handshakeTypes.serverKeyExchange, writePskKeyExchange(parameters));
    return;
  }
  const { credential, scheme } = certificate;
  if (scheme === undefined) throw fail("internal_error", "no signature scheme was chosen");
  x.signatureScheme = scheme.id;
  const signed = concat(x.clientRandom, x.serverRandom, writeParameters(parameters));
  const signature = signWith(scheme, credential.key, signed);
  x.say(handshakeTypes.serverKeyExchange, writeSignedKeyExchange(parameters, { scheme: scheme.id, signature }));
}
