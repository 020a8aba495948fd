import { certificateSubject, parseCertificates, toPem, type Certificate } from "../certificate.ts";
import { createCsr, parseCsr, type CertificateRequest } from "../csr.ts";
import { makeKeyPair, samePublicKey, type KeyPair } from "../keys.ts";
import type { AlternativeNames } from "../names.ts";
import type { EstAuthority } from "./authority.ts";
import {
  decideEnrolment,
  identityOf,
  ruleFor,
  sameSubject,
  type Caller,
  type EnrolDecision,
  type EnrolPolicy,
} from "./policy.ts";
import { heldId, type Enrolled, type HeldRequest, type Register } from "./register.ts";
import type { Operation } from "./http.ts";

/** An enrolment whose caller is known and whose request is sound. */
export interface Enrolment {
  readonly operation: Operation;
  readonly label: string | undefined;
  readonly caller: Caller;
  readonly request: CertificateRequest;
  readonly address: string;
}

/** What became of it. */
export type EnrolResult =
  | {
      readonly status: "issued";
      readonly chain: readonly Certificate[];
      readonly identity: string;
      readonly rule: string;
      /** For serverkeygen: the key that was made. */
      readonly keys: KeyPair | undefined;
    }
  | { readonly status: "pending"; readonly retryAfterS: number; readonly identity: string; readonly id: string }
  | { readonly status: "refused"; readonly reason: string; readonly identity: string };

/** What enrolments are decided and carried out with. */
export interface EnrolTools {
  readonly policy: () => EnrolPolicy;
  readonly register: Register;
  readonly now: () => Date;
  readonly retryAfterS: number;
  /**
   * Looks at the caller itself before anything is issued or held for it: why it is not what its certificate says, nothing where it
   * is. It may take its time: others are served meanwhile.
   */
  readonly vouch?: (asked: Enrolment) => Promise<string | undefined>;
}

type Allowed = Exclude<EnrolDecision, { readonly action: "refuse" }>;

/**
 * Carries out an enrolment: asks the policy, has a person asked where it says so, sees to it that no name goes to two
 * devices, has the certificate made, and remembers it. One at a time for a folder.
 */
export async function enrol(tools: EnrolTools, authority: EstAuthority, asked: Enrolment): Promise<EnrolResult> {
  const policy = tools.policy();
  const decision = decideEnrolment(policy, asked);
  const identity = identityFor(tools.register, asked);
  if (decision.action === "refuse") return { status: "refused", reason: decision.reason, identity };
  const doubt = await tools.vouch?.(asked);
  if (doubt !== undefined) return { status: "refused", reason: doubt, identity };
  return await tools.register.locked(
    async () => await settle({ ...tools, policy: () => policy }, authority, asked, decision),
  );
}

async function settle(
  tools: EnrolTools,
  authority: EstAuthority,
  asked: Enrolment,
  decision: Allowed,
): Promise<EnrolResult> {
  const { register } = tools;
  const identity = identityFor(register, asked);
  const replaced = replacedBy(tools, identity);
  const wanted = replaced === undefined ? decision : inPlaceOf(decision, replaced);
  const holder = holderOf(register, wanted, [identity, replaced?.identity]);
  if (holder !== undefined) {
    const reason = `the subject or a name belongs to '${holder.identity}' already`;
    return { status: "refused", reason, identity };
  }
  const isBack = await comesBack(register, authority, asked, identity);
  if (decision.action === "issue" && !isBack)
    return await issue(tools, authority, asked, { identity, wanted, replaced });
  const id = heldId(identity, asked.label, asked.request.publicKey);
  const held = await register.held(identity, asked.label);
  const chain = held?.chainPem === undefined ? [] : parseCertificates(held.chainPem);
  const isOver = chain.some(({ facts }) => facts.notAfter < tools.now());
  // Whom a person let through before the revocation has to be let through again; so has who comes when all that was given is over.
  const isSame =
    !(isBack && held?.state === "issued") &&
    !isOver &&
    held !== undefined &&
    samePublicKey(parseCsr(held.csrPem).publicKey, asked.request.publicKey);
  if (held?.state === "denied") {
    const why = held.reason === undefined ? "" : `: ${held.reason}`;
    return { status: "refused", reason: `the request was denied${why}`, identity };
  }
  if (!isSame || (held.state === "issued" && asked.operation === "serverkeygen")) {
    const rule = isBack ? `${wanted.rule}; its last certificate was revoked` : wanted.rule;
    await register.hold(newHeld(tools.now(), id, identity, { ...wanted, rule }, asked));
    return { status: "pending", retryAfterS: tools.retryAfterS, identity, id };
  }
  if (held.state === "waiting") return { status: "pending", retryAfterS: tools.retryAfterS, identity, id: held.id };
  const [leaf] = chain;
  if (leaf !== undefined && asked.operation !== "serverkeygen") {
    // An answer that was lost on the way is given again; one that was brought from elsewhere is given for the first time.
    await remember(tools, leaf, identity, wanted);
    await register.hold({ ...held, state: "issued" });
    return { status: "issued", chain, identity, rule: held.rule, keys: undefined };
  }
  const { profile, subject, san, days } = held;
  const result = await issue(tools, authority, asked, {
    identity,
    replaced,
    wanted: { ...wanted, profile, subject, san, days },
  });
  if (result.status === "issued") await register.hold({ ...held, state: "issued", chainPem: toPem(result.chain) });
  return result;
}

