import type { Certificate } from "../certificate.ts";
import { UsageError } from "../errors.ts";

/** The operations of EST that are spoken here. `fullcmc` is not. */
export const operations = ["cacerts", "simpleenroll", "simplereenroll", "csrattrs", "serverkeygen"] as const;

/** One of {@link operations}. */
export type Operation = (typeof operations)[number];

/** Media types of bodies. @see RFC 7030 4; RFC 8951 3 */
export const media = {
  certificates: "application/pkcs7-mime; smime-type=certs-only",
  /** What `cacerts` answers with; the parameter is left out there by all examples of the standard. */
  caCertificates: "application/pkcs7-mime",
  request: "application/pkcs10",
  attributes: "application/csrattrs",
  key: "application/pkcs8",
  sealedKey: "application/pkcs7-mime; smime-type=server-generated-key",
  text: "text/plain; charset=utf-8",
} as const;

/** Who is at the other end of a TLS session, and what ties a request to that session. */
export interface TlsFacts {
  /** As sent: leaf first; empty when the client showed none. Not judged. */
  readonly chain: readonly Certificate[];
  /** Base64 of `tls-unique` (TLS 1.2, RFC 5929) or of the `EXPORTER-Channel-Binding` value (TLS 1.3, RFC 9266). */
  readonly binding: string | undefined;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly version: string;
}

/** A request as it came, whole. Header names are lower-case. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Where it came from, for limits and the record. */
  readonly address: string;
  readonly tls: TlsFacts;
}

/** An answer to be sent, or as it came. Header names are lower-case. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array | string;
}

/** A label is one path segment, and none of the operations. @see RFC 7030 3.2.2 */
export function isLabel(text: string): boolean {
  return /^[A-Za-z0-9._~-]{1,64}$/.test(text) && !isOperation(text) && text !== "." && text !== "..";
}

/**
 * The operation and label that a path asks for; a slash at the end and a query are overlooked, as proxies add them.
 *
 * @returns Nothing for a path that is not EST's.
 */
export function readPath(
  path: string,
): { readonly operation: Operation | "other"; readonly label: string | undefined } | undefined {
  const [, first, second] =
    /^\/\.well-known\/est\/([A-Za-z0-9._~-]{1,64})(?:\/([A-Za-z0-9._~-]{1,64}))?\/?(?:\?.*)?$/.exec(path) ?? [];
  if (first === undefined) return undefined;
  const name = second ?? first;
  const label = second === undefined ? undefined : first;
  return { operation: isOperation(name) ? name : "other", label };
}

/** The path of an operation. */
export function pathOf(operation: Operation, label: string | undefined): string {
  return `/.well-known/est/${label === undefined ? "" : `${label}/`}${operation}`;
}

/**
 * Reads what people write as the address of an EST server: `https://host`, `host:8443`, or a whole path with a label.
 *
 * @throws {UsageError} `usage/est`
 */
export function readEstUrl(text: string): {
  readonly host: string;
  readonly port: number;
  readonly label: string | undefined;
} {
  const full = text.includes("://") ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const [, label] = /^\/?(?:\.well-known\/est\/?)?([A-Za-z0-9._~-]+)?\/?$/.exec(url?.pathname ?? "\0") ?? ["", "\0"];
  const isWhole = url?.pathname.replace(/\/$/, "").endsWith("/.well-known/est") === true;
  const named = isWhole || label === ".well-known" ? undefined : label;
  if (url?.protocol !== "https:" || url.username !== "" || (named !== undefined && !isLabel(named))) {
    throw new UsageError("usage/est", `'${text.slice(0, 100)}' is not the address of an EST server`, {
      fix: "Write https://HOST[:PORT] or https://HOST[:PORT]/.well-known/est/LABEL, without a password in it.",
    });
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 443 : Number(url.port),
    label: named,
  };
}

/** A header's name as most write it: libest, for one, knows no other spelling, though case means nothing in HTTP. */
export function headerName(name: string): string {
  return name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase()).replace(/^Www-/, "WWW-");
}

/** The type of a Content-Type header without its parameters, lower-case; empty when there is none. */
export function mediaType(header: string | undefined): string {
  return (header ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

function isOperation(text: string): text is Operation {
  return operations.some((operation) => operation === text);
}
