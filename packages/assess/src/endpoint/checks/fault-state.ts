import { Assembly } from "@cipsec/objects";
import {
  connect,
  openIo,
  openUdpGate,
  type IoConnection,
  type IoRequest,
  type OpenGate,
  type Session,
} from "@cipsec/originator";
import { isStackError, timeoutFactor } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, repetitions, type Observation } from "../../observation.ts";
import { servesDtls } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import type { UdpRelay } from "../udp-relay.ts";
import { waitFor } from "../waiting.ts";
import { connectThrough, openRelay, sessionOptions } from "../way.ts";

/** Time that outputs may take to become what is sent. */
const settleMs = 5000;

/** How much later than the connection's timeout outputs may take their fault state: a slow device, and our own reading. */
const slackMs = 1000;

/** How long after the timeout outputs are still watched. */
const patienceMs = 2000;

/** E-3.6: when the connection that drives them is lost, outputs take a state that is known beforehand, in time. */
export const faultState: Check<EndpointSubject> = {
  id: "E-3.6",
  version: "1.1",
  title: "Outputs take a known state when their connection is lost",
  requirements: ["CR 3.6"],
  part: "whole",
  method: "test",
  needs: ["credentials", "io-connection", "disruptive"],
  estimateMs: 8000,
  needsQuiet: true,
  async run(subject, recorder) {
    const { io } = subject;
    const instance = outputInstance(io);
    if (io === undefined || instance === undefined) return { observations: [noOutputs] };
    const losses: Loss[] = [];
    for (let run = 1; run <= repetitions; run++) losses.push(await lose(subject, recorder, io, instance, run));
    const closed = await lose(subject, recorder, io, instance, 0);
    const evidence = [
      await recorder.timing("losses", {
        what: "from the last packet of the connection until its outputs changed",
        unit: "ms",
        samples: { lost: losses.flatMap(({ tookMs }) => tookMs ?? []) },
      }),
      await recorder.settings(
        "outputs",
        [...losses, closed].map(({ sent, state, kind, limitMs }) => ({ sent, state, kind, limitMs })),
      ),
    ];
    const kinds = [...new Set(losses.map(({ kind }) => kind))];
    const states = [...new Set(losses.map(({ state }) => state))];
    const isFixed = kinds.join() === "changed" && states.length === 1;
    const isHeld = kinds.join() === "held";
    const slowest = Math.max(0, ...losses.map(({ tookMs }) => tookMs ?? 0));
    const limitMs = Math.max(...losses.map((one) => one.limitMs));
    const observations: Observation[] = [
      control({
        name: "outputs while the connection is there",
        expected: "what is sent, each time",
        observed: losses.every(({ followed }) => followed) ? "they were" : "they were not",
        holds: losses.every(({ followed }) => followed),
        evidence,
      }),
      capability({
        name: "outputs when the connection is lost",
        expected: "one fixed state, whatever was sent before",
        observed: isFixed
          ? `${states.join()} each time`
          : isHeld
            ? "they hold what was sent last: the maker must declare that"
            : losses.map(({ sent, state }) => `${state} after ${sent}`).join("; "),
        holds: isFixed,
        otherwise: isHeld ? "partial" : "fail",
        runs: repetitions,
        evidence,
      }),
      capability({
        name: "the time it takes",
        expected: `within ${slackMs} ms of the connection's timeout`,
        observed: isHeld ? "they do not change" : `${Math.round(slowest)} ms; the timeout is ${Math.round(limitMs)} ms`,
        holds: isHeld || (isFixed && slowest <= limitMs + slackMs),
        otherwise: "partial",
        evidence,
      }),
      capability({
        name: "outputs when the connection is closed",
        expected: "the same state",
        observed: closed.kind === "held" ? "they hold what was sent last" : closed.state,
        holds: (isHeld && closed.kind === "held") || (isFixed && closed.state === states[0]),
        otherwise: "partial",
        evidence,
      }),
    ];
    return {
      observations,
      howMet: "On loss of the connection that owns them, outputs take one fixed state within the connection's timeout.",
      conditions: ["the fault state is that of the device's settings now"],
      limits: [
        "the end of the device's own program, an expired certificate and a failing audit were not brought about",
      ],
      userAction: "Check that the fault state is the safe one for the machine.",
    };
  },
};

