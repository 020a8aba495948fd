import { TransportError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { EvidenceRef } from "../../evidence/evidence.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { servesDtls } from "../allowed.ts";
import { sayOctets } from "../client-hello.ts";
import { malformedCertificates, malformedFrames, malformedRecords } from "../malformed.ts";
import { openRaw, type RawStream } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { presentUncheckedOverDtls, unchecked } from "../unchecked-identity.ts";
import { strangerIdentity } from "@cipsec/pki";
import { patienceFor } from "../waiting.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { openPlainOrSecure } from "./either-channel.ts";

/** A reply to something malformed says what is wrong with it, and no more: a header and a few octets. */
const maxReplyOctets = 600;

/** The answer to something malformed is waited for this long at least. */
const leastMs = 150;

/** B-3.7 and E-3.5: octets that no sound peer sends; the device says what is wrong, in its few words, and lives. */
export const malformedMessages: Check<EndpointSubject> = {
  id: "B-3.7",
  version: "1.2",
  title: "Malformed messages are refused and do no harm",
  requirements: ["CR 3.5", "CR 3.7"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 15_000,
  async run(subject, recorder) {
    const observations: Observation[] = [];
    const leaks: string[] = [];
    const long: string[] = [];
    const dead: string[] = [];
    const executed: string[] = [];
    const lines: object[] = [];
    let stream = await openRegistered(subject);
    const asked = subject.clock.now();
    const first = await stream.raw.ask(readSerial(stream.session), subject.timeoutMs);
    const waitMs = patienceFor(subject.clock.now() - asked, leastMs);
    observations.push(
      control({
        name: "a sound read",
        expected: "answered",
        observed: answerWords(first),
        holds: first.kind === "frame" && first.frame.status === 0,
      }),
    );
    for (const { name, octets, mustFail } of malformedFrames(stream.session)) {
      subject.signal.throwIfAborted();
      const answer = await stream.raw.ask(octets, waitMs);
      const reply = answer.kind === "frame" ? answer.frame : undefined;
      const text = reply === undefined ? "" : printable(reply.data);
      if (/\/(usr|home|lib|etc|src)|node_modules|stack|Error:|\.(ts|js|c|cpp|py)\b|0x[0-9a-f]{8}/i.test(text))
        leaks.push(name);
      if (reply !== undefined && reply.data.length > maxReplyOctets) long.push(name);
      if (reply !== undefined && reply.status === 0 && mustFail && isSuccess(reply.data)) executed.push(name);
      lines.push({
        name,
        octets: octets.length,
        requestHex: Buffer.from(octets.subarray(0, 64)).toString("hex"),
        answer: answerWords(answer),
      });
      // Whether the device lives is asked on a fresh connection: it may well have closed the one that spoke nonsense.
      if (answer.kind !== "frame") {
        await stream.raw[Symbol.asyncDispose]();
        const next = await openRegistered(subject).catch(() => undefined);
        if (next === undefined) {
          dead.push(name);
          break;
        }
        stream = next;
      }
    }
    if (subject.isSecured === true) lines.push(...(await malformedHandshakes(subject, recorder, dead)));
    const last = await stream.raw.ask(readSerial(stream.session), subject.timeoutMs);
    await stream.raw[Symbol.asyncDispose]();
    if (last.kind !== "frame" || last.frame.status !== 0) dead.push("after all of them");
    const evidence: readonly EvidenceRef[] = [await recorder.settings("frames", lines)];
    const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.slice(0, 8).join(", "));
    observations.push(
      negative({
        name: "the device stops answering",
        expected: "after none of them",
        observed: list(dead),
        holds: dead.length === 0,
        evidence,
      }),
      negative({
        name: "malformed requests that are executed",
        expected: "none",
        observed: list(executed),
        holds: executed.length === 0,
        evidence,
        requirements: ["CR 3.5"],
      }),
      negative({
        name: "replies that tell of the inside",
        expected: "none: no path, name, address or trace",
        observed: list(leaks),
        holds: leaks.length === 0,
        evidence,
        requirements: ["CR 3.7"],
      }),
      negative({
        name: "replies that are long",
        expected: `none above ${maxReplyOctets} octets`,
        observed: list(long),
        holds: long.length === 0,
        evidence,
        requirements: ["CR 3.7"],
      }),
      capability({
        name: "errors are reported",
        expected: "errors go to somebody who can act, as security events",
        observed: "not shown: events are not assessed yet",
        holds: false,
        otherwise: "partial",
        requirements: ["CR 3.7"],
      }),
    );
    return {
      observations,
      howMet: `${lines.length} malformed messages were refused with a status or by closing the connection, and the device went on answering.`,
      limits: ["malformed tokens were not sent by this check"],
    };
  },
};

/** Records that are none, and certificates that are none; after each the device must let the trusted caller in. */
async function malformedHandshakes(
  subject: EndpointSubject,
  recorder: Recorder,
  dead: string[],
): Promise<readonly object[]> {
  const lines: object[] = [];
  const lives = async (name: string): Promise<void> => {
    const next = await openRegistered(subject).catch(() => undefined);
    if (next === undefined) dead.push(name);
    await next?.raw[Symbol.asyncDispose]();
  };
  for (const { name, octets } of malformedRecords()) {
    subject.signal.throwIfAborted();
    const answer = await sayOctets(subject, octets, 300);
    lines.push({
      name,
      octets: octets.length,
      requestHex: Buffer.from(octets.subarray(0, 64)).toString("hex"),
      answer,
    });
    await lives(name);
  }
  if (!servesDtls(subject)) return lines;
  const { chain, key } = unchecked(await strangerIdentity(new Date(subject.clock.wallNow() ?? 0)));
  for (const { name, certificates } of malformedCertificates(chain)) {
    const { result, words } = await presentUncheckedOverDtls(subject, recorder, name.replaceAll(" ", "-"), name, {
      chain: certificates,
      key,
    });
    lines.push({ name, certificates: certificates.length, answer: `${result}: ${words}` });
    await lives(name);
  }
  return lines;
}

interface Registered {
  readonly raw: RawStream;
  readonly session: number;
}

/** @throws {TransportError} where no session is served: what is sent without one would be refused for that alone. */
async function openRegistered(subject: EndpointSubject): Promise<Registered> {
  const raw = await openRaw(subject, openPlainOrSecure(subject));
  const answer = await raw.ask(registerSession, subject.timeoutMs);
  if (answer.kind === "frame" && answer.frame.status === 0) return { raw, session: answer.frame.session };
  await raw[Symbol.asyncDispose]();
  throw new TransportError("transport/timeout", `RegisterSession was not served: ${answerWords(answer)}`);
}

/** Whether the CIP reply behind the common packet format says success. */
function isSuccess(data: Uint8Array): boolean {
  return data.length >= 20 && data[18] === 0 && (data[16] ?? 0) >= 0x80;
}

function printable(data: Uint8Array): string {
  return Buffer.from(data)
    .toString("latin1")
    .replaceAll(/[^\x20-\x7e]+/g, " ");
}
