import { toDefinite } from "../der.ts";
import { UsageError } from "../errors.ts";
import { readBlocks, readPem, type PemBlock } from "../pem.ts";

/** Requests have about 1 kB, chains of a roll-over about 6 kB; this bounds what is decoded before any check. */
export const maxBodyOctets = 128 * 1024;

/**
 * Brings the body of a message to DER, in whichever form the peer sent it: base64 with lines of any length, with CRLF, LF or
 * none, with or without padding; PEM, bare or once more in base64; or DER as it is. What headers say about the encoding is
 * not asked: Content-Transfer-Encoding means nothing in HTTP, and peers set it at will.
 *
 * @throws {UsageError} `usage/encoding`
 * @see RFC 8951 3.1
 */
export function readBody(body: Uint8Array): PemBlock {
  const { label, der } = anyForm(body);
  return { label, der: toDefinite(der, "body") };
}

function anyForm(body: Uint8Array): PemBlock {
  if (body.length > maxBodyOctets)
    throw new UsageError("usage/encoding", `a body of ${body.length} octets is more than ${maxBodyOctets}`);
  if (body[0] === 0x30) return { label: "", der: untrailed(body) };
  const text = Buffer.from(body).toString("latin1");
  if (text.includes("-----BEGIN ")) return onlyBlock(readPem(unquoted(text)));
  const [block] = readBlocks(padded(text), maxBodyOctets);
  const inner = Buffer.from(block?.der ?? new Uint8Array()).toString("latin1");
  // A PEM file that was put into base64 as it lay there.
  if (inner.startsWith("-----BEGIN ")) return onlyBlock(readPem(inner));
  return { label: "", der: block?.der ?? new Uint8Array() };
}

/** Base64 with CRLF after every 76 characters, the form that all peers are known to take. */
export function writeBody(der: Uint8Array): string {
  return Buffer.from(der)
    .toString("base64")
    .replace(/.{1,76}/g, "$&\r\n");
}

/** Some clients copy a whole file: a line end after DER, as editors leave it. */
function untrailed(body: Uint8Array): Uint8Array {
  const length = derLength(body);
  const rest = body.subarray(length);
  return rest.length <= 2 && rest.every((octet) => octet === 0x0a || octet === 0x0d) ? body.subarray(0, length) : body;
}

function derLength(body: Uint8Array): number {
  const first = body[1] ?? 0;
  if (first < 0x80) return 2 + first;
  const count = first & 0x7f;
  const octets = body.subarray(2, 2 + Math.min(count, 4));
  return 2 + count + octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

/** Encapsulated headers (RFC 1421 4.6), which some tools write after BEGIN. */
function unquoted(text: string): string {
  return text.replace(
    /(-----BEGIN [A-Z0-9 ]{1,40}-----\r?\n)(?:[A-Za-z-]{1,40}: [^\r\n]{0,200}\r?\n){1,16}\r?\n/g,
    "$1",
  );
}

/** Base64 whose sender left the padding away, or added zero octets or other blanks around it. */
function padded(text: string): string {
  const bare = text.replace(/[\s\0]+/g, "");
  // By hand: a pattern that is tied to the end takes as long as the number of signs squared, where they stand elsewhere.
  let end = bare.length;
  while (end > 0 && bare[end - 1] === "=") end -= 1;
  return bare.slice(0, end).padEnd(Math.ceil(end / 4) * 4, "=");
}

function onlyBlock(blocks: readonly PemBlock[]): PemBlock {
  const [block, ...more] = blocks;
  if (block === undefined || more.length > 0)
    throw new UsageError("usage/encoding", `the body holds ${blocks.length} PEM blocks, one is expected`);
  return block;
}
