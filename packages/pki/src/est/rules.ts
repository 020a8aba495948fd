import { UsageError } from "../errors.ts";
import {
  flagOf,
  listOf,
  mapOf,
  objectOf,
  optional,
  textOf,
  wholeOf,
  wordOf,
  wrong,
  type Shape,
} from "../json-shape.ts";
import type { KeyKind } from "../keys.ts";
import type { AlternativeNames, Subject } from "../names.ts";
import { isAddressPattern } from "./patterns.ts";
import type { EnrolPolicy, EnrolRule, NameSource, SubjectSource } from "./policy.ts";

const subjectParts = [
  "commonName",
  "organization",
  "organizationalUnit",
  "locality",
  "state",
  "country",
  "emailAddress",
  "serialNumber",
] as const satisfies readonly (keyof Subject)[];

const keyKinds = ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"] as const satisfies readonly KeyKind[];

/**
 * Reads a policy from its JSON text. Fields that are not known are refused, as are patterns that would never match.
 *
 * @throws {UsageError} `usage/est`, which names the place
 */
export function readEnrolPolicy(text: string): EnrolPolicy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError("usage/est", "the rules are not JSON", { cause: error });
  }
  const field = objectOf({ path: "rules", value }, ["rules", "changedNames", "renewDays", "replacements", "templates"]);
  const changedNames = optional(field("changedNames"), (s) => wordOf(s, ["refuse", "hold", "issue"]));
  const renewDays = optional(field("renewDays"), days);
  const replacements = optional(field("replacements"), mapOf);
  const templates = optional(field("templates"), flagOf);
  return {
    rules: listOf(field("rules"), readRule),
    ...(changedNames === undefined ? {} : { changedNames }),
    ...(renewDays === undefined ? {} : { renewDays }),
    ...(replacements === undefined ? {} : { replacements }),
    ...(templates === undefined ? {} : { templates }),
  };
}

function readRule(shape: Shape): EnrolRule {
  const fields = ["name", "callers", "labels", "users", "anchors", "subject", "action", "profile", "days"];
  const field = objectOf(shape, [...fields, "takeSubject", "takeNames", "keyKind"]);
  const labels = optional(field("labels"), (s) => listOf(s, textOf));
  const users = optional(field("users"), (s) => listOf(s, textOf));
  const anchors = optional(field("anchors"), (s) => listOf(s, fingerprint));
  const subject = optional(field("subject"), readSubject);
  const profile = optional(field("profile"), (s) => wordOf(s, ["device", "tool", "user"]));
  const validDays = optional(field("days"), days);
  const takeSubject = optional(field("takeSubject"), readSubjectSource);
  const takeNames = optional(field("takeNames"), readNameSource);
  const keyKind = optional(field("keyKind"), (s) => wordOf(s, keyKinds));
  return {
    name: textOf(field("name")),
    callers: listOf(field("callers"), (s) => wordOf(s, ["birth", "password", "registrar"])),
    action: wordOf(field("action"), ["issue", "hold", "refuse"]),
    ...(labels === undefined ? {} : { labels }),
    ...(users === undefined ? {} : { users }),
    ...(anchors === undefined ? {} : { anchors }),
    ...(subject === undefined ? {} : { subject }),
    ...(profile === undefined ? {} : { profile }),
    ...(validDays === undefined ? {} : { days: validDays }),
    ...(takeSubject === undefined ? {} : { takeSubject }),
    ...(takeNames === undefined ? {} : { takeNames }),
    ...(keyKind === undefined ? {} : { keyKind }),
  };
}

function days(shape: Shape): number {
  return wholeOf(shape, 1, 36_500);
}

function fingerprint(shape: Shape): string {
  const text = textOf(shape).replaceAll(":", "").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(text)) throw wrong(shape.path, "a SHA-256 fingerprint in hexadecimal");
  return text;
}

function readSubject(shape: Shape): Subject {
  const field = objectOf(shape, subjectParts);
  return Object.fromEntries(
    subjectParts.flatMap((part) => {
      const text = optional(field(part), textOf);
      return text === undefined ? [] : [[part, text]];
    }),
  );
}

function readSubjectSource(shape: Shape): SubjectSource {
  return typeof shape.value === "string" ? wordOf(shape, ["request", "caller"]) : readSubject(shape);
}

function readNameSource(shape: Shape): NameSource {
  if (typeof shape.value === "string") return wordOf(shape, ["request", "caller", "none"]);
  const field = objectOf(shape, ["ip", "dns", "uri"]);
  const names = (kind: keyof AlternativeNames): readonly string[] =>
    optional(field(kind), (s) => listOf(s, textOf)) ?? [];
  const ip = names("ip");
  const unusable = ip.find((pattern) => !isAddressPattern(pattern));
  if (unusable !== undefined)
    throw wrong(`${shape.path}.ip`, `addresses or networks, which '${unusable.slice(0, 64)}' is not`);
  return { ip, dns: names("dns"), uri: names("uri") };
}
