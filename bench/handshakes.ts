import { spawn } from "node:child_process";
import { connect } from "node:net";
import { startServer } from "./child.ts";
import { makeCredentials, type Credentials } from "./credentials.ts";
import { alternate, compared, type Benchmark, type Contestant } from "./measure.ts";

const ours = { address: "127.26.17.1", port: 2221, mutualPort: 2222 };
const reference = { address: "127.26.17.2", port: 2221, mutualPort: 2222 };

const suite = 0xc02b;
const cipher = "ECDHE-ECDSA-AES128-GCM-SHA256";

const rounds = 3;
const seconds = 3;

/** Clients at a time: enough that the server never waits for one. */
const clients = 3;

/** TLS 1.2 handshakes a second of our listener, against `openssl s_server`, both under `openssl s_time`. */
export const handshakes: Benchmark = {
  name: "handshakes",
  about: "TLS 1.2 handshakes a second, ECDSA P-256, our listener against openssl s_server, both under openssl s_time",
  async run() {
    await using cleanUp = new AsyncDisposableStack();
    const credentials = await makeCredentials();
    cleanUp.defer(() => credentials.remove());
    const { serverCertificate: certificate, serverKey: key, ca } = credentials;
    const listener = await startServer("listener-process.ts", { ...ours, certificate, key, ca, suite });
    cleanUp.defer(() => listener.stop());
    for (const mutual of [false, true]) cleanUp.defer(await startReference(credentials, mutual));
    const contestants = [false, true].flatMap((mutual): readonly Contestant[] => {
      const kind = mutual ? "mutual" : "server only";
      return [
        { name: `listener ${kind}`, measure: () => load(ours, credentials, mutual) },
        { name: `s_server ${kind}`, measure: () => load(reference, credentials, mutual) },
      ];
    });
    const spreads = await alternate(contestants, rounds);
    return [
      compared(
        { name: "server authenticated", unit: "handshakes/s" },
        spreads,
        "listener server only",
        "s_server server only",
      ),
      compared(
        { name: "both authenticated", unit: "handshakes/s", bar: "≥ 300/s" },
        spreads,
        "listener mutual",
        "s_server mutual",
      ),
    ];
  },
};

/** Starts `openssl s_server` and returns what stops it. */
async function startReference(credentials: Credentials, mutual: boolean): Promise<() => void> {
  const { serverCertificate, serverKey, ca } = credentials;
  const { address, port, mutualPort } = reference;
  const accept = `${address}:${mutual ? mutualPort : port}`;
  const verify = mutual ? ["-Verify", "3", "-verify_return_error"] : [];
  const files = ["-cert", serverCertificate, "-cert_chain", serverCertificate, "-key", serverKey, "-CAfile", ca];
  const args = ["s_server", "-accept", accept, ...files, ...verify, "-tls1_2", "-cipher", cipher, "-www", "-quiet"];
  const server = spawn("openssl", args, { stdio: "ignore" });
  await untilOpen(address, mutual ? mutualPort : port);
  return () => void server.kill("SIGKILL");
}

async function untilOpen(host: string, port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host, port }, () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${host}:${port}`);
}

/** Handshakes a second that some `s_time` get done together. */
async function load(
  server: { readonly address: string; readonly port: number; readonly mutualPort: number },
  { ca, clientCertificate, clientKey }: Credentials,
  mutual: boolean,
): Promise<number> {
  const where = `${server.address}:${mutual ? server.mutualPort : server.port}`;
  const own = mutual ? ["-cert", clientCertificate, "-key", clientKey] : [];
  const args = [
    "s_time",
    "-connect",
    where,
    "-new",
    "-time",
    `${seconds}`,
    "-cipher",
    cipher,
    "-tls1_2",
    "-CAfile",
    ca,
    ...own,
  ];
  const began = performance.now();
  const counts = await Promise.all(Array.from({ length: clients }, () => sTime(args)));
  return (counts.reduce((sum, count) => sum + count, 0) * 1000) / (performance.now() - began);
}

async function sTime(args: readonly string[]): Promise<number> {
  const client = spawn("openssl", args, { stdio: ["ignore", "pipe", "pipe"] });
  const output: Buffer[] = [];
  client.stdout.on("data", (bytes: Buffer) => output.push(bytes));
  client.stderr.on("data", (bytes: Buffer) => output.push(bytes));
  await new Promise((resolve) => client.once("close", resolve));
  const text = Buffer.concat(output).toString();
  const [, count] = /(\d+) connections in \d+ real seconds/u.exec(text) ?? [];
  if (count === undefined || count === "0") throw new Error(`openssl s_time did no handshake: ${text.slice(-500)}`);
  return Number(count);
}
