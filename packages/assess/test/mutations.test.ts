import type { CommissionPlan } from "@cipsec/originator";
import { makeKeyPair } from "@cipsec/pki";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { assess, endpointChecks, type Assessment, type CheckRecord, type VerdictWord } from "../src/index.ts";
import {
  startForgivingWire,
  startFront,
  startListener,
  startOldWire,
  type FrontWish,
  type LiedRequest,
} from "./broken-front.ts";
import {
  assessed,
  commissionInto,
  inputs,
  makePlant,
  outputs,
  partsOf,
  startDevice,
  subjectAt,
  type DeviceWish,
  type Plant,
  type SubjectWish,
} from "./plant.ts";

// Most of the time is spent in waiting: for timeouts, restarts and silence.
vi.setConfig({ maxConcurrency: 20 });

/** Everything that is looked at is required at this level. */
const level = 4;

const prefix = "127.37";
const sound = `${prefix}.10.1`;
const second = `${prefix}.10.2`;

/** The unit with the same key as another, and that key. */
const twin = `${prefix}.10.3`;
const twins = await makeKeyPair();

/** One thing that is wrong, and the verdicts that rest on it. */
interface Mutation {
  readonly name: string;
  readonly plan?: Partial<CommissionPlan>;
  readonly hasCrl?: false;
  readonly device?: DeviceWish;
  /** The device stands behind something that does one thing wrong. */
  readonly front?: () => Omit<FrontWish, "address" | "device">;
  /** Something else that is there while the checks run, at the device's address or at the one that is assessed. */
  readonly beside?: (device: string, assessed: string) => Promise<AsyncDisposable>;
  readonly subject?: (device: string) => SubjectWish;
  /** Checks that are run anew; what the others find is that of the sound device. */
  readonly checks: readonly string[];
  readonly changes: Readonly<Record<string, VerdictWord>>;
  /** Of those checks, all observations that do not hold; not looked at where it is left out. */
  readonly fails?: readonly string[];
  /** Of those that nothing can be told of, the ones that are not for people to answer. */
  readonly open?: readonly string[];
}

const classes = { identity: 0x01, file: 0x37, cip: 0x5d, ethernetIp: 0x5e, certificates: 0x5f, tcpIp: 0xf5 } as const;
const services = {
  get: 0x0e,
  set: 0x10,
  reset: 0x05,
  create: 0x08,
  delete: 0x09,
  verify: 0x4c,
  download: 0x50,
} as const;

const is = (request: LiedRequest, classId: number, service: number): boolean =>
  request.classId === classId && request.service === service;

const isSerial = (request: LiedRequest): boolean =>
  is(request, classes.identity, services.get) && request.attribute === 6;

/** A device behind a front that serves DTLS as well as TLS, and does this wrong with it. */
const behindBoth = (datagrams: NonNullable<FrontWish["datagrams"]>): Pick<Mutation, "device" | "front"> => ({
  device: { ports: {} },
  front: () => ({ datagrams }),
});

/** What a sound device lacks as well: its limit for one address leaves another caller from there no room. */
const atLimit = "another caller at the limit";

/** A device that claims to enrol by itself, in this state of EtherNet/IP Security and with these values of attributes 13 and 14. */
function pullLies(state: number, enabled: number, status: number): NonNullable<FrontWish["lie"]> {
  const told = new Map([
    [1, Uint8Array.of(state)],
    [13, Uint8Array.of(enabled)],
    [14, Uint8Array.of(status & 0xff, status >> 8)],
  ]);
  return ({ classId, instance, attribute, service }) => {
    if (service !== services.get) return undefined;
    if (classId === classes.certificates && instance === 0 && attribute === 8)
      return { data: Uint8Array.of(3, 0, 0, 0) };
    const data = classId === classes.ethernetIp ? told.get(attribute) : undefined;
    return data === undefined ? undefined : { data };
  };
}

