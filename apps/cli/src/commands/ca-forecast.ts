import { existsSync } from "node:fs";
import type { Command } from "commander";
import { readPosture, type Posture } from "@cipsec/originator";
import {
  clockDoubts,
  forecast,
  hasUpstream,
  openRegister,
  publishedCrls,
  type CertificateAuthority,
  type Crl,
  type ForecastDevice,
  type ForecastRow,
} from "@cipsec/pki";
import { addCommand, addNotes, wholeNumber, type Context, type Shell } from "../command.ts";
import { addCredentials } from "../credentials.ts";
import { ExitCode } from "../exit-codes.ts";
import { addDevicesOption, exitCodeOfAll, onDevices, sayOutcomes, targetsOf, type DeviceOutcome } from "../fleet.ts";

/** Days that a forecast looks ahead: time for a person to plan a visit to the plant. */
const defaultDays = 30;

/** `ca forecast`: what ends when, and who has to do something about it. */
export function addForecast(ca: Command, shell: Shell): void {
  const command = addCommand(
    ca,
    shell,
    "forecast",
    "what expires when, and who renews it",
    async (context, options, given) => {
      const authority = await context.data.ca();
      const withinDays = typeof options["days"] === "number" ? options["days"] : defaultDays;
      const outcomes = await readDevices(context, options, await targetsOf(options, given));
      const facts = await factsOf(context, authority);
      const fetched = new Set(
        facts.entries.filter(({ serial }) => facts.enrolled.has(serial)).map(({ sha256 }) => sha256),
      );
      const devices = outcomes.flatMap((one) => (one.ok ? [deviceOf(one.target, one.value, fetched)] : []));
      const rows = forecast({ ...facts, withinDays, devices });
      const clock = clockDoubts(facts);
      const due = rows.filter((row) => row.due).length;
      const unread = outcomes.flatMap((one) => (one.ok ? [] : [{ target: one.target, error: one.error }]));
      context.output.document({ now: facts.now.toISOString(), days: withinDays, due, rows, clock, unread });
      say(context, rows, withinDays, due);
      for (const doubt of clock) context.output.notice(`warning: ${doubt}`);
      if (unread.length > 0)
        sayOutcomes(
          context,
          outcomes.filter(({ ok }) => !ok),
          () => "",
        );
      return unread.length > 0
        ? exitCodeOfAll(outcomes)
        : due > 0 || clock.length > 0
          ? ExitCode.doesNotHold
          : ExitCode.ok;
    },
  )
    .argument("[target...]", "devices to read: HOST or HOST:PORT")
    .option("--days <n>", "days to look ahead", (text) => wholeNumber(text, 1, 36_500), defaultDays);
  addCredentials(addDevicesOption(command), true);
  addNotes(command, {
    json:
      "{now, days, due, rows: [{what, subject, serial, address, until, days, renewal: itself|push|rollover|person, due, note}], " +
      "clock: [sentence], unread: [{target, error}]}",
    examples: [
      ["cipsec ca forecast", "from the authority's records alone"],
      [
        "cipsec ca forecast --days 90 --devices plant.txt",
        "reads the devices too: where a certificate is, and how old lists are",
      ],
      ["cipsec ca forecast --days 14 --json", "for monitoring: exits with 1 when something ends that nobody renews"],
    ],
  });
}

/** Says what speaks against this machine's clock, before anything is signed by it. */
export async function warnOfClock(context: Context, authority: CertificateAuthority): Promise<void> {
  if (hasUpstream(authority.folder)) return;
  const { now } = context.data.caOptions;
  const doubts = clockDoubts({
    now: now(),
    entries: await authority.list(),
    crls: [],
    inService: authority.inService,
  });
  for (const doubt of doubts) context.output.notice(`warning: ${doubt}`);
}

/** Whether a device fetches its certificates: it says so, or it has one that was fetched. @param enrolled SHA-256 of such. */
export function renewsItself(posture: Posture, enrolled: ReadonlySet<string>): boolean {
  const sha256 = posture.deviceCertificate?.sha256;
  return posture.security?.ethernetIpState === "pull-completed" || (sha256 !== undefined && enrolled.has(sha256));
}

/** Postures of devices, where they can be read. */
export async function readDevices(
  context: Context,
  options: Readonly<Record<string, unknown>>,
  targets: readonly string[],
): Promise<readonly DeviceOutcome<Posture>[]> {
  return await onDevices(context, options, targets, async (session) => await readPosture(session));
}

/** What the authority's folder and the EST server's say. */
async function factsOf(context: Context, authority: CertificateAuthority) {
  const now = context.data.caOptions.now();
  const entries = await authority.list();
  const crls: readonly Crl[] = hasUpstream(authority.folder)
    ? await authority.crls().catch(() => [])
    : (await publishedCrls(authority, { now: () => now })).lists;
  const serials = new Set(await enrolledSerials(context));
  const tool = await context.data.tool();
  return {
    now,
    entries,
    crls,
    inService: authority.inService,
    enrolled: serials,
    own: new Set((tool?.chain ?? []).slice(0, 1).map(({ facts }) => facts.serialHex)),
  };
}

/** Serial numbers of certificates that were fetched by EST. */
export async function enrolledSerials(context: Context): Promise<readonly string[]> {
  const folder = context.data.file("est");
  if (!existsSync(folder)) return [];
  const register = await openRegister(folder, context.data.caOptions);
  return register.enrolled().map(({ serial }) => serial);
}

function deviceOf(address: string, posture: Posture, fetched: ReadonlySet<string>): ForecastDevice {
  return {
    address,
    certificate: posture.deviceCertificate ?? undefined,
    renewsItself: renewsItself(posture, fetched),
    crls: posture.crl,
  };
}

function say({ output }: Context, rows: readonly ForecastRow[], withinDays: number, due: number): void {
  output.table(
    ["until", "days", "what", "subject", "where", "renewed by", ""],
    rows.map((row) => [
      row.until.slice(0, 10),
      String(row.days),
      row.what,
      row.subject,
      row.address ?? "",
      row.due ? `${row.renewal} (due)` : row.renewal,
      row.note,
    ]),
  );
  output.say(
    due === 0
      ? `Nothing ends within ${withinDays} days that is not renewed by itself.`
      : `${due} end within ${withinDays} days, and are not renewed by themselves.`,
  );
}
