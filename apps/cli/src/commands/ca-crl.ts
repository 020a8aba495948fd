import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { deliverTrust } from "@cipsec/originator";
import {
  crlFiles,
  crlToPem,
  estPause,
  hasUpstream,
  importUpstreamCrl,
  publishedCrls,
  writeFileAtomic,
  type CertificateAuthority,
  type Crl,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { addCommand, addNotes, textOption, wholeNumber, type Context, type Shell } from "../command.ts";
import { addCredentials } from "../credentials.ts";
import { readInput } from "../data-folder.ts";
import { addDevicesOption, documentOf, exitCodeOfAll, onDevices, sayOutcomes, targetsOf } from "../fleet.ts";
import { warnOfClock } from "./ca-forecast.ts";

type Options = Readonly<Record<string, unknown>>;

/** `ca crl`: revocation lists, by hand, on a timer, and into devices. */
export function addCrl(ca: Command, shell: Shell): void {
  const crl = addCommand(
    ca,
    shell,
    "crl",
    "make the revocation list of the issuing authority",
    async (context, options) => {
      const authority = await context.data.ca();
      await takeIn(authority, options);
      const given = Array.isArray(options["deliver"]) ? options["deliver"].map(String) : [];
      const targets = await targetsOf(options, given);
      if (options["every"] !== undefined) return await onTimer(context, options, authority, targets);
      if (targets.length > 0) {
        const inUse = await inForce(context, options, authority);
        await publish(context, options, authority);
        return await deliver(context, options, inUse, targets);
      }
      await warnOfClock(context, authority);
      const { lists } = await publishedCrls(authority, { ...publishing(context, options), fresh: true });
      const pem = crlToPem(lists);
      const file = textOption(options, "out");
      if (file !== undefined) await writeFileAtomic(file, pem, { mode: 0o644 });
      const published = await publish(context, options, authority);
      context.output.document({
        pem,
        lists: lists.map(shown),
        ...(published.length === 0 ? {} : { published }),
      });
      context.output.say(
        file === undefined && published.length === 0
          ? pem.trimEnd()
          : `Written to ${[...(file === undefined ? [] : [file]), ...published].join(", ")}.`,
      );
      return undefined;
    },
  )
    .option("--days <n>", "days until the next one is due (default: 7)", (text) => wholeNumber(text, 1, 3650))
    .option("--overlap <n>", "days before that at which the next one is made (default: half of them)", (text) =>
      wholeNumber(text, 0, 3650),
    )
    .option("--import <file>", "take in the list of the authority above, where 'ca init --upstream' named one")
    .option("--out <file>", "write it here instead of to standard output")
    .option(
      "--publish <dir>",
      "write each list in force there, for a web server: DER, under the names that certificates look for",
    )
    .option("--deliver <target...>", "bring the lists in force into these devices")
    .option("--every <h>", "run on: look each so many hours whether a new list is needed, and bring it", (text) =>
      wholeNumber(text, 1, 24 * 366),
    );
  addCredentials(addDevicesOption(crl));
  addNotes(crl, {
    json:
      "{pem, lists: [{issuer, number, thisUpdate, nextUpdate, revoked, sha256}]}, with --publish also published: [file]; with --deliver " +
      "{lists, devices: [{target, ok, outcome: delivered|already} | {target, ok: false, error}]}; with --every one such line each time",
    examples: [
      ["cipsec ca crl --out plant.crl", "a fresh list of everything revoked"],
      [
        "cipsec ca crl --deliver 192.0.2.7 192.0.2.8",
        "devices refuse the revoked from now on; again for those that were off",
      ],
      ["cipsec ca crl --every 12 --devices plant.txt --publish /srv/www/crl", "keeps web server and devices supplied"],
    ],
  });
}

async function takeIn(authority: CertificateAuthority, options: Options): Promise<void> {
  const taken = textOption(options, "import");
  if (taken === undefined) return;
  if (!hasUpstream(authority.folder))
    throw new UsageError("usage/argument", "--import is for the list of an authority above", {
      fix: "This plant's authority makes its own list: leave --import out.",
    });
  await importUpstreamCrl(authority.folder, await readInput(taken));
}

function publishing(context: Context, options: Options): Parameters<typeof publishedCrls>[1] {
  const [days, overlap] = [options["days"], options["overlap"]];
  return {
    now: context.data.caOptions.now,
    ...(typeof days === "number" ? { days } : {}),
    ...(typeof overlap === "number" ? { overlapDays: overlap } : {}),
  };
}

/** Writes the lists in force under their names. @returns The files. */
async function publish(
  context: Context,
  options: Options,
  authority: CertificateAuthority,
): Promise<readonly string[]> {
  const folder = textOption(options, "publish");
  if (folder === undefined) return [];
  const { files } = await crlFiles(authority, publishing(context, options));
  await mkdir(folder, { recursive: true, mode: 0o755 });
  for (const { name, crl } of files) await writeFileAtomic(join(folder, name), crl.der, { mode: 0o644 });
  return files.map(({ name }) => join(folder, name));
}

async function inForce(context: Context, options: Options, authority: CertificateAuthority): Promise<readonly Crl[]> {
  await warnOfClock(context, authority);
  return (await publishedCrls(authority, publishing(context, options))).lists;
}

/** The same lists for all, so that a second run has only those devices to do that failed. */
async function deliver(
  context: Context,
  options: Options,
  lists: readonly Crl[],
  targets: readonly string[],
): Promise<number> {
  const outcomes = await bring(context, options, lists, targets);
  context.output.document({ lists: lists.map(shown), devices: documentOf(outcomes, ({ outcome }) => ({ outcome })) });
  sayOutcomes(context, outcomes, ({ outcome }) => (outcome === "already" ? "had it already" : "has it now"));
  return exitCodeOfAll(outcomes);
}

async function bring(context: Context, options: Options, lists: readonly Crl[], targets: readonly string[]) {
  return await onDevices(context, options, targets, async (session) =>
    deliverTrust(session, { crls: lists }, { label: "crl", signal: context.signal }),
  );
}

/** Devices that failed are tried again at the next look, whether or not there is a new list. */
async function onTimer(
  context: Context,
  options: Options,
  authority: CertificateAuthority,
  targets: readonly string[],
): Promise<number> {
  const file = textOption(options, "out");
  let waiting: readonly string[] = targets;
  let last = "";
  let code = 0;
  while (!context.signal.aborted) {
    const lists = await inForce(context, options, authority);
    const key = lists.map(({ sha256 }) => sha256).join();
    if (key !== last) waiting = targets;
    last = key;
    if (file !== undefined) await writeFileAtomic(file, crlToPem(lists), { mode: 0o644 });
    await publish(context, options, authority);
    const outcomes = await bring(context, options, lists, waiting).catch((error: unknown) => {
      if (context.signal.aborted) return [];
      throw error;
    });
    waiting = outcomes.filter(({ ok }) => !ok).map(({ target }) => target);
    code = exitCodeOfAll(outcomes);
    context.output.line({ lists: lists.map(shown), devices: documentOf(outcomes, ({ outcome }) => ({ outcome })) });
    context.output.say(`${lists.length} lists in force, until ${lists[0]?.nextUpdate?.toISOString() ?? "for ever"}.`);
    if (outcomes.length > 0) sayOutcomes(context, outcomes, ({ outcome }) => outcome);
    const hours = Number(options["every"]);
    if (!context.signal.aborted) context.output.notice(`The next look is in ${hours} h. Ctrl-C ends this.`);
    await sleep(context, hours * 3600_000);
  }
  return code;
}

/** Ends with the signal. A timer holds 24 days at most. */
async function sleep({ signal }: Context, ms: number): Promise<void> {
  await estPause(signal)(Math.min(ms, 2 ** 31 - 1)).catch(() => undefined);
}

function shown({ issuer, number, thisUpdate, nextUpdate, entries, sha256 }: Crl): object {
  return {
    issuer,
    number: number ?? null,
    thisUpdate: thisUpdate.toISOString(),
    nextUpdate: nextUpdate?.toISOString() ?? null,
    revoked: entries.size,
    sha256,
  };
}
