import type { Command } from "commander";
import { deliverTrust, reissueCertificate, type DeliveryResult } from "@cipsec/originator";
import {
  abandonRollover,
  beginRollover,
  hasUpstream,
  leftToReissue,
  publishedCrls,
  switchRollover,
  withdrawRollover,
  type Certificate,
  type CertificateAuthority,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { addCommand, addNotes, wholeNumber, type Shell } from "../command.ts";
import { addCredentials } from "../credentials.ts";
import { ExitCode } from "../exit-codes.ts";
import {
  addDevicesOption,
  documentOf,
  exitCodeOfAll,
  onDevices,
  sayOutcomes,
  targetsOf,
  type DeviceOutcome,
} from "../fleet.ts";
import { bringLate } from "./ca-late.ts";
import { rehearse } from "./ca-rollover-rehearse.ts";
import { needTargets, reissuing, retiredHere, type Task } from "./ca-rollover-task.ts";
import { warnOfClock } from "./ca-forecast.ts";

type Options = Readonly<Record<string, unknown>>;

const steps = ["begin", "deliver", "switch", "reissue", "withdraw", "late", "abandon", "rehearse"] as const;
type Step = (typeof steps)[number];

/** `ca rollover`: another root, or another issuing authority, in steps that may each be done again. */
export function addRollover(ca: Command, shell: Shell): void {
  const command = addCommand(
    ca,
    shell,
    "rollover",
    "change the root, or the issuing authority, step by step",
    async (context, options, given) => {
      const authority = await context.data.ca();
      if (hasUpstream(authority.folder))
        throw new UsageError("usage/argument", "the authority above changes its own root", {
          fix: "Take its new certificates in: cipsec ca init --upstream in a new data folder.",
        });
      const targets = await targetsOf(options, given);
      const step = stepOf(options);
      if (step !== undefined && step !== "rehearse") await warnOfClock(context, authority);
      return await run[step ?? "status"]({ context, options, authority, targets });
    },
  )
    .argument("[target...]", "devices: HOST or HOST:PORT")
    .option("--begin", "make the new authority beside the old one, and publish it")
    .option("--deliver", "have these devices trust the new one as well, and give them both revocation lists")
    .option("--switch", "issue from the new one; devices that are named get it first, and all have to have it")
    .option("--reissue", "give these devices new keys and certificates of the new one")
    .option("--withdraw", "end the trust in the old one: on these devices, then here")
    .option("--late", "bring devices over that were away until after the withdrawal of a root, without resetting them")
    .option("--abandon", "give the change up, before the switch")
    .option("--rehearse", "say which of these devices would lose which peers, and when; changes nothing")
    .option("--issuing", "with --begin and --rehearse: another issuing authority below the same root")
    .option(
      "--compromised",
      "with --withdraw: others may have the old one's key; nobody is believed by it later, also not with --late",
    )
    .option("--anyway", "with --switch and --withdraw: even if some would be cut off")
    .option("--root-days <n>", "days that a new root lives (default: 7300)", (text) => wholeNumber(text, 1, 36_500))
    .option("--issuing-days <n>", "days that a new issuing authority lives (default: 3650)", (text) =>
      wholeNumber(text, 1, 36_500),
    )
    .option(
      "--switch-in <days>",
      "with --rehearse: days from now to the switch",
      (text) => wholeNumber(text, 0, 36_500),
      30,
    )
    .option(
      "--withdraw-in <days>",
      "with --rehearse: days from now to the withdrawal",
      (text) => wholeNumber(text, 0, 36_500),
      365,
    );
  addCredentials(addDevicesOption(command));
  addNotes(command, {
    json:
      "{phase: none|prepared|switched, kind, since, root, issuing, other, left: [row of ca list]}; with devices also " +
      "devices: [{target, ok, outcome} | {target, ok: false, error}]; with --rehearse {kind, switchAt, withdrawAt, holds, " +
      "losses: [{device, when, loses, why, fix}], unread: [{target, error}]}",
    examples: [
      ["cipsec ca rollover --rehearse --devices plant.txt", "what would go wrong, before anything is done"],
      ["cipsec ca rollover --begin", "a new root; EST servers of this plant publish it at once"],
      ["cipsec ca rollover --deliver --devices plant.txt", "devices trust both; run it again for those that were off"],
      ["cipsec ca rollover --switch --devices plant.txt", "what is issued from now on is of the new one"],
      [
        "cipsec ca rollover --reissue --devices plant.txt",
        "new certificates; devices that enrol by themselves renew in time",
      ],
      ["cipsec ca rollover --withdraw --devices plant.txt", "the old one is trusted no more"],
      ["cipsec ca rollover --late 192.0.2.7", "a device from the store, which trusts the old root alone"],
    ],
  });
}

const run: Readonly<Record<Step | "status", (task: Task) => Promise<number>>> = {
  status: async (task) => await report(task, []),
  async begin(task) {
    const { context, options, authority } = task;
    const [rootDays, issuingDays] = [options["rootDays"], options["issuingDays"]];
    await beginRollover(authority.folder, options["issuing"] === true ? "issuing" : "root", {
      ...context.data.caOptions,
      ...(typeof rootDays === "number" ? { rootDays } : {}),
      ...(typeof issuingDays === "number" ? { issuingDays } : {}),
    });
    return await report(task, []);
  },
  async deliver(task) {
    needTargets(task);
    needChange(task.authority);
    const outcomes = await deliverBoth(task);
    return Math.max(exitCodeOfAll(outcomes), await report(task, outcomes));
  },
  async switch(task) {
    const { context, options, authority, targets } = task;
    needChange(authority);
    const outcomes = targets.length > 0 ? await deliverBoth(task) : [];
    const missing = outcomes.filter(({ ok }) => !ok).length;
    if (missing > 0 && options["anyway"] !== true) {
      context.output.notice(
        `Not switched: ${missing} devices do not know the new authority yet. Try again, or --anyway.`,
      );
      await report(task, outcomes);
      return ExitCode.doesNotHold;
    }
    await switchRollover(authority.folder, context.data.caOptions);
    // The tool's own certificate is of the new authority from now on.
    await context.data.tool();
    return Math.max(missing > 0 ? exitCodeOfAll(outcomes) : 0, await report(task, outcomes));
  },
  async reissue(task) {
    needTargets(task);
    const { context, options, authority, targets } = task;
    if (authority.inService.change?.phase === "prepared")
      throw new UsageError("usage/state", "the new authority does not issue yet", { fix: "Switch first: --switch." });
    const outcomes = await onDevices(context, options, targets, async (session): Promise<{ outcome: string }> => {
      const { authorities } = await deliverTrust(session, { add: authority.anchors }, { signal: context.signal });
      if (await isCurrent(authority, session)) return { outcome: "already" };
      const [certificate] = await reissueCertificate(session, {
        issue: reissuing(authority),
        signal: context.signal,
      });
      return { outcome: `reissued ${certificate?.facts.serialHex ?? ""} (trusts ${authorities.length})` };
    });
    return Math.max(exitCodeOfAll(outcomes), await report(task, outcomes));
  },
  async withdraw(task) {
    const { context, options, authority, targets } = task;
    const { change } = authority.inService;
    const force = options["anyway"] === true;
    if (change?.phase === "prepared")
      throw new UsageError("usage/state", "the new authority does not issue yet: there is nothing to withdraw", {
        fix: "Switch first (--switch), or give the change up (--abandon).",
      });
    const compromised = options["compromised"] === true;
    if (compromised && change === undefined)
      throw new UsageError("usage/state", "no authority is being withdrawn: --compromised says why one is", {
        fix: "Of one that was withdrawn before: cipsec ca revoke SERIAL --reason cACompromise, with its serial number from 'cipsec ca list'.",
      });
    // Nothing is taken from a device while others still have certificates that it would then refuse.
    const left = await leftToReissue(authority.folder, context.data.caOptions);
    if (left.length > 0 && !force) {
      context.output.notice(
        `Not withdrawn: ${left.length} certificates of the old authority are in use. Reissue them, or --anyway.`,
      );
      await report(task, []);
      return ExitCode.doesNotHold;
    }
    const outcomes = await dropOthers(task);
    const code = exitCodeOfAll(outcomes);
    if (code === 0 || force)
      await withdrawRollover(authority.folder, { ...context.data.caOptions, force, compromised });
    else
      context.output.notice(
        "Not withdrawn here, as some devices still trust the old authority: run it again, or --anyway.",
      );
    if (targets.length === 0 && change !== undefined)
      context.output.notice(
        "Devices still trust the old authority until: cipsec ca rollover --withdraw --devices FILE",
      );
    return Math.max(code, await report(task, outcomes));
  },
  async late(task) {
    const outcomes = await bringLate(task);
    return Math.max(exitCodeOfAll(outcomes), await report(task, outcomes));
  },
  async abandon(task) {
    const { context, authority } = task;
    if (authority.inService.change?.phase === "switched")
      throw new UsageError("usage/state", "the new authority issues already: the change can only go on", {
        fix: "Reissue, then withdraw the old authority.",
      });
    const outcomes = await dropOthers(task);
    await abandonRollover(authority.folder, context.data.caOptions);
    return Math.max(exitCodeOfAll(outcomes), await report(task, outcomes));
  },
  rehearse,
};

function stepOf(options: Options): Step | undefined {
  const given = steps.filter((step) => options[step] === true);
  if (given.length > 1)
    throw new UsageError("usage/argument", `${given.map((step) => `--${step}`).join(" and ")} are steps of their own`, {
      fix: "Give one of them at a time.",
    });
  return given[0];
}

function needChange(authority: CertificateAuthority): void {
  if (authority.inService.change === undefined)
    throw new UsageError("usage/state", "no change of authority is under way", {
      fix: "Begin one: cipsec ca rollover --begin.",
    });
}

/** Both authorities and the lists of both: what a device needs while one follows the other. */
async function deliverBoth({
  context,
  options,
  authority,
  targets,
}: Task): Promise<readonly DeviceOutcome<DeliveryResult>[]> {
  const { lists } = await publishedCrls(authority, context.data.caOptions);
  return await onDevices(context, options, targets, async (session) =>
    deliverTrust(session, { add: authority.anchors, crls: lists }, { label: "rollover", signal: context.signal }),
  );
}

/** Takes the plant's authorities from devices, but those that issue; these they get where they have not got them. */
async function dropOthers({
  context,
  options,
  authority,
  targets,
}: Task): Promise<readonly DeviceOutcome<DeliveryResult>[]> {
  if (targets.length === 0) return [];
  const keep = [authority.root, authority.issuing];
  const isGone = await retiredHere(authority);
  const tool = await context.data.tool();
  return await onDevices(context, options, targets, async (session) =>
    deliverTrust(
      session,
      { add: keep, drop: isGone },
      { label: "rollover", signal: context.signal, ...(tool === undefined ? {} : { own: tool.chain }) },
    ),
  );
}

/** Whether the device shows a certificate of the authority that issues now. */
async function isCurrent(
  authority: CertificateAuthority,
  session: Parameters<typeof deliverTrust>[0],
): Promise<boolean> {
  const { peer } = session.facts.security ?? {};
  if (peer?.kind !== "certificate") return false;
  const row = (await authority.list()).find(({ sha256 }) => sha256 === peer.sha256);
  return row !== undefined && (row.by ?? 1) === authority.inService.tiers.issuing;
}

/** Where the change stands now, and what is next. */
async function report(
  { context, authority }: Task,
  outcomes: readonly DeviceOutcome<{ readonly outcome: string }>[],
): Promise<number> {
  await authority.refresh();
  const { change, root, issuing, other } = authority.inService;
  const left = await leftToReissue(authority.folder, context.data.caOptions);
  const shown = ({ facts }: Certificate): object => ({
    subject: facts.subject,
    sha256: facts.sha256,
    notAfter: facts.notAfter,
  });
  context.output.document({
    phase: change?.phase ?? "none",
    kind: change?.kind ?? null,
    since: change?.at ?? null,
    root: shown(root),
    issuing: shown(issuing),
    other: other === undefined ? null : { root: shown(other.root), issuing: shown(other.issuing) },
    left,
    ...(outcomes.length === 0 ? {} : { devices: documentOf(outcomes, ({ outcome }) => ({ outcome })) }),
  });
  if (outcomes.length > 0) sayOutcomes(context, outcomes, ({ outcome }) => outcome);
  context.output.say(`Issuing: ${issuing.facts.subject}, below the root ${root.facts.sha256.slice(0, 16)}…`);
  if (change === undefined) context.output.say("No change of authority is under way.");
  else if (change.phase === "prepared")
    context.output.say("A new authority is prepared. Next: --deliver to all devices, then --switch.");
  else {
    context.output.say(`The new authority issues. Next: --reissue (${left.length} to do), then --withdraw.`);
    if (left.length > 0)
      context.output.table(
        ["serial", "subject", "profile", "until"],
        left.map((row) => [row.serial, row.subject, row.profile, row.notAfter.slice(0, 10)]),
      );
  }
  return 0;
}
