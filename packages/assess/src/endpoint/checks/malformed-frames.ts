import { Command, frame } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { EvidenceRef } from "../../evidence/evidence.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { openRaw, type RawStream } from "../raw.ts";
import type { EndpointSubject } from "../subject.ts";
import { answerWords, readSerial, registerSession } from "./channel-separation.ts";
import { openPlainOrSecure } from "./either-channel.ts";

/** A reply to something malformed says what is wrong with it, and no more: a header and a few octets. */
const maxReplyOctets = 600;

/** How long a device may take before it counts as hanging. */
const patienceMs = 2000;

/** B-3.7 and E-3.5: octets that no sound peer sends; the device says what is wrong, in its few words, and lives. */
export const malformedFrames: Check<EndpointSubject> = {
  id: "B-3.7",
  version: "1.0",
  title: "Malformed messages are refused and do no harm",
  requirements: ["CR 3.5", "CR 3.7"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 8000,
  async run(subject, recorder) {
    const observations: Observation[] = [];
    const frames = malformed();
    const leaks: string[] = [];
    const long: string[] = [];
    const dead: string[] = [];
    const executed: string[] = [];
    const lines: object[] = [];
    let stream = await openRegistered(subject);
    const first = await stream.raw.ask(readSerial(stream.session), patienceMs);
    observations.push(
      control({
        name: "a sound read",
        expected: "answered",
        observed: answerWords(first),
        holds: first.kind === "frame" && first.frame.status === 0,
      }),
    );
    for (const { name, octets, mustFail } of frames(stream.session)) {
      subject.signal.throwIfAborted();
      const answer = await stream.raw.ask(octets, 150);
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
    const last = await stream.raw.ask(readSerial(stream.session), patienceMs);
    await stream.raw[Symbol.asyncDispose]();
    if (last.kind !== "frame") dead.push("after all of them");
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
      limits: ["malformed certificates and tokens were not sent by this check"],
    };
  },
};

interface Registered {
  readonly raw: RawStream;
  readonly session: number;
}

async function openRegistered(subject: EndpointSubject): Promise<Registered> {
  const raw = await openRaw(subject, openPlainOrSecure(subject));
  const answer = await raw.ask(registerSession, patienceMs);
  return { raw, session: answer.kind === "frame" ? answer.frame.session : 0 };
}

interface Malformed {
  readonly name: string;
  readonly octets: Uint8Array;
  /** Whether a success in reply would mean that it was executed. */
  readonly mustFail: boolean;
}

/** Frames with one thing wrong each, made from a sound one. */
function malformed(): (session: number) => readonly Malformed[] {
  return (session) => {
    const sound = Buffer.from(readSerial(session));
    const bad = (name: string, octets: Uint8Array, mustFail = true): Malformed => ({ name, octets, mustFail });
    const set16 = (at: number, value: number): Buffer => {
      const copy = Buffer.from(sound);
      copy.writeUInt16LE(value, at);
      return copy;
    };
    const cip = (request: readonly number[]): Uint8Array => {
      const data = Buffer.alloc(16 + request.length);
      data.writeUInt16LE(2, 6);
      data.writeUInt16LE(0xb2, 12);
      data.writeUInt16LE(request.length, 14);
      data.set(request, 16);
      return frame(Command.sendRRData, { session, data });
    };
    const commands = [0x0001, 0x0005, 0x0067, 0x006e, 0x0071, 0x00c7, 0x00ff, 0x7fff, 0xffff].map((command) =>
      bad(`command 0x${command.toString(16)}`, frame(command, { session })),
    );
    const sessions = [0, 1, 0xffff_ffff, session ^ 1].map((other) =>
      bad(`session 0x${(other >>> 0).toString(16)}`, readSerial(other >>> 0)),
    );
    const options = [1, 0x8000_0000].map((value) => {
      const copy = Buffer.from(sound);
      copy.writeUInt32LE(value, 20);
      return bad(`options 0x${value.toString(16)}`, copy, false);
    });
    const counts = [0, 1, 3, 16, 0xff, 0xffff].map((count) => bad(`item count ${count}`, set16(30, count)));
    const lengths = [0, 1, 0xff, 0xffff].flatMap((length) => [
      bad(`address length ${length}`, set16(34, length), length !== 0),
      bad(`data length ${length}`, set16(38, length)),
    ]);
    const types = [0x0001, 0x00b1, 0x00a1, 0x8000, 0x8002, 0xffff].map((type) =>
      bad(`data item type 0x${type.toString(16)}`, set16(36, type)),
    );
    const services = [0x00, 0x02, 0x11, 0x31, 0x4f, 0x63, 0x7f, 0x80, 0x8e, 0xff].map((service) =>
      bad(`service 0x${service.toString(16)}`, cip([service, 2, 0x20, 0x01, 0x24, 0x01])),
    );
    const paths: readonly (readonly number[])[] = [
      [],
      [0x20],
      [0x20, 0x01, 0x24],
      [0xff, 0xff],
      [0x00, 0x00],
      [0x28, 0x01],
      [0x20, 0xfe, 0x24, 0x01],
      [0x91, 0xff, 0x41],
      [0x21, 0x00, 0x01, 0x00],
      [0x34, 0x04],
    ];
    const epaths = paths.flatMap((path, at) =>
      [Math.ceil(path.length / 2), 0, 0x7f, 0xff].map((words) =>
        bad(`path ${at} of ${words} words`, cip([0x0e, words, ...path])),
      ),
    );
    const long = [500, 1500, 4000, 60_000].map((size) =>
      bad(`${size} octets of data`, cip([0x10, 3, 0x20, 0x01, 0x24, 0x01, 0x30, 0x07, ...Buffer.alloc(size, 0x41)])),
    );
    const cut = [1, 4, 8, 16, 23].map((size) => bad(`cut after ${size} octets`, sound.subarray(0, size)));
    const claims = [1, 0x1000, 0xffff].map((length) => bad(`length 0x${length.toString(16)}`, set16(2, length)));
    return [
      ...commands,
      ...sessions,
      ...options,
      ...counts,
      ...lengths,
      ...types,
      ...services,
      ...epaths,
      ...long,
      ...claims,
      ...cut,
    ];
  };
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
