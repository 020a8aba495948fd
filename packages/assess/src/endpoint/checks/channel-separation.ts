import {
  Command,
  MessageRouterRequest,
  RegisterSession,
  Service,
  SendData,
  ItemType,
  encode,
  frame,
  isStackError,
  noOctets,
  objectPath,
  protocolVersion,
} from "@cipsec/wire";
import { dial, type Channel } from "@cipsec/transport";
import type { Check } from "../../check.ts";
import { control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { mustRefuse, tryIn } from "../attempt.ts";
import { openRaw, rawStream, type RawAnswer } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { patienceFor } from "../waiting.ts";
import { withoutSecurity } from "../without-security.ts";

/** What must not be answered is waited for this long at least. */
const leastMs = 2000;

/** RegisterSession as a plain tool sends it. */
export const registerSession = frame(Command.registerSession, {
  data: encode(RegisterSession, { version: protocolVersion, options: 0 }),
});

/** A read of the serial number in an encapsulation session. */
export function readSerial(session: number): Uint8Array {
  const request = encode(MessageRouterRequest, {
    service: Service.getAttributeSingle,
    path: [...objectPath(0x01, 1), { kind: "attribute", value: 6 }],
    data: noOctets,
  });
  const items = [
    { type: ItemType.nullAddress, data: noOctets },
    { type: ItemType.unconnectedData, data: request },
  ];
  return frame(Command.sendRRData, { session, data: encode(SendData, { interfaceHandle: 0, timeoutS: 0, items }) });
}

/** An answer in words. */
export function answerWords(answer: RawAnswer): string {
  if (answer.kind !== "frame") return answer.kind;
  const { command, status, data } = answer.frame;
  return `command 0x${command.toString(16)}, status 0x${status.toString(16)}, ${data.length} octets`;
}

/** B-3.1R1: what does not come over the authenticated channel is not executed. */
export const channelSeparation: Check<EndpointSubject> = {
  id: "B-3.1R1",
  version: "1.1",
  title: "Messages from outside the secure channel are not executed",
  requirements: ["CR 3.1 RE(1)"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 4000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    await using secure = await openRaw(subject, "tls");
    const registered = await secure.ask(registerSession, subject.timeoutMs);
    const session = registered.kind === "frame" ? registered.frame.session : 0;
    const asked = subject.clock.now();
    const read = await secure.ask(readSerial(session), subject.timeoutMs);
    const waitMs = patienceFor(subject.clock.now() - asked, leastMs);
    const evidence = [
      await recorder.exchange("control", {
        sent: "RegisterSession and a read over TLS",
        request: readSerial(session),
        answer: answerWords(read),
      }),
    ];
    const observations: Observation[] = [
      control({
        name: "a read over TLS",
        expected: "answered",
        observed: answerWords(read),
        holds: read.kind === "frame" && read.frame.status === 0,
        evidence,
      }),
      negative({
        name: "plaintext on the secure port",
        expected: "not answered",
        ...(await repeated(
          async (run) =>
            await plain(subject, recorder, `plain-on-secure-${run}`, subject.eips, registerSession, waitMs),
        )),
      }),
      negative({
        name: "the session's handle on the plain port",
        expected: "port closed, or refused",
        ...(await repeated(
          async (run) =>
            await plain(subject, recorder, `handle-on-plain-${run}`, subject.eip, readSerial(session), waitMs),
        )),
      }),
      negative({
        name: "a session on the plain port",
        expected: "port closed, or CIP refused there",
        ...(await repeated(async (run) => await plainSession(subject, recorder, `session-on-plain-${run}`, waitMs))),
      }),
    ];
    observations.push(
      negative({
        name: "a caller who proves nothing",
        expected: "refused",
        ...(await repeated(async (run) =>
          mustRefuse(
            await tryIn(subject, recorder, `nobody-${run}`, { sent: "no certificate", security: { acceptAny: true } }),
          ),
        )),
      }),
    );
    return {
      observations,
      howMet:
        "Requests are executed only inside a TLS session whose two ends are authenticated; the plain port is closed.",
      limits: ["I/O datagrams outside DTLS were not tried: that needs a running I/O connection"],
    };
  },
};

type Record = Parameters<Check<EndpointSubject>["run"]>[1];

async function plain(
  subject: EndpointSubject,
  recorder: Record,
  name: string,
  port: number,
  octets: Uint8Array,
  waitMs: number,
): Promise<Try> {
  const channel = await plainChannel(subject, port);
  if (typeof channel === "string") return await noted(recorder, name, octets, channel, true);
  await using stream = rawStream(channel, subject.clock);
  const answer = await stream.ask(octets, waitMs);
  const isRefused = answer.kind !== "frame" || answer.frame.status !== 0;
  return await noted(recorder, name, octets, answerWords(answer), isRefused);
}

async function plainSession(subject: EndpointSubject, recorder: Record, name: string, waitMs: number): Promise<Try> {
  const channel = await plainChannel(subject, subject.eip);
  if (typeof channel === "string") return await noted(recorder, name, registerSession, channel, true);
  await using stream = rawStream(channel, subject.clock);
  const registered = await stream.ask(registerSession, waitMs);
  if (registered.kind !== "frame" || registered.frame.status !== 0)
    return await noted(recorder, name, registerSession, answerWords(registered), true);
  const request = readSerial(registered.frame.session);
  const answer = await stream.ask(request, waitMs);
  return await noted(
    recorder,
    name,
    request,
    answerWords(answer),
    answer.kind !== "frame" || answer.frame.status !== 0,
  );
}

async function plainChannel(subject: EndpointSubject, port: number): Promise<Channel | string> {
  const { host, timeoutMs, signal } = subject;
  try {
    return await dial({ protocol: "tcp", host, port, timeoutMs, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    return `the port is closed (${error.code})`;
  }
}

async function noted(
  recorder: Record,
  name: string,
  request: Uint8Array,
  answer: string,
  holds: boolean,
): Promise<Try> {
  return { holds, observed: answer, evidence: [await recorder.exchange(name, { sent: name, request, answer })] };
}
