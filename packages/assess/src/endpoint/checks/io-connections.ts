import {
  cipStatusOf,
  openIo,
  type IoConnection,
  type IoDirection,
  type IoRequest,
  type Session,
} from "@cipsec/originator";
import { isStackError, Status, type StackErrorShape } from "@cipsec/wire";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, type Observation } from "../../observation.ts";
import { servesDtls } from "../allowed.ts";
import { quietly } from "../configuration.ts";
import { goesOn, type Essential } from "../essential.ts";
import type { EndpointSubject } from "../subject.ts";
import { pause } from "../waiting.ts";
import { connectForIo } from "../way.ts";

/** A device without a limit below this has none that protects it. */
const most = 256;

/** Connections that only hold their place have this packet interval, and outlive 32 of them: they are no load. */
const calmRpiMicros = 500_000;
const calmMultiplier = 3;

/** Time that a place may take to come back, and how often it is asked for. */
const freeMs = 10_000;
const betweenMs = 200;

/** Extended statuses of 0x01 that say "no more": in the whole device, and at one connection point. @see reference ethernet-ip.md 6.16 */
const noMoreAtAll: readonly string[] = ["0x0113", "0x0301", "0x0302", "0x0303"];
const noMoreHere: readonly string[] = ["0x0106", "0x011A"];

/**
 * Class 1 connections of one originator until they are refused: there is an end, the refusal is clean, what is open goes on, and what
 * is closed gives room.
 *
 * @param essential The connection that must go on, or why there is none.
 */
export async function ioConnections(
  subject: EndpointSubject,
  recorder: Recorder,
  essential: Essential | string,
): Promise<readonly Observation[]> {
  const limit = { name: "I/O connections of one originator", expected: `a limit below ${most}` } as const;
  if (typeof essential === "string")
    return [capability({ ...limit, observed: `not tried: ${essential}`, holds: undefined })];
  const { session, connection } = essential;
  const open: Held[] = [];
  try {
    const isThere = await goesOn(subject, essential);
    const refusals = await fill(subject, session, open);
    const opened = open.length + 1;
    const refusal = opened < most ? refusals.at(-1) : undefined;
    const evidence = [await recorder.settings("io-connections", { opened, most, refusals })];
    const goes = await goesOn(subject, essential);
    const others = refusal?.isForAll === true ? await anotherOriginator(subject, recorder) : [];
    const rooms = refusal === undefined ? [] : [await freed(subject, essential, open)];
    return [
      control({
        name: "the I/O connection that was given",
        expected: "opened, and packets come",
        observed: isThere ? "they do" : "none came",
        holds: isThere,
        evidence,
      }),
      capability({
        ...limit,
        observed: `${opened} were opened; ${refusal === undefined ? "no end" : `then ${refusal.words}`}`,
        holds: refusal !== undefined,
        evidence,
      }),
      capability({
        name: "the refusal of an I/O connection",
        expected: "clean: a CIP status that means that there is no room",
        observed: refusal === undefined ? "there was none" : refusals.map(({ words }) => words).join("; "),
        holds: refusal !== undefined && refusals.every(({ isClean }) => isClean),
        evidence,
      }),
      capability({
        name: "I/O that is open",
        expected: "goes on at the limit",
        observed: goes ? "packets come" : "lost: no packets come any more",
        holds: goes,
        evidence,
      }),
      ...others,
      ...rooms.map((words) =>
        capability({
          name: "an I/O connection that is closed",
          expected: "makes room for another one",
          observed: words,
          holds: words.startsWith("a new"),
          evidence,
        }),
      ),
      ...asDeclared("I/O connections", subject.capacity?.ioConnections ?? subject.capacity?.cipConnections, opened),
    ];
  } finally {
    // What is closed over a session that has died waits for an answer each time.
    if (!connection.isOpen) await session.close();
    for (const one of open) await quietly(one.connection.close());
  }
}

/** Whether no more could be opened than the EDS declares; nothing where it does not say. */
export function asDeclared(what: string, declared: number | undefined, opened: number): readonly Observation[] {
  if (declared === undefined) return [];
  return [
    capability({
      name: `${what} beside the EDS`,
      expected: `no more than the ${declared} that the EDS declares`,
      observed: `${opened} were opened`,
      holds: opened <= declared,
      otherwise: "partial",
    }),
  ];
}

interface Held {
  readonly connection: IoConnection;
  readonly request: IoRequest;
}

/** How there is no room for one more. */
interface Refusal {
  readonly words: string;
  /** By a status that says so. */
  readonly isClean: boolean;
  /** Not only at this connection point. */
  readonly isForAll: boolean;
}

