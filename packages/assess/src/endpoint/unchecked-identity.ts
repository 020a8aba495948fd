import { isIP } from "node:net";
import { createDtlsEndpoint, DtlsError } from "@cipsec/dtls";
import type { FlawedIdentity } from "@cipsec/pki";
import { Command, type Frame } from "@cipsec/wire";
import type { Recorder } from "../evidence/recorder.ts";
import { sha256Of } from "../evidence/store.ts";
import type { Outcome } from "./attempt.ts";
import { registerSession } from "./checks/channel-separation.ts";
import type { EndpointSubject } from "./subject.ts";
import { openUncheckedTls, type UncheckedIdentity } from "./tls-client.ts";
import type { Ended } from "./tls-records.ts";
import { openRelay } from "./way.ts";

/** DTLS 1.2 suites with certificates that devices have. */
const suites = [0xc02b, 0xc02c, 0xc023, 0xc024, 0xc0ac, 0xc0ae, 0xc02f, 0xc030];

/** A server may drop what it does not like without a word; the control beside it shows that it is not just slow. */
const patienceMs = 4000;

/** A flawed certificate, as its octets. */
export function unchecked({ chain, key }: FlawedIdentity): UncheckedIdentity {
  return { chain: chain.map(({ der }) => der), key };
}

/**
 * Presents a certificate over TLS 1.2 by our own handshake, without the checks that keep an honest caller from presenting one whose key
 * it has not got, or that is too weak. Let in is who has a session registered: some devices judge a certificate after the handshake.
 */
export async function presentUnchecked(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  sent: string,
  identity: UncheckedIdentity,
): Promise<Outcome> {
  const { clock, signal, timeoutMs } = subject;
  signal.throwIfAborted();
  await using relay = await openRelay(subject, "tls");
  const where = { host: "127.0.0.1", port: relay.port, timeoutMs: Math.min(timeoutMs, patienceMs), signal };
  await using tls = await openUncheckedTls(where, clock, relay.keyLog);
  const done = await tls.handshake({ identity, renegotiationInfo: new Uint8Array() });
  const answer = "ended" in done ? done : await tls.ask(registerSession);
  const after = "ended" in done ? "" : done.asked ? "after the handshake: " : "no certificate was asked for: ";
  const outcome = "ended" in answer ? refusedBy(answer) : accepted(answer);
  const words = `${after}${outcome.words}`;
  const decoded = { over: "tls", certificateSha256: identity.chain.map((der) => sha256Of(der)) };
  const evidence = [
    await recorder.exchange(name, { sent, answer: `${outcome.result}: ${words}`, decoded }),
    await recorder.capture(name, relay.capture()),
  ];
  return { ...outcome, words, evidence };
}

function refusedBy({ ended, words }: Ended): Pick<Outcome, "result" | "words"> {
  return { result: ended === "alert" || ended === "closed" ? "refused" : "unknown", words };
}

function accepted({ command, status, session }: Frame): Pick<Outcome, "result" | "words"> {
  const isRegistered = command === Command.registerSession && status === 0 && session !== 0;
  return isRegistered
    ? { result: "accepted", words: "a session was registered" }
    : { result: "refused", words: `RegisterSession was answered with status 0x${status.toString(16)}` };
}

/**
 * Presents a certificate over DTLS without the checks that keep an honest caller from presenting one whose key it has not got. A handshake
 * that is completed proves that it was accepted, as the device's Finished follows its verdict on our certificate and signature. Silence
 * counts as refused, so that a sound certificate has to be let in the same way beside it.
 */
export async function presentUncheckedOverDtls(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  sent: string,
  identity: UncheckedIdentity,
): Promise<Outcome> {
  const { host, eips, signal } = subject;
  signal.throwIfAborted();
  await using relay = await openRelay(subject, "dtls");
  const [address, port] = relay === undefined ? [host, eips] : ["127.0.0.1", relay.port];
  const endpoint = await createDtlsEndpoint({
    address: isIP(address) === 6 ? "::" : "0.0.0.0",
    connectionIdLength: 0,
    keyLog: true,
    onKeyLog: (line) => relay?.keyLog(line),
  });
  let outcome: Pick<Outcome, "result" | "words">;
  try {
    await endpoint.connect({
      address,
      port,
      suites,
      credentials: { certificates: [{ chain: identity.chain, key: identity.key }] },
      handshakeTimeoutMs: patienceMs,
      signal,
      verify: () => ({ accepted: true }),
    });
    outcome = { result: "accepted", words: "the handshake was completed" };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DtlsError)) throw error;
    const words = `${error.code}: ${error.message}`.replaceAll(`${address}:${port}`, `${host}:${eips}`);
    outcome = { result: error.code.startsWith("usage/") ? "unknown" : "refused", words };
  } finally {
    await endpoint.close();
  }
  const { result, words } = outcome;
  const decoded = { over: "dtls", certificateSha256: identity.chain.map((der) => sha256Of(der)) };
  const evidence = [await recorder.exchange(name, { sent, answer: `${result}: ${words}`, decoded })];
  if (relay !== undefined) evidence.push(await recorder.capture(name, relay.capture()));
  return { ...outcome, evidence };
}
