import { Identity } from "@cipsec/objects";
import { openClass3 } from "@cipsec/originator";
import {
  Command,
  ConnectedAddress,
  encode,
  frame,
  isStackError,
  ItemType,
  MessageRouterRequest,
  noOctets,
  objectPath,
  SendData,
  Service,
} from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { allowedSuites, servesDtls } from "../allowed.ts";
import { sayHello } from "../client-hello.ts";
import { sayDtlsHello } from "../dtls-hello.ts";
import { judgeRandomness } from "../randomness.ts";
import { openRaw, type RawAnswer, type RawStream } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { openPlainOrSecure } from "./either-channel.ts";
import { patienceFor } from "../waiting.ts";
import { resumption } from "./resumption.ts";

/** Handles that are collected unless said otherwise; each is a handshake, and in production a device has other work. */
const usualHandles = { disruptive: 1000, calm: 200 } as const;

/** Handshakes that are begun at once: enough to be done in time, few enough for a small device. */
const width = 4;

/** Of what a hello alone brings, and of connection ids, as many are collected at most: each is the device's work. */
const mostOthers = 200;

/** What must not be answered is waited for this long at least, beside a control that is. */
const leastMs = 2000;
const leastConnectedMs = 500;

/** B-3.8: handles belong to one stream, die with their session, and cannot be foretold; nor can what a handshake rests on. */
export const sessionIntegrity: Check<EndpointSubject> = {
  id: "B-3.8",
  version: "1.4",
  title: "Session handles are unique, bound and dead when closed",
  requirements: ["CR 3.8"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 25_000,
  async run(subject, recorder) {
    const over = openPlainOrSecure(subject);
    const observations: Observation[] = [];
    {
      await using own = await openLive(subject, over);
      observations.push(
        control({
          name: "a read in its own session",
          expected: "answered",
          observed: own === undefined ? "it was not" : "it was",
          holds: own !== undefined,
        }),
      );
    }
    observations.push(
      ...(await handles(subject, recorder)),
      ...(await others(subject, recorder)),
      negative({
        name: "a handle on another stream",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using own = await openLive(subject, over);
          await using other = await openLive(subject, over);
          return await mustRefuseRead(
            recorder,
            `foreign-${run}`,
            "a read with the handle of another stream",
            other,
            own,
          );
        })),
      }),
      negative({
        name: "an invented handle",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using own = await openLive(subject, over);
          const invented = own === undefined ? undefined : { handle: (own.handle ^ (0x1234_5600 + run)) >>> 0 };
          return await mustRefuseRead(recorder, `invented-${run}`, "a read with an invented handle", own, invented);
        })),
      }),
      negative({
        name: "a handle after UnRegisterSession",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using own = await openLive(subject, over);
          end(own);
          return await mustRefuseRead(recorder, `ended-${run}`, "a read after UnRegisterSession", own, own);
        })),
      }),
      negative({
        name: "a handle after UnRegisterSession, over a new stream",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using own = await openLive(subject, over);
          end(own);
          await using later = await openLive(subject, over);
          return await mustRefuseRead(
            recorder,
            `ended-anew-${run}`,
            "a read with the handle, over a new stream",
            later,
            own,
          );
        })),
      }),
    );
    const resumed = subject.isSecured === true ? await resumption(subject, recorder) : undefined;
    observations.push(...(resumed?.observations ?? []));
    return {
      observations,
      howMet: "A handle is valid on the stream that it was given on, until it is given back.",
      limits: ["user sessions and tokens are not assessed yet", ...(resumed?.limits ?? [])],
    };
  },
};

/** A session that is served, on a stream of its own. */
interface Live extends AsyncDisposable {
  readonly raw: RawStream;
  readonly handle: number;
  /** What has not been answered by then will not be: much longer than this device took. */
  readonly waitMs: number;
}

