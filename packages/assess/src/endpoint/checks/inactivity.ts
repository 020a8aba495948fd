import { EtherNetIpSecurity, TcpIpInterface } from "@cipsec/objects";
import { cipStatusOf, type Session } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { needs } from "../../need.ts";
import { capability, control, negative, repeated, repetitions, type Observation } from "../../observation.ts";
import { configure } from "../configuration.ts";
import { openRaw } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { isLate, talkWords, type Talk } from "../talk.ts";
import { pause, waitFor } from "../waiting.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { silentAssociations, whyNoAssociations } from "./dtls-inactivity.ts";
import { openPlainOrSecure } from "./either-channel.ts";

/** What the timeouts are set to, and how much later than it the end may come. */
const timeoutS = 5;
const slackS = 5;

/** The device's clock may be so much faster than ours. */
const earlyMs = 500;

/** What must not be answered is waited for this long. */
const silenceMs = 2000;

/** A session that talks does so as often, and as much longer than the timeout. */
const talkMs = 1000;
const talksOnMs = 2000;

/** How often a session that talks is tried where it was us who fell silent. */
const mostTalks = 3;

/** The times that are changed, seconds. */
interface Times {
  /** TCP/IP Interface, attribute 13. */
  readonly inactivityTimeoutS: number;
  /** EtherNet/IP Security, attribute 15; left out where there is no association to try. */
  readonly dtlsTimeoutS?: number;
}

