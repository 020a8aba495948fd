import { certificateSubject, type Certificate } from "../certificate.ts";
import type { Profile } from "../ca-index.ts";
import type { CertificateRequest } from "../csr.ts";
import type { KeyKind } from "../keys.ts";
import type { AlternativeNames, Subject } from "../names.ts";
import { coversName } from "./patterns.ts";
import type { Operation } from "./http.ts";

/**
 * Who asks. `birth`: a certificate of a vendor's root; `current`: one of this authority; `registrar`: one of this authority
 * that may ask for others (RFC 7030 3.7); `password`: no certificate, a name and its password.
 */
export type Caller = CertifiedCaller | { readonly kind: "password"; readonly user: string };

/** A caller that showed a good certificate, and perhaps a password too. */
export interface CertifiedCaller {
  readonly kind: "birth" | "current" | "registrar";
  readonly certificate: Certificate;
  /** SHA-256 of the trust anchor that the certificate leads to. */
  readonly anchor: string;
  readonly user?: string;
}

/** Where subject parts or names may come from. Text may hold `{caller.PART}` and `{request.PART}`. */
export type SubjectSource = "request" | "caller" | Subject;

/** Patterns: addresses with a prefix length (`10.1.0.0/16`), host names with a star for the first labels, URIs with a star at the end. */
export type NameSource = "request" | "caller" | "none" | Partial<AlternativeNames>;

/** What one kind of caller gets. The first rule that fits decides. */
export interface EnrolRule {
  readonly name: string;
  readonly callers: readonly Caller["kind"][];
  /** Labels it holds for; absent: all, also none. */
  readonly labels?: readonly string[];
  /** Users it holds for; absent: all, also none. */
  readonly users?: readonly string[];
  /** SHA-256 fingerprints of vendor roots it holds for; absent: all. */
  readonly anchors?: readonly string[];
  /** Parts that the subject of the caller's certificate must have, with stars. */
  readonly subject?: Subject;
  /** `hold`: a person decides. */
  readonly action: "issue" | "hold" | "refuse";
  readonly profile?: Exclude<Profile, "vendor-device">;
  readonly days?: number;
  /** Default `caller` for certificates, `request` for passwords. */
  readonly takeSubject?: SubjectSource;
  /** Default `none`; an object lists what the request may have. */
  readonly takeNames?: NameSource;
  /** Wished for in csrattrs, and the kind that is made for serverkeygen. */
  readonly keyKind?: KeyKind;
}

/** The whole policy of an EST server. Nothing that no rule allows is issued. */
export interface EnrolPolicy {
  readonly rules: readonly EnrolRule[];
  /** What happens on re-enrolment with other alternative names than the current certificate's; default `refuse`. */
  readonly changedNames?: "refuse" | "hold" | "issue";
  /** Days of renewed certificates; default those of the authority. */
  readonly renewDays?: number;
  /** In csrattrs, beside the attributes of RFC 7030, a template of a whole request (RFC 9908 3.4); default false. */
  readonly templates?: boolean;
  /** New device's identity to the identity of the one that it replaces: it gets that one's subject and names. */
  readonly replacements?: Readonly<Record<string, string>>;
}

/** A request with all that a decision rests on. */
export interface EnrolQuestion {
  readonly operation: Operation;
  readonly label: string | undefined;
  readonly caller: Caller;
  readonly request: Pick<CertificateRequest, "subject" | "san">;
}

/** What is to happen. */
export type EnrolDecision =
  | {
      readonly action: "issue" | "hold";
      readonly rule: string;
      readonly profile: Exclude<Profile, "vendor-device">;
      readonly subject: Subject;
      readonly san: AlternativeNames;
      readonly days: number | undefined;
    }
  | { readonly action: "refuse"; readonly rule: string; readonly reason: string };

const noNames: AlternativeNames = { ip: [], dns: [], uri: [] };

/**
 * Decides about an enrolment: pure. A caller with a current certificate renews it, its subject and names kept; all others
 * get what the first fitting rule says.
 *
 * @see RFC 7030 4.2.1, 4.2.2
 */
export function decideEnrolment(policy: EnrolPolicy, question: EnrolQuestion): EnrolDecision {
  const { caller, operation } = question;
  if (caller.kind === "current") return renew(policy, question, caller.certificate);
  if (operation === "simplereenroll" && caller.kind !== "registrar")
    return refuse("re-enrolment", "re-enrolment needs the current certificate; use simpleenroll");
  const rule = policy.rules.find((candidate) => fits(candidate, question));
  if (rule === undefined) return refuse("none", "no rule allows this caller to enrol");
  if (rule.action === "refuse") return refuse(rule.name, `the rule '${rule.name}' refuses this caller`);
  const subject = subjectFor(rule, question);
  const san = namesFor(rule, question);
  if (typeof san === "string") return refuse(rule.name, san);
  const { name, action, profile = "device", days } = rule;
  return { action, rule: name, profile, subject, san, days };
}

