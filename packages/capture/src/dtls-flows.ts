import { Observer } from "@cipsec/dtls";
import type { ObservedEnd, ObservedEvent } from "@cipsec/dtls";
import { suiteName } from "./cipher-suites.ts";
import type { EventDetail } from "./events.ts";
import type { SecretSource } from "./key-log.ts";
import { endKey, pairKey } from "./pair-key.ts";
import type { Endpoint } from "./segments.ts";

/** One thing that a datagram of DTLS showed; `bytes` are there for payloads and what stays closed. */
export type DtlsDetail = EventDetail & { readonly bytes?: Uint8Array };

/** Associations followed at a time; the one silent longest is forgotten. */
const maxAssociations = 4096;

/** An association, and which endpoint was its first in the capture. */
interface Association {
  readonly observer: Observer;
  readonly ends: [string, string];
  /** Connection ids by which it is known beside its addresses. */
  readonly ids: Set<string>;
}

/** Record type of a record with connection id (RFC 9146). */
const cidRecord = 25;

/** Reads the DTLS associations of a capture, by address and by connection id. */
export class DtlsFlows {
  readonly #secrets: SecretSource;
  /** In the order of their last datagram. */
  readonly #byPair = new Map<string, Association>();
  readonly #byId = new Map<string, { readonly association: Association; readonly to: ObservedEnd }>();
  /** Lengths of the connection ids seen: a record does not name its own. */
  readonly #idLengths = new Set<number>();

  constructor(secrets: SecretSource) {
    this.#secrets = secrets;
  }

  /** What a datagram shows; `undefined` when it is no DTLS. */
  take(src: Endpoint, dst: Endpoint, payload: Uint8Array): readonly DtlsDetail[] | undefined {
    if (!looksLikeDtls(payload)) return undefined;
    const moved = payload[0] === cidRecord ? this.#identified(payload) : undefined;
    const association = moved?.association ?? this.#between(src, dst);
    const from: ObservedEnd = moved === undefined ? (association.ends[0] === endKey(src) ? 0 : 1) : other(moved.to);
    const events = association.observer.take(from, payload);
    this.#learnIds(association);
    return events.map((event) => detail(event, payload));
  }

  #between(src: Endpoint, dst: Endpoint): Association {
    const key = pairKey(src, dst);
    const association = this.#byPair.get(key) ?? {
      observer: new Observer((random) => this.#secrets.secret("CLIENT_RANDOM", random)),
      ends: [endKey(src), endKey(dst)],
      ids: new Set<string>(),
    };
    // Taken out and put in again, so that the map's order is that of the last use.
    this.#byPair.delete(key);
    this.#byPair.set(key, association);
    if (this.#byPair.size > maxAssociations) this.#forgetOldest();
    return association;
  }

  #forgetOldest(): void {
    for (const [key, { ids }] of this.#byPair) {
      this.#byPair.delete(key);
      for (const id of ids) this.#byId.delete(id);
      return;
    }
  }

  /** The association whose connection id a record carries, wherever it comes from. */
  #identified(payload: Uint8Array): { readonly association: Association; readonly to: ObservedEnd } | undefined {
    for (const length of this.#idLengths) {
      const found = this.#byId.get(hexText(payload.subarray(11, 11 + length)));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #learnIds(association: Association): void {
    for (const to of [0, 1] as const) {
      const cid = association.observer.cidTo(to);
      if (cid.length === 0) continue;
      const id = hexText(cid);
      if (association.ids.has(id)) continue;
      // Two for each session; an association that begins again and again keeps its newest.
      if (association.ids.size >= 4) {
        for (const old of association.ids) this.#byId.delete(old);
        association.ids.clear();
      }
      association.ids.add(id);
      this.#byId.set(id, { association, to });
      this.#idLengths.add(cid.length);
    }
  }
}

function other(end: ObservedEnd): ObservedEnd {
  return end === 0 ? 1 : 0;
}

function detail(event: ObservedEvent, datagram: Uint8Array): DtlsDetail {
  switch (event.kind) {
    case "data":
      return { kind: "data", bytes: event.payload, authenticated: event.authenticated };
    case "closed":
      return { kind: "sealed", reason: event.reason === "no-key" ? "not-opened" : event.reason, bytes: datagram };
    case "client-hello": {
      const { suites, serverName } = event;
      return { kind: "tls-info", info: { fact: "client-hello", suites: suites.map(suiteName), serverName } };
    }
    case "negotiated": {
      const { suite, encryptThenMac } = event;
      const keys = event.keys === "found" ? "found" : "missing";
      const version = "DTLSv1.2";
      return {
        kind: "tls-info",
        info: { fact: "negotiated", version, suite: suiteName(suite), suiteId: suite, encryptThenMac, keys },
      };
    }
    case "alert": {
      const { fatal, alert, encrypted } = event;
      return { kind: "tls-info", info: { fact: "alert", level: fatal ? "fatal" : "warning", alert, encrypted } };
    }
  }
}

/** A DTLS record: type, version fe.., and, where no connection id stands before it, a length that fits. */
function looksLikeDtls(bytes: Uint8Array): boolean {
  const [type = 0, major = 0, minor = 0] = bytes;
  const length = ((bytes[11] ?? 0) << 8) | (bytes[12] ?? 0);
  return (
    bytes.length >= 13 &&
    type >= 0x14 &&
    type <= cidRecord &&
    major === 0xfe &&
    (minor === 0xff || minor === 0xfd) &&
    (type === cidRecord || 13 + length <= bytes.length)
  );
}

function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
}
