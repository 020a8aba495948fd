/** Figures of `@cipsec/dtls`: run with `--conditions=@cipsec/source`. Prints one JSON line for each figure. */
import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ServerSessions,
  certificateCredential,
  cipherSuite,
  createClientEngine,
  createDtlsEndpoint,
  createServerEngine,
} from "@cipsec/dtls";
import type { Association, ClientOptions, Engine, EngineOutput, ServerOptions } from "@cipsec/dtls";

const forMs = Number(process.argv[2] ?? 1000);
const folder = mkdtempSync(join(tmpdir(), "cipsec-bench-"));
const keyFile = join(folder, "key");
const certificateFile = join(folder, "cert");
const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const files = ["-keyout", keyFile, "-out", certificateFile, "-subj", "/CN=bench"];
execFileSync("openssl", ["req", "-x509", "-nodes", ...curve, ...files], { stdio: "pipe" });
const credential = certificateCredential(
  readFileSync(certificateFile, "utf8"),
  createPrivateKey(readFileSync(keyFile)),
);
rmSync(folder, { recursive: true });
const psk = { identity: Buffer.from("bench"), key: Buffer.alloc(32, 1) };
const credentials = { certificates: [credential], psk, findPsk: () => psk.key };

/** A whole handshake in this process, without a network. */
function handshake(client: ClientOptions, server: ServerOptions): { client: Engine; server: Engine } {
  const ends = {
    client: createClientEngine({ credentials, ...client }),
    server: createServerEngine({ credentials, ...server }, { messageSeq: 0, recordSeq: 0 }),
  };
  const deliver = (from: keyof typeof ends, output: EngineOutput): void => {
    const to = from === "client" ? "server" : "client";
    for (const { type } of output.events) {
      if (type === "verify") deliver(from, ends[from].handle({ type: "verdict", verdict: { accepted: true } }, 0));
    }
    for (const bytes of output.send) deliver(to, ends[to].handle({ type: "datagram", bytes }, 0));
  };
  deliver("client", ends.client.handle({ type: "start" }, 0));
  return ends;
}

/** How often in a second of processor time something can be done: other work on the machine hardly shows. */
function rate(work: () => void): number {
  for (let i = 0; i < 200; i++) work();
  const before = process.cpuUsage();
  const end = performance.now() + forMs;
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 50; i++) work();
    count += 50;
  }
  return Math.round(count / cpuSeconds(before));
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000_000;
}

function print(figure: string, facts: Readonly<Record<string, string | number>>): void {
  console.log(JSON.stringify({ figure, ...facts }));
}

for (const id of [0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc023, 0xc006]) {
  for (const size of [64, 512]) {
    const ends = handshake({ suites: [id] }, { suites: [id] });
    const payload = new Uint8Array(size);
    const seal = (): Uint8Array => ends.client.handle({ type: "send", payload }, 0).send[0] ?? payload;
    const sealed = rate(() => seal());
    const both = rate(() => ends.server.handle({ type: "datagram", bytes: seal() }, 0));
    const overhead = (ends.client.facts?.mtu ?? 0) - (ends.client.facts?.maxPayload ?? 0);
    const name = cipherSuite(id)?.name ?? "";
    print("records in process", {
      suite: name,
      octets: size,
      sealedPerSecond: sealed,
      sealedAndOpenedPerSecond: both,
      overhead,
    });
  }
}

const auth = { clientAuth: "require" } as const;
print("handshakes in process", {
  mutualEcdsaPerSecond: rate(() => void handshake({ suites: [0xc02b] }, { suites: [0xc02b], ...auth })),
  ecdhePskPerSecond: rate(() => void handshake({ suites: [0xd001] }, { suites: [0xd001] })),
});
const sessions = new ServerSessions();
let output: EngineOutput | undefined;
const first = createClientEngine({ suites: [0xd001], credentials });
const server = createServerEngine({ suites: [0xd001], credentials, sessions }, { messageSeq: 0, recordSeq: 0 });
let datagrams = first.handle({ type: "start" }, 0).send;
for (let turn = 0; turn < 3; turn++) {
  const end = turn % 2 === 0 ? server : first;
  const outputs = datagrams.map((bytes) => end.handle({ type: "datagram", bytes }, 0));
  datagrams = outputs.flatMap(({ send }) => send);
}
for (const bytes of datagrams) output = first.handle({ type: "datagram", bytes }, 0);
const opened = output?.events.find((event) => event.type === "open");
if (opened?.type === "open" && opened.session !== undefined) {
  const { session } = opened;
  const resumed = rate(() => void handshake({ suites: [0xd001], session }, { suites: [0xd001], sessions }));
  print("handshakes in process", { resumedPerSecond: resumed });
}

