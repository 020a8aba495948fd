import { createHash, type KeyObject } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { makePrivateFolder, previousOf, readChecked, writeChecked } from "../atomic-file.ts";
import { parseCertificates, toPem, type Certificate } from "../certificate.ts";
import { parseCsr } from "../csr.ts";
import { UsageError } from "../errors.ts";
import { listOf, mapOf, objectOf, optional, textOf, wholeOf, wordOf, type Shape } from "../json-shape.ts";
import { samePublicKey } from "../keys.ts";
import { withLock, type Pause } from "../lock.ts";
import { dayMs } from "../make-certificate.ts";
import type { AlternativeNames, Subject } from "../names.ts";

/** A request that waits for a person, or was decided by one. Times are ISO 8601. */
export interface HeldRequest {
  readonly id: string;
  readonly state: "waiting" | "approved" | "denied" | "issued";
  readonly identity: string;
  readonly label: string;
  readonly rule: string;
  readonly profile: "device" | "tool" | "user";
  readonly subject: Subject;
  readonly san: AlternativeNames;
  readonly days: number | undefined;
  readonly csrPem: string;
  readonly address: string;
  readonly askedAt: string;
  readonly decidedAt: string | undefined;
  /** Why it was denied. */
  readonly reason: string | undefined;
  /** The certificate, where one was brought from elsewhere or issued. */
  readonly chainPem: string | undefined;
}

/** What a device has: by this the same names never go to two devices. */
export interface Enrolled {
  readonly identity: string;
  readonly serial: string;
  readonly subject: Subject;
  readonly san: AlternativeNames;
  readonly at: string;
}

/** What an EST server remembers, in a folder; a crash at any instant leaves the old or the new. */
export interface Register {
  /** Work that must not run beside other changes, of this or another process. */
  locked<T>(work: () => Promise<T>): Promise<T>;
  /** What waits for this identity and label, or was decided. */
  held(identity: string, label: string | undefined): Promise<HeldRequest | undefined>;
  list(): Promise<readonly HeldRequest[]>;
  /** Keeps a request, in place of an older one of the same identity and label. */
  hold(request: HeldRequest): Promise<void>;
  enrolled(): readonly Enrolled[];
  record(entry: Enrolled): Promise<void>;
  forget(identity: string): Promise<void>;
}

/** Requests that may wait at once; more would be an attack, or a plant that nobody looks after. */
export const maxHeld = 1000;

/** Decided and forgotten ones go after a month. */
const keepMs = 30 * dayMs;

const heldFormat = { format: "est-held", version: 1 } as const;
const enrolledFormat = { format: "est-enrolled", version: 1 } as const;

/** The id under which a request of this identity for this key waits: who approves it lets in the key that was looked at, and no other. */
export function heldId(identity: string, label: string | undefined, publicKey: KeyObject): string {
  return createHash("sha256")
    .update(`${placeOf(identity, label)}\0`)
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex")
    .slice(0, 16);
}

/**
 * Opens what an EST server remembers; makes the folder where it is missing.
 *
 * @throws {StateError} `state/corrupt` where a record cannot be read
 */
export async function openRegister(
  folder: string,
  { now, pause }: { readonly now: () => Date; readonly pause?: Pause },
): Promise<Register> {
  const places = { held: join(folder, "held"), enrolled: join(folder, "enrolled") };
  for (const place of [folder, places.held, places.enrolled]) await makePrivateFolder(place);
  const known = new Map<string, Enrolled>();
  for (const name of await records(places.enrolled)) {
    const stored = await readChecked(join(places.enrolled, name), { ...enrolledFormat, parse: readEnrolled });
    if (stored !== undefined) known.set(stored.value.identity, stored.value);
  }
  const readHeld = async (name: string): Promise<HeldRequest | undefined> =>
    (await readChecked(join(places.held, name), { ...heldFormat, parse: readHeldRequest }))?.value;

  const list = async (): Promise<readonly HeldRequest[]> => {
    const all = await Promise.all((await records(places.held)).map(readHeld));
    const live = all.flatMap((request) => (request === undefined ? [] : [request]));
    return live.sort((a, b) => a.askedAt.localeCompare(b.askedAt));
  };

  return {
    locked: async (work) => await withLock(folder, pause, work),
    held: async (identity, label) => await readHeld(placeOf(identity, label)),
    list,
    async hold(request) {
      const place = placeOf(request.identity, request.label);
      const others = (await list()).filter(({ identity, label }) => placeOf(identity, label) !== place);
      const isOld = ({ askedAt }: HeldRequest): boolean => now().getTime() - Date.parse(askedAt) > keepMs;
      for (const { identity, label } of others.filter(isOld)) await remove(join(places.held, placeOf(identity, label)));
      const waiting = others.filter((one) => one.state === "waiting" && !isOld(one)).length;
      if (request.state === "waiting" && waiting >= maxHeld)
        throw new UsageError("usage/est", `more than ${maxHeld} requests wait already`);
      await writeChecked(join(places.held, place), heldFormat, request);
    },
    enrolled: () => [...known.values()],
    async record(entry) {
      known.set(entry.identity, entry);
      await writeChecked(join(places.enrolled, fileOf(entry.identity)), enrolledFormat, entry);
    },
    async forget(identity) {
      known.delete(identity);
      await remove(join(places.enrolled, fileOf(identity)));
    },
  };
}