const noOutputs = capability({
  name: "outputs",
  expected: "an I/O connection that sends them",
  observed: "the connection that was given has no outputs",
  holds: undefined,
});

/** The assembly that outputs go to: the first connection point of the path. */
export function outputInstance(io: IoRequest | undefined): number | undefined {
  if (io === undefined || io.oToT.size === 0 || io.oToT.type === "null") return undefined;
  const first = io.path.find(({ kind }) => kind === "connectionPoint");
  return first?.kind === "connectionPoint" ? first.value : undefined;
}

interface Loss {
  readonly sent: string;
  /** Whether outputs became what was sent. */
  readonly followed: boolean;
  readonly state: string;
  readonly kind: "held" | "changed";
  readonly tookMs: number | undefined;
  readonly limitMs: number;
}

/** Opens the connection, sends a pattern of this run's own, and is gone; or, in run 0, closes it. */
async function lose(
  subject: EndpointSubject,
  recorder: Recorder,
  io: IoRequest,
  instance: number,
  run: number,
): Promise<Loss> {
  const { clock } = subject;
  const pattern = new Uint8Array(io.oToT.size).fill(0x51 + run);
  // Some devices end every session of an address with an I/O connection that is lost.
  await using reader = await subject.open({ reconnect: { attempts: 3, firstDelayMs: 20, maxDelayMs: 500 } });
  await using way = await openWay(subject);
  const connection = await openIo(way.session, io, { output: pattern, run: true, ...way.options });
  const { oToTApiMicros, timeoutMultiplier } = connection.granted;
  const limitMs = (oToTApiMicros * (timeoutFactor(timeoutMultiplier) ?? 4)) / 1000;
  const read = async (): Promise<string> => hexOf(await reader.object(Assembly, instance).get("data"));
  const sent = hexOf(pattern);
  const followed = await waitFor(subject, settleMs, async () => (await read()) === sent);
  const start = clock.now();
  if (run === 0) await connection.close();
  else way.cut();
  const isChanged = await waitFor(subject, limitMs + patienceMs, async () => (await read()) !== sent);
  const tookMs = isChanged ? clock.now() - start : undefined;
  const state = await read();
  await gone(connection);
  if (way.relay !== undefined) await recorder.capture(`outputs-${run}`, way.relay.capture());
  return { sent, followed, state, kind: isChanged ? "changed" : "held", tookMs, limitMs };
}

interface Way extends AsyncDisposable {
  readonly session: Session;
  readonly options: { readonly openGate?: OpenGate };
  readonly relay: UdpRelay | undefined;
  /** From now on nothing of ours reaches the device. */
  cut(): void;
}

/** The way of I/O: over DTLS through a relay, which can be cut; plain, by a gate that falls silent, at a device without DTLS. */
async function openWay(subject: EndpointSubject): Promise<Way> {
  const relay = servesDtls(subject) ? await openRelay(subject, "dtls") : undefined;
  if (relay !== undefined) {
    const session = await connectThrough(subject, relay, { over: "dtls" });
    return {
      session,
      options: {},
      relay,
      cut: () => relay.alter(() => []),
      async [Symbol.asyncDispose]() {
        await session.close();
        await relay[Symbol.asyncDispose]();
      },
    };
  }
  const session = await connect(
    { scheme: "eip", host: subject.host, port: subject.eip },
    { ...sessionOptions(subject), requestTimeoutMs: 2000 },
  );
  let isCut = false;
  const openGate: OpenGate = async (where) => {
    const gate = await openUdpGate(where);
    return {
      ...gate,
      path: (remote, options) => {
        const path = gate.path(remote, options);
        return { ...path, facts: path.facts, send: (octets) => (isCut ? undefined : path.send(octets)) };
      },
    };
  };
  return {
    session,
    options: { openGate },
    relay: undefined,
    cut: () => {
      isCut = true;
    },
    [Symbol.asyncDispose]: async () => await session.close(),
  };
}

/** Ends our side of a connection whose other side is gone. */
async function gone(connection: IoConnection): Promise<void> {
  await connection.close().catch((error: unknown) => {
    if (!isStackError(error)) throw error;
  });
}

function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}
