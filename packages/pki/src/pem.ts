import { UsageError } from "./errors.ts";

/** One armoured block: what stands after BEGIN, and its octets. */
export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

/** A file holds a chain or a list, not an archive: this bounds what is decoded before any check. */
export const maxPemBlocks = 64;

/**
 * Finds the PEM blocks of a text; what stands between them is skipped, as tools write readable copies there.
 *
 * @throws {UsageError} `usage/encoding` for a block without end, or with something other than base64 in it.
 * @see RFC 7468
 */
export function readPem(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  const begin = /-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n?/g;
  for (let found = begin.exec(text); found !== null; found = begin.exec(text)) {
    const label = found[1] ?? "";
    const end = text.indexOf(`-----END ${label}-----`, begin.lastIndex);
    if (end < 0) throw new UsageError("usage/encoding", `the PEM block '${label}' has no end`);
    if (blocks.length === maxPemBlocks)
      throw new UsageError("usage/encoding", `there are more than ${maxPemBlocks} PEM blocks`);
    blocks.push({ label, der: readBase64(text.slice(begin.lastIndex, end)) });
    begin.lastIndex = end;
  }
  return blocks;
}

/** Armours octets: 64 characters a line, ended by a line feed. */
export function writePem(label: string, der: Uint8Array): string {
  const body = Buffer.from(der)
    .toString("base64")
    .replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

/**
 * Brings a file or message to blocks, whichever of PEM, DER or bare base64 it is in; a block without armour has an
 * empty label.
 *
 * @throws {UsageError} `usage/encoding`
 */
export function readBlocks(input: Uint8Array | string, maxOctets: number): readonly PemBlock[] {
  if (input.length === 0) throw new UsageError("usage/encoding", "it is empty");
  // Base64 and line ends make text about 1.4 times as long as what it holds.
  const max = typeof input === "string" ? maxOctets * 2 : input[0] === 0x30 ? maxOctets : maxOctets * 2;
  if (input.length > max) {
    throw new UsageError("usage/encoding", `${input.length} octets are more than the ${max} allowed`, {
      facts: { octets: input.length, max },
    });
  }
  if (typeof input !== "string" && input[0] === 0x30) return [{ label: "", der: input }];
  const text = typeof input === "string" ? input : Buffer.from(input).toString("latin1");
  return text.includes("-----BEGIN ") ? readPem(text) : [{ label: "", der: readBase64(text) }];
}

function readBase64(text: string): Uint8Array {
  const compact = text.replace(/\s+/g, "");
  if (compact.length === 0 || compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(compact)) {
    throw new UsageError("usage/encoding", "it is neither DER nor PEM nor base64");
  }
  return new Uint8Array(Buffer.from(compact, "base64"));
}
