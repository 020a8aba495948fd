import type { EvidenceRef } from "../evidence/evidence.ts";
import type { Bench } from "./bench.ts";
import { pamStack, type PamKind, type PamLine } from "./parse/pam.ts";

/** Files of PAM services are small, and there are tens of them. */
const mark = "=== ";

/** The PAM services of a host as they stand. */
export interface PamFiles {
  /** The modules that a service calls for this, in order. */
  readonly stack: (service: string, kind: PamKind) => readonly PamLine[];
  readonly evidence: readonly EvidenceRef[];
}

/** Reads all services at once: their own files before those that the distribution ships. */
export async function readPam(bench: Bench): Promise<PamFiles> {
  const script = `for file in /usr/lib/pam.d/* /etc/pam.d/*; do [ -f "$file" ] && { echo "${mark}$(basename "$file")"; cat "$file"; echo; }; done; true`;
  const { stdout, evidence } = await bench.see("pam", ["sh", "-c", script]);
  const read = parsePamFiles(stdout);
  return { stack: (service, kind) => pamStack(read, service, kind), evidence };
}

/** Files after each other, each under its name. */
export function parsePamFiles(text: string): ReadonlyMap<string, string> {
  const parts = `\n${text}`.split(`\n${mark}`).slice(1);
  return new Map(
    parts.map((part) => {
      const at = part.indexOf("\n");
      return at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
    }),
  );
}