/** Opens a session and reads in it: what is refused afterwards is refused for another reason. @returns Nothing where that is not served. */
async function openLive(subject: EndpointSubject, over: "tls" | "tcp"): Promise<Live | undefined> {
  const { clock, timeoutMs } = subject;
  const raw = await openRaw(subject, over);
  const opened = await raw.ask(registerSession, timeoutMs);
  const handle = opened.kind === "frame" && opened.frame.status === 0 ? opened.frame.session : 0;
  const asked = clock.now();
  const sound = handle === 0 ? undefined : await raw.ask(readSerial(handle), timeoutMs);
  const waitMs = patienceFor(clock.now() - asked, leastMs);
  if (sound?.kind === "frame" && sound.frame.status === 0)
    return { raw, handle, waitMs, [Symbol.asyncDispose]: async () => await raw[Symbol.asyncDispose]() };
  await raw[Symbol.asyncDispose]();
  return undefined;
}

/** Gives a session back. */
function end(live: Live | undefined): void {
  live?.raw.channel.send(frame(Command.unRegisterSession, { session: live.handle }));
}

/** Reads over a stream with a handle that is not its own, or not any more. */
async function mustRefuseRead(
  recorder: Recorder,
  name: string,
  sent: string,
  on: Live | undefined,
  whose: Pick<Live, "handle"> | undefined,
): Promise<Try> {
  if (on === undefined || whose === undefined)
    return { holds: undefined, observed: "not tried: a session of our own is not served" };
  return await mustRefuse(recorder, name, sent, async () => await on.raw.ask(readSerial(whose.handle), on.waitMs));
}

async function mustRefuse(recorder: Recorder, name: string, sent: string, ask: () => Promise<RawAnswer>): Promise<Try> {
  const answer = await ask();
  const observed = answerWords(answer);
  return {
    holds: answer.kind !== "frame" || answer.frame.status !== 0,
    observed,
    evidence: [await recorder.exchange(name, { sent, answer: observed })],
  };
}

/** Collects session handles. Handles that are a counter count little where each is bound to its stream. */
async function handles(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  const wanted = wantedOf(subject);
  const found: number[] = [];
  const one = async (): Promise<void> => {
    subject.signal.throwIfAborted();
    await using raw = await openRaw(subject, openPlainOrSecure(subject));
    const answer = await raw.ask(registerSession, subject.timeoutMs);
    if (answer.kind === "frame" && answer.frame.status === 0) found.push(answer.frame.session);
  };
  for (let at = 0; at < wanted; at += width) {
    recorder.doing(`session ${at + 1} of ${wanted}`);
    await Promise.all(Array.from({ length: Math.min(width, wanted - at) }, async () => await one()));
  }
  const evidence = [await recorder.settings("handles", found)];
  const { unique, isStepped, looksRandom, words } = judgeRandomness(found.map(octetsOf));
  const isEnough = found.length * 2 >= wanted;
  return [
    capability({
      name: "handles are unique",
      expected: `${wanted} different ones, none of them 0`,
      observed: words,
      holds: isEnough ? unique && !found.includes(0) : undefined,
      evidence,
    }),
    capability({
      name: "handles cannot be foretold",
      expected: "no steps, and nothing that chance would not make",
      observed: isStepped ? `they are a counter: ${words}` : words,
      holds: isEnough ? looksRandom : undefined,
      otherwise: "partial",
      evidence,
    }),
  ];
}

function wantedOf({ handles: wanted, disruptive }: EndpointSubject): number {
  return wanted ?? usualHandles[disruptive ? "disruptive" : "calm"];
}

function octetsOf(handle: number): Uint8Array {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(handle >>> 0);
  return octets;
}

