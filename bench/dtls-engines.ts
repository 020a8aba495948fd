import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ServerSessions,
  certificateCredential,
  createClientEngine,
  createServerEngine,
  type Acceleration,
  type ClientOptions,
  type ClientSession,
  type Credentials,
  type Engine,
  type EngineOutput,
  type ServerOptions,
} from "@cipsec/dtls";
import type { Contestant } from "./measure.ts";

/** A key and its certificate, in files and in memory. ECDSA P-256. */
export interface Files {
  readonly key: string;
  readonly certificate: string;
  readonly credentials: Credentials;
  readonly folder: string;
  remove(): void;
}

const secret = Buffer.alloc(32, 1);

/** Makes them with OpenSSL. */
export function makeFiles(): Files {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-bench-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const files = ["-keyout", key, "-out", certificate, "-subj", "/CN=bench"];
  execFileSync("openssl", ["req", "-x509", "-nodes", ...curve, ...files], { stdio: "pipe" });
  const credential = certificateCredential(readFileSync(certificate, "utf8"), createPrivateKey(readFileSync(key)));
  const psk = { identity: Buffer.from("bench"), key: secret };
  return {
    key,
    certificate,
    folder,
    credentials: { certificates: [credential], psk, findPsk: () => secret },
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** Two ends with nothing between them but memory. */
export interface Ends {
  readonly client: Engine;
  readonly server: Engine;
  readonly session: ClientSession | undefined;
}

/** A whole handshake in this process. */
export function handshake(client: ClientOptions, server: ServerOptions): Ends {
  const ends = {
    client: createClientEngine(client),
    server: createServerEngine(server, { messageSeq: 0, recordSeq: 0 }),
  };
  let session: ClientSession | undefined;
  const deliver = (from: keyof typeof ends, output: EngineOutput): void => {
    const to = from === "client" ? "server" : "client";
    for (const event of output.events) {
      if (event.type === "verify")
        deliver(from, ends[from].handle({ type: "verdict", verdict: { accepted: true } }, 0));
      if (event.type === "open" && from === "client") session = event.session;
    }
    for (const bytes of output.send) deliver(to, ends[to].handle({ type: "datagram", bytes }, 0));
  };
  deliver("client", ends.client.handle({ type: "start" }, 0));
  return { ...ends, session };
}

const warmUpMs = 150;

/** How often in a second of processor time something can be done: other work on the machine hardly shows. */
export function rate(work: () => void, forMs: number): number {
  let result = 0;
  for (const ms of [warmUpMs, forMs]) {
    const before = process.cpuUsage();
    const end = performance.now() + ms;
    let count = 0;
    while (performance.now() < end) {
      for (let i = 0; i < 20; i += 1) work();
      count += 20;
    }
    const { user, system } = process.cpuUsage(before);
    result = (count * 1e6) / (user + system);
  }
  return result;
}

/** Pairs of records sealed by one end and opened by the other. */
export function recordPairs(
  { credentials }: Files,
  suite: number,
  octets: number,
  acceleration: Acceleration,
  forMs: number,
): number {
  const options = { credentials, suites: [suite], acceleration, mtu: 1600 };
  const { client, server } = handshake(options, options);
  const payload = new Uint8Array(octets);
  const result = rate(() => {
    for (const bytes of client.handle({ type: "send", payload }, 0).send) server.handle({ type: "datagram", bytes }, 0);
  }, forMs);
  if (server.statistics.recordsIn < result / 100) throw new Error("records were lost on the way");
  for (const engine of [client, server]) engine.dispose();
  return result;
}

/** Handshakes with both certificates, or taken up again. */
export function handshakePairs({ credentials }: Files, resumes: boolean, forMs: number): number {
  const suites = [0xc02b];
  const sessions = new ServerSessions();
  const server: ServerOptions = { credentials, suites, clientAuth: "require", ...(resumes && { sessions }) };
  const { session } = handshake({ credentials, suites }, server);
  return rate(() => {
    const ends = handshake({ credentials, suites, ...(resumes && session && { session }) }, server);
    if (ends.client.facts?.resumed !== resumes) throw new Error("the session was not taken up as it should be");
    for (const engine of [ends.client, ends.server]) engine.dispose();
  }, forMs);
}

/** The program of `dtls-openssl.c`; `undefined` where OpenSSL's headers are missing. */
export function compileReference({ folder }: Files): string | undefined {
  if (!existsSync("/usr/include/openssl/ssl.h")) return undefined;
  const program = join(folder, "dtls-openssl");
  const source = join(import.meta.dirname, "dtls-openssl.c");
  execFileSync("gcc", ["-O2", "-o", program, source, "-lssl", "-lcrypto"]);
  return program;
}

/** One run of that program. */
export function referenceRun(program: string, name: string, args: readonly (string | number)[]): Contestant {
  return {
    name,
    measure: () => Promise.resolve(Number(execFileSync(program, args.map(String), { encoding: "utf8" }))),
  };
}
