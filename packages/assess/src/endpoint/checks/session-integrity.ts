import { Command, frame } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { openRaw } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { openPlainOrSecure } from "./either-channel.ts";

/** Handles that are collected; the statistics below need no more, and each is a connection. */
const samples = 64;

const patienceMs = 2000;

/** B-3.8: handles belong to one stream, die with their session, and cannot be foretold. */
export const sessionIntegrity: Check<EndpointSubject> = {
  id: "B-3.8",
  version: "1.0",
  title: "Session handles are unique, bound and dead when closed",
  requirements: ["CR 3.8"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 6000,
  async run(subject, recorder) {
    const over = openPlainOrSecure(subject);
    const handles: number[] = [];
    for (let at = 0; at < samples; at++) {
      subject.signal.throwIfAborted();
      await using raw = await openRaw(subject, over);
      const answer = await raw.ask(registerSession, patienceMs);
      if (answer.kind === "frame") handles.push(answer.frame.session);
    }
    const evidence = [await recorder.settings("handles", handles)];
    const ordered = handles.slice(1).every((handle, at) => Math.abs(handle - (handles[at] ?? 0)) < 0x1_0000);
    const unique = new Set(handles).size === handles.length && !handles.includes(0);
    const balance = bitBalance(handles);

    await using own = await openRaw(subject, over);
    await using other = await openRaw(subject, over);
    const first = await own.ask(registerSession, patienceMs);
    const handle = first.kind === "frame" ? first.frame.session : 0;
    const sound = await own.ask(readSerial(handle), patienceMs);
    const foreign = await repeated(async (run) => {
      const answer = await other.ask(readSerial(handle), patienceMs);
      const ref = await recorder.exchange(`foreign-${run}`, {
        sent: "a read with the handle of another stream",
        answer: answerWords(answer),
      });
      return {
        holds: answer.kind !== "frame" || answer.frame.status !== 0,
        observed: answerWords(answer),
        evidence: [ref],
      };
    });
    const invented = await repeated(async (run) => {
      await using raw = await openRaw(subject, over);
      const answer = await raw.ask(readSerial((0x1234_5600 + run) >>> 0), patienceMs);
      const ref = await recorder.exchange(`invented-${run}`, {
        sent: "a read with an invented handle",
        answer: answerWords(answer),
      });
      return {
        holds: answer.kind !== "frame" || answer.frame.status !== 0,
        observed: answerWords(answer),
        evidence: [ref],
      };
    });
    const ended = await repeated(async (run) => {
      await using raw = await openRaw(subject, over);
      const opened = await raw.ask(registerSession, patienceMs);
      const old = opened.kind === "frame" ? opened.frame.session : 0;
      raw.channel.send(frame(Command.unRegisterSession, { session: old }));
      const answer = await raw.ask(readSerial(old), patienceMs);
      const ref = await recorder.exchange(`ended-${run}`, {
        sent: "a read after UnRegisterSession",
        answer: answerWords(answer),
      });
      return {
        holds: answer.kind !== "frame" || answer.frame.status !== 0,
        observed: answerWords(answer),
        evidence: [ref],
      };
    });
    const observations: Observation[] = [
      control({
        name: "a read in its own session",
        expected: "answered",
        observed: answerWords(sound),
        holds: sound.kind === "frame" && sound.frame.status === 0,
      }),
      capability({
        name: "handles are unique",
        expected: `${samples} different ones`,
        observed: `${new Set(handles).size} of ${handles.length} differ`,
        holds: unique,
        evidence,
      }),
      capability({
        name: "handles cannot be foretold",
        expected: "no steps, and as many ones as zeros",
        observed: `${ordered ? "they are a counter" : "no counter"}; ${balance}`,
        holds: !ordered,
        otherwise: "partial",
        evidence,
      }),
      negative({ name: "a handle on another stream", expected: "refused", ...foreign }),
      negative({ name: "an invented handle", expected: "refused", ...invented }),
      negative({ name: "a handle after UnRegisterSession", expected: "refused", ...ended }),
    ];
    return {
      observations,
      howMet: "A handle is valid on the stream that it was given on, until it is given back.",
      limits: [
        "user sessions and tokens are not assessed yet",
        "TLS session tickets and DTLS cookies were not collected",
      ],
    };
  },
};

/** Share of ones in the collected handles: about a half where they are random. */
function bitBalance(handles: readonly number[]): string {
  const ones = handles.reduce((sum, handle) => sum + (handle >>> 0).toString(2).replaceAll("0", "").length, 0);
  return `${Math.round((100 * ones) / Math.max(1, 32 * handles.length))} % ones`;
}
