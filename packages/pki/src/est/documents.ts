import type { HttpAnswer } from "./http.ts";

/** Something that is handed out to everybody. */
export interface PublicDocument {
  readonly type: string;
  readonly body: Uint8Array | string;
}

/** Finds what stands at a path; nothing where nothing does. */
export type Documents = (path: string) => Promise<PublicDocument | undefined>;

/** Answers a request for a public document; nothing where there is none at that path. */
export async function answerDocument(
  documents: Documents | undefined,
  { method, path }: { readonly method: string; readonly path: string },
): Promise<HttpAnswer | undefined> {
  const found = await documents?.(path.replace(/\?.*$/s, ""));
  if (found === undefined) return undefined;
  if (method !== "GET" && method !== "HEAD")
    return { status: 405, headers: { allow: "GET, HEAD", "content-type": "text/plain" }, body: "read only\n" };
  return { status: 200, headers: { "content-type": found.type, "cache-control": "max-age=60" }, body: found.body };
}
