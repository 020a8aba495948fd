import { UsageError } from "@cipsec/wire";

/** Octets as hexadecimal digits, two each. */
export function octetsHex(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
}

/**
 * Octets of hexadecimal digits; 0x in front, blanks, colons and dashes between them do not count. The message never repeats
 * the text, which may be a key.
 *
 * @throws {UsageError} `usage/argument` for other characters or an odd number of digits.
 */
export function hexOctets(text: string): Uint8Array {
  const digits = text.replace(/^0x/i, "").replaceAll(/[\s:-]/g, "");
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits))
    throw new UsageError("usage/argument", "The octets are not hexadecimal digits, two each.", {
      facts: { characters: text.length },
      fix: "Write octets such as 0x0a1b2c or 0a:1b:2c.",
    });
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
