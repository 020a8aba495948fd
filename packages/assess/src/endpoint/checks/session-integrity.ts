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
import { resumption } from "./resumption.ts";

/** Handles that are collected unless said otherwise; each is a handshake, and in production a device has other work. */
const usualHandles = { disruptive: 1000, calm: 200 } as const;

/** Handshakes that are begun at once: enough to be done in time, few enough for a small device. */
const width = 4;

/** Of what a hello alone brings, and of connection ids, as many are collected at most: each is the device's work. */
const mostOthers = 200;

const patienceMs = 2000;

/** What must not be answered is waited for this long, beside a control that is. */
const silenceMs = 500;

/** B-3.8: handles belong to one stream, die with their session, and cannot be foretold; nor can what a handshake rests on. */
export const sessionIntegrity: Check<EndpointSubject> = {
  id: "B-3.8",
  version: "1.3",
  title: "Session handles are unique, bound and dead when closed",
  requirements: ["CR 3.8"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 25_000,
  async run(subject, recorder) {
    const over = openPlainOrSecure(subject);
    const observations: Observation[] = [];
    await using own = await openRaw(subject, over);
    await using other = await openRaw(subject, over);
    const first = await own.ask(registerSession, patienceMs);
    const handle = first.kind === "frame" ? first.frame.session : 0;
    const sound = await own.ask(readSerial(handle), patienceMs);
    observations.push(
      control({
        name: "a read in its own session",
        expected: "answered",
        observed: answerWords(sound),
        holds: sound.kind === "frame" && sound.frame.status === 0,
      }),
      ...(await handles(subject, recorder)),
      ...(await others(subject, recorder)),
      negative({
        name: "a handle on another stream",
        expected: "refused",
        ...(await repeated(
          async (run) =>
            await mustRefuseRead(recorder, `foreign-${run}`, "a read with the handle of another stream", async () =>
              other.ask(readSerial(handle), patienceMs),
            ),
        )),
      }),
      negative({
        name: "an invented handle",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using raw = await openRaw(subject, over);
          return await mustRefuseRead(recorder, `invented-${run}`, "a read with an invented handle", async () =>
            raw.ask(readSerial((0x1234_5600 + run) >>> 0), patienceMs),
          );
        })),
      }),
      negative({
        name: "a handle after UnRegisterSession",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using raw = await openRaw(subject, over);
          const old = await end(raw);
          return await mustRefuseRead(recorder, `ended-${run}`, "a read after UnRegisterSession", async () =>
            raw.ask(readSerial(old), patienceMs),
          );
        })),
      }),
      negative({
        name: "a handle after UnRegisterSession, over a new stream",
        expected: "refused",
        ...(await repeated(async (run) => {
          await using raw = await openRaw(subject, over);
          const old = await end(raw);
          await using later = await openRaw(subject, over);
          return await mustRefuseRead(
            recorder,
            `ended-anew-${run}`,
            "a read with the handle, over a new stream",
            async () => later.ask(readSerial(old), patienceMs),
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

/** Opens a session on a stream and gives it back. @returns Its handle. */
async function end(raw: RawStream): Promise<number> {
  const opened = await raw.ask(registerSession, patienceMs);
  const session = opened.kind === "frame" ? opened.frame.session : 0;
  raw.channel.send(frame(Command.unRegisterSession, { session }));
  return session;
}

async function mustRefuseRead(
  recorder: Recorder,
  name: string,
  sent: string,
  ask: () => Promise<RawAnswer>,
): Promise<Try> {
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
    const answer = await raw.ask(registerSession, patienceMs);
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
  const foreign = await repeated(async (run) => {
    await using raw = await openRaw(subject, openPlainOrSecure(subject));
    const opened = await raw.ask(registerSession, patienceMs);
    const handle = opened.kind === "frame" ? opened.frame.session : 0;
    return await mustRefuseRead(recorder, `connection-${run}`, "a read on the connection of another stream", async () =>
      raw.ask(readConnected(handle, id, run), silenceMs),
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
