import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic-file.ts";
import { parseCertificates, toPem, type Certificate } from "./certificate.ts";
import { revocationReasons, type RevocationReason } from "./crl-entry.ts";
import type { CertificateRequest } from "./csr.ts";
import { PeerError, systemCode, TransportError, TrustError, UsageError } from "./errors.ts";
import { issuedFor, type EnrolAnswer, type EstClientOptions } from "./est/client.ts";
import { writeKeyFile } from "./keys.ts";
import { printable } from "./names.ts";

/** What a CMP client is made of. */
export interface CmpClientOptions {
  /** `cmp+http://HOST[:PORT][/PATH]`, or `cmp+https://…`. CMP protects its messages itself: TLS adds secrecy. */
  readonly url: string;
  /** Who may sign answers, certificates and, with TLS, the server's own. */
  readonly authorities: readonly Certificate[];
  /** Signs as a certificate's owner; without one a name and a password protect the messages. */
  readonly identity: NonNullable<EstClientOptions["identity"]>;
  /** The caller's clock; nothing where there is none. */
  readonly now: () => Date | undefined;
  /** The caller's randomness: the passphrase of the key on its way to the program. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** For a whole transaction, polling included; whole seconds, default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** OpenSSL 3.0 or newer; default `openssl` on the path. */
  readonly program?: string;
}

/** A CMP client. */
export interface CmpClient {
  /**
   * Asks for a certificate by the device's own PKCS#10 request, forwarded as it is (p10cr).
   *
   * @see RFC 9483 4.1.4, 5.2.2
   */
  request(csr: CertificateRequest): Promise<EnrolAnswer>;
  /** Asks to revoke a certificate (rr). @see RFC 9483 4.2, 5.3.2 */
  revoke(certificate: Certificate, reason: RevocationReason): Promise<void>;
}

/** Tells whether a URL is one of CMP. */
export function isCmpUrl(url: string): boolean {
  return /^cmp\+https?:/i.test(url);
}

/**
 * Makes a client for a CMP server. `openssl cmp` speaks the protocol: requests, certificates and the key go there in files of a folder
 * that only its owner can enter, the key wrapped by a passphrase that is in the program's environment alone.
 *
 * Operations throw {@link PeerError} `cmp/refused`, `cmp/answer`; {@link TrustError} for an answer or certificate that is not to be
 * trusted; {@link TransportError}; {@link UsageError} `usage/file` where the program is missing.
 *
 * @throws {UsageError} `usage/argument` for a URL that is none, or nothing to identify the client by
 * @see RFC 9810; RFC 9483
 */
