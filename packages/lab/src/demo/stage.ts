import type { Assessment } from "@cipsec/assess";
import { connect, parseTarget, readPosture } from "@cipsec/originator";
import type { DiscoveredDevice, Posture, SecurityOptions } from "@cipsec/originator";
import { BugError } from "@cipsec/wire";
import type { LabDevice } from "../lab.ts";
import type { DemoAssessing, DemoAssessment } from "./assessment.ts";
import { proveIo } from "./io-proof.ts";
import { proveAccepted, proveRefused, type KeyLogging, type Proof } from "./proofs.ts";

/** What the demonstration tells while it runs. */
export interface DemoTelling {
  /** A chapter begins. */
  readonly chapter: (text: string) => void;
  /** Something happened that a newcomer wants to see. */
  readonly note: (text: string) => void;
  /** A step of long work. */
  readonly progress: (text: string) => void;
  readonly discovered: (devices: readonly DiscoveredDevice[]) => void;
  readonly postures: (when: "before" | "after", postures: readonly Posture[]) => void;
  readonly assessed: (assessment: Assessment) => void;
}

/** How the demonstration runs. */
export interface DemoOptions {
  readonly devices: number;
  /** Folder of the demonstration alone: what is in it is deleted first, so that devices start at factory default. */
  readonly folder: string;
  readonly telling: DemoTelling;
  readonly signal: AbortSignal;
  /** Gets the secrets of every session of the demonstration, TLS and DTLS, in the form of SSLKEYLOGFILE. */
  readonly keyLog?: (line: string) => void;
  /** Assesses the first secured device at the end. */
  readonly assessing?: DemoAssessing;
}

/** One device's way through the demonstration, as `plant.json` holds it. */
export interface DemoDevice {
  readonly address: string;
  readonly before: Posture;
  readonly after: Posture;
  readonly proofs: readonly Proof[];
}

/** The whole demonstration. */
export interface DemoResult {
  readonly devices: readonly DemoDevice[];
  /** Every proof of every device holds. */
  readonly holds: boolean;
  readonly elapsedMs: number;
  readonly assessment?: DemoAssessment;
}

/** Who tries to get into a device. */
export interface Callers {
  /** The plant's tool. */
  readonly trusted: SecurityOptions;
  /** Trusts the device, and shows nothing itself. */
  readonly nobody: SecurityOptions;
  /** Somebody else's certificate or key. */
  readonly stranger: SecurityOptions;
  /** Whether the device lets tools in by certificate, or by pre-shared key. */
  readonly by: "certificate" | "key";
}

/** Milliseconds for a device to answer: far above what it takes, on a machine with much else to do too. */
const patienceMs = 20_000;

/** Integrity-only suites: no data is hidden. */
const integrityOnly = { certificate: [0xc006], key: [0xc03a] } as const;

const words = {
  certificate: {
    nobody: "a tool without a certificate is refused",
    stranger: "a tool of another authority is refused",
  },
  key: { nobody: "a tool without the key is refused", stranger: "a tool with a wrong key is refused" },
} as const;

/** Tries to get into a device by every wrong way and by the right one. */
export async function proveAccess(
  { description }: LabDevice,
  { trusted, nobody, stranger, by }: Callers,
  logging: KeyLogging,
): Promise<Proof[]> {
  const { address, identity } = description;
  const serial = identity.serialNumber;
  const control = { security: trusted, ...logging };
  const refused = (name: string, expected: string, security: SecurityOptions): Promise<Proof> =>
    proveRefused(name, expected, address, { security, ...logging }, control, serial);
  const plain = "nothing answers on plain TCP 44818";
  return [
    await proveAccepted("trusted-accepted", "the plant's tool is accepted", address, control, serial),
    await proveRefused("plain-refused", plain, address, { plain: true }, control, serial),
    await refused("no-certificate-refused", words[by].nobody, nobody),
    await refused("stranger-refused", words[by].stranger, stranger),
    await refused("integrity-only-refused", "a suite that does not encrypt is refused", {
      ...trusted,
      suites: integrityOnly[by],
    }),
    await proveIo(description, trusted, logging),
  ];
}

/** Cuts the power, starts the device again and compares every setting. */
export async function provePowerCut(
  device: LabDevice,
  security: SecurityOptions,
  posture: Posture,
  options: KeyLogging & Pick<DemoOptions, "signal">,
): Promise<Proof> {
  const name = "power-cut-survived";
  const expected = "all settings are there after kill -9 and restart, and the tool is accepted";
  const { signal: _, ...logging } = options;
  const { address, identity } = device.description;
  await device.kill();
  const dead = await proveAccepted(name, expected, address, { security, ...logging }, identity.serialNumber);
  await device.restart();
  const again = await postureOf(device, security, options);
  const isSame = JSON.stringify(again) === JSON.stringify(posture);
  const observed = dead.holds
    ? "the device went on without power"
    : isSame
      ? "silent while off, then the same settings"
      : "the settings differ";
  return { name, expected, observed, holds: isSame && !dead.holds };
}

/** Reads the posture of a device; plain where the device knows nothing else. */
export async function postureOf(
  { kind, description }: LabDevice,
  security: SecurityOptions,
  options: KeyLogging & Pick<DemoOptions, "signal">,
): Promise<Posture> {
  const target = parseTarget(`${kind === "legacy" ? "eip" : "eips"}://${description.address}`);
  const patient = { connectTimeoutMs: patienceMs, requestTimeoutMs: patienceMs };
  await using session = await connect(target, { ...options, ...patient, ...(kind === "legacy" ? {} : { security }) });
  return await readPosture(session);
}

/** All devices, with everything that was read and proven. */
export function demoResult(
  devices: readonly LabDevice[],
  before: readonly Posture[],
  after: readonly Posture[],
  proofs: ReadonlyMap<LabDevice, readonly Proof[]>,
  startedMs: number,
): DemoResult {
  const results = devices.map((device, i) => row(device, before[i], after[i], proofs.get(device)));
  const holds = results.every((device) => device.proofs.every((proof) => proof.holds));
  return { devices: results, holds, elapsedMs: Math.round(performance.now() - startedMs) };
}

function row(
  device: LabDevice,
  before: Posture | undefined,
  after: Posture | undefined,
  proofs: readonly Proof[] = [],
): DemoDevice {
  if (before === undefined || after === undefined)
    throw new BugError("bug/unreachable", `${device.description.address}: no posture was read`);
  return { address: device.description.address, before, after, proofs };
}

/** Works on one after the other. */
export async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}
