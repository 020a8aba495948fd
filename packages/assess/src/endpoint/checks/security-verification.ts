import { CipSecurity, EtherNetIpSecurity, Identity } from "@cipsec/objects";
import { readPosture, type Session } from "@cipsec/originator";
import { CipSecurityState, EtherNetIpSecurityState, isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { abandon, configure, mustRefuseRequest } from "../configuration.ts";
import { settingsHash, type EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** A suite for pre-shared keys, and one for RSA: no device has a credential for both without saying so. */
const [pskSuite, rsaSuite] = [0xc037, 0x003c];

/** E-3.3: a security function that cannot work is found before it is put in force, and the device tells its state. */
export const securityVerification: Check<EndpointSubject> = {
  id: "E-3.3",
  version: "1.0",
  title: "Security functions are verified, and settings that cannot work refused",
  requirements: ["CR 3.3", "CR 7.6"],
  part: "whole",
  method: "test",
  needs: ["credentials", "administrator", "disruptive"],
  estimateMs: 3000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    await using session = await subject.open();
    const before = await readPosture(session);
    const object = session.object(EtherNetIpSecurity, 1);
    const allowed = await object.get("allowedCipherSuites");
    const available = await object.get("availableCipherSuites");
    const state = await session.object(CipSecurity, 1).get("state");
    const ownState = await object.get("state");
    const evidence = [await recorder.settings("states", { state, ownState, allowed, available })];
    const observations: Observation[] = [
      control({
        name: "states",
        expected: "the device says that it is configured",
        observed: `CIP Security ${state}, EtherNet/IP Security ${ownState}`,
        holds: state === CipSecurityState.configured && ownState === EtherNetIpSecurityState.configured,
        evidence,
      }),
    ];
    const broken = [
      { name: "no cipher suite at all", suites: [] },
      ...unfit(allowed, available).map((suite) => ({ name: "suites without a credential for them", suites: [suite] })),
    ];
    await recorder.willChange({ suites: allowed });
    try {
      for (const { name, suites } of broken)
        observations.push(
          negative({
            name,
            expected: "refused, by Apply_Config at the latest",
            ...(await repeated(async (run) => {
              const words = `${name.replaceAll(" ", "-")}-${run}`;
              return await mustRefuseRequest(recorder, words, name, async () => await apply(session, suites));
            })),
          }),
        );
      observations.push(await dropped(session, settingsHash(before)));
    } finally {
      await putBack(session, allowed);
      await recorder.restored();
    }
    observations.push(
      capability({
        name: "a self-test",
        expected: "one that names each security function that does not work",
        observed: "the device offers none over the network",
        holds: false,
        otherwise: "partial",
        requirements: ["CR 3.3"],
        evidence: [
          await recorder.settings("identity", { state: await session.object(Identity, 1).get("state").catch(noState) }),
        ],
      }),
    );
    return {
      observations,
      howMet:
        "Settings that could not work are refused before they are in force, what is aborted leaves nothing behind, and the device tells its state.",
      limits: ["certificates that do not fit are the matter of B-1.8, behaviour that of the other checks"],
      userAction: "Run these checks again after every change of the device's software or settings.",
      deviation: "The device has no self-test of its security functions that can be asked for.",
    };
  },
  async restore(subject, saved) {
    const listed: unknown = typeof saved === "object" && saved !== null && "suites" in saved ? saved.suites : undefined;
    const suites = Array.isArray(listed) ? listed.filter((one): one is number => typeof one === "number") : [];
    await using session = await subject.open();
    await putBack(session, suites);
  },
};

/** Suites that the device has, but no credential for. */
function unfit(allowed: readonly number[], available: readonly number[]): readonly number[] {
  return [pskSuite, rsaSuite].filter((id) => available.includes(id) && !allowed.includes(id)).slice(0, 1);
}

async function apply(session: Session, suites: readonly number[]): Promise<void> {
  await configure(session, async () => {
    await session.object(EtherNetIpSecurity, 1).set("allowedCipherSuites", suites);
  });
}

/** Changes something, aborts, and looks whether anything of it stayed. */
async function dropped(session: Session, hash: string): Promise<Observation> {
  const object = session.object(EtherNetIpSecurity, 1);
  const seconds = await object.get("dtlsTimeout");
  await session.object(CipSecurity, 1).call("beginConfig");
  try {
    await object.call("beginConfig");
    await object.set("dtlsTimeout", seconds === 47 ? 48 : 47);
  } finally {
    await abandon(session);
  }
  const after = await readPosture(session);
  const isSame = settingsHash(after) === hash;
  return negative({
    name: "a change that is aborted",
    expected: "nothing of it stays",
    observed: isSame ? "nothing did" : "the settings differ",
    holds: isSame,
  });
}

/** Makes the suites those of before, where a device took the broken ones. */
async function putBack(session: Session, suites: readonly number[]): Promise<void> {
  await abandon(session);
  const now = await session.object(EtherNetIpSecurity, 1).get("allowedCipherSuites");
  if (suites.length > 0 && now.join() !== suites.join()) await apply(session, suites);
}

function noState(error: unknown): undefined {
  if (!isStackError(error)) throw error;
  return undefined;
}
