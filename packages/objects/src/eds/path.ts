import { EPATH, PACKED_EPATH, WireError, decode, type Codec, type Segment } from "@cipsec/wire";
import type { EdsField } from "./model.ts";
import { quoted, type Report } from "./report.ts";

/** A path of an EDS. */
export interface EdsPath {
  readonly text: string;
  /** Octets, and names of what is put in when the path is used: `Param4`, `SLOT`, `SLOT_MINUS_ONE`. */
  readonly parts: readonly (number | string)[];
  /** The segments; none where something is still to be put in. */
  readonly segments: readonly Segment[] | undefined;
}

/** A path is at most 255 words. */
const maxParts = 510;

/**
 * A path in quotes, in braces or bare: hexadecimal octets and placeholders. An empty one is no path. What cannot be read is
 * reported with `label`.
 */
export function readPath(field: EdsField | undefined, label: string, report: Report): EdsPath | undefined {
  if (field === undefined) return undefined;
  const { value, raw } = field;
  const text = value.kind === "text" ? value.value : raw;
  // One more than allowed, so that a longer text is cut short but still seen to be too long.
  const words = text.split(/[\s{},]+/, maxParts + 3).filter((word) => word !== "");
  if (words.length === 0) return undefined;
  const parts = words.map(partOf);
  const bad = parts.indexOf(undefined);
  if (bad >= 0 || parts.length > maxParts) {
    const what = bad >= 0 ? `holds ${quoted(String(words[bad]))}` : `is longer than ${maxParts} octets`;
    report.error(
      field,
      `${label}: the path ${what}.`,
      'Write octets as "20 04 24 01", placeholders as [Param1] or SLOT.',
    );
    return undefined;
  }
  const known = parts.filter((part) => part !== undefined);
  const octets = known.filter((part) => typeof part === "number");
  if (octets.length < known.length) return { text, parts: known, segments: undefined };
  const segments = segmentsOf(Uint8Array.from(octets));
  if (segments instanceof WireError) {
    report.error(
      field,
      `${label}: ${segments.message}.`,
      "Check the octets of the path against docs/wire.md, Path segments.",
    );
    return undefined;
  }
  return { text, parts: octets, segments };
}

/** The segments of a path's octets; the error that says why they are none. */
export function segmentsOf(octets: Uint8Array): readonly Segment[] | WireError {
  const padded = tryDecode(EPATH, octets);
  if (!(padded instanceof WireError)) return padded;
  // Link paths of parameters are packed, which shows only in segments of 16 bits.
  const packed = tryDecode(PACKED_EPATH, octets);
  return packed instanceof WireError ? padded : packed;
}

/** The value, or the error that says why there is none. Any other error is a fault of ours and goes on. */
export function tryDecode<T>(codec: Codec<T>, octets: Uint8Array): T | WireError {
  try {
    return decode(codec, octets);
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
}

function partOf(word: string): number | string | undefined {
  if (/^(?:0x)?[0-9a-f]{1,2}$/i.test(word)) return Number.parseInt(word.replace(/^0x/i, ""), 16);
  const [, param] = /^\[Param(\d{1,5})\]$/i.exec(word) ?? [];
  if (param !== undefined) return `Param${Number(param)}`;
  const name = word.replace(/^\[(.*)\]$/, "$1").toUpperCase();
  return name === "SLOT" || name === "SLOT_MINUS_ONE" ? name : undefined;
}
