import {
  commission,
  parseTarget,
  type CommissionPlan,
  type CommissionResult,
  type SecurityOptions,
} from "@cipsec/originator";
import type { CertificateAuthority } from "@cipsec/pki";
import { anchorsOf, makeAuthority, makeCaller, signer, type Caller } from "../../packages/lab/src/demo/authority.ts";
import { proveAccepted, proveRefused } from "../../packages/lab/src/demo/proofs.ts";
import { announcedStates, readStates, type Victim } from "./device.ts";

/** A plant's authority and the tool that it trusts. */
export interface Plant {
  readonly authority: CertificateAuthority;
  readonly tool: Caller;
}

const plan: CommissionPlan = {
  label: "plant",
  suites: [0xc02b, 0xc02c],
  verifyClient: true,
  sendChain: true,
  checkExpiration: "if-possible",
  checkSan: false,
  dtlsTimeoutS: 12,
  closePlaintext: true,
};

export async function makePlant(folder: string): Promise<Plant> {
  const authority = await makeAuthority(folder, "Campaign Plant");
  return { authority, tool: await makeCaller(authority, "campaign tool") };
}

/** What the plant's tool trusts and shows. */
export function trustOf({ authority, tool }: Pick<Plant, "authority" | "tool">): SecurityOptions {
  return { certificate: tool, anchors: anchorsOf(authority) };
}

export function commissionVictim({ address }: Victim, plant: Plant): Promise<CommissionResult> {
  return commission(parseTarget(address), {
    plan,
    security: trustOf(plant),
    acceptAny: true,
    issue: signer(plant.authority),
    connect: { connectTimeoutMs: 5000, requestTimeoutMs: 5000 },
  });
}

/** What is wrong with a device that has just been commissioned: states, trusted access, plain access. */
export async function faultsOfCommissioned(
  { address, serial }: Victim,
  trust: SecurityOptions,
): Promise<readonly string[]> {
  const control = { security: trust };
  const proofs = [
    await proveAccepted("trusted-accepted", "the plant's tool is accepted", address, control, serial),
    await proveRefused("plain-refused", "nothing answers on plain TCP", address, { plain: true }, control, serial),
  ];
  const failed = proofs.filter(({ holds }) => !holds).map(({ name, observed }) => `${name}: ${observed}`);
  const announced = await announcedStates(address);
  const told = await readStates(address, trust);
  for (const states of [announced, told]) {
    if (states?.cip !== "configured" || states.ethernetIp !== "configured")
      failed.push(`commissioned, but it says ${JSON.stringify(states)}`);
  }
  return failed;
}