/** B-2.6: a silent session ends by itself, after the time that was set; over DTLS too. */
export const inactivityTimeout: Check<EndpointSubject> = {
  id: "B-2.6",
  version: "1.4",
  title: "Silent sessions are ended after the time that is set",
  requirements: ["CR 2.6", "CR 7.6"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR2.6_1"],
  needs: ["credentials", "administrator", "disruptive"],
  estimateMs: 10_000,
  async run(subject, recorder) {
    const without = whyNoAssociations(subject);
    const before = await readTimes(subject, without === undefined);
    await recorder.willChange(before);
    const observations: Observation[] = [];
    try {
      const set = await setShort(subject, before);
      observations.push(...set.observations);
      recorder.doing(`waits until silent sessions are ended, ${timeoutS} to ${timeoutS + slackS} s`);
      const work = [
        ...(set.hasSet.streams ? [silentStreams(subject, recorder)] : []),
        ...(set.hasSet.associations ? [silentAssociations(subject, recorder, { timeoutS, slackS, earlyMs })] : []),
      ];
      // All are waited for, whatever becomes of one: nothing goes on behind a check that has ended.
      await Promise.allSettled(work);
      observations.push(...(await Promise.all(work)).flat());
    } finally {
      await putBack(subject, before);
      await recorder.restored();
    }
    const after = await readTimes(subject, without === undefined);
    observations.push(
      control({
        name: "put back",
        expected: words(before),
        observed: words(after),
        holds: words(after) === words(before),
      }),
    );
    if (subject.posture?.security?.profiles.some((profile) => /user/i.test(profile)) === true)
      observations.push(
        capability({
          name: "user sessions",
          expected: "ended by their user, by an administrator and by silence",
          observed: needs.users,
          holds: undefined,
          askedOf: "the maker: how the session of a person ends",
          requirements: ["CR 2.6"],
        }),
      );
    return {
      observations,
      howMet: "An idle session is closed after a time that an administrator sets; keeping it busy keeps it open.",
      conditions: [
        `inactivity timeout between 1 and 3600 s (it is ${before.inactivityTimeoutS} s); 0 would switch it off`,
        ...(before.dtlsTimeoutS === undefined
          ? []
          : [`DTLS timeout between 1 and 3600 s (it is ${before.dtlsTimeoutS} s); 0 would switch it off`]),
      ],
      limits: [
        "the timeout of user sessions, and ending another's session, were not tried",
        ...(without === undefined ? [] : [`silent associations of DTLS were not tried: ${without}`]),
        ...(without === undefined && subject.io === undefined
          ? ["the old id of an I/O connection over DTLS was not tried: no connection was given"]
          : []),
      ],
      userAction: "Set the timeouts to the site's policy.",
    };
  },
  async restore(subject, saved) {
    const [inactivityTimeoutS, dtlsTimeoutS] = [numberIn(saved, "inactivityTimeoutS"), numberIn(saved, "dtlsTimeoutS")];
    if (inactivityTimeoutS === undefined) return;
    await putBack(subject, { inactivityTimeoutS, ...(dtlsTimeoutS === undefined ? {} : { dtlsTimeoutS }) });
  },
};

function numberIn(saved: unknown, name: keyof Times): number | undefined {
  const found: unknown =
    typeof saved === "object" && saved !== null ? Object.entries(saved).find(([key]) => key === name)?.[1] : undefined;
  return typeof found === "number" && Number.isInteger(found) ? found : undefined;
}

function words({ inactivityTimeoutS, dtlsTimeoutS }: Times): string {
  return `${inactivityTimeoutS} s${dtlsTimeoutS === undefined ? "" : `, over DTLS ${dtlsTimeoutS} s`}`;
}

async function readTimes(subject: EndpointSubject, hasAssociations: boolean): Promise<Times> {
  await using session = await subject.open();
  const inactivityTimeoutS = await session.object(TcpIpInterface, 1).get("encapsulationInactivityTimeout");
  if (!hasAssociations || subject.posture?.dtlsTimeoutS === null) return { inactivityTimeoutS };
  return { inactivityTimeoutS, dtlsTimeoutS: await session.object(EtherNetIpSecurity, 1).get("dtlsTimeout") };
}

/** Sets both times to {@link timeoutS}; a device that will not have one of them has no time that can be set. */
async function setShort(
  subject: EndpointSubject,
  before: Times,
): Promise<{
  readonly observations: readonly Observation[];
  readonly hasSet: { readonly streams: boolean; readonly associations: boolean };
}> {
  await using session = await subject.open();
  const common = { expected: `${timeoutS} s reads back` } as const;
  const canBeSet = async (name: string, set: () => Promise<unknown>, get: () => Promise<number>) => {
    const refusal = await refusalOf(set);
    const now = await get();
    const observed = refusal ?? `${now} s`;
    return capability({ ...common, name, observed, holds: refusal === undefined && now === timeoutS });
  };
  const object = session.object(EtherNetIpSecurity, 1);
  const associations: Observation[] = [];
  const name = "the time over DTLS can be set";
  if (before.dtlsTimeoutS !== undefined)
    associations.push(
      await canBeSet(
        name,
        async () => await setOverDtls(session, timeoutS),
        async () => await object.get("dtlsTimeout"),
      ),
    );
  else if (whyNoAssociations(subject) === undefined)
    associations.push(capability({ ...common, name, observed: "the device has no attribute for it", holds: false }));
  const tcpIp = session.object(TcpIpInterface, 1);
  const streams = await canBeSet(
    "the time can be set",
    async () => await tcpIp.set("encapsulationInactivityTimeout", timeoutS),
    async () => await tcpIp.get("encapsulationInactivityTimeout"),
  );
  return {
    observations: [streams, ...associations],
    hasSet: { streams: streams.holds === true, associations: associations.some(({ holds }) => holds === true) },
  };
}

/** Why the device would not do something, where it says no. */
async function refusalOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!isStackError(error) || cipStatusOf(error) === undefined) throw error;
    return error.message;
  }
}

/** Over a session of its own: one that was opened before has been silent for as long as a silent one. */
async function putBack(subject: EndpointSubject, { inactivityTimeoutS, dtlsTimeoutS }: Times): Promise<void> {
  await using session = await subject.open();
  await session.object(TcpIpInterface, 1).set("encapsulationInactivityTimeout", inactivityTimeoutS);
  if (dtlsTimeoutS !== undefined) await setOverDtls(session, dtlsTimeoutS);
}

async function setOverDtls(session: Session, seconds: number): Promise<void> {
  const object = session.object(EtherNetIpSecurity, 1);
  if ((await object.get("dtlsTimeout")) === seconds) return;
  await configure(session, async () => await object.set("dtlsTimeout", seconds));
}