/**
 * Whether a device whose certificate was revoked asks as if it came from its box: its birth certificate, or a password, is still good,
 * and nobody but a person knows whether it may come back.
 */
async function comesBack(
  register: Register,
  authority: EstAuthority,
  { caller }: Enrolment,
  identity: string,
): Promise<boolean> {
  if (caller.kind === "current" || caller.kind === "registrar") return false;
  const last = register.enrolled().find((entry) => entry.identity === identity);
  return last !== undefined && (await authority.isRevoked(last.serial));
}

interface Wanted {
  readonly identity: string;
  readonly wanted: Allowed;
  readonly replaced: Enrolled | undefined;
}

async function issue(
  tools: EnrolTools,
  authority: EstAuthority,
  asked: Enrolment,
  { identity, wanted, replaced }: Wanted,
): Promise<EnrolResult> {
  const { profile, subject, san, days, rule } = wanted;
  const { keys, request } = await requestFor(tools, asked, wanted);
  const issued = await authority.issue({ request, profile, subject, san, days });
  if (issued.status === "pending")
    return {
      status: "pending",
      retryAfterS: issued.retryAfterS,
      identity,
      id: heldId(identity, asked.label, request.publicKey),
    };
  const [leaf] = issued.chain;
  if (leaf !== undefined) await remember(tools, leaf, identity, wanted);
  if (replaced !== undefined) {
    await authority.supersede(replaced.serial);
    await tools.register.forget(replaced.identity);
  }
  return { status: "issued", chain: issued.chain, identity, rule, keys };
}

/** The client's own request, or for serverkeygen one of a new key. */
async function requestFor(
  tools: EnrolTools,
  asked: Enrolment,
  { subject, san }: Allowed,
): Promise<{ readonly keys: KeyPair | undefined; readonly request: CertificateRequest }> {
  if (asked.operation !== "serverkeygen") return { keys: undefined, request: asked.request };
  const keys = await makeKeyPair(ruleFor(tools.policy(), asked)?.keyKind);
  return { keys, request: await createCsr({ subject, san, privateKey: keys.privateKey }) };
}

async function remember(
  tools: EnrolTools,
  leaf: Certificate,
  identity: string,
  { subject, san }: Allowed,
): Promise<void> {
  await tools.register.record({ identity, serial: leaf.facts.serialHex, subject, san, at: tools.now().toISOString() });
}

/** A current certificate is known by its record: its subject may say less than the birth certificate did. */
function identityFor(register: Register, { caller, request }: Enrolment): string {
  if (caller.kind === "registrar") return `${identityOf(caller)} for ${request.subjectText}`;
  if (caller.kind !== "current") return identityOf(caller);
  const { serialHex } = caller.certificate.facts;
  const subject = certificateSubject(caller.certificate);
  const known =
    register.enrolled().find(({ serial }) => serial === serialHex) ??
    // One that was renewed already: the answer was lost on the way. No subject was given to two devices.
    register.enrolled().find((entry) => sameSubject(entry.subject, subject));
  return known?.identity ?? identityOf(caller);
}

function replacedBy({ policy, register }: EnrolTools, identity: string): Enrolled | undefined {
  const old = Object.entries(policy().replacements ?? {}).find(([device]) => device === identity)?.[1];
  return old === undefined ? undefined : register.enrolled().find((entry) => entry.identity === old);
}

/** A replacement takes over subject and names; its serial number stays its own. */
function inPlaceOf(decision: Allowed, { subject, san }: Enrolled): Allowed {
  const { serialNumber } = decision.subject;
  return { ...decision, subject: { ...subject, ...(serialNumber === undefined ? {} : { serialNumber }) }, san };
}

function holderOf(
  register: Register,
  { subject, san }: Pick<Allowed, "subject" | "san">,
  own: readonly (string | undefined)[],
): Enrolled | undefined {
  const names = new Set(flat(san));
  return register
    .enrolled()
    .find(
      (entry) =>
        !own.includes(entry.identity) &&
        (sameSubject(entry.subject, subject) || flat(entry.san).some((name) => names.has(name))),
    );
}

function flat({ ip, dns, uri }: AlternativeNames): readonly string[] {
  return [...ip, ...dns, ...uri];
}

function newHeld(now: Date, id: string, identity: string, wanted: Allowed, asked: Enrolment): HeldRequest {
  const { profile, subject, san, days, rule } = wanted;
  return {
    id,
    state: "waiting",
    identity,
    label: asked.label ?? "",
    rule,
    profile,
    subject,
    san,
    days,
    csrPem: asked.request.pem,
    address: asked.address,
    askedAt: now.toISOString(),
    decidedAt: undefined,
    reason: undefined,
    chainPem: undefined,
  };
}
