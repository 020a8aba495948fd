import { Command, frame } from "@cipsec/wire";
import type { Recorder } from "../../evidence/recorder.ts";
import { negative, repeated, type Observation, type Try } from "../../observation.ts";
import { callerOf } from "../renegotiation.ts";
import type { EndpointSubject } from "../subject.ts";
import { openUncheckedTls, type TlsSession, type UncheckedTls } from "../tls-client.ts";
import { openRelay } from "../way.ts";
import { readSerial, registerSession } from "./channel-separation.ts";

/** A device that is going to answer has done so by then. */
const patienceMs = 3000;

/**
 * What comes back with a TLS session that is resumed by its id after the session inside was given back: a handle that is as dead as
 * before. A device that resumes nothing brings nothing back.
 *
 * @see RFC 5246 7.3
 */
export async function resumption(
  subject: EndpointSubject,
  recorder: Recorder,
): Promise<{ readonly observations: readonly Observation[]; readonly limits: readonly string[] }> {
  const limits = ["TLS sessions were resumed by their id, not by tickets"];
  let notTried: string | undefined;
  const tried = await repeated(async (run) => {
    const outcome = await resume(subject, recorder, run);
    if (!("notTried" in outcome)) return outcome;
    if (run === 1) notTried = outcome.notTried;
    return { holds: undefined, observed: outcome.notTried };
  });
  if (notTried !== undefined)
    return { observations: [], limits: [`resumption of TLS sessions was not tried: ${notTried}`] };
  const name = "a handle after UnRegisterSession, over a resumed TLS session";
  return { observations: [negative({ name, expected: "refused, or nothing is resumed", ...tried })], limits };
}

async function resume(
  subject: EndpointSubject,
  recorder: Recorder,
  run: number,
): Promise<Try | { readonly notTried: string }> {
  const { clock, signal, timeoutMs } = subject;
  signal.throwIfAborted();
  await using relay = await openRelay(subject, "tls");
  const where = { host: "127.0.0.1", port: relay.port, timeoutMs: Math.min(timeoutMs, patienceMs), signal };
  const open = async (): Promise<UncheckedTls> => await openUncheckedTls(where, clock, relay.keyLog);
  const past = await liveAndEnd(await open(), subject);
  if ("notTried" in past) return past;
  const outcome = await comeBack(await open(), subject, past);
  const sent = "RegisterSession, UnRegisterSession; then a read with the handle, where the TLS session is resumed";
  const evidence = [
    await recorder.exchange(`resumed-${run}`, { sent, answer: outcome.observed }),
    await recorder.capture(`resumed-${run}`, relay.capture()),
  ];
  return { ...outcome, evidence };
}

interface Past {
  readonly session: TlsSession;
  readonly handle: number;
}

/** Opens a session and gives it back. */
async function liveAndEnd(
  opened: UncheckedTls,
  subject: EndpointSubject,
): Promise<Past | { readonly notTried: string }> {
  await using tls = opened;
  const done = await tls.handshake(callerOf(subject));
  if ("ended" in done) return { notTried: `by our own handshake the trusted caller does not get in: ${done.words}` };
  const registered = await tls.ask(registerSession);
  if ("ended" in registered) return { notTried: `no session was opened: ${registered.words}` };
  const { session: handle, status } = registered;
  if (status !== 0 || handle === 0) return { notTried: `no session was opened: status 0x${status.toString(16)}` };
  // UnRegisterSession has no answer; a read behind it has, or the connection ends.
  await tls.ask(Buffer.concat([frame(Command.unRegisterSession, { session: handle }), readSerial(handle)]));
  return { session: done.session, handle };
}

async function comeBack(opened: UncheckedTls, subject: EndpointSubject, { session, handle }: Past): Promise<Try> {
  await using tls = opened;
  if (session.id.length === 0) return { holds: true, observed: "no TLS session was given that could be resumed" };
  const again = await tls.handshake({ ...callerOf(subject), session });
  // No is said by an alert or an end; who says nothing, or nothing that can be read, has not refused.
  if ("ended" in again) {
    const isRefused = again.ended === "alert" || again.ended === "closed";
    return isRefused
      ? { holds: true, observed: `the TLS session is refused: ${again.words}` }
      : { holds: undefined, observed: `resuming could not be tried: ${again.words}` };
  }
  if (!again.isResumed) return { holds: true, observed: "the TLS session is not resumed: a new one begins" };
  const answer = await tls.ask(readSerial(handle));
  if ("ended" in answer) {
    const isRefused = answer.ended === "alert" || answer.ended === "closed";
    return { holds: isRefused ? true : undefined, observed: `resumed; a read with the handle: ${answer.words}` };
  }
  const status = `status 0x${answer.status.toString(16)}`;
  return { holds: answer.status !== 0, observed: `resumed; a read with the handle: ${status}` };
}