/** What became of a session that said nothing. */
interface Silence {
  readonly opened: string;
  readonly isOpened: boolean;
  readonly endedMs: number | undefined;
  /** What a read with its handle over another stream is answered with; nothing where it had not ended. */
  readonly oldHandle: string | undefined;
  readonly isServed: boolean;
}

/** Cases a and f: sessions over TCP or TLS, silent ones and one that talks. */
async function silentStreams(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  let isOver = false;
  const silent = Promise.all(Array.from({ length: repetitions }, async () => await keepSilent(subject))).finally(() => {
    isOver = true;
  });
  const talking = keepTalking(subject, () => isOver);
  await Promise.allSettled([silent, talking]);
  const [silences, kept] = [await silent, await talking];
  const evidence = [
    await recorder.timing("silence", {
      what: "until a silent session was ended",
      unit: "ms",
      samples: { silent: silences.flatMap(({ endedMs }) => endedMs ?? []) },
    }),
  ];
  return [
    control({
      name: "a session is opened",
      expected: "registered",
      observed: [...new Set(silences.map(({ opened }) => opened))].join("; "),
      holds: silences.every(({ isOpened }) => isOpened),
    }),
    negative({
      name: "a silent session",
      expected: `ended after ${timeoutS} to ${timeoutS + slackS} s, and its handle refused`,
      ...(await repeated(async (run) => {
        const one = silences[run - 1];
        if (one?.endedMs === undefined) return { holds: false, observed: "still open", evidence };
        const isInTime = one.endedMs >= timeoutS * 1000 - earlyMs;
        const observed = `ended after ${(one.endedMs / 1000).toFixed(1)} s; its handle: ${one.oldHandle ?? ""}`;
        return { holds: isInTime && !one.isServed, observed, evidence };
      })),
    }),
    capability({
      name: "a session that talks",
      expected: "goes on",
      ...talkWords(kept),
      evidence,
    }),
  ];
}

async function keepSilent(subject: EndpointSubject): Promise<Silence> {
  const { clock } = subject;
  await using raw = await openRaw(subject, openPlainOrSecure(subject));
  // Before anything is sent: the device cannot have heard it earlier.
  const start = clock.now();
  const answer = await raw.ask(registerSession, subject.timeoutMs);
  const end: { ms?: number } = {};
  void raw.channel.closed.then(() => (end.ms = clock.now() - start));
  await waitFor(subject, (timeoutS + slackS) * 1000, () => end.ms !== undefined);
  const opened = { opened: answerWords(answer), isOpened: answer.kind === "frame" && answer.frame.status === 0 };
  if (end.ms === undefined || answer.kind !== "frame")
    return { ...opened, endedMs: end.ms, oldHandle: undefined, isServed: false };
  await using other = await openRaw(subject, openPlainOrSecure(subject));
  const read = await other.ask(readSerial(answer.frame.session), silenceMs);
  const isServed = read.kind === "frame" && read.frame.status === 0;
  return { ...opened, endedMs: end.ms, oldHandle: answerWords(read), isServed };
}

async function keepTalking(subject: EndpointSubject, isOver: () => boolean): Promise<Talk> {
  for (let at = 1; ; at++) {
    const talk = await talkOn(subject, isOver);
    if (talk !== "late" || at === mostTalks) return talk;
  }
}

/** Reads once a second, and on until others are done and the timeout is well over. */
async function talkOn(subject: EndpointSubject, isOver: () => boolean): Promise<Talk> {
  const { clock } = subject;
  await using raw = await openRaw(subject, openPlainOrSecure(subject));
  let last = clock.now();
  const opened = await raw.ask(registerSession, subject.timeoutMs);
  const handle = opened.kind === "frame" ? opened.frame.session : 0;
  const until = clock.now() + timeoutS * 1000 + talksOnMs;
  while (!isOver() || clock.now() < until) {
    subject.signal.throwIfAborted();
    await pause(subject, talkMs);
    const sent = clock.now();
    const answer = await raw.ask(readSerial(handle), subject.timeoutMs);
    if (answer.kind !== "frame" || answer.frame.status !== 0)
      return isLate(sent - last, { timeoutS, earlyMs }) ? "late" : "ended";
    // It was heard at some time after it was sent.
    last = sent;
  }
  return "kept";
}
