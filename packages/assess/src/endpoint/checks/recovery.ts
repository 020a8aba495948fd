import { CipSecurity, EtherNetIpSecurity, Identity, ResetType } from "@cipsec/objects";
import { isPortOpen, readPosture, type Posture } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { abandon } from "../configuration.ts";
import { settingsHash, type EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Time that a device may take to come back. */
const bootMs = 60_000;

const betweenMs = 200;

/** E-7.4: a restart, also in the middle of a change, leads back to the settings that were in force, and to secure ports only. */
export const recovery: Check<EndpointSubject> = {
  id: "E-7.4",
  version: "1.0",
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
  async restore(subject) {
    await using session = await subject.open();
    await abandon(session);
  },
};

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
  const after = await comeBack(subject);
  await recorder.restored();
  if (after === undefined) {
    const observed = `it did not come back within ${bootMs / 1000} s`;
    return { holds: false, observed, evidence: [await recorder.exchange(name, { sent: "Reset", answer: observed })] };
  }
  const wasOpen = before.ports.some(({ port, protocol, open }) => port === subject.eip && protocol === "tcp" && open);
  const isOpen = await isPortOpen(subject.host, subject.eip, 1000, subject.signal);
  const isSame = settingsHash(before) === settingsHash(after);
  const isNoWider = wasOpen || !isOpen;
  const observed = `${isSame ? "the same settings" : "other settings"}${isNoWider ? "" : "; the plain port is open"}`;
  return { holds: isSame && isNoWider, observed, evidence: [await recorder.settings(name, after)] };
}

async function comeBack(subject: EndpointSubject): Promise<Posture | undefined> {
  const { clock, signal } = subject;
  const until = clock.now() + bootMs;
  while (clock.now() < until) {
    await new Promise<void>((resolve) => void clock.after(betweenMs, resolve, true));
    signal.throwIfAborted();
    try {
      return await posture(subject);
    } catch (error) {
      if (!isStackError(error)) throw error;
    }
  }
  return undefined;
}
