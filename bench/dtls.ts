import { cipherSuite } from "@cipsec/dtls";
import { Link } from "../packages/dtls/test/link.ts";
import {
  compileReference,
  handshake,
  handshakePairs,
  makeFiles,
  recordPairs,
  referenceRun,
  type Files,
} from "./dtls-engines.ts";
import { channelPackets, idleKib, latency, plainPackets, protectedPackets } from "./dtls-network.ts";
import { alternate, compared, spread, type Benchmark, type Contestant, type Row } from "./measure.ts";

const parts = { records, handshakes, packets, latencies, memory, overhead, loss } as const;

/** The DTLS of this project, part by part, beside OpenSSL's and beside plain UDP. */
export const dtls: Benchmark = {
  name: "dtls",
  about: `DTLS 1.2 against OpenSSL's and against plain UDP; parts for --cases: ${Object.keys(parts).join(", ")}`,
  async run({ isFull = false, cases = Object.keys(parts) } = {}) {
    const files = makeFiles();
    try {
      const rows: Row[] = [];
      for (const [name, part] of Object.entries(parts))
        if (cases.includes(name)) rows.push(...(await part(files, isFull)));
      return rows;
    } finally {
      files.remove();
    }
  },
};

/** One suite for each protection, with OpenSSL's name. */
const protections = [
  [0xd001, "PSK-AES128-GCM-SHA256"],
  [0xd002, "PSK-AES256-GCM-SHA384"],
  [0xccac, "PSK-CHACHA20-POLY1305"],
  [0xd005, "PSK-AES128-CCM"],
  [0xd003, "PSK-AES128-CCM8"],
  [0xc037, "PSK-AES128-CBC-SHA256"],
  [0xc03a, "PSK-NULL-SHA256"],
] as const;
const sizes = [16, 64, 512, 1400] as const;
const rounds = 3;

async function records(files: Files, isFull: boolean): Promise<readonly Row[]> {
  const program = compileReference(files);
  const ms = isFull ? 1000 : 250;
  const rows: Row[] = [];
  for (const [suite, name] of protections) {
    for (const octets of sizes) {
      const contestants: Contestant[] = (["required", "off"] as const).map((acceleration) => ({
        name: acceleration,
        measure: () => Promise.resolve(recordPairs(files, suite, octets, acceleration, ms)),
      }));
      const args = ["records", name, octets, ms / 1000];
      if (program !== undefined) contestants.push(referenceRun(program, "OpenSSL", args));
      const spreads = await alternate(contestants, rounds);
      const named = `${protectionName(suite)}, ${octets} octets`;
      rows.push(
        row(`${named}: direct`, "sealed and opened/s", spreads, "required", "OpenSSL"),
        row(`${named}: node:crypto`, "sealed and opened/s", spreads, "off", "OpenSSL"),
      );
    }
  }
  return rows;
}

async function handshakes(files: Files, isFull: boolean): Promise<readonly Row[]> {
  const program = compileReference(files);
  const ms = isFull ? 4000 : 1000;
  const rows: Row[] = [];
  for (const kind of ["full", "resumed"] as const) {
    const args = ["handshakes", files.certificate, files.key, ms / 1000, kind];
    const ours = { name: kind, measure: () => Promise.resolve(handshakePairs(files, kind === "resumed", ms)) };
    const all = [ours, ...(program === undefined ? [] : [referenceRun(program, "OpenSSL", args)])];
    const spreads = await alternate(all, rounds);
    const bar = kind === "full" ? { bar: "≥ 300/s" } : {};
    rows.push({
      ...row(`handshakes, ECDSA, both authenticated, ${kind}`, "both ends/s", spreads, kind, "OpenSSL"),
      ...bar,
    });
  }
  return rows;
}

async function packets(_: Files, isFull: boolean): Promise<readonly Row[]> {
  const ms = isFull ? 5000 : 1000;
  const spreads = await alternate(
    [
      { name: "channels", measure: () => channelPackets("required", ms) },
      { name: "direct", measure: () => protectedPackets("required", ms) },
      { name: "node:crypto", measure: () => protectedPackets("off", ms) },
      { name: "plain UDP", measure: () => plainPackets(ms) },
    ],
    rounds,
  );
  const channels = row("AES-128-GCM over loopback: channels", "packets/s core", spreads, "channels", "plain UDP");
  return [
    { ...channels, bar: "≥ 50,000" },
    row("AES-128-GCM over loopback: direct, dgram", "packets/s core", spreads, "direct", "plain UDP"),
    row("AES-128-GCM over loopback: node:crypto, dgram", "packets/s core", spreads, "node:crypto", "plain UDP"),
  ];
}

