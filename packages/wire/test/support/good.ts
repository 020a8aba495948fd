import { expect } from "vitest";
import { decode, encode, type Codec } from "@cipsec/wire";
import { hex, toHex } from "./hex.ts";

/** A row of a table of good vectors: `holds` decodes the octets to the value and encodes the value to the octets. */
export interface Good {
  readonly name: string;
  readonly holds: () => void;
}

/** Octets, as hex digits, and the value they stand for. */
export function good<T>(name: string, codec: Codec<T>, octets: string, value: T): Good {
  return {
    name,
    holds() {
      expect(decode(codec, hex(octets))).toEqual(value);
      expect(toHex(encode(codec, value))).toBe(octets.replaceAll(/\s/gu, ""));
    },
  };
}