/**
 * Opens what can be opened beside the connection that was given: the same once more, then those without outputs.
 *
 * @returns The last refusal of each connection point that there was room at before.
 */
async function fill(subject: EndpointSubject, session: Session, open: Held[]): Promise<readonly Refusal[]> {
  const { io, ioBeside = [] } = subject;
  const refusals: Refusal[] = [];
  for (const request of io === undefined ? [] : [io, ...ioBeside]) {
    // A device that does not take long intervals may take its own.
    for (const variant of [calm(request), request]) {
      const before = open.length;
      const error = await openUntilRefused(subject, session, variant, open);
      if (error === undefined) return refusals;
      const refusal = refusalOf(error);
      // That it was open before shows that nothing else can be wrong with it.
      const isRoom = refusal.isClean || refusal.isForAll || open.length > before || variant === io;
      if (!isRoom) continue;
      refusals.push(refusal);
      if (refusal.isForAll) return refusals;
      break;
    }
  }
  return refusals;
}

function calm(request: IoRequest): IoRequest {
  const slow = (direction: IoDirection): IoDirection => ({
    ...direction,
    rpiMicros: Math.max(direction.rpiMicros, calmRpiMicros),
    ...(direction.type === "multicast" ? { type: "point-to-point" } : {}),
  });
  return {
    ...request,
    oToT: slow(request.oToT),
    tToO: slow(request.tToO),
    timeoutMultiplier: calmMultiplier,
  };
}

/** @returns Why the last one was not opened; nothing where there is no end. */
async function openUntilRefused(
  subject: EndpointSubject,
  session: Session,
  request: IoRequest,
  open: Held[],
): Promise<StackErrorShape | undefined> {
  while (open.length + 1 < most) {
    const one = await openOne(subject, session, request);
    if (isStackError(one)) return one;
    open.push(one);
  }
  return undefined;
}

async function openOne(
  { signal }: EndpointSubject,
  session: Session,
  request: IoRequest,
): Promise<Held | StackErrorShape> {
  signal.throwIfAborted();
  try {
    return { connection: await openIo(session, request), request };
  } catch (error) {
    signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    return error;
  }
}

function refusalOf(error: StackErrorShape): Refusal {
  const status = cipStatusOf(error);
  const [extended = ""] = String(error.facts["extended"] ?? "").split(" ");
  const isHere = status === Status.connectionFailure && noMoreHere.includes(extended);
  const isAtAll =
    status === Status.resourceUnavailable || (status === Status.connectionFailure && noMoreAtAll.includes(extended));
  return {
    words: `${error.code}: ${error.message}`,
    isClean: isHere || isAtAll,
    isForAll: isAtAll || status === undefined,
  };
}

/** Whether one originator can shut another out; nothing where nobody else can open a connection without moving outputs. */
async function anotherOriginator(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  const { signer, clock, ioBeside: [request] = [] } = subject;
  if (signer === undefined || request === undefined || !servesDtls(subject)) return [];
  const certificate = await signer.make("none", new Date(clock.wallNow() ?? 0));
  let observed = "it opens one";
  let holds: boolean | undefined = true;
  try {
    await using session = await connectForIo(subject, { acceptAny: true, certificate });
    await using connection = await openIo(session, calm(request));
    holds = connection.isOpen;
  } catch (error) {
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    observed = `${error.code}: ${error.message}`;
    holds = cipStatusOf(error) === undefined ? undefined : false;
  }
  const sent =
    "Forward_Open of class 1 by another certificate of the trusted authority, when the first originator is refused";
  return [
    capability({
      name: "another originator at the limit of I/O",
      expected: "finds room: the limit is one for each originator",
      observed,
      holds,
      otherwise: "partial",
      requirements: ["CR 2.7"],
      evidence: [await recorder.exchange("another-originator", { sent, answer: observed })],
    }),
  ];
}

/** Closes one, and opens another in its place; in words, of which the first say whether it could be. */
async function freed(
  subject: EndpointSubject,
  { session, connection: given }: Essential,
  open: Held[],
): Promise<string> {
  const { clock, io } = subject;
  const last = open.pop() ?? (io === undefined ? undefined : { connection: given, request: io });
  if (last === undefined) return "there was none";
  await quietly(last.connection.close());
  const until = clock.now() + freeMs;
  for (;;) {
    const one = await openOne(subject, session, last.request);
    if (!isStackError(one)) {
      open.push(one);
      return "a new one is opened";
    }
    if (clock.now() > until) return `still refused after ${freeMs / 1000} s: ${one.message}`;
    await pause(subject, betweenMs);
  }
}
