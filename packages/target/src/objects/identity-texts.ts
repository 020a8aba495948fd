import type { AttributeValue, Identity } from "@cipsec/objects";
import { STRINGI, Status, decode, encode } from "@cipsec/wire";
import type { InstanceHandlers } from "../hosting.ts";
import { refuse } from "../refusal.ts";
import type { Store } from "../store.ts";

type Text = AttributeValue<typeof Identity, "assignedName">;

const names = ["assignedName", "assignedDescription", "geographicLocation"] as const;

type Name = (typeof names)[number];

/** Octets of one text in all its languages: some lines of a label, not a file. */
const maxOctets = 1024;

/** Section of the store, and what a reset to factory default forgets. */
export const textsSection = "identityTexts";

/** Identity attributes 15 to 17: what users call the device. Saved; none out of the box. @see reference ethernet-ip.md 7.1 */
export function identityTexts(store: Store): Pick<InstanceHandlers<typeof Identity>, Name> {
  const texts = new Map<Name, Text>(names.map((name) => [name, load(store.read(textsSection), name)]));
  let turn: Promise<unknown> = Promise.resolve();
  const save = async (name: Name, text: Text): Promise<void> => {
    const next = new Map([...texts, [name, text]]);
    const json = [...next].map(([key, value]) => [key, Buffer.from(encode(STRINGI, value)).toString("hex")] as const);
    await store.write({ [textsSection]: Object.fromEntries(json) });
    texts.set(name, text);
  };
  const attribute = (name: Name) => ({
    get: () => texts.get(name) ?? [],
    set: (text: Text): Promise<void> => {
      if (encode(STRINGI, text).length > maxOctets) throw refuse(Status.tooMuchData);
      // One after another: two at a time would each save what the other has not seen yet.
      const mine = turn.then(() => save(name, text));
      turn = mine.catch(() => undefined);
      return mine;
    },
  });
  return {
    assignedName: attribute("assignedName"),
    assignedDescription: attribute("assignedDescription"),
    geographicLocation: attribute("geographicLocation"),
  };
}

/** A saved text where it is sound. */
function load(json: unknown, name: Name): Text {
  const stored: Readonly<Record<string, unknown>> = typeof json === "object" && json !== null ? { ...json } : {};
  const hex = stored[name];
  if (typeof hex !== "string" || hex.length > 2 * maxOctets || !/^(?:[0-9a-f]{2})+$/.test(hex)) return [];
  try {
    return decode(STRINGI, Buffer.from(hex, "hex"));
  } catch {
    return [];
  }
}
