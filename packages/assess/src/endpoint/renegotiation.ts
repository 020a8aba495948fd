import type { Recorder } from "../evidence/recorder.ts";
import { capability, negative, repeated, type Observation, type Try } from "../observation.ts";
import { registerSession } from "./checks/channel-separation.ts";
import type { EndpointSubject } from "./subject.ts";
import { openUncheckedTls, type HandshakeWish, type UncheckedTls } from "./tls-client.ts";
import type { Ended } from "./tls-records.ts";
import { openRelay } from "./way.ts";

/** A device that is going to answer has done so by then. */
const patienceMs = 3000;

/** What was found, or why nothing could be. */
export interface Renegotiation {
  readonly observations: readonly Observation[];
  readonly limits: readonly string[];
}

/**
 * Negotiates anew inside a connection of the trusted caller: with the binding to what went before, and without it, as somebody does who
 * puts his own words before those of another.
 *
 * @see RFC 5746
 */
export async function renegotiation(subject: EndpointSubject, recorder: Recorder): Promise<Renegotiation> {
  const bound = await negotiateAgain(subject, recorder, "renegotiation", true);
  if ("notTried" in bound) return { observations: [], limits: [`renegotiation was not tried: ${bound.notTried}`] };
  return {
    observations: [
      capability({
        name: "renegotiation by the caller",
        expected: "refused, or bound to what went before (RFC 5746)",
        ...bound,
      }),
      negative({
        name: "renegotiation without the binding",
        expected: "refused",
        ...(await repeated(async (run) => {
          const unbound = await negotiateAgain(subject, recorder, `renegotiation-unbound-${run}`, false);
          return "notTried" in unbound ? { holds: undefined, observed: `not tried: ${unbound.notTried}` } : unbound;
        })),
      }),
    ],
    limits: [],
  };
}

/** A connection, and a second handshake inside it. */
async function negotiateAgain(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  isBound: boolean,
): Promise<Try | { readonly notTried: string }> {
  const { clock, signal, timeoutMs } = subject;
  signal.throwIfAborted();
  await using relay = await openRelay(subject, "tls");
  const where = { host: "127.0.0.1", port: relay.port, timeoutMs: Math.min(timeoutMs, patienceMs), signal };
  await using tls = await openUncheckedTls(where, clock, relay.keyLog);
  const caller = callerOf(subject);
  const first = await tls.handshake({ ...caller, renegotiationInfo: new Uint8Array() });
  if ("ended" in first) return { notTried: `by our own handshake the trusted caller does not get in: ${first.words}` };
  const second = await tls.handshake({
    ...caller,
    ...(isBound ? { renegotiationInfo: first.clientVerify } : {}),
  });
  const sent = `a second handshake inside the connection, ${isBound ? "with" : "without"} renegotiation_info`;
  const outcome =
    "ended" in second
      ? await refusal(tls, second)
      : taken(second.renegotiationInfo, Buffer.concat([first.clientVerify, first.serverVerify]), isBound);
  const evidence = [
    await recorder.exchange(name, { sent, answer: outcome.observed }),
    await recorder.capture(name, relay.capture()),
  ];
  return { ...outcome, evidence };
}

/** The trusted caller, as far as our own handshake can be him. */
export function callerOf({ security = {} }: EndpointSubject): HandshakeWish {
  const { certificate, psk } = security;
  return {
    ...(certificate === undefined
      ? {}
      : { identity: { chain: certificate.chain.map(({ der }) => der), key: certificate.key } }),
    ...(psk === undefined ? {} : { psk }),
  };
}

function taken(info: Uint8Array | undefined, expected: Buffer, isBound: boolean): Try {
  if (!isBound) return { holds: false, observed: "taken" };
  const holds = info !== undefined && expected.equals(info);
  return {
    holds,
    observed: holds ? "taken, and bound to what went before" : "taken, and not bound to what went before",
  };
}

/** No is said by an alert or an end; who says nothing has passed the hello over where he goes on to answer. */
async function refusal(tls: UncheckedTls, { ended, words }: Ended): Promise<Try> {
  if (ended !== "silence") return { holds: ended === "other" ? undefined : true, observed: `refused: ${words}` };
  const answer = await tls.ask(registerSession);
  return "ended" in answer
    ? { holds: undefined, observed: `${words}, and none to a request after it` }
    : { holds: true, observed: "passed over: the connection goes on as it was" };
}