/** What else must not be foretold: the randoms of TLS, the cookies of DTLS, ids of connections. */
async function others(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  const count = Math.min(wantedOf(subject), mostOthers);
  const observations: Observation[] = [];
  const judge = async (name: string, values: readonly Uint8Array[]): Promise<void> => {
    const { looksRandom, words } = judgeRandomness(values);
    const evidence = [
      await recorder.settings(
        name.replaceAll(" ", "-"),
        values.map((octets) => Buffer.from(octets).toString("hex")),
      ),
    ];
    observations.push(
      capability({
        name,
        expected: "different each time, and nothing that chance would not make",
        observed: words,
        holds: values.length * 2 >= count ? looksRandom : undefined,
        evidence,
      }),
    );
  };
  if (subject.isSecured === true) {
    const suites = (await allowedSuites(subject)) ?? [0xc02b, 0xc02c, 0xc02f, 0xc030];
    const randoms: Uint8Array[] = [];
    for (let at = 0; at < count; at++) {
      const { kind, reply } = await sayHello(subject, { version: 0x0303, suites });
      // Record header 5, handshake header 4, version 2. RFC 8446 sets the last octets of some; the first 24 are always free.
      if (kind === "hello") randoms.push(reply.slice(11, 35));
    }
    await judge("randoms of TLS", randoms);
    if (servesDtls(subject)) {
      const cookies: Uint8Array[] = [];
      for (let at = 0; at < count; at++) {
        const { cookie } = await sayDtlsHello(subject, { version: 0xfefd, suites }, true);
        if (cookie !== undefined) cookies.push(cookie);
      }
      if (cookies.length > 0) await judge("cookies of DTLS", cookies);
    }
  }
  observations.push(...(await connections(subject, recorder, count)));
  return observations;
}

/** Ids of class 3 connections may be a counter where each is good on its own stream only. */
async function connections(
  subject: EndpointSubject,
  recorder: Recorder,
  count: number,
): Promise<readonly Observation[]> {
  const ids = await connectionIds(subject, count);
  if (ids.length === 0) return [];
  await using session = await subject.open();
  await using connection = await openClass3(session);
  const id = connection.granted.oToTConnectionId;
  const over = openPlainOrSecure(subject);
  const foreign = await repeated(async (run) => {
    await using other = await openLive(subject, over);
    if (other === undefined) return { holds: undefined, observed: "not tried: a session of our own is not served" };
    const waitMs = Math.max(leastConnectedMs, other.waitMs - leastMs);
    return await mustRefuse(recorder, `connection-${run}`, "a read on the connection of another stream", async () =>
      other.raw.ask(readConnected(other.handle, id, run), waitMs),
    );
  });
  const { looksRandom, words } = judgeRandomness(ids.map(octetsOf));
  const serial = await connection.object(Identity, 1).get("serialNumber");
  return [
    control({
      name: "a read on its own connection",
      expected: "answered",
      observed: `serial number ${serial.toString(16).padStart(8, "0")}`,
      holds: true,
    }),
    negative({ name: "a connection of another stream", expected: "not answered", ...foreign }),
    capability({
      name: "ids of class 3 connections",
      expected: "not to be foretold, or good on their own stream only",
      observed: words,
      holds: looksRandom || foreign.holds === true,
      otherwise: "partial",
      evidence: [await recorder.settings("connections", ids)],
    }),
  ];
}

/** A read of the serial number on a class 3 connection. */
function readConnected(session: number, connectionId: number, count: number): Uint8Array {
  const request = encode(MessageRouterRequest, {
    service: Service.getAttributeSingle,
    path: [...objectPath(Identity.classId, 1), { kind: "attribute", value: Identity.attributes.serialNumber.id }],
    data: noOctets,
  });
  const items = [
    { type: ItemType.connectedAddress, data: encode(ConnectedAddress, connectionId) },
    { type: ItemType.connectedData, data: Uint8Array.of(count, 0, ...request) },
  ];
  return frame(Command.sendUnitData, { session, data: encode(SendData, { interfaceHandle: 0, timeoutS: 0, items }) });
}

/** Ids that the device chooses for connections, one after the other. */
async function connectionIds(subject: EndpointSubject, count: number): Promise<readonly number[]> {
  const ids: number[] = [];
  await using session = await subject.open();
  try {
    for (let at = 0; at < count; at++) {
      await using connection = await openClass3(session);
      ids.push(connection.granted.oToTConnectionId);
    }
  } catch (error) {
    // A device without class 3 connections has no ids to foretell.
    if (!isStackError(error) || !error.code.startsWith("cip/")) throw error;
  }
  return ids;
}
