import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import type { ChannelFacts, Clock, PeerIdentity } from "@cipsec/transport";
import {
  CreateFileReply,
  CreateFileRequest,
  InitiateDownloadRequest,
  InitiateUploadReply,
  InitiateUploadRequest,
  PacketType,
  SHORT_STRING,
  Service,
  StateError,
  TransferPacket,
  UINT,
  USINT,
  decode,
  encode,
  fileChecksum,
  noOctets,
  objectPath,
  type Reply,
} from "@cipsec/wire";
import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  FileObject,
  type AttributeValue,
  type ObjectClass,
} from "@cipsec/objects";
import { initCa, parseCsr, toPem, type CertificateAuthority } from "@cipsec/pki";
import type { RequestContext } from "../src/context.ts";
import { Router } from "../src/router.ts";
import type { OpenPorts } from "../src/security/configuration.ts";
import { english } from "../src/security/inventory.ts";
import { createSecurity, type Security, type SecuritySettingsInput } from "../src/security/security.ts";
import { openStore, type Store } from "../src/store.ts";

/** A clock that moves when it is told to. */
export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();
  now(): number {
    return this.#now;
  }
  wallNow(): number {
    return Date.UTC(2026, 10, 20) + this.#now;
  }
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  /** What must settle before time has passed for everybody: writes that timers began. */
  readonly underWay = new Set<Promise<unknown>>();
  /** Lets time pass, and then the writes that timers began. */
  async pass(ms: number): Promise<void> {
    this.#now += ms;
    for (const timer of [...this.#timers].filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at)) {
      if (this.#timers.delete(timer)) timer.run();
    }
    do {
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.allSettled(this.underWay);
    } while (this.underWay.size > 0);
  }
}

export const modernSuites = [0xc02b, 0xc02c, 0xc023, 0xc006, 0xc037, 0xccac];

export const settings: SecuritySettingsInput = {
  profiles: 0x0002,
  availableSuites: modernSuites,
  defaultAllowedSuites: [0xc02b, 0xc02c],
  maxVersion: "TLSv1.2",
  hasClock: true,
  defaultCertificate: { kind: "self-signed" },
  ports: {
    eip: { port: 44818, open: true, configurable: true },
    eipUdp: { port: 44818, open: true, configurable: true },
    eips: { port: 2221, open: true, configurable: false },
  },
};

const local = { address: "127.21.0.1", port: 2221 };
const remote = { address: "127.21.0.9", port: 50_000 };

/** Ways in which a tool can be connected. */
export const channels = {
  plain: { protocol: "tcp", local: { ...local, port: 44818 }, remote },
  anonymous: tls({ kind: "anonymous" }),
  psk: tls({ kind: "psk", identity: "tool" }),
  certificate: tls({ kind: "certificate", subject: "CN=tool", sha256: "00", der: noOctets }),
} satisfies Record<string, ChannelFacts>;

function tls(peer: PeerIdentity): ChannelFacts {
  const security = { version: "TLSv1.2", suite: 0xc02b, suiteName: "", encrypts: true, peer } as const;
  return { protocol: "tls", local, remote, security };
}

/** The same way in, from another place. */
export function from(channel: ChannelFacts, port: number): ChannelFacts {
  return { ...channel, remote: { ...channel.remote, port } };
}

/** A store whose next writes can be made to fail, or to take their time. */
export interface FragileStore extends Store {
  failing: boolean;
  slowMs: number;
}

/** What a tool does with a device, however its requests come there. */
export interface Tool {
  ask(classId: number, instance: number, service: number, data?: Uint8Array, attribute?: number): Promise<Reply>;
  get<C extends ObjectClass, K extends keyof C["attributes"] & string>(
    declaration: C,
    instance: number,
    name: K,
  ): Promise<AttributeValue<C, K>>;
  /** Sets an attribute and returns the status. */
  set<C extends ObjectClass, K extends keyof C["attributes"] & string>(
    declaration: C,
    instance: number,
    name: K,
    value: AttributeValue<C, K>,
  ): Promise<number>;
  /** Calls a service and returns `status` or `status/extended`. */
  call(declaration: ObjectClass, instance: number, name: string, data?: Uint8Array): Promise<string>;
}

/** The security objects of one device, asked by their router as a tool would. */
export interface Device extends Tool {
  readonly security: Security;
  readonly router: Router;
  readonly clock: FakeClock;
  readonly store: FragileStore;
  readonly events: string[];
  readonly portsTold: OpenPorts[];
  readonly closings: number[];
  /** How requests come from now on. */
  channel: ChannelFacts;
}

/** A folder that is gone when the run of tests ends (`tools/test-folder.ts`). */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "cipsec-target-"));
}

