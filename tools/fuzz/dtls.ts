/**
 * Hostile DTLS for as long as told: mutated, cut, doubled and invented datagrams against live sessions, which must not
 * change, and against handshakes, which must not hang.
 *
 * usage: node --conditions=@cipsec/source --expose-gc tools/fuzz/dtls.ts [seconds] [seed]
 */
import { createClientEngine } from "../../packages/dtls/src/engine.ts";
import { Switchboard } from "../../packages/dtls/src/switchboard.ts";
import { kinds, makeIdentity } from "../../packages/dtls/test/identities.ts";
import { Link, seeded } from "../../packages/dtls/test/link.ts";

const seconds = Number(process.argv[2] ?? 30);
const seed = Number(process.argv[3] ?? 1);
const random = seeded(seed);
const credentials = { certificates: [makeIdentity(kinds.ecdsa).credential] };

const sessions = [0xc02b, 0xc023, 0xc006, 0xcca9].flatMap((suite) =>
  [undefined, Buffer.from("abcd")].map((cid) => liveSession({ suites: [suite], ...(cid && { connectionId: cid }) })),
);
const heapBefore = process.memoryUsage().heapUsed;
const end = performance.now() + seconds * 1000;
let datagrams = 0;
let handshakes = 0;
let opened = 0;
for (let round = 0; performance.now() < end; round++) {
  for (const session of sessions) attackSession(session);
  for (let i = 0; i < 6; i++) attackHandshake(seed * 1_000_000 + round * 10 + i);
}
for (const { link } of sessions) {
  const before = link.server.received.length;
  link.tell("client", { type: "send", payload: Buffer.from("alive") });
  link.run(10);
  check(link.server.received.length === before + 1, "a session lives on");
}
globalThis.gc?.();
const heapGrowthKib = Math.round((process.memoryUsage().heapUsed - heapBefore) / 1024);
console.log(JSON.stringify({ seed, datagrams, handshakes, opened, heapGrowthKib, ...flood(200_000) }));

function liveSession(options: { suites: readonly number[]; connectionId?: Uint8Array }) {
  const link = new Link(options, { ...options, credentials }).connect();
  const flights = [...link.client.datagrams];
  for (let i = 0; i < 30; i++) link.tell("client", { type: "send", payload: Buffer.from(`payload ${i}`) });
  const data = link.client.datagrams.slice(flights.length);
  link.run(10);
  return { link, flights, data };
}

/** Everything here was seen before or is forged: nothing of it may be taken. */
function attackSession({ link, flights, data }: ReturnType<typeof liveSession>): void {
  for (let i = 0; i < 2000; i++) {
    const source = i % 4 === 0 ? flights : data;
    const bytes = source[Math.floor(random() * source.length)] ?? new Uint8Array(0);
    for (const mutated of mutate(bytes, random)) {
      datagrams++;
      const output = link.deliver("server", mutated);
      const quiet = output?.events.length === 0 && output.received.length === 0 && output.send.length === 0;
      check(quiet, `a session takes nothing of ${Buffer.from(mutated).toString("hex")}`);
    }
  }
  check(link.server.engine?.state === "open", "a session stays open");
}

function attackHandshake(own: number): void {
  const draw = seeded(own);
  const options = { credentials, connectionId: Buffer.from("abcd"), mtu: 300 + Math.floor(draw() * 900) };
  const link = new Link(options, { ...options, clientAuth: "require" }, {}, own);
  link.meddle = (bytes) => {
    datagrams++;
    return draw() < 0.5 ? [bytes] : mutate(bytes, draw);
  };
  link.connect(70_000);
  handshakes++;
  const states = [link.client.engine?.state, link.server.engine?.state];
  check(!states.includes("handshake"), `handshake ${own} ends`);
  if (states.every((state) => state === "open")) opened++;
}

/** Hellos from senders that never answer. */
function flood(count: number): { readonly refusalsPerCpuSecond: number } {
  const host = { send: () => undefined, now: () => performance.now(), rearm: () => undefined };
  const board = new Switchboard({ credentials, onAssociation: () => undefined }, host);
  const hello = createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? new Uint8Array(0);
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) {
    board.receive(hello, { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 1000 + (i % 60_000) });
  }
  const { user, system } = process.cpuUsage(before);
  check(board.handshakes === 0 && board.open === 0, "a flood leaves nothing");
  return { refusalsPerCpuSecond: Math.round((count * 1_000_000) / (user + system)) };
}

function mutate(bytes: Uint8Array, draw: () => number): readonly Uint8Array[] {
  const pick = (below: number): number => Math.floor(draw() * below);
  const copy = Uint8Array.from(bytes);
  const at = pick(bytes.length);
  switch (pick(10)) {
    case 0:
      copy[at] = pick(256);
      break;
    case 1:
      return [copy.subarray(0, at)];
    case 2:
      return [copy, copy];
    case 3:
      copy.fill(pick(256), at, at + pick(8));
      break;
    case 4:
      copy[13 + pick(12)] = pick(256);
      break;
    case 5:
      copy[pick(13)] = pick(256);
      break;
    case 6:
      return [Uint8Array.from([...copy, ...copy.subarray(at)])];
    case 7:
      return [];
    default:
  }
  return [copy];
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`seed ${seed}: this did not hold: ${what}`);
}
