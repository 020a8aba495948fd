/** Octets from hex digits; white space is for the reader. */
export function hex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/gu, "");
  if (!/^(?:[0-9a-f]{2})*$/iu.test(digits)) throw new RangeError(`not hex: ${text}`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** Hex digits of octets, without spaces. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
}