/** The rule that a caller's attributes are taken from. */
export function ruleFor(policy: EnrolPolicy, question: Omit<EnrolQuestion, "request">): EnrolRule | undefined {
  return policy.rules.find((rule) => fits(rule, question));
}

/**
 * The name that a device is known by for life: its maker and serial number where its certificate has both, else its whole
 * subject; for a password its user.
 */
export function identityOf(caller: Caller): string {
  if (caller.kind === "password") return `user/${caller.user}`;
  const { organization, serialNumber } = certificateSubject(caller.certificate);
  if (organization !== undefined && serialNumber !== undefined) return `${organization}/${serialNumber}`;
  return caller.certificate.facts.subject;
}

/** Tells whether two sets of names are the same, in whatever order. */
export function sameNames(a: AlternativeNames, b: AlternativeNames): boolean {
  return (["ip", "dns", "uri"] as const).every(
    (kind) => [...new Set(a[kind])].sort().join(" ") === [...new Set(b[kind])].sort().join(" "),
  );
}

/** Tells whether a certificate or request has any alternative name. */
export function hasNames({ ip, dns, uri }: AlternativeNames): boolean {
  return ip.length + dns.length + uri.length > 0;
}

function renew(
  { changedNames = "refuse", renewDays }: EnrolPolicy,
  { request }: EnrolQuestion,
  current: Certificate,
): EnrolDecision {
  const rule = "re-enrolment";
  const subject = certificateSubject(current);
  if (!sameSubject(subject, request.subject))
    return refuse(rule, "the request's subject is not the one of the current certificate");
  const usages = current.facts.extendedKeyUsage ?? [];
  const profile = usages.length === 1 ? "tool" : "device";
  const kept = current.facts.san;
  // Many clients leave the names out when they renew; that asks for no change.
  const changes = hasNames(request.san) && !sameNames(request.san, kept);
  if (changes && changedNames === "refuse")
    return refuse(rule, "the request's alternative names are not those of the current certificate");
  const action = changes && changedNames === "hold" ? "hold" : "issue";
  return { action, rule, profile, subject, san: changes ? request.san : kept, days: renewDays };
}

/** Tells whether two subjects have the same parts. */
export function sameSubject(a: Subject, b: Subject): boolean {
  const other = new Map(Object.entries(b));
  return Object.keys(a).length === other.size && Object.entries(a).every(([part, text]) => other.get(part) === text);
}

function fits(rule: EnrolRule, { caller, label }: Omit<EnrolQuestion, "request">): boolean {
  if (!rule.callers.includes(caller.kind)) return false;
  if (rule.labels !== undefined && (label === undefined || !rule.labels.includes(label))) return false;
  if (rule.users !== undefined && (caller.user === undefined || !rule.users.includes(caller.user))) return false;
  if (caller.kind === "password") return rule.anchors === undefined && rule.subject === undefined;
  if (rule.anchors !== undefined && !rule.anchors.includes(caller.anchor)) return false;
  const has: Readonly<Record<string, string | undefined>> = { ...certificateSubject(caller.certificate) };
  return Object.entries(rule.subject ?? {}).every(([part, pattern]) => matchesStars(pattern, has[part] ?? ""));
}

function subjectFor({ takeSubject }: EnrolRule, { caller, request }: EnrolQuestion): Subject {
  const own: Subject = caller.kind === "password" ? {} : certificateSubject(caller.certificate);
  const source = takeSubject ?? (caller.kind === "birth" ? "caller" : "request");
  if (source === "request") return request.subject;
  if (source === "caller") return own;
  const from: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
    caller: { ...own },
    request: { ...request.subject },
  };
  return Object.fromEntries(
    Object.entries(source).map(([part, text]) => [
      part,
      text.replace(
        /\{(caller|request)\.([A-Za-z]+)\}/g,
        (_: string, who: string, name: string) => from[who]?.[name] ?? "",
      ),
    ]),
  );
}

function namesFor(
  { takeNames = "none", name }: EnrolRule,
  { caller, request }: EnrolQuestion,
): AlternativeNames | string {
  if (takeNames === "none") return noNames;
  if (takeNames === "request") return request.san;
  if (takeNames === "caller") return caller.kind === "password" ? noNames : caller.certificate.facts.san;
  for (const kind of ["ip", "dns", "uri"] as const) {
    const stranger = request.san[kind].find((text) => !(takeNames[kind] ?? []).some((p) => coversName(kind, p, text)));
    if (stranger !== undefined) return `the rule '${name}' does not allow the name '${stranger}'`;
  }
  return request.san;
}

function matchesStars(pattern: string, text: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "su").test(text);
}

function refuse(rule: string, reason: string): EnrolDecision {
  return { action: "refuse", rule, reason };
}
