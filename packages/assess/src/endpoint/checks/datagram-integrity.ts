import { Identity } from "@cipsec/objects";
import type { Session } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Recorder } from "../../evidence/recorder.ts";
import { control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import type { EndpointSubject } from "../subject.ts";
import type { UdpRelay } from "../udp-relay.ts";
import { connectThrough, openRelay } from "../way.ts";

/** How often one datagram is sent again. */
const replays = 100;

/** What must not be answered is waited for this long; the originator repeats a request after a second. */
const silenceMs = 600;

/**
 * What becomes of datagrams that are altered, sent again and swapped on their way over DTLS: dropped without a word, and the association
 * goes on.
 *
 * @returns Nothing where there is no way for a relay.
 */
export async function datagramIntegrity(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  const plain = await through(subject, recorder, "dtls-unaltered", async ({ read }) => await read());
  if (plain === undefined) return [];
  const must = async (name: string, work: (way: Way) => Promise<Try>): Promise<Omit<Try, "evidence">> =>
    await repeated(
      async (run) =>
        (await through(subject, recorder, `${name}-${run}`, work)) ?? { holds: undefined, observed: "not tried" },
    );
  return [
    control({ name: "unaltered over DTLS", expected: "a second read is answered", ...plain }),
    negative({
      name: "one bit flipped over DTLS",
      expected: "no answer to it; the association goes on",
      ...(await must("dtls-flipped", flipped)),
    }),
    negative({
      name: `a datagram replayed ${replays} times`,
      expected: "no answer to any; the association goes on",
      ...(await must("dtls-replayed", replayed)),
    }),
  ];
}

interface Way {
  readonly relay: UdpRelay;
  readonly session: Session;
  /** Reads once more; holds when that is answered. */
  readonly read: () => Promise<Try>;
  /** Datagrams that the device has sent until now. */
  readonly answers: () => number;
  readonly wait: (ms: number) => Promise<void>;
}

/** The next datagram loses its integrity: nothing comes back for it, and the request that is repeated is answered. */
async function flipped({ relay, read, answers, wait }: Way): Promise<Try> {
  const before = answers();
  let isDone = false;
  relay.alter((way, octets) => {
    if (isDone || way !== "toDevice") return [octets];
    isDone = true;
    const altered = octets.slice();
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    return [altered];
  });
  const reading = read();
  await wait(silenceMs);
  const came = answers() - before;
  const { holds } = await reading;
  return verdict(came, holds === true);
}

async function replayed({ relay, read, answers, wait }: Way): Promise<Try> {
  const last = relay.datagrams("toDevice").at(-1);
  const before = answers();
  if (last === undefined) return { holds: undefined, observed: "nothing was sent" };
  for (let at = 0; at < replays; at++) relay.inject("toDevice", last.octets);
  await wait(silenceMs);
  const came = answers() - before;
  const { holds } = await read();
  return verdict(came, holds === true);
}

function verdict(came: number, goesOn: boolean): Try {
  const answered = came === 0 ? "not answered" : `answered with ${came} datagrams`;
  return {
    holds: came === 0 && goesOn,
    observed: `${answered}; the association ${goesOn ? "goes on" : "has ended"}`,
  };
}

async function through(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  work: (way: Way) => Promise<Try>,
): Promise<Try | undefined> {
  await using relay = await openRelay(subject, "dtls");
  if (relay === undefined) return undefined;
  let tried: Try;
  try {
    await using session = await connectThrough(subject, relay, { over: "dtls" });
    const first = await session.object(Identity, 1).get("serialNumber");
    tried = await work({
      relay,
      session,
      read: async () => {
        try {
          const again = await session.object(Identity, 1).get("serialNumber");
          return { holds: again === first, observed: "the second read was answered" };
        } catch (error) {
          if (!isStackError(error)) throw error;
          return { holds: false, observed: `${error.code}: the second read was not answered` };
        }
      },
      answers: () => relay.datagrams("toTool").length,
      wait: async (ms) => await new Promise<void>((resolve) => void subject.clock.after(ms, resolve, true)),
    });
  } catch (error) {
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    tried = { holds: undefined, observed: `the first read failed: ${error.message}` };
  }
  const sent = `two reads over DTLS through a relay: ${name}`;
  const evidence = [
    await recorder.capture(name, relay.capture()),
    await recorder.exchange(name, { sent, answer: tried.observed }),
  ];
  return { ...tried, evidence };
}