export function cmpClient(options: CmpClientOptions): CmpClient {
  const { authorities, identity, now } = options;
  const server = readCmpUrl(options.url);
  if (identity.certificate === undefined && identity.password === undefined)
    throw new UsageError("usage/argument", "a CMP server has to know who asks", {
      fix: "Give the registrar's certificate and key, or a name and its password.",
    });
  const anchors = authorities.filter(({ facts }) => facts.selfSigned);

  /** Runs one transaction in a folder of its own, and hands over what it wrote. */
  const transact = async <T>(
    command: (file: (name: string) => string) => Promise<readonly string[]>,
    read: (file: (name: string) => string) => Promise<T>,
  ): Promise<T | { readonly waiting: number }> => {
    const folder = await mkdtemp(join(tmpdir(), "cipsec-cmp-"));
    const file = (name: string): string => join(folder, name);
    try {
      const trusted = anchors.length > 0 ? anchors : authorities;
      const [roots, pool] = [file("trusted.pem"), file("untrusted.pem")];
      await writeFileAtomic(roots, toPem(trusted));
      await writeFileAtomic(pool, toPem(authorities));
      const secret = Buffer.from(options.randomBytes(24)).toString("base64url");
      const own = await identityWords(identity, file, secret);
      const believed = ["-server", server.href, "-trusted", roots, "-untrusted", pool, "-out_trusted", roots];
      const words = [
        ...believed,
        ...(anchors.length > 0 ? [] : ["-partial_chain"]),
        ...(server.tls ? ["-tls_used", "-tls_trusted", roots, "-tls_host", server.host] : []),
        ...own.words,
        ...(await command(file)),
      ];
      const said = await runOpenssl(options, words, own.secret);
      if (said === undefined) return await read(file);
      const waiting = /received 'waiting'/.test(said) && /total timeout|timed out/.test(said);
      if (waiting) return { waiting: Number(/checkAfter = (\d{1,6})/.exec(said)?.[1] ?? 0) * 1000 };
      throw explained(said, server.href);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };

  return {
    async request(csr) {
      const answer = await transact(
        async (file) => {
          await writeFileAtomic(file("request.pem"), csr.pem);
          const out = ["-certout", file("issued.pem"), "-extracertsout", file("extra.pem")];
          return ["-cmd", "p10cr", "-csr", file("request.pem"), ...out];
        },
        async (file) => [...(await written(file("issued.pem"))), ...(await written(file("extra.pem")))],
      );
      if ("waiting" in answer) return { status: "pending", retryAfterMs: answer.waiting };
      return issuedFor({ trust: { explicit: authorities }, now }, csr, answer);
    },
    async revoke(certificate, reason) {
      const answer = await transact(
        async (file) => {
          await writeFileAtomic(file("old.pem"), toPem(certificate));
          return ["-cmd", "rr", "-oldcert", file("old.pem"), "-revreason", `${revocationReasons[reason]}`];
        },
        () => Promise.resolve([]),
      );
      if ("waiting" in answer)
        throw new PeerError("cmp/answer", `${server.href} lets a revocation wait, which is not understood here`);
    },
  };
}

interface CmpServer {
  /** `http://HOST:PORT/PATH`, as the program takes it. */
  readonly href: string;
  readonly host: string;
  readonly tls: boolean;
}

function readCmpUrl(text: string): CmpServer {
  const url = isCmpUrl(text) && text.length <= 1024 && URL.canParse(text.slice(4)) ? new URL(text.slice(4)) : undefined;
  const { hostname = "", port = "", pathname = "", username = "", password = "", search = "", hash = "" } = url ?? {};
  if (url === undefined || hostname === "" || [username, password, search, hash].some((part) => part !== ""))
    throw new UsageError("usage/argument", `'${printable(text, 128)}' is no URL of a CMP server`, {
      fix: "Write it like cmp+http://pki.example:8080/pkix/ or cmp+https://pki.example/ejbca/publicweb/cmp/plant.",
    });
  const tls = url.protocol === "https:";
  return {
    href: `${url.protocol}//${hostname}:${port === "" ? (tls ? 443 : 80) : port}${pathname}`,
    host: hostname.replace(/^\[|\]$/g, ""),
    tls,
  };
}

/** In what messages are signed with, or protected by; the secret goes by the environment. */
async function identityWords(
  { certificate, password }: CmpClientOptions["identity"],
  file: (name: string) => string,
  passphrase: string,
): Promise<{ readonly words: readonly string[]; readonly secret: string }> {
  if (certificate !== undefined) {
    await writeFileAtomic(file("own.pem"), toPem(certificate.chain));
    await writeKeyFile(file("own.key"), certificate.key, passphrase);
    const words = ["-cert", file("own.pem"), "-key", file("own.key"), "-keypass", `env:${secretVariable}`];
    return { words, secret: passphrase };
  }
  const { username = "", password: secret = "" } = password ?? {};
  // SHA-1, the program's default, is what RFC 9481 6.1 leaves behind.
  return { words: ["-ref", username, "-secret", `env:${secretVariable}`, "-mac", "hmacWithSHA256"], secret };
}

const secretVariable = "CIPSEC_CMP_SECRET";

/** What the program may print: a rejected chain is shown with all its certificates. */
const maxPrinted = 1024 * 1024;

/** Runs the program; what it printed when it failed, nothing when it did what was asked. */
async function runOpenssl(
  { program = "openssl", timeoutMs = 30_000, signal }: CmpClientOptions,
  words: readonly string[],
  secret: string,
): Promise<string | undefined> {
  const seconds = `${Math.max(1, Math.ceil(timeoutMs / 1000))}`;
  const args = ["cmp", "-config", "", "-batch", ...words, "-total_timeout", seconds, "-msg_timeout", seconds];
  // Nothing else of our environment: it may name a proxy, or another configuration.
  const env = { PATH: process.env["PATH"], LC_ALL: "C", [secretVariable]: secret };
  const limits = { timeout: timeoutMs + 5000, killSignal: "SIGKILL", maxBuffer: maxPrinted } as const;
  return await new Promise((resolve, reject) => {
    const options = { env, encoding: "utf8", ...limits, ...(signal === undefined ? {} : { signal }) } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(undefined);
      else if (signal?.aborted === true) reject(error);
      else if (["ENOENT", "EACCES"].includes(systemCode(error)))
        reject(
          new UsageError("usage/file", `the program '${program}', which speaks CMP, cannot be run`, {
            fix: "Install OpenSSL 3.0 or newer: its 'openssl cmp' is used for CMP servers.",
            facts: { program },
          }),
        );
      else resolve(error.killed === true ? "timed out" : `${stderr}\n${stdout}`);
    });
  });
}

/** What the program's lines mean: who refused, did not answer, or is not to be believed. */
function explained(said: string, where: string): PeerError | TransportError | TrustError {
  const errors = [...said.matchAll(/CMP error: ([^\n]*)/g)].map(([, line = ""]) => line.trim());
  const why = printable(errors.join("; "), 400);
  const facts = { where };
  if (said.includes("certificate not accepted:"))
    return new TrustError("trust/key-mismatch", `${where} issued what was not asked for: ${why}`, { facts });
  // Its own word comes after what it says that the other side said.
  if (/received error:PKIStatus|request rejected by server|revocation rejected|rejection.*PKIFailureInfo/.test(said))
    return new PeerError("cmp/refused", `${where} refuses: ${why}`, { facts });
  if (/error validating protection|certificate verify failed|verification failed/.test(said))
    return new TrustError("trust/unknown-authority", `${where} is not to be believed: ${why}`, {
      facts,
      fix: "Give the authority that its CMP server's certificate leads to, or check the password.",
    });
  // The program tries again until its time is over.
  if (/Connection refused|connect (?:error|timeout)|Name or service|unreachable/i.test(said))
    return new TransportError("transport/unreachable", `${where} cannot be reached: ${why}`, { facts });
  if (/timed out|timeout/i.test(said))
    return new TransportError("transport/timeout", `${where} did not answer in time`, { facts });
  return new PeerError("cmp/answer", `${where} does not answer as a CMP server: ${why}`, { facts });
}

/** The certificates of a file that the program may have left out. */
async function written(path: string): Promise<readonly Certificate[]> {
  const pem = await readFile(path).catch(() => undefined);
  return pem === undefined || pem.length === 0 ? [] : parseCertificates(pem);
}
