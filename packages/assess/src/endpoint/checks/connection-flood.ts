import { Identity } from "@cipsec/objects";
import type { IoStatistics } from "@cipsec/originator";
import { dial, type Channel } from "@cipsec/transport";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, type Observation } from "../../observation.ts";
import { openEssential, type Essential } from "../essential.ts";
import type { EndpointSubject } from "../subject.ts";
import { waitFor } from "../waiting.ts";
import { openPlainOrSecure } from "./either-channel.ts";

/** Connections that say nothing: more than a device has any use for, few enough for the network between. */
const flood = 200;

/** Longest that a read may take meanwhile, as a multiple of what it took before; and at least this many milliseconds. */
const maxSlowdown = 20;
const floorMs = 250;

/** Time for a session's read, several times, sorted. */
const reads = 15;

/** E-7.1 and E-7.2: many silent connections do not stop a session that works, and their room comes back. */
export const connectionFlood: Check<EndpointSubject> = {
  id: "E-7.1",
  version: "1.2",
  title: "Silent connections do not stop a working session",
  requirements: ["CR 7.1", "CR 7.2"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR7.1_1"],
  needs: ["credentials", "disruptive"],
  estimateMs: 10_000,
  needsQuiet: true,
  async run(subject, recorder) {
    const { clock, host, eip, eips, signal } = subject;
    const port = openPlainOrSecure(subject) === "tls" ? eips : eip;
    await using session = await subject.open();
    const opened = await openEssential(subject);
    await using essential = typeof opened === "string" ? undefined : opened;
    const timed = async (): Promise<number[]> => {
      const taken: number[] = [];
      for (let at = 0; at < reads; at++) {
        const start = clock.now();
        await session.object(Identity, 1).get("serialNumber");
        taken.push(clock.now() - start);
      }
      return taken;
    };
    const before = await timed();
    const calm = essential === undefined ? undefined : await measure(subject, essential);
    const held: Channel[] = [];
    let refused = 0;
    for (let at = 0; at < flood; at++) {
      signal.throwIfAborted();
      recorder.doing(`opens silent connection ${at + 1} of ${flood}`);
      try {
        held.push(await dial({ protocol: "tcp", host, port, timeoutMs: 2000, signal }));
      } catch (error) {
        if (!isStackError(error)) throw error;
        refused += 1;
      }
    }
    let during: number[] | undefined;
    let words = "";
    try {
      during = await timed();
    } catch (error) {
      if (!isStackError(error)) throw error;
      words = error.message;
    }
    const busy = essential === undefined ? undefined : await measure(subject, essential);
    for (const channel of held) channel.destroy();
    let after: string | undefined;
    const until = clock.now() + 10_000;
    while (after === undefined && clock.now() < until) {
      try {
        await using again = await subject.open();
        await again.object(Identity, 1).get("serialNumber");
        after = "a new session is served";
      } catch (error) {
        if (!isStackError(error)) throw error;
        await new Promise<void>((resolve) => void clock.after(500, resolve, true));
      }
    }
    const evidence = [
      await recorder.timing("reads", {
        what: "a read of the serial number",
        unit: "ms",
        samples: { before, during: during ?? [] },
      }),
    ];
    const limit = Math.max(floorMs, maxSlowdown * median(before));
    const observations: Observation[] = [
      control({
        name: "reads before",
        expected: "answered",
        observed: `median ${median(before).toFixed(1)} ms`,
        holds: true,
        evidence,
      }),
      capability({
        name: `reads beside ${flood} silent connections`,
        expected: "answered, not much later than before",
        observed:
          during === undefined
            ? words
            : `median ${median(during).toFixed(1)} ms; ${refused} of the connections were refused`,
        holds: during !== undefined && median(during) <= limit,
        evidence,
      }),
      await ioObservation(recorder, opened, calm, busy),
      capability({
        name: "rated load of every kind",
        expected:
          "storms, half handshakes and valid logins at the rated load leave the essential function within its limits",
        observed: "not shown: what load a device is rated for, and what it may do beyond, is its maker's to say",
        holds: undefined,
        askedOf: "the maker: the communication robustness test of the product, and its rated load",
        requirements: ["CR 7.1"],
      }),
      capability({
        name: "other budgets",
        expected: "memory, queues and the processor have limits that refuse cleanly",
        observed: "not shown: from outside only connections and sessions can be exhausted",
        holds: undefined,
        askedOf: "the maker: the budgets of memory, queues and the processor, and what happens at each",
        requirements: ["CR 7.2"],
      }),
      capability({
        name: "afterwards",
        expected: "new sessions are served within 10 s",
        observed: after ?? "none was",
        holds: after !== undefined,
        evidence,
      }),
    ];
    return {
      observations,
      howMet: "Limits on connections keep room for the sessions that work, and give it back.",
      limits: [
        "floods of handshakes, datagrams and valid logins were not tried",
        ...(essential === undefined ? ["the effect on I/O was not measured: no connection was given"] : []),
      ],
    };
  },
};

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.POSITIVE_INFINITY;
}

/** Packets of I/O that are watched before and during the flood. */
const watchedPackets = 50;

type Intervals = IoStatistics["intervalMicros"];

/** Watches some packets. @returns The times between them. */
async function measure(subject: EndpointSubject, { connection }: Essential): Promise<Intervals> {
  const { received } = connection.statistics();
  connection.takeIntervals();
  const isSeen = (): boolean => connection.statistics().received >= received + watchedPackets;
  await waitFor(subject, subject.timeoutMs, () => isSeen() || !connection.isOpen);
  return connection.takeIntervals();
}

/** Whether I/O went on: open, and without a packet lost. Times are told, and are for the reader to judge. */
async function ioObservation(
  recorder: Recorder,
  essential: Essential | string,
  calm: Intervals | undefined,
  busy: Intervals | undefined,
): Promise<Observation> {
  const common = {
    name: "the essential function",
    expected: "I/O goes on, and loses nothing",
    requirements: ["CR 7.1"],
  } as const;
  if (typeof essential === "string" || calm === undefined || busy === undefined)
    return capability({
      ...common,
      observed: `not shown${typeof essential === "string" ? `: ${essential}` : ""}`,
      holds: undefined,
    });
  const { received, lost } = essential.connection.statistics();
  const told = ({ p50, p99, max }: Intervals): string => `median ${p50} µs, 99 % below ${p99} µs, longest ${max} µs`;
  const evidence = [
    await recorder.timing("io", {
      what: "between two packets of I/O: median, 99 %, longest",
      unit: "us",
      samples: { before: [calm.p50, calm.p99, calm.max], during: [busy.p50, busy.p99, busy.max] },
    }),
  ];
  return capability({
    ...common,
    observed: `${essential.connection.isOpen ? "open" : "ended"}, ${received} packets, ${lost} lost; before: ${told(calm)}; during: ${told(busy)}`,
    holds: essential.connection.isOpen && lost === 0,
    evidence,
  });
}
