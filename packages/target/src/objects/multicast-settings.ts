import type { AttributeValue, TcpIpInterface } from "@cipsec/objects";
import { Status } from "@cipsec/wire";
import { defaultMulticast, isGroupRange, type MulticastSettings } from "../io/multicast.ts";
import { refuse } from "../refusal.ts";
import type { Store } from "../store.ts";

type Configuration = AttributeValue<typeof TcpIpInterface, "multicastConfiguration">;

/** Addresses that a device may be given: more than it can have connections would be a mistake. */
const maxGroups = 1024;

/**
 * TCP/IP Interface attributes 8 and 9. What is set is saved and takes effect with the next start, as the standard has it: until
 * then bit 4 of the interface's status says that it is pending.
 */
export interface MulticastAttributes {
  /** In effect since the start. */
  readonly active: MulticastSettings;
  /** As last set. */
  saved(): MulticastSettings;
  isPending(): boolean;
  /** @throws {Refusal} 0x09 for 0 hops. */
  setTtl(hops: number): Promise<void>;
  /** @throws {Refusal} 0x09 for addresses that are no multicast addresses, too many, or an unknown way of allocation. */
  setConfiguration(configuration: Configuration): Promise<void>;
}

/** What the store holds where it is sound, and otherwise the defaults. */
export function multicastAttributes(store: Store): MulticastAttributes {
  const active = parse(store.read("multicast")) ?? defaultMulticast;
  let saved = active;
  let turn: Promise<unknown> = Promise.resolve();
  const save = (change: (settings: MulticastSettings) => MulticastSettings): Promise<void> => {
    // One after another: two at a time would each save what the other has not seen yet.
    const mine = turn.then(async () => {
      const next = change(saved);
      await store.write({ multicast: next });
      saved = next;
    });
    turn = mine.catch(() => undefined);
    return mine;
  };
  return {
    active,
    saved: () => saved,
    isPending: () => JSON.stringify(saved) !== JSON.stringify(active),
    async setTtl(ttl) {
      if (ttl === 0) throw refuse(Status.invalidAttributeValue, { reason: "packets of 0 hops do not leave" });
      await save((settings) => ({ ...settings, ttl }));
    },
    async setConfiguration({ allocation, reserved, count, start }) {
      if (allocation === 0) return save(({ ttl }) => ({ ttl }));
      const isSound = allocation === 1 && reserved === 0 && count <= maxGroups && isGroupRange(start, count);
      if (!isSound) throw refuse(Status.invalidAttributeValue, { reason: "no multicast addresses to be used" });
      await save(({ ttl }) => ({ ttl, groups: { start, count } }));
    },
  };
}

function parse(json: unknown): MulticastSettings | undefined {
  if (typeof json !== "object" || json === null || !("ttl" in json)) return undefined;
  const { ttl } = json;
  if (typeof ttl !== "number" || !Number.isInteger(ttl) || ttl < 1 || ttl > 255) return undefined;
  const groups: unknown = "groups" in json ? json.groups : undefined;
  if (typeof groups !== "object" || groups === null || !("start" in groups) || !("count" in groups)) return { ttl };
  const { start, count } = groups;
  if (typeof start !== "string" || typeof count !== "number" || !Number.isInteger(count)) return { ttl };
  return count <= maxGroups && isGroupRange(start, count) ? { ttl, groups: { start, count } } : { ttl };
}
