import { Identity } from "@cipsec/objects";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { EvidenceRef } from "../../evidence/evidence.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { servesDtls } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import type { Alter, TcpRelay } from "../tcp-relay.ts";
import { connectThrough, openRelay } from "../way.ts";
import { withoutSecurity } from "../without-security.ts";
import { datagramIntegrity } from "./datagram-integrity.ts";

/** Octets of a TLS record's header; what is altered must lie behind it. */
const recordHeader = 5;

/** B-3.1: one bit changed, or a record sent twice, and nothing of it is executed. */
export const recordIntegrity: Check<EndpointSubject> = {
  id: "B-3.1",
  version: "1.1",
  title: "Altered and replayed records are refused",
  requirements: ["CR 3.1"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 9000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const observations: Observation[] = [
      control({
        name: "unaltered",
        expected: "a second read is answered",
        ...(await through(subject, recorder, "unaltered", () => undefined)),
      }),
      negative({
        name: "one bit flipped",
        expected: "no answer; the connection ends",
        ...(await repeated(async (run) =>
          turned(await through(subject, recorder, `flipped-${run}`, (relay) => relay.alter(flipOnce()))),
        )),
      }),
      negative({
        name: "a record replayed",
        expected: "no answer to the replay; the connection ends",
        ...(await repeated(async (run) => turned(await through(subject, recorder, `replayed-${run}`, replayLast)))),
      }),
    ];
    if (servesDtls(subject)) observations.push(...(await datagramIntegrity(subject, recorder)));
    return {
      observations,
      howMet:
        "TLS authenticates every record by AEAD or HMAC with a sequence number: an altered or repeated one ends the connection. DTLS drops such a one.",
      limits: servesDtls(subject) ? [] : ["DTLS: the device does not serve it"],
    };
  },
};

/** What the one in the middle does between the first read and the second. */
type Interference = (relay: TcpRelay) => void;

/** Reads twice through a relay, with something done in between; holds when the second read is answered. */
async function through(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  between: Interference,
): Promise<Try> {
  await using relay = await openRelay(subject, "tls");
  const evidence: EvidenceRef[] = [];
  let answer: string;
  let holds: boolean | undefined;
  try {
    await using session = await connectThrough(subject, relay);
    const first = await session.object(Identity, 1).get("serialNumber");
    between(relay);
    try {
      const second = await session.object(Identity, 1).get("serialNumber");
      holds = first === second;
      answer = "the second read was answered";
    } catch (error) {
      if (!isStackError(error)) throw error;
      // Silence would leave open whether the record was executed; the end of the connection does not.
      holds = error.code === "transport/timeout" ? undefined : false;
      answer = `${error.code}: the second read was not answered`;
    }
  } catch (error) {
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    answer = `the first read failed: ${error.message}`;
  }
  evidence.push(await recorder.capture(name, relay.capture()));
  evidence.push(await recorder.exchange(name, { sent: `two reads through a relay: ${name}`, answer }));
  return { holds, observed: answer, evidence };
}

/** What must not be answered holds when it was not. */
function turned({ holds, ...rest }: Try): Try {
  return { ...rest, holds: holds === undefined ? undefined : !holds };
}

/** Flips the lowest bit of the last octet of the next record to the device: of its tag or MAC. */
function flipOnce(): Alter {
  let done = false;
  return (way, octets) => {
    if (done || way !== "toDevice" || octets.length <= recordHeader) return octets;
    done = true;
    const altered = octets.slice();
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    return altered;
  };
}

/** Sends the last record that went to the device once more, before anything new. */
function replayLast(relay: TcpRelay): void {
  const sent = Buffer.from(relay.octets("toDevice"));
  let last = sent.subarray(0, 0);
  for (let at = 0; at + recordHeader <= sent.length;) {
    const end = at + recordHeader + sent.readUInt16BE(at + 3);
    last = sent.subarray(at, end);
    at = end;
  }
  relay.inject("toDevice", last);
}
