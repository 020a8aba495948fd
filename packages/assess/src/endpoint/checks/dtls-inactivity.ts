import { Identity } from "@cipsec/objects";
import type { Session } from "@cipsec/originator";
import { isStackError, noOctets, objectPath, Service } from "@cipsec/wire";
import { isIP } from "node:net";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, repetitions, type Observation, type Try } from "../../observation.ts";
import { servesDtls } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import { isLate, talkWords, type Talk } from "../talk.ts";
import { openUdpRelay } from "../udp-relay.ts";
import { pause, waitFor } from "../waiting.ts";
import { connectThrough } from "../way.ts";
import { staleConnection } from "./stale-connection.ts";

/** Content type of an alert, which stands in the clear: with it a device says that an association is over. */
const alertRecord = 21;

/** A device that has not answered by then, to a request that is sent again meanwhile, does not answer. */
const askMs = 2500;

const talkMs = 1000;

/** How long a silent association may live. */
export interface SilenceLimits {
  readonly timeoutS: number;
  readonly slackS: number;
  readonly earlyMs: number;
}

/** Why there are no associations to try, in words that complete "were not tried:"; nothing where there are. */
export function whyNoAssociations(subject: EndpointSubject): string | undefined {
  const { posture, isSecured, host } = subject;
  if (isSecured === false) return "the device has no CIP Security";
  if (posture?.security === null) return "the secure channel is that of something in front of the device";
  if (!servesDtls(subject)) return "the device does not serve DTLS (2221/udp)";
  return isIP(host) === 0 ? "datagrams go to numeric addresses, and a name was given" : undefined;
}

/** Case b of B-2.6, and f for it: associations over DTLS, silent ones and one that talks, and a connection of a silent one. */
export async function silentAssociations(
  subject: EndpointSubject,
  recorder: Recorder,
  limits: SilenceLimits,
): Promise<readonly Observation[]> {
  const { host, eips, clock, io } = subject;
  await using relay = await openUdpRelay(host, eips, clock);
  const opened = { name: "an association over DTLS", expected: "a read over it is answered" } as const;
  let session: Session;
  try {
    session = await connectThrough(subject, relay, { over: "dtls" });
  } catch (error) {
    if (!isStackError(error)) throw error;
    return [control({ ...opened, observed: `not opened: ${error.code}: ${error.message}`, holds: false })];
  }
  await using talker = session;
  const first = await ask(talker, subject.timeoutMs);
  let isOver = false;
  const silent = Promise.all(
    Array.from({ length: repetitions }, async (_, at) => await keepSilent(subject, recorder, limits, at + 1)),
  ).finally(() => {
    isOver = true;
  });
  const talking = keepTalking(subject, talker, limits, () => isOver);
  const stale = io === undefined ? Promise.resolve([]) : staleConnection(subject, recorder, io, limits);
  await Promise.allSettled([silent, talking, stale]);
  const [silences, { reads, talk: kept }] = [await silent, await talking];
  const goes = talkWords(kept);
  const talk = [
    await recorder.capture("dtls-talking", relay.capture()),
    await recorder.exchange("dtls-talking", { sent: `a read a second, ${reads} times`, answer: goes.observed }),
  ];
  await recorder.timing("dtls-silence", {
    what: "until the device ended a silent association",
    unit: "ms",
    samples: { silent: silences.flatMap(({ endedMs }) => endedMs ?? []) },
  });
  const { timeoutS, slackS } = limits;
  return [
    control({ ...opened, observed: first, holds: first === "answered", evidence: talk }),
    negative({
      name: "a silent association over DTLS",
      expected: `ended after ${timeoutS} to ${timeoutS + slackS} s; a read over it then is not answered`,
      ...(await repeated(async (run) => silences[run - 1] ?? { holds: undefined, observed: "not tried" })),
    }),
    capability({
      name: "an association over DTLS that talks",
      expected: "goes on",
      ...goes,
      evidence: talk,
    }),
    ...(await stale),
  ];
}

/**
 * Opens an association, says nothing, and asks over it when it should have ended. The device's goodbye is kept from our own side
 * meanwhile, which could not ask any more after it.
 */
async function keepSilent(
  subject: EndpointSubject,
  recorder: Recorder,
  { timeoutS, slackS, earlyMs }: SilenceLimits,
  run: number,
): Promise<Try & { readonly endedMs: number | undefined }> {
  const { host, eips, clock } = subject;
  const name = `dtls-silent-${run}`;
  await using relay = await openUdpRelay(host, eips, clock);
  await using session = await connectThrough(subject, relay, { over: "dtls" });
  // Before anything is sent: the device cannot have heard it earlier.
  const start = clock.now();
  const isOpened = (await ask(session, subject.timeoutMs)) === "answered";
  const goodbyes: Uint8Array[] = [];
  let endedMs: number | undefined;
  relay.alter((way, octets) => {
    if (way === "toDevice" || octets[0] !== alertRecord) return [octets];
    endedMs ??= clock.now() - start;
    goodbyes.push(octets);
    return [];
  });
  await waitFor(subject, (timeoutS + slackS) * 1000, () => endedMs !== undefined);
  const answer = await ask(session, askMs);
  relay.alter(undefined);
  for (const octets of goodbyes) relay.inject("toTool", octets);
  const isInTime = endedMs === undefined || endedMs >= timeoutS * 1000 - earlyMs;
  const end = endedMs === undefined ? "not told that it ended" : `ended after ${(endedMs / 1000).toFixed(1)} s`;
  const observed = isOpened ? `${end}; a read over it is ${answer}` : "the first read was not answered";
  const evidence = [
    await recorder.capture(name, relay.capture()),
    await recorder.exchange(name, {
      sent: "a read, then nothing, then another read over the same association",
      answer: observed,
      decoded: { goodbye: "the device's alert was kept back, and stands in the capture when it was passed on" },
    }),
  ];
  return { holds: isOpened ? answer === "not answered" && isInTime : undefined, observed, evidence, endedMs };
}

/** Reads once a second until the silent ones are done, which is after the timeout. */
async function keepTalking(
  subject: EndpointSubject,
  session: Session,
  limits: SilenceLimits,
  isOver: () => boolean,
): Promise<{ readonly reads: number; readonly talk: Talk }> {
  const { clock } = subject;
  let reads = 0;
  let last = clock.now();
  while (!isOver()) {
    subject.signal.throwIfAborted();
    await pause(subject, talkMs);
    const sent = clock.now();
    const answer = await ask(session, subject.timeoutMs);
    reads += 1;
    if (answer === "not answered") return { reads, talk: isLate(sent - last, limits) ? "late" : "ended" };
    last = sent;
  }
  return { reads, talk: "kept" };
}

/** A read of the serial number, for which an answer is waited no longer than needed. */
async function ask(session: Session, timeoutMs: number): Promise<"answered" | "not answered"> {
  const { classId, attributes } = Identity;
  const path = [...objectPath(classId, 1), { kind: "attribute", value: attributes.serialNumber.id }] as const;
  try {
    await session.request({ service: Service.getAttributeSingle, path, data: noOctets }, { timeoutMs });
    return "answered";
  } catch (error) {
    if (!isStackError(error)) throw error;
    return "not answered";
  }
}
