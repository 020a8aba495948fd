import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { printed, start } from "./programs.ts";
import type { Caller } from "./plant.ts";

/** One listener of stunnel in server mode. */
export interface StunnelService {
  readonly name: string;
  /** `ADDRESS:PORT` that it listens on with TLS. */
  readonly accept: string;
  /** `ADDRESS:PORT` that it passes the plain octets on to. */
  readonly connect: string;
  readonly certificate: Pick<Caller, "certFile" | "keyFile">;
  /** Authorities of the clients that it lets in; it asks for no certificate without. */
  readonly clientAnchors?: string;
}

/** Starts one stunnel with all these services, and waits until it listens. */
export async function startStunnel(
  folder: string,
  services: readonly StunnelService[],
): Promise<ChildProcessWithoutNullStreams> {
  const file = join(folder, "stunnel.conf");
  const sections = services.map(({ name, accept, connect, certificate, clientAnchors }) => [
    `[${name}]`,
    `accept = ${accept}`,
    `connect = ${connect}`,
    `cert = ${certificate.certFile}`,
    `key = ${certificate.keyFile}`,
    "sslVersionMin = TLSv1.2",
    ...(clientAnchors === undefined ? [] : [`CAfile = ${clientAnchors}`, "verifyChain = yes", "requireCert = yes"]),
  ]);
  await writeFile(file, [["foreground = yes", "pid =", "syslog = no"], ...sections].flat().join("\n"));
  const child = start("stunnel", [file]);
  await printed(child, /Configuration successful/u);
  return child;
}
