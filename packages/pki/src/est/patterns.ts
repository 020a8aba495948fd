import { canonicalIp } from "../names.ts";

/** Tells whether a pattern of a rule covers a name of a request. */
export function coversName(kind: "ip" | "dns" | "uri", pattern: string, text: string): boolean {
  switch (kind) {
    case "ip":
      return coversAddress(pattern, text);
    case "dns":
      return coversHost(pattern.toLowerCase(), text);
    case "uri":
      return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
  }
}

/** Tells whether text is an address, or one with a prefix length. */
export function isAddressPattern(pattern: string): boolean {
  const [address = "", length, ...more] = pattern.split("/");
  const octets = octetsOf(address);
  const isLength = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (octets?.length ?? 0) * 8);
  return octets !== undefined && isLength && more.length === 0;
}

function coversAddress(pattern: string, text: string): boolean {
  const [address = "", length] = pattern.split("/");
  const [network, octets] = [octetsOf(address), octetsOf(text)];
  if (network === undefined || octets === undefined || network.length !== octets.length) return false;
  const bits = length === undefined ? octets.length * 8 : Number(length);
  return octets.every((octet, at) => {
    const mask = (0xff00 >> Math.min(8, Math.max(0, bits - at * 8))) & 0xff;
    return (octet & mask) === ((network[at] ?? 0) & mask);
  });
}

/** A star stands for one or more labels: plants nest their domains. A request for a wildcard is covered by no star. */
function coversHost(pattern: string, text: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === text;
  return text.endsWith(pattern.slice(1)) && text.length >= pattern.length && !text.startsWith("*");
}

function octetsOf(address: string): readonly number[] | undefined {
  const text = canonicalIp(address);
  if (text === undefined) return undefined;
  if (text.includes(".")) return text.split(".").map(Number);
  const [head = "", tail] = text.split("::");
  const words = (part: string | undefined): string[] => (part === undefined || part === "" ? [] : part.split(":"));
  const [front, back] = [words(head), words(tail)];
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => "0"), ...back];
  return all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]);
}
