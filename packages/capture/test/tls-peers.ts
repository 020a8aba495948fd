import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectTcp, createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer as createTlsServer } from "node:tls";
import type { ConnectionOptions, TlsOptions, TLSSocket } from "node:tls";
import type { Tapped } from "./frames.ts";

/** Loopback addresses of these tests alone. */
const serverAddress = "127.22.0.1";
const tapAddress = "127.22.0.2";

export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

/** Self-signed certificates made by the openssl command. */
export function makeCertificates(): { readonly ecdsa: KeyPair; readonly rsa: KeyPair } {
  const folder = mkdtempSync(join(tmpdir(), "capture-tls-"));
  const make = (name: string, ...algorithm: readonly string[]): KeyPair => {
    const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
    const made = spawnSync("openssl", [
      "req",
      "-x509",
      "-newkey",
      ...algorithm,
      "-nodes",
      "-keyout",
      key,
      "-out",
      cert,
      "-days",
      "2",
      "-subj",
      "/CN=tap",
    ]);
    if (made.status !== 0) throw new Error(`openssl: ${made.stderr.toString()}`);
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  };
  const pairs = { ecdsa: make("ecdsa", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), rsa: make("rsa", "rsa:2048") };
  rmSync(folder, { recursive: true });
  return pairs;
}

/** What went over the wire, and what its ends sent. */
export interface Session {
  readonly tapped: readonly Tapped[];
  readonly keyLog: string;
  /** Application data of the client and of the server. */
  readonly sent: readonly [Uint8Array, Uint8Array];
  /** IANA name of the suite, as OpenSSL says. */
  readonly suite: string;
  readonly version: string;
  readonly resumed: boolean;
  /** Lets the next session resume this one. */
  readonly ticket: Buffer | undefined;
}

/** Speaks TLS between node:tls and node:tls, with a TCP proxy between that keeps the octets of both directions. */
export async function tapSession(
  server: TlsOptions,
  client: ConnectionOptions,
  messages: readonly [Uint8Array, Uint8Array][],
): Promise<Session> {
  const secureServer = createTlsServer(server);
  const port = await listen(secureServer, serverAddress);
  const { tapped, tap } = tapBefore(port);
  let keyLog = "";
  try {
    const accepted: Promise<TLSSocket> = once(secureServer, "secureConnection").then(
      ([socket]: TLSSocket[]) => socket!,
    );
    const near = connect({
      ...client,
      host: tapAddress,
      port: await listen(tap, tapAddress),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    let ticket: Buffer | undefined;
    near.on("session", (session) => (ticket = session));
    near.on("keylog", (line) => (keyLog += line.toString("latin1")));
    const [far] = await Promise.all([accepted, once(near, "secureConnect")]);
    for (const [question, answer] of messages) {
      await deliver(near, far, question);
      await deliver(far, near, answer);
    }
    const { standardName } = near.getCipher();
    const version = near.getProtocol() ?? "";
    const resumed = near.isSessionReused();
    near.end();
    far.end();
    await Promise.all([once(far, "close"), once(near, "close")]);
    const sent = [
      Buffer.concat(messages.map(([question]) => question)),
      Buffer.concat(messages.map(([, answer]) => answer)),
    ] as const;
    return {
      tapped,
      keyLog,
      sent: [new Uint8Array(sent[0]), new Uint8Array(sent[1])],
      suite: standardName,
      version,
      resumed,
      ticket,
    };
  } finally {
    secureServer.close();
    tap.close();
  }
}

/** OpenSSL's own client, which can be told to update its keys: each line of `steps` waits until the peer saw the last. */
export async function tapOpensslClient(server: TlsOptions, steps: readonly string[]): Promise<Session> {
  const folder = mkdtempSync(join(tmpdir(), "capture-tls-"));
  const secureServer = createTlsServer(server);
  const port = await listen(secureServer, serverAddress);
  const { tapped, tap } = tapBefore(port);
  const received: Buffer[] = [];
  try {
    const accepted: Promise<TLSSocket> = once(secureServer, "secureConnection").then(
      ([socket]: TLSSocket[]) => socket!,
    );
    const target = `${tapAddress}:${await listen(tap, tapAddress)}`;
    const client = spawn("openssl", ["s_client", "-connect", target, "-tls1_3", "-keylogfile", join(folder, "keys")]);
    const far = await accepted;
    far.on("data", (chunk: Buffer) => {
      received.push(chunk);
      far.write(chunk);
    });
    for (const step of steps) {
      const before = tapped.length;
      client.stdin.write(`${step}\n`);
      while (tapped.length === before) await new Promise((resolve) => setTimeout(resolve, 20));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    client.stdin.end();
    far.end();
    await once(client, "close");
    const sent = new Uint8Array(Buffer.concat(received));
    return {
      tapped,
      keyLog: readFileSync(join(folder, "keys"), "latin1"),
      sent: [sent, sent],
      suite: "",
      version: "TLSv1.3",
      resumed: false,
      ticket: undefined,
    };
  } finally {
    secureServer.close();
    tap.close();
    rmSync(folder, { recursive: true });
  }
}

function tapBefore(port: number): { readonly tapped: Tapped[]; readonly tap: Server } {
  const tapped: Tapped[] = [];
  const tap = createServer((near) => {
    const far = connectTcp({ host: serverAddress, port });
    near.on("data", (bytes: Buffer) => {
      tapped.push({ from: 0, bytes: new Uint8Array(bytes) });
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      tapped.push({ from: 1, bytes: new Uint8Array(bytes) });
      near.write(bytes);
    });
    near.on("end", () => far.end());
    far.on("end", () => near.end());
    for (const socket of [near, far]) socket.on("error", () => [near, far].forEach((each) => each.destroy()));
  });
  return { tapped, tap };
}

async function deliver(from: TLSSocket, to: TLSSocket, bytes: Uint8Array): Promise<void> {
  let left = bytes.length;
  const arrived = new Promise<void>((resolve) => {
    const take = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      to.off("data", take);
      resolve();
    };
    to.on("data", take);
  });
  from.write(bytes);
  await arrived;
}

async function listen(server: Server, host: string): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
