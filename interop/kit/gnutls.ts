import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./programs.ts";
import { isRegistered, registerSession, type Attempt, type TlsClient, type TlsVersion } from "./tls-client.ts";

/** Words of priority strings for a suite, and GnuTLS's own name of it without its key exchange. */
interface GnutlsSuite {
  readonly words: readonly string[];
  /** As the description of a session ends. */
  readonly says: string;
}

const suites: ReadonlyMap<number, GnutlsSuite> = new Map([
  [0x1301, tls13("AES-128-GCM")],
  [0x1302, tls13("AES-256-GCM")],
  [0x1303, tls13("CHACHA20-POLY1305")],
  [0xc02b, aead("ECDHE-ECDSA", "AES-128-GCM")],
  [0xc02c, aead("ECDHE-ECDSA", "AES-256-GCM")],
  [0xcca9, aead("ECDHE-ECDSA", "CHACHA20-POLY1305")],
  [0xc0ac, aead("ECDHE-ECDSA", "AES-128-CCM")],
  [0xc0ae, aead("ECDHE-ECDSA", "AES-128-CCM-8")],
  [0xc023, mac("ECDHE-ECDSA", "AES-128-CBC", "SHA256")],
  [0xc024, mac("ECDHE-ECDSA", "AES-256-CBC", "SHA384")],
  [0xc006, mac("ECDHE-ECDSA", "NULL", "SHA1")],
  [0xccac, aead("ECDHE-PSK", "CHACHA20-POLY1305")],
  [0xc037, mac("ECDHE-PSK", "AES-128-CBC", "SHA256")],
  [0xc03a, mac("ECDHE-PSK", "NULL", "SHA256")],
  [0x003c, mac("RSA", "AES-128-CBC", "SHA256")],
  [0x003d, mac("RSA", "AES-256-CBC", "SHA256")],
  [0x003b, mac("RSA", "NULL", "SHA256")],
]);

const all = "+SIGN-ALL:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-X25519:+CTYPE-ALL";

/** `gnutls-cli`, with standard input and output as the data of the connection; what it tells goes to a log file. */
export const gnutlsClient: TlsClient = {
  name: "gnutls-cli",
  // gnutls-cli 3.7.9 calls gnutls_psk_server_get_username on its client session when it prints what was agreed on.
  crashesAfterPsk: true,
  suiteName: (id) => known(id).says,
  async connect(attempt) {
    const folder = await mkdtemp(join(tmpdir(), "cipsec-gnutls-"));
    const logFile = join(folder, "log");
    const { address, anchorsFile } = attempt;
    const trust = anchorsFile === undefined ? ["--insecure"] : ["--x509cafile", anchorsFile];
    const args = [
      "--port",
      "2221",
      "--logfile",
      logFile,
      "--priority",
      priority(attempt),
      ...trust,
      ...identity(attempt),
    ];
    try {
      const { stdout, stderr, signal } = await run("gnutls-cli", [...args, address], {
        input: registerSession,
        untilOctets: registerSession.length,
      });
      const log = `${await readFile(logFile, "utf8")}\n${stderr}`;
      const [, version, suite] = /^- Description: \(TLS([\d.]+)[^)]*\)-(.*)$/mu.exec(log) ?? [];
      const number = /Received alert \[(\d+)\]/u.exec(log)?.[1];
      return {
        answered: isRegistered(stdout),
        signal,
        log,
        ...(suite === undefined ? {} : { suite: cipherOf(suite) }),
        ...(version === undefined ? {} : { version }),
        ...(number === undefined ? {} : { alert: Number(number) }),
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** Of `(ECDHE-SECP256R1)-(ECDSA-SHA256)-(AES-128-CBC)-(SHA256)` what protects records: from the cipher on. */
function cipherOf(description: string): string {
  return /\((?:AES|CHACHA|NULL).*$/u.exec(description)?.[0] ?? description;
}

function priority({ version = "1.2", suite }: Attempt): string {
  const old: readonly TlsVersion[] = ["1.0", "1.1"];
  if (suite !== undefined)
    return `NONE:+VERS-TLS${version}:${known(suite)
      .words.map((word) => `+${word}`)
      .join(":")}:${all}`;
  return old.includes(version) ? `LEGACY:-VERS-ALL:+VERS-TLS${version}` : `NORMAL:-VERS-ALL:+VERS-TLS${version}`;
}

function identity({ caller, psk }: Attempt): readonly string[] {
  const certificate = caller === undefined ? [] : ["--x509certfile", caller.certFile, "--x509keyfile", caller.keyFile];
  return [...certificate, ...(psk === undefined ? [] : ["--pskusername", psk.identity, "--pskkey", psk.keyHex])];
}

function known(id: number): GnutlsSuite {
  const suite = suites.get(id);
  if (suite === undefined) throw new Error(`GnuTLS has no suite 0x${id.toString(16)}`);
  return suite;
}

/** The key exchange words belong to TLS 1.2; GnuTLS wants one all the same. */
function tls13(cipher: string): GnutlsSuite {
  return { words: ["ECDHE-ECDSA", cipher, "AEAD"], says: `(${cipher})` };
}

function aead(keyExchange: string, cipher: string): GnutlsSuite {
  return { words: [keyExchange, cipher, "AEAD"], says: `(${cipher})` };
}

function mac(keyExchange: string, cipher: string, hash: string): GnutlsSuite {
  return { words: [keyExchange, cipher, hash], says: `(${cipher})-(${hash})` };
}
