import { isIP } from "node:net";
import { createDtlsEndpoint, DtlsError } from "@cipsec/dtls";
import type { FlawedIdentity } from "@cipsec/pki";
import type { Recorder } from "../evidence/recorder.ts";
import type { Try } from "../observation.ts";
import type { EndpointSubject } from "./subject.ts";

/** DTLS 1.2 suites with certificates that devices have. */
const suites = [0xc02b, 0xc02c, 0xc023, 0xc024, 0xc0ac, 0xc0ae, 0xc02f, 0xc030];

/** A server may drop what it does not like without a word; the control beside it shows that it is not just slow. */
const patienceMs = 4000;

/**
 * Presents a certificate over DTLS without the checks that keep an honest caller from presenting one whose key it has not got, or that
 * is too weak. Holds when the device does not complete the handshake; a completed one proves that it was accepted, as the device's
 * Finished follows its verdict on our certificate and signature.
 */
export async function mustRefuseUnchecked(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  sent: string,
  identity: FlawedIdentity,
): Promise<Try> {
  const { host, eips, signal } = subject;
  signal.throwIfAborted();
  const endpoint = await createDtlsEndpoint({ address: isIP(host) === 6 ? "::" : "0.0.0.0", connectionIdLength: 0 });
  let holds: boolean | undefined;
  let observed: string;
  try {
    await endpoint.connect({
      address: host,
      port: eips,
      suites,
      credentials: { certificates: [{ chain: identity.chain.map(({ der }) => der), key: identity.key }] },
      handshakeTimeoutMs: patienceMs,
      signal,
      verify: () => ({ accepted: true }),
    });
    holds = false;
    observed = "accepted: the handshake was completed";
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DtlsError)) throw error;
    holds = error.code.startsWith("usage/") ? undefined : true;
    observed = `${holds === undefined ? "unknown" : "refused"}: ${error.code}: ${error.message}`;
  } finally {
    await endpoint.close();
  }
  const [leaf] = identity.chain;
  const decoded = { over: "dtls", subject: leaf?.facts.subject, sha256: leaf?.facts.sha256 };
  return { holds, observed, evidence: [await recorder.exchange(name, { sent, answer: observed, decoded })] };
}