async function latencies(_: Files, isFull: boolean): Promise<readonly Row[]> {
  const { dtls: ours, plain, addedP99 } = await latency(isFull ? 200 : 30, 500);
  const against = (name: string, key: "p50" | "p99"): Row => ({
    name,
    unit: "µs",
    ours: ours[key],
    reference: plain[key],
    referenceName: "plain UDP",
    ratio: ours[key].median / plain[key].median,
  });
  return [
    against("one way at 1,000 packets/s, p50", "p50"),
    against("one way at 1,000 packets/s, p99", "p99"),
    { name: "one way at 1,000 packets/s, added to p99", unit: "µs", ours: addedP99, bar: "< 300" },
  ];
}

async function memory(): Promise<readonly Row[]> {
  const kib: number[] = [];
  for (let round = 0; round < rounds; round += 1) kib.push(await idleKib(1000));
  return [{ name: "idle association at 1,000, server", unit: "KiB", ours: spread(kib) }];
}

/** Articles on CIP Security name 13 to 25 octets, which is the header alone, or the header with a short tag. */
function overhead({ credentials }: Files): readonly Row[] {
  const octets = 64;
  return protections.flatMap(([suite]) =>
    [0, 6].map((cid) => {
      const options = { credentials, suites: [suite], ...(cid > 0 && { connectionId: new Uint8Array(cid) }) };
      const { client } = handshake(options, options);
      const [record] = client.handle({ type: "send", payload: new Uint8Array(octets) }, 0).send;
      const name = `overhead at ${octets} octets, ${protectionName(suite)}${cid > 0 ? `, connection id of ${cid}` : ""}`;
      return { name, unit: "octets", ours: spread([(record?.length ?? 0) - octets]), bar: "published: 13 to 25" };
    }),
  );
}

const lossSeeds = 300;
const payloads = 2000;

/** On a clock of its own, a millisecond each way: nothing of the machine is in these figures. */
function loss({ credentials }: Files): readonly Row[] {
  const run = (share: number): { readonly ms: readonly number[]; readonly arrived: number } => {
    const ms: number[] = [];
    let arrived = 0;
    for (let seed = 1; seed <= lossSeeds; seed += 1) {
      const options = { credentials, suites: [0xc02b] };
      const link = new Link(options, { ...options, clientAuth: "require" }, { loss: share }, seed);
      const began = link.now;
      link.connect();
      if (link.client.engine?.facts !== undefined) ms.push(link.now - began);
      if (seed > 10) continue;
      const before = link.server.received.length;
      for (let i = 0; i < payloads; i += 1) link.tell("client", { type: "send", payload: new Uint8Array(64) });
      link.run();
      arrived += (link.server.received.length - before) / payloads / 10;
    }
    return { ms: ms.toSorted((a, b) => a - b), arrived };
  };
  const [lossy, sound] = [run(0.1), run(0)];
  const at = (all: readonly number[], share: number): number => all[Math.floor(share * all.length)] ?? Number.NaN;
  const against = (name: string, unit: string, ours: number, reference: number): Row => ({
    name: `10 % loss: ${name}`,
    unit,
    ours: spread([ours]),
    reference: spread([reference]),
    referenceName: "no loss",
  });
  return [
    against("handshakes that complete", "%", (100 * lossy.ms.length) / lossSeeds, (100 * sound.ms.length) / lossSeeds),
    against("handshake p50", "ms", at(lossy.ms, 0.5), at(sound.ms, 0.5)),
    against("handshake p99", "ms", at(lossy.ms, 0.99), at(sound.ms, 0.99)),
    against("payloads that arrive", "%", 100 * lossy.arrived, 100 * sound.arrived),
  ];
}

function row(
  name: string,
  unit: string,
  spreads: Awaited<ReturnType<typeof alternate>>,
  ours: string,
  reference: string,
): Row {
  if (spreads.has(reference)) return compared({ name, unit }, spreads, ours, reference);
  return { name, unit, ours: spreads.get(ours) ?? spread([]) };
}

function protectionName(suite: number): string {
  return (cipherSuite(suite)?.name ?? "").replace(/^.*WITH_/, "");
}
