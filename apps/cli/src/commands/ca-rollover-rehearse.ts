import type { Posture } from "@cipsec/originator";
import {
  rehearseRollover,
  type IssuedEntry,
  type RehearsalPlan,
  type RehearsedDevice,
  type RehearsedLoss,
} from "@cipsec/pki";
import type { Context } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import { exitCodeOfAll, sayOutcomes } from "../fleet.ts";
import { enrolledSerials, readDevices, renewsItself } from "./ca-forecast.ts";
import { needTargets, type Task } from "./ca-rollover-task.ts";

const dayMs = 24 * 3600_000;

/** `ca rollover --rehearse`: reads the devices, and says which of them would lose which peers, and when. Changes nothing. */
export async function rehearse({ context, options, authority, targets }: Task): Promise<number> {
  needTargets({ context, options, authority, targets });
  const { inService } = authority;
  const { change } = inService;
  const now = context.data.caOptions.now().getTime();
  const after = (name: string): Date => new Date(now + Number(options[name]) * dayMs);
  const plan: RehearsalPlan = {
    kind: change?.kind ?? (options["issuing"] === true ? "issuing" : "root"),
    switchAt: change?.phase === "switched" ? new Date(change.at) : after("switchIn"),
    withdrawAt: after("withdrawIn"),
  };
  const outcomes = await readDevices(context, options, targets);
  const rows = await authority.list();
  const serials = new Set(await enrolledSerials(context));
  const enrolled = new Set(rows.filter(({ serial }) => serials.has(serial)).map(({ sha256 }) => sha256));
  const newIssuing =
    change === undefined ? undefined : change.phase === "switched" ? inService.tiers.issuing : change.other.issuing;
  const devices = outcomes.flatMap((one) =>
    one.ok ? [rehearsed(one.target, one.value, { rows, enrolled, newIssuing })] : [],
  );
  const losses = rehearseRollover(devices, inService, plan);
  const unread = outcomes.flatMap((one) => (one.ok ? [] : [{ target: one.target, error: one.error }]));
  // What ends long after the change has no part in it.
  const holds = losses.every(({ when }) => when > plan.withdrawAt) && unread.length === 0;
  context.output.document({
    kind: plan.kind,
    switchAt: plan.switchAt.toISOString(),
    withdrawAt: plan.withdrawAt.toISOString(),
    holds,
    losses: losses.map(({ when, ...rest }) => ({ when: when.toISOString(), ...rest })),
    unread,
  });
  sayLosses(context, losses, plan);
  if (unread.length > 0)
    sayOutcomes(
      context,
      outcomes.filter(({ ok }) => !ok),
      () => "",
    );
  return unread.length > 0 ? exitCodeOfAll(outcomes) : holds ? ExitCode.ok : ExitCode.doesNotHold;
}

function rehearsed(
  name: string,
  posture: Posture,
  {
    rows,
    enrolled,
    newIssuing,
  }: {
    readonly rows: readonly IssuedEntry[];
    readonly enrolled: ReadonlySet<string>;
    readonly newIssuing: number | undefined;
  },
): RehearsedDevice {
  const row = rows.find(({ sha256 }) => sha256 === posture.deviceCertificate?.sha256);
  return {
    name,
    anchors: posture.trustedAuthorities.map(({ sha256 }) => sha256),
    certificate:
      row === undefined
        ? undefined
        : {
            by: (row.by ?? 1) === newIssuing ? "new" : "old",
            notBefore: new Date(row.notBefore),
            notAfter: new Date(row.notAfter),
          },
    checksExpiration: posture.checkExpiration === true,
    renewsItself: renewsItself(posture, enrolled),
  };
}

function sayLosses({ output }: Context, losses: readonly RehearsedLoss[], plan: RehearsalPlan): void {
  const [from, until] = [plan.switchAt, plan.withdrawAt].map((date) => date.toISOString().slice(0, 10));
  output.say(
    `Change of the ${plan.kind === "root" ? "root" : "issuing authority"}: switch on ${from}, withdrawal on ${until}.`,
  );
  if (losses.length === 0) output.say("No device would lose another one.");
  else
    output.table(
      ["when", "device", "would lose", "as", "what to do"],
      losses.map(({ when, device, loses, why, fix }) => [
        when.toISOString().slice(0, 10),
        device,
        few(loses),
        why,
        fix,
      ]),
    );
}

function few(names: readonly string[]): string {
  return names.length <= 4 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}
