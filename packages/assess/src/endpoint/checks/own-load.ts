import { isIP } from "node:net";
import { handshakeTypes } from "@cipsec/dtls";
import { openUdp } from "@cipsec/transport";
import { Command, frame, isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { servesDtls } from "../allowed.ts";
import { mustAccept, tryIn } from "../attempt.ts";
import { dtlsHello } from "../dtls-hello.ts";
import type { EndpointSubject } from "../subject.ts";
import { pause, waitFor } from "../waiting.ts";
import { connectThrough, openRelay } from "../way.ts";

/** Datagrams of one kind that are asked at once. */
const burst = 50;

/** A device that has not answered by then is silent; one that has, is done when nothing more came for a while. */
const listenMs = 1500;
const settledMs = 300;
const stepMs = 100;

/** How long a device is watched whose peer has vanished in the handshake, and how often it may repeat itself meanwhile. */
const vanishedMs = 4000;
const mostRepeats = 8;

/** Of a record and the message in it. @see RFC 6347 4.1, 4.2.2 */
const [handshakeRecord, recordHeader, fragment] = [22, 13, 19];

/** E-7.1R1: the device answers a caller who has proven nothing with no more than it was sent, and gives up on one who is gone. */
export const ownLoad: Check<EndpointSubject> = {
  id: "E-7.1R1",
  version: "1.1",
  title: "The device's own traffic stays within bounds",
  requirements: ["CR 7.1 RE(1)"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 8000,
  async run(subject, recorder) {
    const { security = {} } = subject;
    const over = servesDtls(subject) ? "dtls" : "tls";
    const observations: Observation[] = [];
    if (subject.isSecured === true)
      observations.push(
        control({
          name: `the trusted caller over ${over}`,
          expected: "let in",
          ...mustAccept(await tryIn(subject, recorder, "trusted", { sent: "the trusted caller", security, over })),
        }),
      );
    else
      observations.push(
        control({
          name: "the device answers",
          expected: "its identity is read",
          observed: subject.identity?.name ?? "it was not",
          holds: subject.identity !== undefined,
        }),
      );
    if (isIP(subject.host) === 0)
      return {
        observations: [
          ...observations,
          capability({
            name: "datagrams",
            expected: "a numeric address",
            observed: "a name was given",
            holds: undefined,
          }),
        ],
      };
    const identity = frame(Command.listIdentity, {});
    const discovery = await amplifies(subject, recorder, "discovery", subject.eip, () => identity);
    observations.push(
      negative({
        name: "discovery on 44818/udp",
        expected: "silent, or answers that are no longer than the requests",
        ...discovery,
        // ListIdentity's answer is longer by the standard: closing the port is the remedy, and a finding of its own grade.
        otherwise: "partial",
      }),
    );
    if (over === "dtls") {
      const hello = (): Uint8Array => dtlsHello({ version: 0xfefd, suites: [0xc02b, 0xc02c, 0xc023, 0xc037] });
      observations.push(
        negative({
          name: "handshakes without a cookie on 2221/udp",
          expected: "answers that are no longer than the requests",
          ...(await amplifies(subject, recorder, "hello", subject.eips, hello)),
        }),
        negative({
          name: "a peer that vanishes in the handshake",
          expected: `at most ${mostRepeats} repeated flights in ${vanishedMs / 1000} s, then silence`,
          ...(await vanishes(subject, recorder)),
        }),
      );
    }
    return {
      observations,
      howMet:
        "Before a caller has proven his address the device sends him no more than he sent; it backs off and gives up.",
      limits: [
        "the random delay of answers to broadcasts was not measured",
        "production on a lost I/O connection ends by its timeout: see E-3.6",
      ],
    };
  },
};

/** Sends many requests from one port, three times, and compares octets sent with octets that came back. */
async function amplifies(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  port: number,
  request: () => Uint8Array,
): Promise<Pick<Observation, "observed" | "holds" | "runs" | "agrees" | "evidence">> {
  return await repeated(async (run): Promise<Try> => {
    const { host, clock } = subject;
    let [sent, came, answers] = [0, 0, 0];
    await using socket = await openUdp({
      address: isIP(host) === 6 ? "::" : "0.0.0.0",
      port: 0,
      receive: (octets) => {
        came += octets.length;
        answers += 1;
      },
    });
    for (let at = 0; at < burst; at++) {
      const octets = request();
      sent += octets.length;
      socket.send(octets, { address: host, port });
    }
    // Answers are counted until none comes any more, so that a slow device is not taken for a quiet one.
    for (let [before, quietMs] = [0, 0]; quietMs < (answers === 0 ? listenMs : settledMs);) {
      await new Promise<void>((resolve) => void clock.after(stepMs, resolve, true));
      quietMs = answers === before ? quietMs + stepMs : 0;
      before = answers;
    }
    const grade = answers === 0 ? "silent" : came <= sent ? "answers are no longer" : "answers are longer";
    const ref = await recorder.exchange(`${name}-${run}`, {
      sent: `${burst} datagrams of ${sent} octets in all`,
      answer: `${answers} answers of ${came} octets`,
      decoded: { ratio: sent === 0 ? 0 : came / sent },
    });
    return { holds: came <= sent, observed: grade, evidence: [ref] };
  });
}

/** Begins a handshake, and lets nothing of ours reach the device any more once it has answered with its certificate. */
async function vanishes(
  subject: EndpointSubject,
  recorder: Recorder,
): Promise<Pick<Observation, "observed" | "holds" | "evidence">> {
  await using relay = await openRelay(subject, "dtls");
  if (relay === undefined) return { observed: "not tried", holds: undefined, evidence: [] };
  let seen = 0;
  recorder.doing(`watches the device for ${vanishedMs / 1000} s after its peer has vanished`);
  relay.alter((way, octets) => {
    if (way === "toTool") return [octets];
    // The first hello, and the second with the cookie; then the cable is cut.
    seen += 1;
    return seen <= 2 ? [octets] : [];
  });
  const stop = new AbortController();
  const attempt = connectThrough(
    { ...subject, timeoutMs: subject.timeoutMs + vanishedMs, signal: AbortSignal.any([stop.signal, subject.signal]) },
    relay,
    { over: "dtls" },
  ).catch((error: unknown) => {
    if (!isStackError(error) && !stop.signal.aborted) throw error;
  });
  // The time begins with its answer to the second hello.
  const answered = (): number => flightsOf(relay.datagrams("toTool").map(({ octets }) => octets));
  await waitFor(subject, subject.timeoutMs, () => answered() >= 2);
  await pause(subject, vanishedMs);
  stop.abort();
  await attempt;
  const flights = answered();
  const observed = `${flights} flights`;
  const evidence = [
    await recorder.capture("vanished", relay.capture()),
    await recorder.exchange("vanished", { sent: "two hellos, then nothing", answer: observed }),
  ];
  return { observed, holds: flights >= 2 ? flights <= mostRepeats + 2 : undefined, evidence };
}

/** What a flight of a device begins with: a cookie, or its hello. A message that was split begins in its first piece. */
function flightsOf(datagrams: readonly Uint8Array[]): number {
  const first: readonly number[] = [handshakeTypes.helloVerifyRequest, handshakeTypes.serverHello];
  return datagrams.filter(
    (octets) =>
      octets[0] === handshakeRecord &&
      first.includes(octets[recordHeader] ?? 0) &&
      isZero(octets.slice(fragment, fragment + 3)),
  ).length;
}

function isZero(octets: Uint8Array): boolean {
  return octets.every((octet) => octet === 0);
}
