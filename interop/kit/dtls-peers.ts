import { execFileSync } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printed, start } from "./programs.ts";

/** A self-signed certificate in files, and as our packages take it. */
export interface Identity {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly pem: string;
  readonly key: KeyObject;
}

/** Certificates with both kinds of key, in a folder that `remove` deletes. */
export function makeIdentities(): { readonly ecdsa: Identity; readonly rsa: Identity; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-dtls-"));
  const make = (name: string, kind: readonly string[]): Identity => {
    const keyFile = join(folder, `${name}.key`);
    const certificateFile = join(folder, `${name}.pem`);
    const rest = ["-nodes", "-keyout", keyFile, "-out", certificateFile, "-subj", `/CN=${name}.example`, "-days", "30"];
    execFileSync("openssl", ["req", "-x509", ...kind, ...rest], { stdio: "pipe" });
    const pem = readFileSync(certificateFile, "utf8");
    return { certificateFile, keyFile, pem, key: createPrivateKey(readFileSync(keyFile)) };
  };
  return {
    ecdsa: make("ecdsa", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    rsa: make("rsa", ["-newkey", "rsa:2048"]),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** The pre-shared key of every case. */
export const psk = { identity: Buffer.from("line3"), key: Buffer.alloc(32, 0x5a) };

/** One run of a foreign program. */
export interface PeerCase {
  readonly suite: number;
  readonly address: string;
  readonly port: number;
  readonly identity: Identity;
  /** The client shows a certificate. */
  readonly clientAuth: boolean;
  readonly mtu?: number;
  /** OpenSSL only: it does as peers did before Encrypt-then-MAC. */
  readonly old?: boolean;
}

/** A foreign DTLS implementation. */
export interface DtlsPeer {
  readonly name: string;
  readonly programs: readonly string[];
  /** Suites that it has. */
  readonly suites: readonly number[];
  /** Connects; what it is given on standard input it sends, what it receives it prints. */
  client(peer: PeerCase): ChildProcessWithoutNullStreams;
  /** Listens; settles when it does. `echoes` tells whether it sends back, or prints what it receives and sends its input. */
  server(peer: PeerCase): Promise<ChildProcessWithoutNullStreams>;
  readonly echoes: boolean;
  /** Where its server answers from. gnutls-serv listens on all addresses and answers from the first of the loopback. */
  readonly serverAddress: string | undefined;
  /** Suites after which its client dies by a fault of its own once the handshake is done. */
  readonly clientDiesAfter: readonly number[];
}

const opensslNames = new Map<number, string>([
  [0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"],
  [0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"],
  [0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"],
  [0xc02f, "ECDHE-RSA-AES128-GCM-SHA256"],
  [0xc030, "ECDHE-RSA-AES256-GCM-SHA384"],
  [0xcca8, "ECDHE-RSA-CHACHA20-POLY1305"],
  [0xccac, "ECDHE-PSK-CHACHA20-POLY1305"],
  [0xc0ac, "ECDHE-ECDSA-AES128-CCM"],
  [0xc0ad, "ECDHE-ECDSA-AES256-CCM"],
  [0xc0ae, "ECDHE-ECDSA-AES128-CCM8"],
  [0xc0af, "ECDHE-ECDSA-AES256-CCM8"],
  [0xc023, "ECDHE-ECDSA-AES128-SHA256"],
  [0xc024, "ECDHE-ECDSA-AES256-SHA384"],
  [0xc027, "ECDHE-RSA-AES128-SHA256"],
  [0xc028, "ECDHE-RSA-AES256-SHA384"],
  [0xc037, "ECDHE-PSK-AES128-CBC-SHA256"],
  [0xc038, "ECDHE-PSK-AES256-CBC-SHA384"],
  [0x003c, "AES128-SHA256"],
  [0x003d, "AES256-SHA256"],
  [0xc006, "ECDHE-ECDSA-NULL-SHA"],
  [0xc010, "ECDHE-RSA-NULL-SHA"],
  [0xc03a, "ECDHE-PSK-NULL-SHA256"],
  [0xc03b, "ECDHE-PSK-NULL-SHA384"],
  [0x003b, "NULL-SHA256"],
]);

/** `openssl s_client` and `s_server`. */
export const openssl: DtlsPeer = {
  name: "OpenSSL",
  programs: ["openssl"],
  suites: [...opensslNames.keys()],
  echoes: false,
  serverAddress: undefined,
  clientDiesAfter: [],
  client({ suite, address, port, identity, clientAuth, mtu, old }) {
    const proof = clientAuth ? ["-cert", identity.certificateFile, "-key", identity.keyFile] : [];
    const size = [...(mtu === undefined ? [] : ["-mtu", String(mtu)]), ...(old ? ["-no_etm"] : [])];
    const psks = ["-psk_identity", psk.identity.toString(), "-psk", psk.key.toString("hex")];
    // On a blocking socket it waits, deaf to its input, for a datagram to follow one that it drops as a repetition.
    const common = ["s_client", "-dtls1_2", "-nbio", "-quiet", "-connect", `${address}:${port}`];
    return start("openssl", [...common, ...cipher(suite), ...proof, ...psks, ...size]);
  },
  async server({ suite, address, port, identity, clientAuth, mtu, old }) {
    const asks = clientAuth ? ["-Verify", "3", "-verify_quiet"] : [];
    const size = [...(mtu === undefined ? [] : ["-mtu", String(mtu)]), ...(old ? ["-no_etm"] : [])];
    const proof = ["-cert", identity.certificateFile, "-key", identity.keyFile];
    const psks = ["-psk_identity", psk.identity.toString(), "-psk", psk.key.toString("hex")];
    const common = ["s_server", "-dtls1_2", "-listen", "-accept", `${address}:${port}`];
    const child = start("openssl", [...common, ...cipher(suite), ...proof, ...psks, ...asks, ...size]);
    await printed(child, /ACCEPT/);
    return child;
  },
};

function cipher(suite: number): readonly string[] {
  return ["-cipher", `${opensslNames.get(suite)}:@SECLEVEL=0`];
}

const gnutlsWords = new Map<number, string>([
  [0xc02b, "+ECDHE-ECDSA:+AES-128-GCM:+AEAD"],
  [0xc02c, "+ECDHE-ECDSA:+AES-256-GCM:+AEAD"],
  [0xcca9, "+ECDHE-ECDSA:+CHACHA20-POLY1305:+AEAD"],
  [0xc02f, "+ECDHE-RSA:+AES-128-GCM:+AEAD"],
  [0xc030, "+ECDHE-RSA:+AES-256-GCM:+AEAD"],
  [0xcca8, "+ECDHE-RSA:+CHACHA20-POLY1305:+AEAD"],
  [0xccac, "+ECDHE-PSK:+CHACHA20-POLY1305:+AEAD"],
  [0xc0ac, "+ECDHE-ECDSA:+AES-128-CCM:+AEAD"],
  [0xc0ad, "+ECDHE-ECDSA:+AES-256-CCM:+AEAD"],
  [0xc0ae, "+ECDHE-ECDSA:+AES-128-CCM-8:+AEAD"],
  [0xc0af, "+ECDHE-ECDSA:+AES-256-CCM-8:+AEAD"],
  [0xc023, "+ECDHE-ECDSA:+AES-128-CBC:+SHA256"],
  [0xc024, "+ECDHE-ECDSA:+AES-256-CBC:+SHA384"],
  [0xc027, "+ECDHE-RSA:+AES-128-CBC:+SHA256"],
  [0xc028, "+ECDHE-RSA:+AES-256-CBC:+SHA384"],
  [0xc037, "+ECDHE-PSK:+AES-128-CBC:+SHA256"],
  [0xc038, "+ECDHE-PSK:+AES-256-CBC:+SHA384"],
  [0x003c, "+RSA:+AES-128-CBC:+SHA256"],
  [0x003d, "+RSA:+AES-256-CBC:+SHA256"],
  [0xc006, "+ECDHE-ECDSA:+NULL:+SHA1"],
  [0xc010, "+ECDHE-RSA:+NULL:+SHA1"],
  [0xc03a, "+ECDHE-PSK:+NULL:+SHA256"],
  [0xc03b, "+ECDHE-PSK:+NULL:+SHA384"],
  [0x003b, "+RSA:+NULL:+SHA256"],
]);

/** `gnutls-cli` and `gnutls-serv`. */
export const gnutls: DtlsPeer = {
  name: "GnuTLS",
  programs: ["gnutls-cli", "gnutls-serv", "openssl"],
  suites: [...gnutlsWords.keys()],
  echoes: true,
  serverAddress: "127.0.0.1",
  // gnutls-cli 3.7.9 calls gnutls_psk_server_get_username on its client session when it prints what was agreed on.
  clientDiesAfter: [0xccac, 0xc037, 0xc038, 0xc03a, 0xc03b],
  client({ suite, address, port, identity, clientAuth, mtu }) {
    const proof = clientAuth ? ["--x509certfile", identity.certificateFile, "--x509keyfile", identity.keyFile] : [];
    const size = mtu === undefined ? [] : ["--mtu", String(mtu)];
    const psks = ["--pskusername", psk.identity.toString(), "--pskkey", psk.key.toString("hex")];
    const common = ["--udp", "--insecure", "--port", String(port), "--priority", priority(suite)];
    return start("gnutls-cli", [...common, ...proof, ...psks, ...size, address]);
  },
  async server({ suite, port, identity, clientAuth, mtu }) {
    const asks = clientAuth ? ["--require-client-cert"] : ["--disable-client-cert"];
    const size = mtu === undefined ? [] : ["--mtu", String(mtu)];
    const proof = ["--x509certfile", identity.certificateFile, "--x509keyfile", identity.keyFile];
    const common = ["--udp", "--echo", "--port", String(port), "--priority", priority(suite)];
    const child = start("gnutls-serv", [...common, ...proof, ...pskFile(identity), ...asks, ...size]);
    await printed(child, /listening on IPv4[^\n]*done/);
    return child;
  },
};

/** Peers that come as a library: a small program of ours, compiled where the library is. */
function compiledPeer(
  name: string,
  source: {
    readonly file: string;
    readonly header: string;
    readonly libraries: readonly string[];
    readonly debian: string;
  },
  suites: ReadonlyMap<number, string>,
): DtlsPeer {
  const there = existsSync(source.header);
  let program: string | undefined;
  const compile = (): string => {
    if (program !== undefined) return program;
    const folder = mkdtempSync(join(tmpdir(), "cipsec-peer-"));
    process.once("exit", () => rmSync(folder, { recursive: true }));
    program = join(folder, name);
    const libraries = source.libraries.map((library) => `-l${library}`);
    execFileSync("gcc", ["-O1", "-o", program, join(import.meta.dirname, source.file), ...libraries]);
    return program;
  };
  const args = (role: string, { suite, address, port, identity, clientAuth, mtu }: PeerCase): readonly string[] => [
    role,
    address,
    String(port),
    suites.get(suite) ?? "",
    identity.certificateFile,
    identity.keyFile,
    clientAuth ? "1" : "0",
    psk.identity.toString(),
    psk.key.toString("hex"),
    String(mtu ?? 0),
  ];
  return {
    name,
    programs: ["gcc", "openssl", ...(there ? [] : [source.debian])],
    suites: [...suites.keys()],
    echoes: false,
    serverAddress: undefined,
    clientDiesAfter: [],
    client: (peer) => start(compile(), args("client", peer)),
    async server(peer) {
      const child = start(compile(), args("server", peer));
      await printed(child, /READY/);
      return child;
    },
  };
}

/** Mbed TLS, by a program of ours. Debian's build has no connection ids and no NULL suites. */
export const mbedtls = compiledPeer(
  "Mbed TLS",
  {
    file: "mbedtls-dtls.c",
    header: "/usr/include/mbedtls/ssl.h",
    libraries: ["mbedtls", "mbedx509", "mbedcrypto"],
    debian: "libmbedtls-dev",
  },
  new Map(
    [
      0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8, 0xccac, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af, 0xc023, 0xc024, 0xc027,
      0xc028, 0xc037, 0xc038, 0x003c, 0x003d,
    ].map((id) => [id, id.toString(16).padStart(4, "0")]),
  ),
);

/** wolfSSL, by a program of ours; the one peer here with GCM and a pre-shared key (0xD001). */
export const wolfssl = compiledPeer(
  "wolfSSL",
  {
    file: "wolfssl-dtls.c",
    header: "/usr/include/wolfssl/ssl.h",
    libraries: ["wolfssl"],
    debian: "libwolfssl-dev",
  },
  new Map([
    [0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"],
    [0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"],
    [0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"],
    [0xc02f, "ECDHE-RSA-AES128-GCM-SHA256"],
    [0xc030, "ECDHE-RSA-AES256-GCM-SHA384"],
    [0xcca8, "ECDHE-RSA-CHACHA20-POLY1305"],
    [0xccac, "ECDHE-PSK-CHACHA20-POLY1305"],
    [0xd001, "ECDHE-PSK-AES128-GCM-SHA256"],
    [0xc0ac, "ECDHE-ECDSA-AES128-CCM"],
    [0xc0ae, "ECDHE-ECDSA-AES128-CCM-8"],
    [0xc0af, "ECDHE-ECDSA-AES256-CCM-8"],
    [0xc023, "ECDHE-ECDSA-AES128-SHA256"],
    [0xc024, "ECDHE-ECDSA-AES256-SHA384"],
    [0xc027, "ECDHE-RSA-AES128-SHA256"],
    [0xc028, "ECDHE-RSA-AES256-SHA384"],
    [0xc037, "ECDHE-PSK-AES128-CBC-SHA256"],
    [0xc006, "ECDHE-ECDSA-NULL-SHA"],
    [0xc03a, "ECDHE-PSK-NULL-SHA256"],
  ]),
);

function priority(suite: number): string {
  const groups = "+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-X25519";
  return `NONE:+VERS-DTLS1.2:+SIGN-ALL:${groups}:+CTYPE-ALL:+COMP-NULL:%VERIFY_ALLOW_BROKEN:${gnutlsWords.get(suite)}`;
}

/** gnutls-serv reads pre-shared keys from a file; it lives beside the certificate, and another server may be reading it. */
function pskFile({ certificateFile }: Identity): readonly string[] {
  const file = `${certificateFile}.psk`;
  if (!existsSync(file)) writeFileSync(file, `${psk.identity.toString()}:${psk.key.toString("hex")}\n`);
  return ["--pskpasswd", file];
}

/** What a way between two UDP ends does to datagrams, both ways; shares from 0 to 1. */
export interface WayFaults {
  readonly loss?: number;
  /** Datagrams that come twice, and as many that are overtaken on the way to our side. */
  readonly disorder?: number;
  /** Which end is ours. Servers of OpenSSL and wolfSSL give up where a ChangeCipherSpec overtakes: what they get comes in order. */
  readonly ours?: "client" | "server";
}

/** A way between two UDP ends with faults. */
export interface LossyProxy {
  readonly port: number;
  close(): Promise<void>;
}

/** Longer than what goes between two flights on loopback, shorter than a repetition. */
const overtakenMs = 30;

/** Forwards between one client and a server, with faults; `random` decides which datagrams have them. */
export async function lossyProxy(
  address: string,
  target: { readonly address: string; readonly port: number },
  { loss = 0, disorder = 0, ours }: WayFaults,
  random: () => number,
): Promise<LossyProxy> {
  const front = createSocket("udp4");
  const back = createSocket("udp4");
  let client: { address: string; port: number } | undefined;
  let isOpen = true;
  const pass = (socket: Socket, bytes: Uint8Array, to: { address: string; port: number } | undefined): void => {
    if (to === undefined || random() < loss) return;
    const isToUs = socket === (ours === "server" ? back : front);
    const send = (): void => {
      if (isOpen) socket.send(bytes, to.port, to.address);
    };
    if (disorder > 0 && random() < disorder) send();
    if (disorder > 0 && isToUs && random() < disorder) setTimeout(send, overtakenMs);
    else send();
  };
  front.on("message", (bytes, from) => {
    client = from;
    pass(back, bytes, target);
  });
  back.on("message", (bytes) => pass(front, bytes, client));
  await Promise.all([bind(front, address), bind(back, address)]);
  const close = async (): Promise<void> => {
    isOpen = false;
    await Promise.all([front, back].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  };
  return { port: front.address().port, close };
}

function bind(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(0, address, resolve);
  });
}
