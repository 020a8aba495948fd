import { UsageError } from "../errors.ts";

/** One part of a message. */
export interface Part {
  readonly type: string;
  readonly body: Uint8Array | string;
}

/** A key and its certificates: two; some servers add a preamble part. */
const maxParts = 4;

/**
 * Writes parts of base64 with a boundary that stands in none of them: base64 has no dashes. In a part, unlike in HTTP, the
 * transfer encoding has its meaning, and libest reads none without it.
 *
 * @see RFC 2046 5.1
 */
export function writeMultipart(
  parts: readonly Part[],
  boundary: string,
): { readonly type: string; readonly body: string } {
  const written = parts.map(
    ({ type, body }) =>
      `--${boundary}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(body).toString("latin1")}\r\n`,
  );
  return { type: `multipart/mixed; boundary=${boundary}`, body: `${written.join("")}--${boundary}--\r\n` };
}

/**
 * Reads the parts of a message. Line ends may be CRLF or LF, part headers in any order and spelling, and a missing closing
 * boundary is overlooked.
 *
 * @throws {UsageError} `usage/encoding`
 */
export function readMultipart(contentType: string, body: Uint8Array): readonly Part[] {
  const [, quoted, bare] = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? bare;
  if (boundary === undefined) throw new UsageError("usage/encoding", "the multipart message names no boundary");
  const pieces = `\n${Buffer.from(body).toString("latin1")}`.split(`\n--${boundary}`).slice(1);
  const open = pieces.findIndex((piece) => piece.startsWith("--"));
  const inside = open < 0 ? pieces : pieces.slice(0, open);
  if (inside.length === 0 || inside.length > maxParts)
    throw new UsageError("usage/encoding", `the multipart message has ${inside.length} parts`);
  return inside.map((piece) => {
    const [, head, content] = /^[ \t]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n([^]*)$/.exec(piece) ?? [];
    if (head === undefined || content === undefined)
      throw new UsageError("usage/encoding", "a part of the multipart message has no blank line after its headers");
    const type = /^content-type[ \t]*:[ \t]*([^\r\n]*)/im.exec(head)?.[1] ?? "";
    return { type, body: Buffer.from(content.replace(/\r?\n?$/, ""), "latin1") };
  });
}
