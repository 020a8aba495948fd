import { Qos } from "@cipsec/objects";
import { Status } from "@cipsec/wire";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";
import type { Store } from "../store.ts";

const defaults = { dscpUrgent: 55, dscpScheduled: 47, dscpHigh: 43, dscpLow: 31, dscpExplicit: 27 } as const;

/** DSCP values, 0 to 63, by attribute name. */
export type QosSettings = { readonly [K in keyof typeof defaults]: number };

/**
 * Hosts the QoS Object. Values are saved and take effect with the next start, as the standard has it.
 *
 * @returns The values in effect now.
 * @see CIP Vol 2, 5-7; reference ethernet-ip.md 7.9
 */
export function hostQos(router: Router, store: Store): QosSettings {
  const active = load(store.read("qos"));
  let saved = active;
  let turn: Promise<unknown> = Promise.resolve();
  const save = async (name: keyof QosSettings, value: number): Promise<void> => {
    const next = { ...saved, [name]: value };
    await store.write({ qos: next });
    saved = next;
  };
  const attribute = (name: keyof QosSettings) => ({
    get: () => saved[name],
    set: (value: number): Promise<void> => {
      if (value > 63) throw refuse(Status.invalidAttributeValue, { reason: "a DSCP is 0 to 63" });
      // One after another: two at a time would each save what the other has not seen yet.
      const mine = turn.then(() => save(name, value));
      turn = mine.catch(() => undefined);
      return mine;
    },
  });
  router.host(Qos, 1, {
    dscpUrgent: attribute("dscpUrgent"),
    dscpScheduled: attribute("dscpScheduled"),
    dscpHigh: attribute("dscpHigh"),
    dscpLow: attribute("dscpLow"),
    dscpExplicit: attribute("dscpExplicit"),
  });
  return active;
}

/** Saved values where they are sound, defaults for the rest. */
function load(json: unknown): QosSettings {
  if (typeof json !== "object" || json === null) return defaults;
  const stored: Readonly<Record<string, unknown>> = { ...json };
  const value = (name: keyof QosSettings): number => {
    const found = stored[name];
    return typeof found === "number" && Number.isInteger(found) && found >= 0 && found <= 63 ? found : defaults[name];
  };
  return {
    dscpUrgent: value("dscpUrgent"),
    dscpScheduled: value("dscpScheduled"),
    dscpHigh: value("dscpHigh"),
    dscpLow: value("dscpLow"),
    dscpExplicit: value("dscpExplicit"),
  };
}

/** Code point of class 0 and 1 data by priority; the QoS Object has one from the device's start. */
export function dscpOf(priority: number, qos: QosSettings | undefined): number {
  if (qos === undefined) return 0;
  return [qos.dscpLow, qos.dscpHigh, qos.dscpScheduled, qos.dscpUrgent][priority] ?? qos.dscpLow;
}
