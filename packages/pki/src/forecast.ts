import type { IssuedEntry } from "./ca.ts";
import type { AuthorityCertificates } from "./ca-tiers.ts";
import type { Certificate } from "./certificate.ts";
import type { Crl } from "./crl.ts";
import { dayMs } from "./make-certificate.ts";
import { renewsAt } from "./rehearsal.ts";

/** What ends, and what keeps it from ending. */
export interface ForecastRow {
  readonly what: "root" | "issuing-ca" | "crl" | "link" | IssuedEntry["profile"];
  readonly subject: string;
  readonly serial: string | null;
  /** Where it was read, for what a device holds. */
  readonly address: string | null;
  readonly until: string;
  /** Whole days that are left; negative when it is over. */
  readonly days: number;
  /** `itself`: nobody has to do anything; `push`: a command per device; `rollover`: a change of authority; `person`: by hand. */
  readonly renewal: "itself" | "push" | "rollover" | "person";
  /** Ends within the days that were asked for, and nothing renews it. */
  readonly due: boolean;
  /** What to do, or what is odd. */
  readonly note: string;
}

/** A device as it was found. */
export interface ForecastDevice {
  readonly address: string;
  readonly certificate: { readonly subject: string; readonly sha256: string; readonly notAfter: string } | undefined;
  readonly renewsItself: boolean;
  readonly crls: readonly { readonly issuer: string; readonly nextUpdate: string | null }[];
}

/** What a forecast is made from. */
export interface ForecastFacts {
  readonly now: Date;
  readonly withinDays: number;
  readonly entries: readonly IssuedEntry[];
  readonly inService: AuthorityCertificates;
  /** The lists in force. */
  readonly crls: readonly Crl[];
  /** Serial numbers of certificates that were fetched by EST: their devices renew by themselves. */
  readonly enrolled: ReadonlySet<string>;
  /** Serial numbers of this tool's own certificates, which it renews when it is used. */
  readonly own: ReadonlySet<string>;
  readonly devices?: readonly ForecastDevice[];
}

/** What expires when, soonest first; of several certificates for one subject only the last. Pure. */
export function forecast(facts: ForecastFacts): readonly ForecastRow[] {
  const { now, withinDays, devices = [] } = facts;
  const row: MakeRow = (what, subject, until, renewal, note, more = {}) => {
    const days = Math.floor((until.getTime() - now.getTime()) / dayMs);
    const due = days < withinDays && (renewal !== "itself" || days < 0);
    return {
      what,
      subject,
      serial: null,
      address: null,
      until: until.toISOString(),
      days,
      renewal,
      due,
      note,
      ...more,
    };
  };
  const found = new Map(devices.map((device) => [device.certificate?.sha256 ?? "", device]));
  const listed = new Set(facts.entries.map(({ sha256 }) => sha256));
  return [
    ...authorityRows(facts, row),
    ...facts.crls.map((crl) =>
      row("crl", crl.issuer, crl.nextUpdate ?? new Date(8.64e15), "push", "cipsec ca crl, or cipsec est serve"),
    ),
    ...latest(facts.entries).map((entry) => entryRow(facts, entry, found.get(entry.sha256), row)),
    ...devices.flatMap((device) => deviceRows(device, listed, row)),
  ].sort((a, b) => a.until.localeCompare(b.until));
}

/**
 * What speaks against this machine's clock: something was made here at a time that it says is yet to come, or the root is over.
 *
 * @returns Sentences; none when nothing speaks against it.
 */
export function clockDoubts({
  now,
  entries,
  crls,
  inService,
}: Pick<ForecastFacts, "now" | "entries" | "crls" | "inService">): readonly string[] {
  const newest = Math.max(
    ...entries.flatMap(({ notBefore, revoked }) => [Date.parse(notBefore), Date.parse(revoked?.at ?? "") || 0]),
    ...crls.map(({ thisUpdate }) => thisUpdate.getTime()),
    inService.issuing.facts.notBefore.getTime(),
  );
  const said = `this machine's clock says ${now.toISOString()}`;
  const { notAfter } = inService.root.facts;
  return [
    ...(now.getTime() < newest
      ? [
          `${said}, but something was issued here at ${new Date(newest).toISOString()}: set the clock before anything is issued`,
        ]
      : []),
    ...(now > notAfter
      ? [`${said}, but the root ended at ${notAfter.toISOString()}: it is over, or the clock is ahead`]
      : []),
  ];
}

