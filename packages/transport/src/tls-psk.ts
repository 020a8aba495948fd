import { PskUsage } from "@cipsec/wire";
import type { PreSharedKey } from "@cipsec/wire";

/**
 * The identity as text, or `undefined` where `node:tls` cannot carry it: Node hands identities over as C strings in
 * UTF-8, so one that is empty, has a zero octet or is not UTF-8 cannot be used over TLS.
 */
export function pskIdentityText(identity: Uint8Array): string | undefined {
  if (identity.length === 0 || identity.includes(0)) return undefined;
  try {
    return utf8.decode(identity);
  } catch {
    return undefined;
  }
}

/** The keys that can be used in a role, by identity; of two with one identity the first counts. */
export function keysFor(role: "client" | "server", psks: readonly PreSharedKey[]): ReadonlyMap<string, Uint8Array> {
  const keys = new Map<string, Uint8Array>();
  for (const { identity, key, usage } of psks) {
    const text = pskIdentityText(identity);
    const fits = usage === PskUsage.any || usage === PskUsage[role];
    if (fits && text !== undefined && key.length > 0 && !keys.has(text)) keys.set(text, key);
  }
  return keys;
}

/** A mark at the start of an identity is part of it: two identities that differ in octets stay different. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
