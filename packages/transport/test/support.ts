import { spawn } from "node:child_process";
import type { KeyObject } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initCa, makeKeyPair, privateKeyToPem, toPem } from "@cipsec/pki";
import type { Certificate, CertificateAuthority, KeyKind } from "@cipsec/pki";
import type { Channel, TlsCertificate, TlsPolicy } from "../src/index.ts";
import { systemClock, verifyWith } from "../src/index.ts";

/** A certificate with its key, ready for a policy and, as files, for foreign peers. */
export interface Identity extends TlsCertificate {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Plant extends AsyncDisposable {
  readonly folder: string;
  readonly ca: CertificateAuthority;
  readonly caFile: string;
  issue(name: string, options?: { kind?: KeyKind; days?: number; ip?: string }): Promise<Identity>;
}

/** An authority of its own in a folder of its own. */
export async function plant(name: string, now: () => Date = () => new Date()): Promise<Plant> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-transport-"));
  const ca = await initCa(join(folder, "ca"), { name, now });
  const caFile = join(folder, "ca.pem");
  await writeFile(caFile, toPem([ca.issuing, ca.root]));
  return {
    folder,
    ca,
    caFile,
    async issue(commonName, { kind = "ecdsa-p256", days = 30, ip = "127.23.0.1" } = {}) {
      const { privateKey, publicKey } = await makeKeyPair(kind);
      const issued = await ca.issue({
        profile: "device",
        publicKey,
        subject: { commonName },
        san: { ip: [ip], dns: ["localhost"] },
        days,
      });
      const certFile = join(folder, `${commonName}.pem`);
      const keyFile = join(folder, `${commonName}.key`);
      await writeFile(certFile, issued.chainPem);
      await writeFile(keyFile, privateKeyToPem(privateKey));
      const chain = issued.chain.map(({ der }) => der);
      return { chain, key: privateKey, certificate: issued.certificate, certFile, keyFile };
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A policy that trusts the plant and shows this identity; parts can be replaced. */
export function policy(of: Plant, identity: TlsCertificate | undefined, more: Partial<TlsPolicy> = {}): TlsPolicy {
  return {
    suites: [0xc02b],
    certificates: identity === undefined ? [] : [identity],
    sendChain: false,
    psks: [],
    verifyPeer: true,
    verify: verifyWith({ anchors: [of.ca.issuing, of.ca.root], checkName: false, clock: systemClock }),
    ...more,
  };
}

/** An `accept` that sends everything back. */
export function echo(channel: Channel): void {
  channel.receive((bytes) => channel.send(bytes));
}

/** Sends octets and waits for as many. */
export async function roundTrip(channel: Channel, bytes: Uint8Array): Promise<Uint8Array> {
  const got: number[] = [];
  const all = new Promise<void>((resolve, reject) => {
    channel.receive((part) => {
      got.push(...part);
      if (got.length >= bytes.length) resolve();
    });
    void channel.closed.then(({ error }) => reject(error ?? new Error("closed")));
  });
  channel.send(bytes);
  await all;
  return Uint8Array.from(got);
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Runs a foreign program, gives it a line after a while, and returns all that it said. */
export async function run(
  command: string,
  args: readonly string[],
  line = "hello\n",
): Promise<{ code: number; text: string }> {
  const child = spawn(command, args, { stdio: "pipe" });
  let text = "";
  let hasSaid = false;
  const take = (bytes: Buffer): void => {
    text += bytes.toString("latin1");
    if (!hasSaid && /Cipher is (?!\(NONE\))|Handshake was completed/.test(text)) {
      hasSaid = true;
      child.stdin.write(line);
      setTimeout(() => child.stdin.end(), 150);
    }
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  child.stdin.on("error", () => undefined);
  const timer = setTimeout(() => child.kill(), 8_000);
  const code = await new Promise<number>((resolve) => child.on("close", (status) => resolve(status ?? -1)));
  clearTimeout(timer);
  return { code, text };
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