/** Echo round trips over loopback, both ends in this process, so that a round trip is four records and four datagrams. */
for (const id of [0xc02b, 0xc023, 0xc006]) {
  const listening = await createDtlsEndpoint({
    address: "127.33.9.1",
    suites: [id],
    credentials,
    onAssociation(association) {
      association.onMessage = (payload) => association.send(payload);
    },
  });
  const dialling = await createDtlsEndpoint({
    address: "127.33.9.1",
    suites: [id],
    verify: () => ({ accepted: true }),
  });
  const association = await dialling.connect(listening.local);
  const echoed = await echo(association, 32);
  print("echo over loopback, one process", {
    suite: cipherSuite(id)?.name ?? "",
    outstanding: 32,
    roundTripsPerSecond: echoed,
  });
  await dialling.close();
  await listening.close();
}

/** The same with plain datagrams, for comparison. */
async function plainEcho(outstanding: number): Promise<number> {
  const lookup = (host: string, _: unknown, done: (error: null, address: string, family: number) => void): void =>
    done(null, host, 4);
  const [near, far] = [createSocket({ type: "udp4", lookup }), createSocket({ type: "udp4", lookup })];
  await Promise.all([near, far].map((socket) => new Promise<void>((resolve) => socket.bind(0, "127.33.9.1", resolve))));
  const payload = new Uint8Array(64 + 37);
  far.on("message", (bytes, { address, port }) => far.send(bytes, port, address, () => undefined));
  const { address, port } = far.address();
  let count = 0;
  const before = process.cpuUsage();
  const start = performance.now();
  await new Promise<void>((resolve) => {
    near.on("message", () => {
      count++;
      if (performance.now() - start > forMs) resolve();
      else near.send(payload, port, address, () => undefined);
    });
    for (let i = 0; i < outstanding; i++) near.send(payload, port, address, () => undefined);
  });
  const perSecond = Math.round(count / cpuSeconds(before));
  near.close();
  far.close();
  return perSecond;
}

print("echo over loopback, one process", {
  suite: "plain UDP",
  outstanding: 32,
  roundTripsPerSecond: await plainEcho(32),
});

async function echo(association: Association, outstanding: number): Promise<number> {
  const payload = new Uint8Array(64);
  let count = 0;
  const before = process.cpuUsage();
  const start = performance.now();
  await new Promise<void>((resolve) => {
    association.onMessage = () => {
      count++;
      if (performance.now() - start > forMs) resolve();
      else association.send(payload);
    };
    for (let i = 0; i < outstanding; i++) association.send(payload);
  });
  return Math.round(count / cpuSeconds(before));
}

/** Memory of idle associations, both ends counted. */
const many = 500;
const listening = await createDtlsEndpoint({
  address: "127.33.9.2",
  credentials,
  limits: { perHost: 10_000, handshakesPerSecond: 10_000 },
  onAssociation: () => undefined,
});
globalThis.gc?.();
const before = process.memoryUsage().rss;
const clients = await Promise.all(
  Array.from({ length: many }, () => createDtlsEndpoint({ address: "127.33.9.3", verify: () => ({ accepted: true }) })),
);
const start = performance.now();
for (const client of clients) await client.connect(listening.local);
const perHandshakeMs = (performance.now() - start) / many;
globalThis.gc?.();
const kib = (process.memoryUsage().rss - before) / 1024 / many;
print("idle associations", {
  count: many,
  kibibytesEachBothEndsAndASocket: Math.round(kib),
  handshakeMs: Number(perHandshakeMs.toFixed(2)),
});
for (const client of clients) await client.close();
await listening.close();
