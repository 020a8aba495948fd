import { randomBytes, type KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  createCsr,
  hasUpstream,
  importOfflineCa,
  initCa,
  initUpstreamCa,
  makeKeyPair,
  makePrivateFolder,
  openCa,
  openUpstreamCa,
  parseCertificates,
  parsePrivateKey,
  readUpstream,
  renewsAt,
  requestOfflineCa,
  samePublicKey,
  toPem,
  writeFileAtomic,
  writeKeyFile,
  type Certificate,
  type CertificateAuthority,
  type CertificateRequest,
  type UpstreamSettings,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";

/** Certificate and key of a caller. */
export interface CallerIdentity {
  readonly chain: readonly Certificate[];
  readonly key: KeyObject;
}

/** Waits for another process that changes the folder. */
export const pause = (ms: number): Promise<void> => new Promise((done) => void setTimeout(done, ms));

/** The folder that holds a plant's keys, certificates and databases: `.cipsec`, `CIPSEC_DATA` or `--data`. */
export class DataFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** A path below the folder. */
  file(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  /** Makes the folder, mode 0700, where it is missing. */
  async ready(): Promise<void> {
    await makePrivateFolder(this.path);
  }

  hasCa(): boolean {
    return existsSync(this.file("ca", "index"));
  }

  /** The plant's authority. @throws {UsageError} `usage/state` when there is none yet. */
  async ca(): Promise<CertificateAuthority> {
    if (!this.hasCa())
      throw new UsageError("usage/state", `there is no certificate authority in ${this.path}`, {
        fix: "Make one with 'cipsec ca init', or name the right folder with --data.",
      });
    return openFolder(this.file("ca"));
  }

  /** The authority of another folder. */
  async otherCa(folder: string): Promise<CertificateAuthority> {
    return openFolder(resolve(folder));
  }

  /** Makes another organisation's EST server the plant's authority; the tool's certificate comes from there too. */
  async makeUpstream(settings: UpstreamSettings, tool: CallerIdentity): Promise<CertificateAuthority> {
    await this.ready();
    const ca = await initUpstreamCa(this.file("ca"), settings, { now: () => new Date(), pause, randomBytes });
    await this.#keepTool(tool.key, toPem(tool.chain));
    return ca;
  }

  /** Begins an authority below a root that is reached by files only. */
  async requestCa(name: string): Promise<CertificateRequest> {
    await this.ready();
    return requestOfflineCa(this.file("ca"), { name, now: () => new Date(), pause });
  }

  /** Ends what {@link requestCa} began, and makes the tool certificate. */
  async importCa(certificates: readonly Certificate[]): Promise<CertificateAuthority> {
    const ca = await importOfflineCa(this.file("ca"), certificates, { now: () => new Date(), pause });
    await this.makeTool(ca);
    return ca;
  }

  /** Makes the plant's authority and the tool certificate that this command identifies itself with. */
  async makeCa(name: string, crlBase?: string): Promise<CertificateAuthority> {
    await this.ready();
    const place = crlBase === undefined ? {} : { crlBase };
    const ca = await initCa(this.file("ca"), { name, now: () => new Date(), pause, ...place });
    await this.makeTool(ca);
    return ca;
  }

  /**
   * The tool's own certificate and key; made anew when a crash left the authority without them, at two thirds of their life, and when
   * another authority issues now.
   */
  async tool(): Promise<CallerIdentity | undefined> {
    if (!this.hasCa()) return undefined;
    const kept = existsSync(this.file("tool", "certificate.pem"))
      ? await readIdentity(this.file("tool", "certificate.pem"), this.file("tool", "key.pem"))
      : undefined;
    if (kept !== undefined && (hasUpstream(this.file("ca")) || isCurrent(kept, await this.ca()))) return kept;
    try {
      await this.makeTool(await this.ca());
    } catch (error) {
      // Where the authority cannot issue, the certificate that is there stays in use; 'ca forecast' says when it ends.
      if (kept === undefined || !isOwnKey(kept)) throw error;
      return kept;
    }
    return readIdentity(this.file("tool", "certificate.pem"), this.file("tool", "key.pem"));
  }

  /** What the tool trusts: the plant's own authorities; while one follows another, both. */
  async anchors(): Promise<readonly Certificate[]> {
    if (!this.hasCa()) return [];
    if (hasUpstream(this.file("ca"))) return [...(await readUpstream(this.file("ca"))).authorities];
    return (await this.ca()).anchors;
  }

  /** How the authority's folder is changed. */
  get caOptions(): { readonly now: () => Date; readonly pause: typeof pause } {
    return { now: () => new Date(), pause };
  }

  private async makeTool(ca: CertificateAuthority): Promise<void> {
    const { privateKey } = await makeKeyPair();
    const subject = { organization: ca.name, commonName: "cipsec tool" };
    const issued = await ca.issue({ profile: "tool", csr: await createCsr({ subject, privateKey }) });
    await this.#keepTool(privateKey, issued.chainPem);
  }

  async #keepTool(key: KeyObject, chainPem: string): Promise<void> {
    await makePrivateFolder(this.file("tool"));
    await writeKeyFile(this.file("tool", "key.pem"), key);
    await writeFileAtomic(this.file("tool", "certificate.pem"), chainPem);
  }
}

function isOwnKey({ chain: [leaf], key }: CallerIdentity): boolean {
  return leaf !== undefined && samePublicKey(leaf.publicKey, key);
}

/** Whether an identity is of the authority that issues now, and has a third of its life before it. */
function isCurrent(identity: CallerIdentity, { issuing }: CertificateAuthority): boolean {
  const [leaf] = identity.chain;
  return (
    leaf !== undefined &&
    isOwnKey(identity) &&
    leaf.constraints.authorityKeyId === issuing.constraints.subjectKeyId &&
    new Date() < renewsAt(leaf.facts)
  );
}

/** The authority in a folder, its own or one above. */
async function openFolder(folder: string): Promise<CertificateAuthority> {
  const options = { now: () => new Date(), pause, randomBytes };
  return hasUpstream(folder) ? openUpstreamCa(folder, options) : openCa(folder, options);
}

/** Reads a certificate chain and its key. @throws {UsageError} `usage/file` when a file is missing or not what it should be. */
export async function readIdentity(certificateFile: string, keyFile: string): Promise<CallerIdentity> {
  return { chain: parseCertificates(await readInput(certificateFile)), key: parsePrivateKey(await readInput(keyFile)) };
}

/** Files that commands take are certificates, keys, descriptions and captures; 1 GiB is beyond all of them. */
const maxInput = 1024 * 1024 * 1024;

/** Reads a file that a person named. @throws {UsageError} `usage/file` saying why it cannot be read. */
export async function readInput(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UsageError("usage/file", `cannot read ${path}: ${reason(error)}`, { cause: error, facts: { path } });
  }
  if (bytes.length > maxInput)
    throw new UsageError("usage/file", `${path}: larger than ${maxInput} octets`, { facts: { path } });
  return bytes;
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "permission denied";
  return code === "EISDIR" ? "it is a folder" : String(code);
}