type MakeRow = (
  what: ForecastRow["what"],
  subject: string,
  until: Date,
  renewal: ForecastRow["renewal"],
  note: string,
  more?: Partial<ForecastRow>,
) => ForecastRow;

function authorityRows({ inService, now }: ForecastFacts, row: MakeRow): readonly ForecastRow[] {
  const { root, issuing, change, other, newWithOld } = inService;
  const rowOf = (what: "root" | "issuing-ca" | "link", { facts }: Certificate, isOld: boolean, note: string) =>
    row(what, facts.subject, facts.notAfter, isOld ? "itself" : "rollover", note, { serial: facts.serialHex });
  const cut = (issuing.facts.notAfter.getTime() - now.getTime()) / dayMs < leafDays;
  const toChange = (kind: string): string => `cipsec ca rollover --begin${kind}`;
  const beside = change?.phase === "switched" ? "is being withdrawn" : "is to take over";
  return [
    rowOf("root", root, false, toChange("")),
    rowOf(
      "issuing-ca",
      issuing,
      false,
      cut ? `certificates issued now end with it: ${toChange(" --issuing")}` : toChange(" --issuing"),
    ),
    ...(other === undefined ? [] : [rowOf("issuing-ca", other.issuing, true, beside)]),
    ...(other === undefined || change?.kind !== "root" ? [] : [rowOf("root", other.root, true, beside)]),
    ...(newWithOld === undefined ? [] : [rowOf("link", newWithOld, true, "leads from the old root to the new one")]),
  ];
}

/** The usual life of a certificate: an authority with less left cuts it short. */
const leafDays = 730;

function entryRow(
  { enrolled, own, now }: ForecastFacts,
  entry: IssuedEntry,
  device: ForecastDevice | undefined,
  row: MakeRow,
): ForecastRow {
  const { profile, subject, serial, notBefore, notAfter } = entry;
  const until = new Date(notAfter);
  const more = { serial, address: device?.address ?? null };
  if (own.has(serial)) return row(profile, subject, until, "itself", "this tool renews it when it is used", more);
  if (enrolled.has(serial) || device?.renewsItself === true) {
    const renewal = renewsAt({ notBefore: new Date(notBefore), notAfter: until });
    const late = now.getTime() - renewal.getTime() > (until.getTime() - renewal.getTime()) / 10;
    return late
      ? row(
          profile,
          subject,
          until,
          "push",
          `should have renewed on ${day(renewal)}: is it on, and the EST server up?`,
          more,
        )
      : row(profile, subject, until, "itself", `renews on ${day(renewal)}`, more);
  }
  const isDevice = profile === "device";
  return row(
    profile,
    subject,
    until,
    isDevice ? "push" : "person",
    isDevice ? `cipsec commission ${device?.address ?? "TARGET"}` : "a new request: cipsec ca issue",
    more,
  );
}

function deviceRows(
  { address, certificate, renewsItself, crls }: ForecastDevice,
  listed: ReadonlySet<string>,
  row: MakeRow,
) {
  const isForeign = certificate !== undefined && !listed.has(certificate.sha256);
  return [
    ...(isForeign
      ? [
          row(
            "device",
            certificate.subject,
            new Date(certificate.notAfter),
            renewsItself ? "itself" : "push",
            "was not issued here",
            { address },
          ),
        ]
      : []),
    ...crls.flatMap(({ issuer, nextUpdate }) =>
      nextUpdate === null
        ? []
        : [row("crl", issuer, new Date(nextUpdate), "push", `cipsec ca crl --deliver ${address}`, { address })],
    ),
  ];
}

/** Good ones, of each subject and purpose the one that lasts longest: the others were replaced. */
function latest(entries: readonly IssuedEntry[]): readonly IssuedEntry[] {
  const last = new Map<string, IssuedEntry>();
  for (const entry of entries) {
    if (entry.status === "revoked" || entry.profile === "issuing-ca") continue;
    const key = `${entry.profile} ${entry.subject}`;
    const known = last.get(key);
    if (known === undefined || known.notAfter <= entry.notAfter) last.set(key, entry);
  }
  return [...last.values()];
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