/** The greatest limits: as good as none. */
const noLimits = {
  tcpConnections: 10_000,
  tcpConnectionsPerAddress: 10_000,
  handshakes: 10_000,
  sessions: 10_000,
  explicitConnections: 10_000,
  explicitConnectionsPerOriginator: 10_000,
};

const mutations: readonly Mutation[] = [
  {
    name: "clients are not verified",
    plan: { verifyClient: false },
    checks: ["B-1.2", "B-1.9", "B-3.1R1", "B-7.6", "B-2.4", "B-3.13", "B-4.1"],
    changes: {
      "CR 1.2": "not-met",
      "CR 1.9": "not-met",
      "CR 3.1 RE(1)": "not-met",
      "CR 7.6": "not-met",
      "EDR 2.4": "not-met",
      "EDR 2.4 RE(1)": "not-met",
      "CR 3.4": "not-met",
      "CR 3.4 RE(1)": "not-met",
      "EDR 3.13": "not-met",
    },
  },
  {
    name: "expiry is not checked",
    plan: { checkExpiration: false },
    checks: ["B-1.2", "B-1.9", "B-3.1R1"],
    changes: { "CR 1.9": "not-met" },
  },
  {
    name: "weak keys are taken",
    front: () => ({ admits: "weak-keys" }),
    checks: ["B-1.9"],
    changes: { "CR 1.9": "not-met" },
    fails: ["f algorithms: weak-key"],
  },
  {
    name: "no revocation list",
    hasCrl: false,
    checks: ["B-1.2", "B-1.9", "B-1.9c", "B-7.6"],
    changes: { "CR 1.9": "partial" },
  },
  {
    name: "chains are not verified, but names are",
    front: () => ({ admits: "any-name" }),
    checks: ["B-1.2", "B-1.9", "B-3.13", "B-3.8"],
    changes: { "CR 1.2": "not-met", "CR 1.9": "not-met", "EDR 3.13": "not-met" },
  },
  {
    name: "the revocation list is not looked at",
    front: () => ({}),
    checks: ["B-1.9c"],
    changes: { "CR 1.9": "not-met" },
  },
  {
    name: "the list of trusted identities is not looked at",
    front: () => ({}),
    checks: ["B-1.9p"],
    changes: { "CR 1.9": "not-met" },
  },
  {
    name: "a NULL suite is allowed",
    plan: { suites: [0xc02b, 0xc02c, 0xc006] },
    checks: ["B-1.2", "B-4.1", "B-4.3", "B-7.6", "B-3.1"],
    changes: { "CR 4.1": "not-met", "CR 4.3": "not-met", "CR 7.6": "not-met" },
  },
  {
    name: "a suite of TLS 1.3 that does not encrypt is taken",
    front: () => ({ integrityOnly: true }),
    checks: ["B-4.1"],
    changes: { "CR 4.1": "not-met" },
    fails: ["a bare hello of TLS 1.3 with only integrity-only suites"],
  },
  {
    name: "nobody is let in after a refusal, whoever it is",
    front: () => ({ locksOut: true }),
    checks: ["B-1.2"],
    changes: { "CR 1.2": "inconclusive" },
    fails: ["trusted caller over tls, afterwards"],
  },
  {
    name: "nobody is let in after a refusal, whatever is wrong",
    front: () => ({ locksOut: true }),
    checks: ["B-1.9"],
    changes: { "CR 1.9": "inconclusive" },
    fails: ["b chain: with its intermediate", "certificate without a flaw over tls, afterwards"],
  },
  {
    name: "hellos are answered as old stacks do",
    beside: async (device, address) => await startOldWire(address, device),
    subject: (device) => ({ security: { checkName: device } }),
    checks: ["B-4.3"],
    changes: { "CR 4.3": "not-met" },
    fails: ["compression", "renegotiation_info", "compression over DTLS", "renegotiation_info over DTLS"],
  },
  {
    name: "renegotiation is taken without its binding",
    front: () => ({ renegotiates: true }),
    checks: ["B-4.3"],
    changes: { "CR 4.3": "not-met" },
    fails: ["renegotiation without the binding"],
  },
  {
    name: "plain ports are open",
    plan: { closePlaintext: false },
    checks: ["B-3.1R1", "B-4.1", "B-7.6", "B-7.7"],
    changes: { "CR 3.1 RE(1)": "not-met", "CR 4.1": "not-met", "CR 7.6": "not-met" },
  },
  {
    name: "replayed records go unnoticed",
    beside: async (device, address) => await startForgivingWire(address, device, "tls"),
    subject: (device) => ({ security: { checkName: device } }),
    checks: ["B-3.1"],
    changes: { "CR 3.1": "not-met" },
  },
  {
    name: "replayed datagrams are answered",
    beside: async (device, address) => await startForgivingWire(address, device, "dtls"),
    subject: (device) => ({ security: { checkName: device } }),
    checks: ["B-3.1"],
    changes: { "CR 3.1": "not-met" },
  },
  {
    name: "a port is open that is not declared",
    beside: async (device) => await startListener(device, 9090),
    checks: ["B-7.7", "B-4.1"],
    changes: { "CR 7.1": "not-met", "CR 7.7": "not-met" },
  },
  {
    name: "a port that is closed still answers",
    device: { ports: { eipd: null, eipUdp: null } },
    front: () => ({ keepsPlainPort: true, keepsIoPort: true }),
    checks: ["B-7.7c"],
    changes: { "CR 7.7": "not-met" },
    fails: ["44818/tcp, closed", "2222/udp, closed", "ports that can be set"],
  },
  {
    name: "silent sessions are kept",
    front: () => ({ keepsConnections: true }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    fails: ["a silent session"],
  },
  {
    name: "the handle of a session that was ended is served",
    front: () => ({ lie: (request) => (isSerial(request) ? { data: Uint8Array.of(0xfe, 0xca, 0, 0) } : undefined) }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    // What the front answers does not reach the device, which takes the talking one for silent.
    fails: ["a session that talks", "a silent session"],
  },
  {
    name: "sessions that talk are ended",
    front: () => ({ mostReads: 3 }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    fails: ["a session that talks"],
  },
  {
    name: "the time over DTLS cannot be set",
    ...behindBoth({}),
    front: () => ({
      datagrams: {},
      lie: (request) => (is(request, classes.ethernetIp, services.set) ? { status: 0x0e } : undefined),
    }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    fails: ["the time over DTLS can be set"],
  },
  {
    name: "silent associations are kept",
    ...behindBoth({ associations: "endless" }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    fails: ["a silent association over DTLS"],
  },
  {
    name: "associations that talk are ended",
    ...behindBoth({ associations: "brief" }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    fails: ["an association over DTLS that talks"],
  },
  {
    name: "a connection outlives its association",
    ...behindBoth({ associations: "shared" }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "not-met", "CR 7.6": "not-met" },
    fails: ["the id of a connection whose association has ended"],
  },
  {
    name: "I/O goes over one association alone",
    ...behindBoth({ onlyFirstIo: true }),
    checks: ["B-2.6"],
    changes: { "CR 2.6": "inconclusive", "CR 7.6": "inconclusive" },
    fails: ["packets made in the same way with the id of a live connection"],
  },
  {
    name: "sessions have no limit",
    device: { limits: noLimits },
    checks: ["B-2.7", "B-1.2"],
    changes: { "CR 2.7": "not-met", "CR 7.2": "not-met" },
  },
  {
    name: "I/O connections have no limit",
    device: { limits: { ioConnections: 10_000, ioConnectionsPerOriginator: 10_000 }, watchers: 1024 },
    checks: ["B-2.7"],
    changes: { "CR 2.7": "not-met", "CR 7.2": "not-met" },
    fails: [atLimit, "I/O connections of one originator", "the refusal of an I/O connection"],
  },
  {
    name: "I/O that is open ends where there is no room for more",
    ...behindBoth({ atLimit: "mute" }),
    subject: () => ({ ioBeside: [] }),
    checks: ["B-2.7"],
    changes: { "CR 2.7": "not-met", "CR 7.2": "not-met" },
    fails: [atLimit, "I/O that is open"],
  },
  {
    name: "I/O connections that there is no room for are not answered",
    ...behindBoth({ atLimit: "silent" }),
    subject: () => ({ ioBeside: [] }),
    checks: ["B-2.7"],
    changes: { "CR 2.7": "not-met", "CR 7.2": "not-met" },
    fails: [atLimit, "the refusal of an I/O connection"],
  },
  {
    name: "I/O connections that are closed give no room",
    ...behindBoth({ closesNothing: true }),
    checks: ["B-2.7"],
    changes: { "CR 2.7": "not-met", "CR 7.2": "not-met" },
    // To the device all callers of the front are one.
    fails: [atLimit, "an I/O connection that is closed", "another originator at the limit of I/O"],
  },
  {
    name: "one originator takes all connections, and there are more than the EDS declares",
    device: { limits: { ioConnections: 12 } },
    subject: () => ({ capacity: { ioConnections: 4, messageConnections: 4 } }),
    checks: ["B-2.7"],
    // Beside what only the maker can tell, these are more reasons.
    changes: {},
    fails: [
      atLimit,
      "class 3 connections beside the EDS",
      "I/O connections beside the EDS",
      "another originator at the limit of I/O",
    ],
  },
  {
    name: "new connections end the oldest",
    front: () => ({ most: 12 }),
    checks: ["E-7.1"],
    changes: { "CR 7.1": "not-met", "CR 7.2": "not-met" },
  },
  {
    name: "outputs hold what was sent last",
    device: { faultState: "hold" },
    checks: ["E-3.6"],
    changes: { "CR 3.6": "partial" },
  },
  {
    name: "settings that cannot work are taken",
    front: () => ({
      lie: ({ classId, service }) =>
        (classId === classes.cip || classId === classes.ethernetIp) && service !== services.get ? {} : undefined,
    }),
    checks: ["E-3.3"],
    changes: { "CR 3.3": "not-met", "CR 7.6": "not-met" },
  },
  {
    name: "an altered file is taken",
    front: () => {
      let packets = 0;
      return {
        lie: (request) =>
          is(request, classes.file, services.download) && ++packets > 1 ? { data: Uint8Array.of(0) } : undefined,
      };
    },
    checks: ["B-2.4"],
    changes: { "EDR 2.4": "not-met", "EDR 2.4 RE(1)": "not-met", "CR 3.4": "not-met", "CR 3.4 RE(1)": "not-met" },
  },
  {
    name: "there is no room for a second file",
    front: () => {
      let made = 0;
      return {
        lie: (request) => (is(request, classes.file, services.create) && ++made > 1 ? { status: 0x02 } : undefined),
      };
    },
    checks: ["B-2.4"],
    // What only the maker can tell leaves it open as well.
    changes: {},
    fails: [],
    open: ["a file that was altered on its way", "a program for Linux", "a program for Windows", "a script"],
  },
  {
    name: "the factory's certificate can be deleted",
    front: () => ({
      lie: (request) => (request.instance === 1 && is(request, classes.certificates, services.delete) ? {} : undefined),
    }),
    checks: ["B-3.12"],
    changes: { "EDR 3.12": "not-met" },
  },
  {
    name: "the factory's certificate is the device's own word",
    device: { security: {} },
    checks: ["B-3.12"],
    changes: { "EDR 3.12": "not-met" },
  },
  {
    name: "two units have one certificate",
    subject: (device) => ({ second: { host: device } }),
    checks: ["B-1.2R1", "B-3.12"],
    changes: { "CR 1.2 RE(1)": "not-met", "EDR 3.12": "not-met" },
  },
  {
    name: "two units have one key under two certificates",
    front: () => ({ pair: twins }),
    beside: async () => await startFront(plant, { address: twin, device: second, pair: twins }),
    subject: () => ({ second: { host: twin } }),
    checks: ["B-1.2R1"],
    changes: { "CR 1.2 RE(1)": "not-met" },
    fails: ["another unit's certificate"],
  },
  {
    name: "any certificate is found good",
    front: () => ({
      lie: (request) => {
        if (is(request, classes.certificates, services.verify)) return {};
        const isState = is(request, classes.certificates, services.get) && request.attribute === 2;
        return isState ? { data: Uint8Array.of(3) } : undefined;
      },
    }),
    checks: ["B-1.8"],
    changes: { "CR 1.8": "not-met" },
    fails: ["a certificate for another key", "its own certificate, altered"],
  },
  {
    name: "pull is claimed, and its attributes contradict each other",
    front: () => ({ lie: pullLies(5, 1, 0xffff) }),
    checks: ["B-1.8"],
    changes: { "CR 1.8": "inconclusive" },
    fails: ["pull: attributes 13 and 14"],
  },
  {
    name: "pull is claimed, and a server that is not to be believed was not tried",
    front: () => ({ lie: pullLies(4, 1, 0) }),
    checks: ["B-1.8"],
    changes: { "CR 1.8": "inconclusive" },
    fails: [],
  },
  {
    name: "a restart brings other settings",
    front: () => {
      let restarts = 0;
      return {
        lie: (request) => {
          if (is(request, classes.identity, services.reset)) restarts += 1;
          const isTimeout = is(request, classes.tcpIp, services.get) && request.attribute === 13;
          return restarts > 0 && isTimeout ? { data: Uint8Array.of(7, 0) } : undefined;
        },
      };
    },
    checks: ["E-7.4"],
    changes: { "CR 7.4": "not-met" },
  },
  {
    name: "Reset is answered, and nothing restarts",
    front: () => ({ lie: (request) => (is(request, classes.identity, services.reset) ? {} : undefined) }),
    checks: ["E-7.4"],
    // What only the maker can tell leaves it open as well.
    changes: {},
    fails: [],
    open: ["a restart in the middle of a change", "a restart"],
  },
  {
    name: "a closed port is open after a restart",
    front: () => ({ keepsIoPort: true }),
    checks: ["E-7.4"],
    changes: { "CR 7.4": "not-met" },
  },
  {
    name: "settings differ from reading to reading",
    front: () => {
      let seconds = 0;
      return {
        lie: (request) =>
          is(request, classes.tcpIp, services.get) && request.attribute === 13
            ? { data: Uint8Array.of((seconds += 1), 0) }
            : undefined,
      };
    },
    checks: ["B-7.6", "E-7.3"],
    changes: { "CR 7.6 RE(1)": "not-met", "CR 7.3": "not-met" },
  },
  {
    name: "handles of others, and what is nonsense, are served",
    front: () => ({
      resumes: true,
      lie: (request) => {
        if (is(request, classes.identity, services.get) && request.attribute === 6)
          return { data: Uint8Array.of(0xfe, 0xca, 0, 0) };
        const leak = new TextEncoder().encode("Error: at /usr/lib/device/router.ts");
        return request.service === 0x63 ? { data: leak } : undefined;
      },
    }),
    checks: ["B-3.7", "B-3.8"],
    changes: { "CR 3.5": "not-met", "CR 3.7": "not-met", "CR 3.8": "not-met" },
    fails: [
      "a handle on another stream",
      "an invented handle",
      "a handle after UnRegisterSession",
      "a handle after UnRegisterSession, over a new stream",
      "a handle after UnRegisterSession, over a resumed TLS session",
      "malformed requests that are executed",
      "replies that tell of the inside",
      "errors are reported",
    ],
  },
  {
    name: "nonsense is executed, by one who takes his time",
    front: () => ({
      slowMs: 40,
      lieMs: 180,
      lie: (request) => (request.service === 0x63 ? { data: new Uint8Array() } : undefined),
    }),
    checks: ["B-3.7"],
    changes: { "CR 3.5": "not-met" },
    fails: ["malformed requests that are executed", "errors are reported"],
  },
  {
    name: "the serial number is zero",
    front: () => ({
      lie: (request) =>
        is(request, classes.identity, services.get) && request.attribute === 6
          ? { data: new Uint8Array(4) }
          : undefined,
    }),
    checks: ["E-7.8"],
    changes: { "CR 7.8": "not-met" },
  },
  {
    name: "discovery is closed",
    device: { ports: { eipUdp: null } },
    checks: ["E-7.1R1"],
    changes: { "CR 7.1 RE(1)": "met" },
  },
];

/** What the sound device comes to. Where it is not met, the product lacks something, or only people can tell. */
const good: Readonly<Record<string, VerdictWord>> = {
  "CR 1.2": "met",
  "CR 1.2 RE(1)": "met",
  "CR 1.8": "met",
  "CR 1.9": "met",
  "CR 1.14": "not-applicable",
  "EDR 2.4": "inconclusive",
  "EDR 2.4 RE(1)": "inconclusive",
  "CR 2.6": "met",
  "CR 2.7": "inconclusive",
  "CR 3.1": "met",
  "CR 3.1 RE(1)": "met",
  "CR 3.3": "partial",
  "CR 3.4": "inconclusive",
  "CR 3.4 RE(1)": "inconclusive",
  "CR 3.5": "met",
  "CR 3.6": "met",
  "CR 3.7": "partial",
  "CR 3.8": "met",
  "EDR 3.12": "met",
  "EDR 3.13": "met",
  "CR 4.1": "met",
  "CR 4.3": "met",
  "CR 7.1": "inconclusive",
  "CR 7.1 RE(1)": "partial",
  "CR 7.2": "inconclusive",
  "CR 7.3": "partial",
  "CR 7.3 RE(1)": "partial",
  "CR 7.4": "inconclusive",
  "CR 7.6": "met",
  "CR 7.6 RE(1)": "met",
  "CR 7.7": "met",
  "CR 7.8": "partial",
};

/** The sound device is assessed in parts, each at a device of its own, so that they are done at once. */
const parts: readonly (readonly string[])[] = [
  ["E-7.8", "B-7.6", "B-7.7", "B-1.2", "B-1.9", "B-1.9c", "B-1.9p", "B-1.14", "B-2.6"],
  ["B-1.2R1", "B-3.1", "B-3.1R1", "B-3.8", "B-4.1", "B-4.3", "B-3.7", "E-7.4", "B-3.12"],
  ["E-7.3", "B-1.8", "B-2.4", "B-3.13", "E-3.3", "B-7.7c", "E-3.6", "B-2.7", "E-7.1"],
  ["E-7.1R1"],
];

let plant: Plant;
let base: Promise<Assessment>;
const open: AsyncDisposable[] = [];

/** Starts and commissions a device as the row says. @returns The address that is assessed. */
async function prepare(address: string, row: Partial<Mutation>): Promise<string> {
  const factory = { defaultCertificate: { certificate: plant.supplier.certificate, key: plant.supplier.key } };
  const isBehind = row.front !== undefined;
  const device: DeviceWish = {
    security: factory,
    ...(isBehind ? { ports: { eipd: null } } : {}),
    ...row.device,
  };
  open.push(await startDevice(plant.folder, address, device));
  await commissionInto(plant, address, row.plan, row.hasCrl);
  const assessedAt =
    isBehind || row.subject?.(address).security !== undefined ? address.replace(".11.", ".12.") : address;
  if (row.front !== undefined)
    open.push(await startFront(plant, { address: assessedAt, device: address, ...row.front() }));
  if (row.beside !== undefined) open.push(await row.beside(address, assessedAt));
  return assessedAt;
}

async function recordsOf(address: string, checks: readonly string[], wish: SubjectWish = {}): Promise<Assessment> {
  const subject = await subjectAt(plant, address, {
    disruptive: true,
    io: outputs,
    ioBeside: [inputs],
    handles: 48,
    supplierRoots: [plant.supplier.root],
    second: { host: second },
    ...wish,
    ...(wish.security === undefined ? {} : { security: { ...plant.security, ...wish.security } }),
  });
  return await assessed(plant, subject, (id) => checks.includes(id), level);
}

beforeAll(async () => {
  plant = await makePlant();
  await prepare(second, { device: { serialNumber: 0xcaff, security: {} } });
  // The rows need not wait for it: each compares when it is done.
  base = assessSound();
});

/** The sound device, by every check. */
async function assessSound(): Promise<Assessment> {
  const runs = await Promise.all(
    parts.map(async (checks, at) => {
      const address = await prepare(at === 0 ? sound : `${prefix}.10.${at + 10}`, {});
      const before = (await subjectAt(plant, address)).facts.facts["settingsSha256"];
      const run = await recordsOf(address, checks);
      // Whatever a check has changed is as it was.
      expect((await subjectAt(plant, address)).facts.facts["settingsSha256"]).toBe(before);
      return run;
    }),
  );
  const [first] = runs;
  if (first === undefined) throw new Error("there is no run");
  const records: readonly CheckRecord[] = runs.flatMap((run) => run.records);
  return assess(first.plan, records, new Date().toISOString());
}

afterAll(async () => {
  await Promise.all(open.map(async (one) => await one[Symbol.asyncDispose]()));
  await plant[Symbol.asyncDispose]();
});

describe("one thing wrong changes exactly the verdicts that rest on it", () => {
  test.concurrent("a sound device comes to what it should, by every check", { timeout: 180_000 }, async () => {
    const { records, ...rest } = await base;
    expect(parts.flat().toSorted()).toEqual(endpointChecks.map(({ id }) => id).toSorted());
    expect(records.flatMap(({ id, notRun }) => (notRun === undefined ? [] : [`${id}: ${notRun}`]))).toEqual([]);
    const told = records.flatMap(({ id, findings }) =>
      (findings?.observations ?? []).flatMap(({ name, observed, holds, agrees }) =>
        holds === true && agrees ? [] : [`${id}: ${name}: ${observed}`],
      ),
    );
    expect(partsOf(rest), told.join("\n")).toEqual(good);
    for (const { verdict, evidence } of rest.verdicts) if (verdict === "met") expect(evidence).not.toEqual([]);
  });

  test.concurrent.each(mutations.map((row, at) => ({ ...row, at })))("$name", { timeout: 180_000 }, async (row) => {
    const device = `${prefix}.11.${row.at + 1}`;
    const run = await recordsOf(await prepare(device, row), row.checks, row.subject?.(device));
    expect(run.records.flatMap(({ id, notRun }) => (notRun === undefined ? [] : [`${id}: ${notRun}`]))).toEqual([]);
    const { plan, records } = await base;
    const merged = records.map((one) => run.records.find(({ id }) => id === one.id) ?? one);
    const now = partsOf(assess(plan, merged, new Date().toISOString()));
    const changed = Object.fromEntries(Object.entries(now).filter(([id, verdict]) => good[id] !== verdict));
    const observations = run.records.flatMap(({ findings }) => findings?.observations ?? []);
    const told = observations.filter(({ holds }) => holds !== true).map(({ name, observed }) => `${name}: ${observed}`);
    expect(changed, told.join("\n")).toEqual(row.changes);
    const failed = observations.filter(({ holds }) => holds === false).map(({ name }) => name);
    const unknown = observations.filter(({ holds, askedOf }) => holds === undefined && askedOf === undefined);
    if (row.open !== undefined) expect(unknown.map(({ name }) => name)).toEqual(row.open);
    if (row.fails !== undefined) expect(failed.toSorted(), told.join("\n")).toEqual(row.fails.toSorted());
  });
});

test("there is no check that cannot fail", () => {
  const shown = new Set(mutations.flatMap(({ checks }) => checks));
  // B-1.14 is judged at a device with pre-shared keys, B-4.3 by the suites it negotiates.
  expect(endpointChecks.map(({ id }) => id).filter((id) => !shown.has(id))).toEqual(["B-1.14"]);
});