/** Lets a waiting request through, with the authority's certificate or one that was made elsewhere. */
export async function approveHeld(
  register: Register,
  id: string,
  { now, certificates }: { readonly now: Date; readonly certificates?: readonly Certificate[] },
): Promise<HeldRequest> {
  return await decide(register, id, (request) => {
    const [leaf] = certificates ?? [];
    if (leaf !== undefined && !samePublicKey(leaf.publicKey, parseCsr(request.csrPem).publicKey))
      throw new UsageError("usage/est-request", `the certificate is not for the key of request ${id}`, {
        fix: "Give the certificate that was issued for exactly this request.",
      });
    return {
      ...request,
      state: "approved",
      decidedAt: now.toISOString(),
      chainPem: certificates === undefined ? undefined : toPem(certificates),
    };
  });
}

/** Refuses a waiting request. */
export async function denyHeld(register: Register, id: string, now: Date, reason?: string): Promise<HeldRequest> {
  return await decide(register, id, (request) => ({
    ...request,
    state: "denied",
    decidedAt: now.toISOString(),
    reason,
  }));
}

async function decide(
  register: Register,
  id: string,
  change: (request: HeldRequest) => HeldRequest,
): Promise<HeldRequest> {
  return await register.locked(async () => {
    const request = (await register.list()).find((one) => one.id === id);
    // Who was refused by mistake can be let in after all.
    if (request === undefined || request.state === "approved" || request.state === "issued") {
      const state =
        request === undefined
          ? "is not known, or was asked again for another key since"
          : `is ${request.state} already`;
      throw new UsageError("usage/est-request", `the enrolment request '${id.slice(0, 32)}' ${state}`);
    }
    const decided = change(request);
    await register.hold(decided);
    return decided;
  });
}

/** The file of an identity's request: there is one at a time. */
function placeOf(identity: string, label: string | undefined): string {
  return createHash("sha256")
    .update(`${label ?? ""}\0${identity}`)
    .digest("hex")
    .slice(0, 16);
}

async function records(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{16}$/.test(name));
}

async function remove(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(previousOf(path), { force: true });
}

function fileOf(identity: string): string {
  return createHash("sha256").update(identity).digest("hex").slice(0, 16);
}

function readEnrolled(value: unknown): Enrolled {
  const field = objectOf({ path: "record", value }, ["identity", "serial", "subject", "san", "at"]);
  return {
    identity: textOf(field("identity")),
    serial: textOf(field("serial")),
    subject: mapOf(field("subject")),
    san: readNames(field("san")),
    at: textOf(field("at")),
  };
}

const heldFields = [
  "id",
  "state",
  "identity",
  "label",
  "rule",
  "profile",
  "subject",
  "san",
  "days",
  "csrPem",
  "address",
];

function readHeldRequest(value: unknown): HeldRequest {
  const field = objectOf({ path: "request", value }, [...heldFields, "askedAt", "decidedAt", "reason", "chainPem"]);
  const csrPem = pem(field("csrPem"));
  const chainPem = optional(field("chainPem"), pem);
  if (chainPem !== undefined) parseCertificates(chainPem);
  parseCsr(csrPem);
  return {
    id: textOf(field("id")),
    state: wordOf(field("state"), ["waiting", "approved", "denied", "issued"]),
    identity: textOf(field("identity")),
    label: textOf(field("label")),
    rule: textOf(field("rule")),
    profile: wordOf(field("profile"), ["device", "tool", "user"]),
    subject: mapOf(field("subject")),
    san: readNames(field("san")),
    days: optional(field("days"), (shape) => wholeOf(shape, 1, 36_500)),
    csrPem,
    address: textOf(field("address")),
    askedAt: textOf(field("askedAt")),
    decidedAt: optional(field("decidedAt"), textOf),
    reason: optional(field("reason"), textOf),
    chainPem,
  };
}

function readNames(shape: Shape): AlternativeNames {
  const kind = objectOf(shape, ["ip", "dns", "uri"]);
  return { ip: listOf(kind("ip"), textOf), dns: listOf(kind("dns"), textOf), uri: listOf(kind("uri"), textOf) };
}

function pem(shape: Shape): string {
  return textOf(shape, 64 * 1024);
}