/** Starts the security objects on a folder. */
export async function startDevice(
  folder = temporaryFolder(),
  changed: Partial<SecuritySettingsInput> = {},
): Promise<Device> {
  const store: FragileStore = Object.assign(await openStore(folder), { failing: false, slowMs: 0 });
  const write = store.write.bind(store);
  const clock = new FakeClock();
  const watched = async (work: () => Promise<void>): Promise<void> => {
    const running = work();
    clock.underWay.add(running);
    try {
      await running;
    } finally {
      clock.underWay.delete(running);
    }
  };
  const removeOrphanKeys = store.removeOrphanKeys.bind(store);
  store.removeOrphanKeys = () => watched(removeOrphanKeys);
  store.write = (sections) =>
    watched(async () => {
      if (store.failing) throw new StateError("state/write", "no space left");
      await sleep(store.slowMs);
      await write(sections);
    });
  const events: string[] = [];
  const portsTold: OpenPorts[] = [];
  const closings: number[] = [];
  const router = new Router((question) => security.access(question));
  const security = await createSecurity({
    router,
    store,
    clock,
    device: { productName: "Test device", serialNumber: 0xabcd, address: "127.21.0.1", hostName: "test-device" },
    settings: { ...settings, ...changed },
    hooks: {
      portsChanged: (open) => portsTold.push(open),
      closeConnections: (afterMs) => closings.push(afterMs),
      activeTcpConnections: () => 3,
      event: (name) => events.push(name),
    },
  });
  const device: Device = {
    security,
    router,
    clock,
    store,
    events,
    portsTold,
    closings,
    channel: channels.plain,
    ...toolOf((...asked) => device.ask(...asked)),
    async ask(classId, instance, service, data = noOctets, attribute) {
      const after: (() => void)[] = [];
      const context: RequestContext = {
        channel: device.channel,
        session: 1,
        maxReply: 500,
        afterReply: (run) => after.push(run),
      };
      const reply = await router.handle({ service, path: objectPath(classId, instance, attribute), data }, context);
      for (const run of after) run();
      return reply;
    },
  };
  return device;
}

/** A tool whose requests go by `ask`. */
export function toolOf(ask: Tool["ask"]): Tool {
  return {
    ask,
    async get(declaration, instance, name) {
      const attribute = declaration.attributes[name];
      if (attribute === undefined) throw new Error(`no attribute ${name}`);
      const reply = await ask(declaration.classId, instance, Service.getAttributeSingle, noOctets, attribute.id);
      if (reply.status !== 0) throw new Error(`get ${name}: status ${reply.status}`);
      return decode(attribute.type, reply.data);
    },
    async set(declaration, instance, name, value) {
      const attribute = declaration.attributes[name];
      if (attribute === undefined) throw new Error(`no attribute ${name}`);
      const data = encode<unknown>(attribute.type, value);
      return (await ask(declaration.classId, instance, Service.setAttributeSingle, data, attribute.id)).status;
    },
    async call(declaration, instance, name, data) {
      const service = declaration.services[name];
      if (service === undefined) throw new Error(`no service ${name}`);
      return statusOf(await ask(declaration.classId, instance, service.code, data));
    },
  };
}

/** `0x0C`, or `0xD0/1` with extended status. */
export function statusOf({ status, extended }: Reply): string {
  const hex = `0x${status.toString(16).toUpperCase().padStart(2, "0")}`;
  return [hex, ...extended].join("/");
}

export const ok = "0x00";

/** A tool's steps, each of which must succeed. */
export async function must(step: Promise<string | number>): Promise<void> {
  const status = await step;
  if (status !== ok && status !== 0) throw new Error(`refused with ${status}`);
}

/** Begins both configuration sessions. */
export async function begin(device: Tool): Promise<void> {
  await must(device.call(CipSecurity, 1, "beginConfig"));
  await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
}

/** Makes a File instance with this content and returns its number. */
export async function download(device: Tool, name: string, text: string | Uint8Array, encoding = 2): Promise<number> {
  const request = encode(CreateFileRequest, { instanceName: english(name), encoding });
  const created = await device.ask(FileObject.classId, 0, Service.create, request);
  if (created.status !== 0) throw new Error(`create: ${statusOf(created)}`);
  const { instance } = decode(CreateFileReply, created.data);
  await must(give(device, instance, typeof text === "string" ? Buffer.from(text) : text));
  return instance;
}

