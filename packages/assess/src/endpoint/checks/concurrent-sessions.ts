import { Identity } from "@cipsec/objects";
import { openClass3, type Class3Connection, type Session } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, type Observation } from "../../observation.ts";
import { tryIn } from "../attempt.ts";
import { goesOn as ioGoesOn, openEssential, type Essential } from "../essential.ts";
import { openRaw, type RawAnswer, type RawStream } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { openPlainOrSecure } from "./either-channel.ts";
import { asDeclared, ioConnections } from "./io-connections.ts";

/** A device without a limit below this has none that protects it. */
const most = 256;

/** Class 3 connections that are tried: each is two requests. */
const mostConnections = 128;

/** Time that a slot may take to come back. */
const freeMs = 10_000;

/** B-2.7: there is a limit to what one user can hold; at the limit the refusal is clean and nobody loses what he has. */
export const concurrentSessions: Check<EndpointSubject> = {
  id: "B-2.7",
  version: "1.2",
  title: "Sessions are limited, and those that are open go on",
  requirements: ["CR 2.7", "CR 7.2"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR2.7_1"],
  needs: ["credentials", "disruptive"],
  estimateMs: 8000,
  needsQuiet: true,
  async run(subject, recorder) {
    await using kept = await subject.open();
    const opened = await openEssential(subject);
    await using essential = typeof opened === "string" ? undefined : opened;
    const held: Held[] = [];
    const observations: Observation[] = [];
    try {
      const refusal = await fill(subject, held, recorder);
      const evidence = [
        await recorder.settings("sessions", { held: held.length, most, refusal: refusal ?? null, asSameCaller: true }),
      ];
      observations.push(
        control({
          name: "a first session",
          expected: "registered",
          observed: held.length === 0 ? `refused: ${refusal}` : "it was",
          holds: held.length > 0,
          evidence,
        }),
        capability({
          name: "sessions of one caller",
          expected: `a limit below ${most}`,
          observed: refusal === undefined ? `${held.length} were opened, and no end` : `${held.length} beside our own`,
          holds: refusal !== undefined,
          evidence,
        }),
        capability({
          name: "the refusal",
          expected: "clean: the connection is closed, or RegisterSession answered with status 2",
          observed: refusal ?? "there was none",
          holds: refusal === undefined ? false : isClean(refusal),
          evidence,
        }),
        await goesOn(subject, { kept, held, essential }, recorder),
        await anotherCaller(subject, recorder, refusal !== undefined),
      );
      if (refusal !== undefined) observations.push(await freed(subject, held, recorder));
    } finally {
      for (const { raw } of held) await raw[Symbol.asyncDispose]();
    }
    observations.push(
      ...(await class3(subject, kept, recorder)),
      ...(await ioConnections(subject, recorder, opened)),
      capability({
        name: "the number can be set",
        expected: "an administrator sets it",
        observed: "no object of CIP Security has an attribute for it",
        holds: undefined,
        askedOf: "the maker: where the limit of sessions is set",
        requirements: ["CR 2.7"],
      }),
    );
    return {
      observations,
      howMet: "The device refuses what is beyond its limit, keeps the sessions that are open, and gives room back.",
      conditions: [`the limit found is that of one caller from one address, below ${most}`],
      limits: [
        "user sessions were not tried",
        ...(essential === undefined
          ? []
          : [
              "I/O connections were opened at the connection points that were given, and at those of the EDS without outputs",
            ]),
      ],
      ...(subject.capacity === undefined
        ? { userAction: "Compare the limits with the capacity that the EDS declares." }
        : {}),
    };
  },
};

interface Held {
  readonly raw: RawStream;
  readonly handle: number;
}

/** Opens sessions until one is refused. @returns How it was refused; nothing where none was. */
async function fill(subject: EndpointSubject, held: Held[], recorder: Recorder): Promise<string | undefined> {
  while (held.length < most) {
    subject.signal.throwIfAborted();
    recorder.doing(`opens session ${held.length + 1}`);
    const one = await openOne(subject);
    if (typeof one === "string") return one;
    held.push(one);
  }
  return undefined;
}

async function openOne(subject: EndpointSubject): Promise<Held | string> {
  let raw: RawStream;
  try {
    raw = await openRaw(subject, openPlainOrSecure(subject));
  } catch (error) {
    if (!isStackError(error)) throw error;
    return `connection refused: ${error.code}`;
  }
  // A slow answer is no refusal: only who stays silent for the whole time has none.
  const answer = await raw.ask(registerSession, subject.timeoutMs);
  if (answer.kind === "frame" && answer.frame.status === 0) return { raw, handle: answer.frame.session };
  await raw[Symbol.asyncDispose]();
  return wordsOfRefusal(answer);
}

function wordsOfRefusal(answer: RawAnswer): string {
  return answer.kind === "frame"
    ? `RegisterSession: status 0x${answer.frame.status.toString(16)}`
    : `connection ${answer.kind}`;
}

function isClean(refusal: string): boolean {
  return /status 0x2$|connection closed|transport\/(closed|refused)|tls\/(alert|handshake)/.test(refusal);
}

interface Open {
  readonly kept: Session;
  readonly held: readonly Held[];
  readonly essential: Essential | undefined;
}

/** Whether those that are in can still work: our own session, the first and the last of those held, and I/O. */
async function goesOn(
  subject: EndpointSubject,
  { kept, held, essential }: Open,
  recorder: Recorder,
): Promise<Observation> {
  const lost: string[] = [];
  await kept
    .object(Identity, 1)
    .get("serialNumber")
    .catch((error: unknown) => {
      if (!isStackError(error)) throw error;
      lost.push(`our own (${error.code})`);
    });
  for (const [which, one] of [
    ["the first", held[0]],
    ["the last", held.at(-1)],
  ] as const) {
    if (one === undefined) continue;
    const answer = await one.raw.ask(readSerial(one.handle), subject.timeoutMs);
    if (answer.kind !== "frame" || answer.frame.status !== 0) lost.push(`${which} (${answerWords(answer)})`);
  }
  if (essential !== undefined && !(await ioGoesOn(subject, essential))) lost.push("the I/O connection");
  const sound = `our own, the first and the last are answered${essential === undefined ? "" : "; I/O goes on"}`;
  const observed = lost.length === 0 ? sound : `lost: ${lost.join(", ")}`;
  return capability({
    name: "sessions that are open",
    expected: "go on at the limit",
    observed,
    holds: lost.length === 0,
    evidence: [await recorder.exchange("at-the-limit", { sent: "a read in each", answer: observed })],
  });
}

/** Whether one caller can shut another one out. */
async function anotherCaller(subject: EndpointSubject, recorder: Recorder, isFull: boolean): Promise<Observation> {
  const common = {
    name: "another caller at the limit",
    expected: "finds room: the limit is one for each caller",
    requirements: ["CR 2.7"],
    otherwise: "partial",
  } as const;
  if (!isFull) return capability({ ...common, observed: "there is no limit to be at", holds: false });
  if (subject.signer === undefined || subject.isSecured === false)
    return capability({
      ...common,
      observed: "not tried: that needs the authority that the device trusts",
      holds: undefined,
    });
  const other = await subject.signer.make("none", new Date(subject.clock.wallNow() ?? 0));
  const { result, words, evidence } = await tryIn(subject, recorder, "another-caller", {
    sent: "another certificate of the trusted authority, from the same address",
    security: { acceptAny: true, certificate: other },
  });
  const observed = `${result}: ${words}`;
  return capability({ ...common, observed, holds: result === "accepted", evidence });
}

/** Whether the end of one session makes room for another. */
async function freed(subject: EndpointSubject, held: Held[], recorder: Recorder): Promise<Observation> {
  const { clock } = subject;
  await held.pop()?.raw[Symbol.asyncDispose]();
  const until = clock.now() + freeMs;
  let words = "";
  for (;;) {
    const one = await openOne(subject);
    if (typeof one !== "string") {
      held.push(one);
      words = "a new session is served";
      break;
    }
    words = `still refused after ${freeMs / 1000} s: ${one}`;
    if (clock.now() > until) break;
    await new Promise<void>((resolve) => void clock.after(200, resolve, true));
  }
  return capability({
    name: "a session that is closed",
    expected: "makes room for another one",
    observed: words,
    holds: words.startsWith("a new"),
    evidence: [await recorder.exchange("freed", { sent: "one session closed, one more opened", answer: words })],
  });
}

/** Whether class 3 connections of one originator have an end too. */
async function class3(
  { capacity }: EndpointSubject,
  kept: Session,
  recorder: Recorder,
): Promise<readonly Observation[]> {
  const open: Class3Connection[] = [];
  let refusal: string | undefined;
  try {
    while (open.length < mostConnections) open.push(await openClass3(kept));
  } catch (error) {
    if (!isStackError(error)) throw error;
    refusal = `${error.code}: ${error.message}`;
  } finally {
    for (const connection of open) await connection.close();
  }
  const observed = `${open.length} were opened; ${refusal ?? "none was refused"}`;
  return [
    capability({
      name: "class 3 connections of one originator",
      expected: `a limit below ${mostConnections}, told by a CIP status`,
      observed,
      holds: refusal?.startsWith("cip/status") ?? false,
      evidence: [
        await recorder.exchange("class3", { sent: "Forward_Open of class 3 until refused", answer: observed }),
      ],
    }),
    ...asDeclared("class 3 connections", capacity?.messageConnections ?? capacity?.cipConnections, open.length),
  ];
}
