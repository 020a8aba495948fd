import { CipSecurity, EtherNetIpSecurity, Identity, ResetType } from "@cipsec/objects";
import { identifyUdp, ioUdpPort, readPosture, type Posture } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { abandon } from "../configuration.ts";
import { isPlainOpen } from "../plain-port.ts";
import { settingsHash, type EndpointSubject } from "../subject.ts";
import { openRaw } from "../raw.ts";
import { isUdpRefused, whyNotTold } from "../udp-refusal.ts";
import { pause, waitFor } from "../waiting.ts";
import { withoutSecurity } from "../without-security.ts";
import { registerSession } from "./channel-separation.ts";

/** Time that a device may take to come back. */
const bootMs = 60_000;

const betweenMs = 200;

/** A device that says yes to Reset has gone by then; what it does not answer in the other time it will not. */
const goneMs = 6000;
const silenceMs = 2000;

/** E-7.4: a restart, also in the middle of a change, leads back to the settings that were in force, and to secure ports only. */
export const recovery: Check<EndpointSubject> = {
  id: "E-7.4",
  version: "1.2",
  title: "A restart leads back to the known secure state",
  requirements: ["CR 7.4"],
  part: "whole",
  method: "test",
  needs: ["credentials", "administrator", "disruptive"],
  estimateMs: 10_000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const before = await posture(subject);
    const evidence = [await recorder.settings("before", before)];
    const observations: Observation[] = [
      control({
        name: "settings before",
        expected: "read",
        observed: `SHA-256 ${settingsHash(before)}`,
        holds: true,
        evidence,
      }),
      negative({
        name: "a restart in the middle of a change",
        expected: "the settings that were in force, and nothing of the change",
        ...(await repeated(async (run) => await restart(subject, recorder, before, `half-made-${run}`, true))),
      }),
      capability({
        name: "a restart",
        expected: "the same settings, and no port more",
        ...(await restart(subject, recorder, before, "restart", false)),
      }),
      capability({
        name: "after a failure",
        expected: "the same after a power cut at any moment of a change, and from a backup on a new unit",
        observed: "not shown: power is not cut over the network",
        holds: undefined,
        askedOf: "the maker: tests of power cuts while settings are written, and of replacing a unit",
      }),
    ];
    return {
      observations,
      howMet:
        "Settings take force as a whole by Apply_Config; after a restart those in force are there, and no others.",
    };
  },
  restore: endChange,
};

async function endChange(subject: EndpointSubject): Promise<void> {
  await using session = await subject.open();
  await abandon(session);
}

async function posture(subject: EndpointSubject): Promise<Posture> {
  await using session = await subject.open();
  return await readPosture(session);
}

/** Restarts the device, in the middle of a change or not, and compares what it comes back with. */
async function restart(
  subject: EndpointSubject,
  recorder: Recorder,
  before: Posture,
  name: string,
  isHalfMade: boolean,
): Promise<Try> {
  await recorder.willChange({ configurationSession: isHalfMade });
  // Nothing that was open outlives a restart: a device that only says yes to Reset keeps it.
  await using kept = await openRaw(subject, "tls");
  await kept.ask(registerSession, subject.timeoutMs);
  {
    await using session = await subject.open();
    if (isHalfMade) {
      const object = session.object(EtherNetIpSecurity, 1);
      await session.object(CipSecurity, 1).call("beginConfig");
      await object.call("beginConfig");
      await object.set("dtlsTimeout", before.dtlsTimeoutS === 47 ? 48 : 47);
      await object.set("checkExpiration", before.checkExpiration !== true);
    }
    await session.object(Identity, 1).call("reset", ResetType.cycle);
  }
  const isEnded = await waitFor(subject, goneMs, async () => {
    await pause(subject, betweenMs);
    return (await kept.ask(registerSession, silenceMs)).kind !== "frame";
  });
  if (!isEnded) {
    if (isHalfMade) await endChange(subject);
    await recorder.restored();
    const observed = "it did not restart: a connection from before is still answered";
    return {
      holds: undefined,
      observed,
      evidence: [await recorder.exchange(name, { sent: "Reset", answer: observed })],
    };
  }
  recorder.doing(`waits for the device to come back, ${bootMs / 1000} s at most`);
  const after = await comeBack(subject);
  await recorder.restored();
  if (after === undefined) {
    const observed = `it did not come back within ${bootMs / 1000} s`;
    return { holds: false, observed, evidence: [await recorder.exchange(name, { sent: "Reset", answer: observed })] };
  }
  const reopened = await openAgain(subject, before);
  const isSame = settingsHash(before) === settingsHash(after);
  const words = reopened.map((port) => `; ${port} is open`).join("");
  const observed = `${isSame ? "the same settings" : "other settings"}${words}`;
  return { holds: isSame && reopened.length === 0, observed, evidence: [await recorder.settings(name, after)] };
}

/** Unprotected ports that were closed, and are found open. */
async function openAgain(subject: EndpointSubject, { ports }: Posture): Promise<readonly string[]> {
  const { host, eip, signal } = subject;
  const found: string[] = [];
  for (const { port, protocol, open } of ports) {
    if (open) continue;
    const isOpen =
      port === eip && protocol === "tcp"
        ? await isPlainOpen(subject, port)
        : port === eip && protocol === "udp"
          ? (await identifyUdp(host, { timeoutMs: 400, port, signal })) !== undefined
          : port === ioUdpPort && (await isIoOpen(subject));
    if (isOpen) found.push(`${port}/${protocol}`);
  }
  return found;
}

/** Whether 2222/udp is open for certain: where refusals come through, and it is not refused. */
async function isIoOpen(subject: EndpointSubject): Promise<boolean> {
  if (await isUdpRefused(subject, subject.host, ioUdpPort)) return false;
  return (await whyNotTold(subject, ioUdpPort)) === undefined;
}

async function comeBack(subject: EndpointSubject): Promise<Posture | undefined> {
  const { clock, signal } = subject;
  const until = clock.now() + bootMs;
  while (clock.now() < until) {
    await pause(subject, betweenMs);
    signal.throwIfAborted();
    try {
      return await posture(subject);
    } catch (error) {
      if (!isStackError(error)) throw error;
    }
  }
  return undefined;
}