/** Initiate_Download and all packets; returns the first status that is not 0. */
export async function give(device: Tool, instance: number, content: Uint8Array, name = "file"): Promise<string> {
  const { initiateDownload, downloadTransfer } = FileObject.services;
  const start = await device.ask(
    FileObject.classId,
    instance,
    initiateDownload.code,
    encode(InitiateDownloadRequest, {
      fileSize: content.length,
      formatVersion: 1,
      revision: { major: 1, minor: 2 },
      fileName: english(name),
    }),
  );
  if (start.status !== 0) return statusOf(start);
  for (const packet of packetsOf(content, start.data.at(-1) ?? 0)) {
    const reply = await device.ask(FileObject.classId, instance, downloadTransfer.code, encode(TransferPacket, packet));
    if (reply.status !== 0) return statusOf(reply);
  }
  return ok;
}

/** The packets of a download. */
export function packetsOf(content: Uint8Array, size: number): readonly TransferPacket[] {
  const count = Math.ceil(content.length / size);
  return Array.from({ length: count }, (_, i) => {
    const isLast = i === count - 1;
    const packetType =
      count === 1 ? PacketType.only : i === 0 ? PacketType.first : isLast ? PacketType.last : PacketType.middle;
    const data = content.subarray(i * size, (i + 1) * size);
    return { transferNumber: i % 256, packetType, data, ...(isLast ? { checksum: fileChecksum(content) } : {}) };
  });
}

/** Initiate_Upload and all packets. */
export async function take(device: Tool, instance: number): Promise<Uint8Array> {
  const { initiateUpload, uploadTransfer } = FileObject.services;
  const start = await device.ask(
    FileObject.classId,
    instance,
    initiateUpload.code,
    encode(InitiateUploadRequest, { maxTransferSize: 200 }),
  );
  if (start.status !== 0) throw new Error(`upload: ${statusOf(start)}`);
  const { fileSize } = decode(InitiateUploadReply, start.data);
  const chunks: Uint8Array[] = [];
  for (let number = 0; ; number = (number + 1) & 0xff) {
    const reply = await device.ask(FileObject.classId, instance, uploadTransfer.code, encode(USINT, number));
    if (reply.status !== 0) throw new Error(`upload: ${statusOf(reply)}`);
    const packet = decode(TransferPacket, reply.data);
    chunks.push(packet.data);
    if (packet.checksum === undefined) continue;
    const content = new Uint8Array(Buffer.concat(chunks));
    if (content.length !== fileSize || fileChecksum(content) !== packet.checksum) throw new Error("upload: damaged");
    return content;
  }
}

/** Create_CSR with all fields empty. */
export const emptyCsr = new Uint8Array(9);

/** Creates a Certificate Management instance. */
export async function createCertificate(device: Tool, name: string): Promise<number> {
  const reply = await device.ask(CertificateManagement.classId, 0, Service.create, encode(SHORT_STRING, name));
  if (reply.status !== 0) throw new Error(`create: ${statusOf(reply)}`);
  return decode(UINT, reply.data);
}

/** A certificate authority for one test file. */
export async function makeAuthority(name = "Test plant"): Promise<CertificateAuthority> {
  return initCa(temporaryFolder(), { name, now: () => new Date(Date.UTC(2026, 10, 20)) });
}

/** Requests a certificate for a new instance, has it signed and loaded, and returns the instance and the CA's file. */
export async function enrol(
  device: Tool,
  ca: CertificateAuthority,
  name: string,
): Promise<{ readonly instance: number; readonly caFile: number }> {
  const instance = await createCertificate(device, name);
  const { createCsr } = CertificateManagement.services;
  const answer = await device.ask(CertificateManagement.classId, instance, createCsr.code, emptyCsr);
  if (answer.status !== 0) throw new Error(`csr: ${statusOf(answer)}`);
  const csrFile = decode(createCsr.response, answer.data)[1];
  if (csrFile?.kind !== "instance") throw new Error("no csr file");
  const csr = parseCsr(await take(device, csrFile.value));
  const issued = await ca.issue({ profile: "device", csr });
  const certificate = await download(device, `${name} certificate`, issued.chainPem);
  const caFile = await download(device, `${name} authority`, toPem([ca.root]));
  const slot = (file: number) => ({ status: 0, path: objectPath(FileObject.classId, file) });
  await must(device.set(CertificateManagement, instance, "deviceCertificate", slot(certificate)));
  await must(device.set(CertificateManagement, instance, "caCertificate", slot(caFile)));
  for (const which of [3, 4])
    await must(device.call(CertificateManagement, instance, "verifyCertificate", encode(UINT, which)));
  return { instance, caFile };
}
