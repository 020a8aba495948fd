import { Identity, TcpIpInterface } from "@cipsec/objects";
import { identifyUdp, ioUdpPort, type PortState, type Session } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { isPlainOpen } from "../plain-port.ts";
import type { EndpointSubject } from "../subject.ts";
import { isUdpRefused, whyNotTold } from "../udp-refusal.ts";
import { withoutSecurity } from "../without-security.ts";

/** Numbers of IP protocols. */
const protocols = { tcp: 6, udp: 17 } as const;

/** A device may take its time to open or close a port. */
const patienceMs = 3000;

/** Two probes of a port that is not as it should be yet lie as far apart. */
const betweenMs = 100;

type Switch = Pick<PortState, "port" | "open"> & { readonly protocol: "tcp" | "udp" };

/** B-7.7, with closing: an unprotected port that is closed does not answer, and one that is opened again does. */
export const portControl: Check<EndpointSubject> = {
  id: "B-7.7c",
  version: "1.1",
  title: "Unneeded ports can be closed, and are closed then",
  requirements: ["CR 7.7"],
  part: "whole",
  method: "test",
  needs: ["credentials", "administrator", "disruptive"],
  estimateMs: 8000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const before = switches(subject);
    await using session = await subject.open();
    const observations: Observation[] = [];
    await recorder.willChange({ ports: before });
    try {
      for (const one of before) observations.push(...(await tryOne(subject, recorder, session, one)));
      const serial = await session.object(Identity, 1).get("serialNumber");
      observations.push(
        control({
          name: "the secure port meanwhile",
          expected: "goes on",
          observed: `serial number ${serial.toString(16).padStart(8, "0")} read`,
          holds: true,
        }),
      );
    } finally {
      await setAll(session, before);
      await recorder.restored();
    }
    const after = await session.object(TcpIpInterface, 1).get("ianaPortAdmin");
    const differing = before.filter(
      ({ port, protocol, open }) =>
        after.find((one) => one.port === port && one.protocol === protocols[protocol])?.open !== open,
    );
    observations.push(
      control({
        name: "put back",
        expected: "each port as it was",
        observed: differing.length === 0 ? "they are" : differing.map(wordsOf).join(", "),
        holds: differing.length === 0,
      }),
      capability({
        name: "ports that can be set",
        expected: "those without protection: 44818/tcp, 44818/udp, and 2222/udp where the device has it",
        observed: before.length === 0 ? "none" : before.map(wordsOf).join(", "),
        holds:
          [protocols.tcp, protocols.udp].every((wanted) =>
            before.some(({ port, protocol }) => port === subject.eip && protocols[protocol] === wanted),
          ) && (subject.posture?.ports ?? []).every((one) => one.port !== ioUdpPort || one.configurable),
        otherwise: "partial",
      }),
    );
    return {
      observations,
      howMet:
        "Set_Port_Admin_State closes the ports for unprotected messages and opens them again; the secure one stays.",
      limits: [
        "that I/O goes over 2222/udp when it is opened again was not tried",
        await protocolWords(session),
        "that ports stay closed over a restart is seen by E-7.4",
      ],
    };
  },
  async restore(subject, saved) {
    const listed: unknown = typeof saved === "object" && saved !== null && "ports" in saved ? saved.ports : undefined;
    const wanted = switches(subject).flatMap((one) => {
      const then: unknown = Array.isArray(listed)
        ? listed.find((other: Partial<Switch>) => other.port === one.port && other.protocol === one.protocol)
        : undefined;
      return typeof then === "object" && then !== null && "open" in then ? [{ ...one, open: then.open === true }] : [];
    });
    await using session = await subject.open();
    await setAll(session, wanted);
  },
};

/** The unprotected ports that can be set and seen from outside. */
function switches({ posture, eip }: EndpointSubject): readonly Switch[] {
  return (posture?.ports ?? []).flatMap(({ port, protocol, open, configurable }) =>
    configurable &&
    ((port === eip && (protocol === "tcp" || protocol === "udp")) || (port === ioUdpPort && protocol === "udp"))
      ? [{ port, protocol, open }]
      : [],
  );
}

/** What the device says of IP protocols: those can be read, and no service is public that switches them. */
async function protocolWords(session: Session): Promise<string> {
  try {
    const listed = await session.object(TcpIpInterface, 1).get("ianaProtocolAdmin");
    if (listed.length > 0)
      return `ICMP and other protocols were not switched off: the device lists ${listed.length} (attribute 15), and no service that sets them is public`;
  } catch (error) {
    if (!isStackError(error)) throw error;
  }
  return "ICMP and other protocols were not switched off: the device lists none (attribute 15)";
}

function wordsOf({ port, protocol }: Switch): string {
  return `${port}/${protocol}`;
}

async function tryOne(
  subject: EndpointSubject,
  recorder: Recorder,
  session: Session,
  one: Switch,
): Promise<readonly Observation[]> {
  // Without a connection 2222/udp answers nobody: closed it is refused by the device's system, opened it is not.
  const isIo = one.port === ioUdpPort;
  const [answers, silent] = isIo ? ["it is not refused", "it is refused"] : ["it answers", "it is silent"];
  const why = isIo ? await whyNotTold(subject, one.port) : undefined;
  const turned = async (open: boolean, run: number): Promise<Try> => {
    if (why !== undefined) return { holds: undefined, observed: `it cannot be told: ${why}` };
    await setAll(session, [{ ...one, open }]);
    const seen = await settles(subject, one, open);
    const observed = seen ? answers : silent;
    const name = `${one.port}-${one.protocol}-${open ? "open" : "closed"}-${run}`;
    const sent = `Set_Port_Admin_State, then a probe of ${wordsOf(one)}`;
    return { holds: seen === open, observed, evidence: [await recorder.exchange(name, { sent, answer: observed })] };
  };
  // Each time it is opened first: a port that was closed all along proves nothing.
  const opened: Try[] = [];
  const closed = await repeated(async (run) => {
    opened.push(await turned(true, run));
    return await turned(false, run);
  });
  return [
    capability({
      name: `${wordsOf(one)}, opened`,
      expected: answers,
      ...(await repeated(async (run) => opened[run - 1] ?? { holds: undefined, observed: "not tried" })),
    }),
    negative({ name: `${wordsOf(one)}, closed`, expected: silent, ...closed }),
  ];
}

/** Probes a port until it is as wanted, or the time is over. @returns Whether it answers; of 2222/udp, whether it is not refused. */
async function settles(subject: EndpointSubject, one: Switch, wanted: boolean): Promise<boolean> {
  const { clock } = subject;
  const until = clock.now() + patienceMs;
  for (;;) {
    const answers = await probe(subject, one, wanted);
    if (answers === wanted || clock.now() > until) return answers;
    await new Promise<void>((resolve) => void clock.after(betweenMs, resolve, true));
  }
}

async function probe(subject: EndpointSubject, one: Switch, wanted: boolean): Promise<boolean> {
  const { host, signal } = subject;
  if (one.protocol === "tcp") return await isPlainOpen(subject, one.port);
  if (one.port === ioUdpPort) return !(await isUdpRefused(subject, host, one.port));
  return (await identifyUdp(host, { timeoutMs: wanted ? 1000 : 400, port: one.port, signal })) !== undefined;
}

async function setAll(session: Session, ports: readonly Switch[]): Promise<void> {
  if (ports.length === 0) return;
  const states = ports.map(({ port, protocol, open }) => ({ port, protocol: protocols[protocol], open }));
  await session.object(TcpIpInterface, 1).call("setPortAdminState", states);
}
