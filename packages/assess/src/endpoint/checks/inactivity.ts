import { TcpIpInterface } from "@cipsec/objects";
import type { Check } from "../../check.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { openRaw } from "../raw.ts";
import { needs } from "../../need.ts";
import type { EndpointSubject } from "../subject.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { openPlainOrSecure } from "./either-channel.ts";

/** What the timeout is set to, and how much later than it the end may come. */
const timeoutS = 5;
const slackS = 5;

const patienceMs = 2000;

/** B-2.6: a silent session ends by itself, after the time that was set. */
export const inactivityTimeout: Check<EndpointSubject> = {
  id: "B-2.6",
  version: "1.1",
  title: "Silent sessions are ended after the time that is set",
  requirements: ["CR 2.6", "CR 7.6"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR2.6_1"],
  needs: ["credentials", "administrator", "disruptive"],
  estimateMs: 15_000,
  async run(subject, recorder) {
    const { clock } = subject;
    await using session = await subject.open();
    const object = session.object(TcpIpInterface, 1);
    const before = await object.get("encapsulationInactivityTimeout");
    await recorder.willChange({ inactivityTimeoutS: before });
    const observations: Observation[] = [];
    try {
      await object.set("encapsulationInactivityTimeout", timeoutS);
      const set = await object.get("encapsulationInactivityTimeout");
      observations.push(
        control({
          name: "the time can be set",
          expected: `${timeoutS} s reads back`,
          observed: `${set} s`,
          holds: set === timeoutS,
        }),
      );
      await using silent = await openRaw(subject, openPlainOrSecure(subject));
      await using talking = await openRaw(subject, openPlainOrSecure(subject));
      const opened = await silent.ask(registerSession, patienceMs);
      const other = await talking.ask(registerSession, patienceMs);
      const start = clock.now();
      const end: { ms?: number } = {};
      void silent.channel.closed.then(() => (end.ms = clock.now() - start));
      let kept = true;
      const isLate = (): boolean => clock.now() - start >= (timeoutS + slackS) * 1000;
      while (end.ms === undefined && !isLate() && !subject.signal.aborted) {
        await new Promise<void>((resolve) => void clock.after(1000, resolve, true));
        const answer = await talking.ask(readSerial(other.kind === "frame" ? other.frame.session : 0), patienceMs);
        kept = kept && answer.kind === "frame" && answer.frame.status === 0;
      }
      const endedMs = end.ms;
      const evidence = [
        await recorder.timing("silence", {
          what: "until a silent session was ended",
          unit: "ms",
          samples: { silent: endedMs === undefined ? [] : [endedMs] },
        }),
      ];
      observations.push(
        control({
          name: "a session is opened",
          expected: "registered",
          observed: answerWords(opened),
          holds: opened.kind === "frame",
        }),
        negative({
          name: "a silent session",
          expected: `ended after ${timeoutS} to ${timeoutS + slackS} s`,
          observed: endedMs === undefined ? "still open" : `ended after ${(endedMs / 1000).toFixed(1)} s`,
          holds: endedMs !== undefined && endedMs >= timeoutS * 1000 - 500,
          evidence,
        }),
        capability({
          name: "a session that talks",
          expected: "goes on",
          observed: kept ? "it does" : "it was ended too",
          holds: kept,
          evidence,
        }),
      );
    } finally {
      await setSilence(subject, before);
      await recorder.restored();
    }
    await using later = await subject.open();
    const after = await later.object(TcpIpInterface, 1).get("encapsulationInactivityTimeout");
    observations.push(
      control({ name: "put back", expected: `${before} s`, observed: `${after} s`, holds: after === before }),
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
      conditions: [`inactivity timeout between 1 and 3600 s (it is ${before} s); 0 would switch it off`],
      limits: ["the timeout of DTLS and of user sessions, and ending another's session, were not tried"],
      userAction: "Set the timeout to the site's policy.",
    };
  },
  async restore(subject, saved) {
    const before =
      typeof saved === "object" && saved !== null && "inactivityTimeoutS" in saved
        ? Number(saved.inactivityTimeoutS)
        : Number.NaN;
    if (!Number.isInteger(before)) return;
    await setSilence(subject, before);
  },
};

/** Over a session of its own: one that was opened before has been silent for as long as a silent one. */
async function setSilence(subject: EndpointSubject, seconds: number): Promise<void> {
  await using session = await subject.open();
  await session.object(TcpIpInterface, 1).set("encapsulationInactivityTimeout", seconds);
}
