import { Assembly } from "@cipsec/objects";
import { openIo, type IoConnection, type IoRequest, type Session } from "@cipsec/originator";
import { IoWriter, isStackError, TransportError } from "@cipsec/wire";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, repetitions, type Observation } from "../../observation.ts";
import { patient } from "../essential.ts";
import type { EndpointSubject } from "../subject.ts";
import { openUdpRelay } from "../udp-relay.ts";
import { pause, waitFor } from "../waiting.ts";
import { connectThrough } from "../way.ts";
import type { SilenceLimits } from "./dtls-inactivity.ts";
import { outputInstance } from "./fault-state.ts";

/** Time that outputs may take to become what is sent. */
const settleMs = 5000;

/** Outputs that must not change are looked at so much later. */
const silenceMs = 300;

/** 512 intervals: so that the connection would outlast the association, if that did not end it. */
const longest = 7;

/** Packets that are sent beyond as many as the connection had sent, and how many of them at a time: a small buffer takes no more. */
const beyond = 20;
const atATime = 16;

/** Packets that a live connection is made to be ahead of itself, and the number of the pattern in them. */
const ahead = 500;
const livePattern = repetitions + 1;

const oldId = {
  name: "the id of a connection whose association has ended",
  expected: "of no use: packets with it, over a new association, move no outputs",
} as const;

/**
 * The old id of an I/O connection whose association has ended: packets with it over a new association, even of the same caller, move
 * no outputs.
 *
 * @returns Nothing for a connection without outputs.
 */
export async function staleConnection(
  subject: EndpointSubject,
  recorder: Recorder,
  io: IoRequest,
  limits: SilenceLimits,
): Promise<readonly Observation[]> {
  const instance = outputInstance(io);
  if (instance === undefined) return [];
  try {
    return await tryOldId(subject, recorder, { io, instance }, limits);
  } catch (error) {
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    const observed = `not tried: ${error.code}: ${error.message}`;
    return [capability({ ...oldId, observed, holds: undefined, requirements: ["CR 2.6"] })];
  }
}

async function tryOldId(
  subject: EndpointSubject,
  recorder: Recorder,
  { io, instance }: { readonly io: IoRequest; readonly instance: number },
  { timeoutS, slackS }: SilenceLimits,
): Promise<readonly Observation[]> {
  const { host, eips, clock } = subject;
  const patternOf = (run: number): Uint8Array => new Uint8Array(io.oToT.size).fill(0x61 + run);
  const isTaken = async (session: Session, run: number): Promise<boolean> =>
    Buffer.from(await session.object(Assembly, instance).get("data")).equals(patternOf(run));
  await using relay = await openUdpRelay(host, eips, clock);
  await using session = await connectThrough(subject, relay, { over: "dtls" });
  const lasting = { ...io, timeoutMultiplier: longest };
  await using connection = await openIo(session, lasting, { output: patternOf(0), run: true });
  const follows = await waitFor(subject, settleMs, async () => await isTaken(session, 0));
  // From now on the device hears nothing of the association, while it may say what it likes.
  relay.alter((way, octets) => (way === "toDevice" ? [] : [octets]));
  await waitFor(subject, (timeoutS + slackS) * 1000, () => !connection.isOpen);
  relay.alter(undefined);

  await using laterRelay = await openUdpRelay(host, eips, clock);
  await using later = await connectThrough(subject, laterRelay, { over: "dtls" });
  const send = await senderOf(later, connection, io);
  if (send === undefined) throw new TransportError("transport/closed", "the new association carries no I/O");
  const tried = await repeated(async (run) => {
    // An old sequence number would be dropped for itself, so the first packets only count up.
    await send(subject, patternOf(run), run === 1 ? connection.statistics().sent + beyond : beyond);
    const isMoved = await waitFor(subject, silenceMs, async () => await isTaken(later, run));
    return {
      holds: !isMoved,
      observed: isMoved ? "outputs are what was sent with it" : "outputs are not what was sent",
    };
  });
  // Where the old one is of use, its connection is still there, and leaves no place for another.
  const live = tried.holds === false ? undefined : await takesLiveOnes(subject, later, io, isTaken, patternOf);
  const { oToTConnectionId } = connection.granted;
  const evidence = [
    await recorder.capture("dtls-connection", relay.capture()),
    await recorder.capture("dtls-old-id", laterRelay.capture()),
    await recorder.exchange("dtls-old-id", {
      sent: `packets of connection 0x${oToTConnectionId.toString(16)}, whose association has ended, over a new one`,
      answer: tried.observed,
    }),
  ];
  return [
    control({
      name: "outputs of a connection over DTLS",
      expected: "what is sent",
      observed: follows ? "they were" : "they were not",
      holds: follows,
      evidence,
    }),
    ...(live === undefined
      ? []
      : [
          control({
            name: "packets made in the same way with the id of a live connection",
            expected: "outputs are what is sent with them",
            ...live,
            evidence,
          }),
        ]),
    negative({ ...oldId, ...tried, evidence }),
  ];
}

/**
 * Opens a connection over the new association and sends packets of our own making beside its own, with numbers before which those are
 * old: without this that nothing moved with the old id would say nothing of the id.
 */
async function takesLiveOnes(
  subject: EndpointSubject,
  session: Session,
  io: IoRequest,
  isTaken: (session: Session, run: number) => Promise<boolean>,
  patternOf: (run: number) => Uint8Array,
): Promise<Pick<Observation, "observed" | "holds">> {
  await using connection = await openIo(session, patient(io), { output: patternOf(0), run: true });
  const missing = { observed: "they were not", holds: false } as const;
  if (!(await waitFor(subject, settleMs, async () => await isTaken(session, 0)))) return missing;
  const send = await senderOf(session, connection, io);
  if (send === undefined) return missing;
  // Ahead of what the connection sends by itself for as long as is looked.
  await send(subject, patternOf(livePattern), connection.statistics().sent + ahead);
  const isMoved = await waitFor(subject, settleMs, async () => await isTaken(session, livePattern));
  return isMoved ? { observed: "they were", holds: true } : missing;
}

type Send = (subject: EndpointSubject, data: Uint8Array, packets: number) => Promise<void>;

/** Sends packets of a connection over another session's association; nothing where that carries none. */
async function senderOf(session: Session, { granted }: IoConnection, io: IoRequest): Promise<Send | undefined> {
  const gate = await session.ioGate();
  if (gate === undefined) return undefined;
  const path = gate.path(session.facts.remote);
  const writer = new IoWriter({
    connectionId: granted.oToTConnectionId,
    transportClass: io.transportClass ?? 1,
    format: granted.oToTFormat,
    size: granted.oToTSize,
  });
  // The count of the connection's own data.
  writer.next();
  return async (subject, data, packets) => {
    writer.setData(data);
    for (let at = 0; at < packets; at++) {
      path.send(writer.next());
      if (at % atATime === 0) await pause(subject, 1);
    }
  };
}
