import { PskUsage, UsageError, fromLatin1, latin1, type PreSharedKey } from "@cipsec/wire";
import { hexOctets, octetsHex } from "./hex.ts";
import { isRecord, type Json } from "./json.ts";
import { nameOf } from "./names.ts";

/** Pre-shared keys without the keys themselves: only how long each is. */
export function pskJson(keys: readonly PreSharedKey[]): Json {
  return keys.map(({ identity, key, usage }) => ({
    identity: identityText(identity),
    keyOctets: key.length,
    usage: nameOf(PskUsage, usage),
  }));
}

/**
 * Pre-shared keys of a JSON list: `[{"identity":"cell 4","key":"0x00…","usage":"any"}]`. An identity that starts with 0x is octets;
 * the usage may be left out and means any. No message repeats what was given.
 *
 * @throws {UsageError} `usage/argument` for another form.
 */
export function parsePsks(text: string): readonly PreSharedKey[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed("is not JSON");
  }
  if (!Array.isArray(value)) throw malformed("is not a list");
  return value.map(parsePsk);
}

function parsePsk(value: unknown): PreSharedKey {
  if (!isRecord(value)) throw malformed("has an entry that is no object");
  const { identity, key, usage = "any", ...more } = value;
  if (typeof identity !== "string" || typeof key !== "string" || Object.keys(more).length > 0)
    throw malformed("has an entry whose fields are not identity, key and usage");
  const octets = identity.startsWith("0x") ? hexOctets(identity) : fromLatin1(identity, 0xff, "PSK identity");
  return { identity: octets, key: hexOctets(key), usage: usageOf(usage) };
}

/** Not by the general way, whose message would repeat what may be a misplaced key. */
function usageOf(usage: unknown): number {
  const found = Object.entries(PskUsage).find(([name, value]) => usage === name || usage === value);
  if (found === undefined) throw malformed("has an entry whose usage is not server, client or any");
  return found[1];
}

function identityText(identity: Uint8Array): string {
  const text = latin1(identity);
  return /^[ -~]*$/.test(text) && !text.startsWith("0x") ? text : `0x${octetsHex(identity)}`;
}

function malformed(how: string): UsageError {
  return new UsageError("usage/argument", `The list of pre-shared keys ${how}.`, {
    facts: {},
    fix: 'Write it as [{"identity":"cell 4","key":"0x0011…","usage":"any"}].',
  });
}
