import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EtherNetIpSecurity, PullModelStatus } from "@cipsec/objects";
import {
  connect,
  discover,
  identify,
  parseTarget,
  vouchByIdentity,
  type Posture,
  type SecurityOptions,
} from "@cipsec/originator";
import {
  approveHeld,
  makePrivateFolder,
  type CertificateAuthority,
  type EnrolPolicy,
  type EstEvent,
} from "@cipsec/pki";
import { systemClock } from "@cipsec/transport";
import { EtherNetIpSecurityState, TransportError } from "@cipsec/wire";
import { startLabEst, type LabEst } from "../est.ts";
import { startLab, type LabDevice } from "../lab.ts";
import { estAddress, pullPlant, pulling, type PullRole } from "../plant.ts";
import { openFactory, vendorName } from "../vendor.ts";
import { anchorsOf, makeAuthority, makeCaller, type Caller } from "./authority.ts";
import type { KeyLogging, Proof } from "./proofs.ts";
import {
  demoResult,
  inTurn,
  postureOf,
  proveAccess,
  provePowerCut,
  type DemoOptions,
  type DemoResult,
} from "./stage.ts";

/** Service type of the demonstration, so that its devices find no other server of this machine. */
const service = "_est-demo._tcp";

/** Seconds after which the device that waits for a person asks again. */
const retryAfterS = 2;

/** Milliseconds for a device to get so far: it looks 5 s after its start, and again half a minute after it found nothing. */
const patienceMs = 120_000;

/** Milliseconds between two looks. */
const lookMs = 100;

/** The plant, and who tries to get in. */
interface Cast {
  readonly plant: CertificateAuthority;
  readonly tool: Caller;
  readonly stranger: Caller;
  readonly logging: KeyLogging;
}

/** What the demonstration watches with. */
interface Watch {
  readonly est: LabEst;
  /** The last word of the EST server to each address. */
  readonly answers: ReadonlyMap<string, EstEvent>;
  /** When devices were let in. */
  readonly openedAt: number;
  readonly signal: AbortSignal;
}

/**
 * Shows the pull model: devices from their box find the plant's EST server by DNS-SD and configure themselves. Nothing here writes to
 * a device: what is seen is read, and then tried out. A counterfeit is refused, and one device waits until it is approved.
 *
 * @throws the first error that is no finding but a failure; whatever happens, no process stays behind.
 */
export async function runPullDemo({
  devices: count,
  folder,
  telling,
  signal,
  keyLog,
}: DemoOptions): Promise<DemoResult> {
  const logging: KeyLogging = keyLog === undefined ? {} : { keyLog };
  const started = performance.now();
  await rm(folder, { recursive: true, force: true });
  await makePrivateFolder(folder);
  const planned = pullPlant(count);
  telling.chapter("Starting the plant's EST server, and announcing it by DNS-SD");
  const cast = await makeCast(folder, logging);
  const answers = new Map<string, EstEvent>();
  const gate = { isOpen: false };
  await using est = await serve(folder, cast.plant, planned, gate, (event) => answers.set(event.address, event));
  telling.note(`${service}.local: ${est.url}, behind it ${cast.plant.name}.`);

  telling.chapter(`Taking ${count} virtual devices out of their box`);
  await using lab = await startLab({ dataDir: join(folder, "lab"), devices: pulling(planned, service) });
  const roles = new Map<LabDevice, PullRole>(lab.devices.map((device, i) => [device, planned[i]?.role ?? "genuine"]));
  signal.throwIfAborted();

  telling.chapter("Discovering the plant, and reading its security posture");
  const found = await discover({ ranges: lab.devices.map(({ description }) => description.address), signal });
  telling.discovered(found.devices);
  const asFound = { acceptAny: true };
  const before = await Promise.all(lab.devices.map((device) => postureOf(device, asFound, { signal, ...logging })));
  telling.postures("before", before);

  telling.chapter(`Letting devices of the ${vendorName} enrol. Nobody touches a device`);
  gate.isOpen = true;
  const watch: Watch = { est, answers, openedAt: performance.now(), signal };
  const proofs = new Map<LabDevice, Proof[]>();
  const own = lab.devices.filter((device) => isPlants(roles.get(device)));
  for (const device of lab.devices) {
    telling.progress(`${device.description.address}: waiting for it to enrol`);
    proofs.set(device, [await proveEnrolment(device, roles.get(device) ?? "genuine", cast, watch)]);
    telling.note(`${device.description.address}: ${proofs.get(device)?.at(-1)?.observed ?? ""}`);
  }

  telling.chapter("Reading the security posture again");
  const access = (device: LabDevice): SecurityOptions => (own.includes(device) ? trusted(cast) : asFound);
  const after = await inTurn(lab.devices, (device) => postureOf(device, access(device), { signal, ...logging }));
  telling.postures("after", after);

  telling.chapter("Proving it with real connections");
  const anchors = anchorsOf(cast.plant);
  const callers = {
    by: "certificate",
    trusted: trusted(cast),
    nobody: { anchors },
    stranger: { certificate: cast.stranger, anchors },
  } as const;
  for (const device of own) {
    telling.progress(`${device.description.address}: trying to get in`);
    proofs.get(device)?.push(...(await proveAccess(device, callers, logging)));
    signal.throwIfAborted();
  }

  telling.chapter("Cutting the power of every device that is configured (kill -9) and starting it again");
  for (const [i, device] of lab.devices.entries()) {
    const posture = after[i];
    if (posture === undefined || !own.includes(device)) continue;
    proofs.get(device)?.push(await provePowerCut(device, trusted(cast), posture, { signal, ...logging }));
  }
  return demoResult(lab.devices, before, after, proofs, started);
}

async function makeCast(folder: string, logging: KeyLogging): Promise<Cast> {
  const plant = await makeAuthority(join(folder, "plant", "ca"), "Demo Plant");
  const other = await makeAuthority(join(folder, "stranger", "ca"), "Somebody Else");
  return {
    plant,
    tool: await makeCaller(plant, "engineering tool"),
    stranger: await makeCaller(other, "stranger"),
    logging,
  };
}

/** The plant's tool, which trusts devices of the plant and no others. */
function trusted({ plant, tool }: Cast): SecurityOptions {
  return { certificate: tool, anchors: anchorsOf(plant) };
}

function isPlants(role: PullRole | undefined): boolean {
  return role === "genuine" || role === "waiting";
}

async function serve(
  folder: string,
  plant: CertificateAuthority,
  planned: ReturnType<typeof pullPlant>,
  gate: { readonly isOpen: boolean },
  onEvent: (event: EstEvent) => void,
): Promise<LabEst> {
  const { vendor } = await openFactory(join(folder, "lab"), () => new Date());
  const vendorAnchors = [vendor.root, vendor.issuing];
  const waiting = planned.filter(({ role }) => role === "waiting");
  const fromBox = { callers: ["birth"], takeNames: "request" } as const;
  // Who comes before all has been read waits: a device that found nobody would look again only half a minute later.
  const closed: EnrolPolicy = { rules: [{ ...fromBox, name: "not yet", action: "hold" }] };
  const open: EnrolPolicy = {
    rules: [
      ...waiting.map(({ description: { identity } }) => ({
        ...fromBox,
        name: "a person decides",
        subject: { serialNumber: identity.serialNumber.toString(16).padStart(8, "0").toUpperCase() },
        action: "hold" as const,
      })),
      { ...fromBox, name: "from the box", action: "issue" },
    ],
  };
  return await startLabEst({
    folder: join(folder, "plant", "est"),
    ca: plant,
    vendorAnchors,
    policy: () => (gate.isOpen ? open : closed),
    vouch: vouchByIdentity(vendorAnchors),
    address: estAddress,
    announce: { host: "est.demo.local", service },
    retryAfterS,
    onEvent,
  });
}

async function proveEnrolment(device: LabDevice, role: PullRole, cast: Cast, watch: Watch): Promise<Proof> {
  const answer = await until(watch, `${device.description.address} has not asked the EST server`, () =>
    watch.answers.get(device.description.address),
  );
  if (role === "genuine") return await provePulled(device, cast, watch);
  if (role === "waiting") return await proveWaits(device, answer, cast, watch);
  return await proveCounterfeit(device, role, answer, watch);
}

async function provePulled(device: LabDevice, cast: Cast, watch: Watch): Promise<Proof> {
  await enrolled(device, watch);
  const seconds = ((performance.now() - watch.openedAt) / 1000).toFixed(1);
  const { holds, words } = await isConfigured(device, cast, watch);
  return {
    name: "pulled-without-tool",
    expected:
      "it finds the EST server by DNS-SD and configures itself with a certificate of the plant; nobody writes to it",
    observed: `${words}, ${seconds} s after devices were let in`,
    holds,
  };
}

async function proveWaits(device: LabDevice, answer: EstEvent, cast: Cast, watch: Watch): Promise<Proof> {
  const { pullInProgress } = EtherNetIpSecurityState;
  const seen = await until(watch, `${device.description.address} does not say that it waits`, async () => {
    const look = await lookAt(device, cast.logging);
    return look?.status === PullModelStatus.pending ? look : undefined;
  });
  const waits = answer.outcome === "pending" && seen.state === pullInProgress;
  await approveHeld(watch.est.register, answer.id ?? "", { now: new Date() });
  await enrolled(device, watch);
  const { holds, words } = await isConfigured(device, cast, watch);
  return {
    name: "waits-for-approval",
    expected: "it stays unconfigured (state 3, status 5) until somebody approves it, and configures itself then",
    observed: `state ${seen.state}, status ${seen.status} until it was approved; then ${words}`,
    holds: waits && holds,
  };
}

async function proveCounterfeit(
  device: LabDevice,
  role: "stolen" | "forged",
  answer: EstEvent,
  watch: Watch,
): Promise<Proof> {
  const seen = await until(watch, `${device.description.address} does not say that it was refused`, async () => {
    const look = await lookAt(device, {});
    return look?.status === PullModelStatus.refused ? look : undefined;
  });
  const { serialNumber } = device.description.identity;
  const isUnknown = watch.est.register.enrolled().every(({ san }) => !san.ip.includes(device.description.address));
  return {
    name: "counterfeit-refused",
    expected:
      role === "stolen"
        ? "a device with the vendor's certificate of another device gets nothing"
        : "a device whose certificate only looks like the vendor's gets nothing",
    observed: `${answer.outcome}: ${answer.reason ?? `serial number ${serialNumber}`}; state ${seen.state}, status ${seen.status}`,
    holds: answer.outcome === "refused" && seen.state === EtherNetIpSecurityState.factoryDefault && isUnknown,
  };
}

/** State and Pull Model Status of a device that is not configured yet: it lets everybody read. Nothing while it does not answer. */
async function lookAt(
  { description }: LabDevice,
  logging: KeyLogging,
): Promise<{ readonly state: number; readonly status: number } | undefined> {
  const target = parseTarget(`eips://${description.address}`);
  try {
    await using session = await connect(target, { security: { acceptAny: true }, reconnect: false, ...logging });
    const object = session.object(EtherNetIpSecurity, 1);
    return { state: await object.get("state"), status: await object.get("pullModelStatus") };
  } catch (error) {
    if (error instanceof TransportError) return undefined;
    throw error;
  }
}

/** Waits until a device says in discovery that it has enrolled. */
async function enrolled({ description: { address } }: LabDevice, watch: Watch): Promise<void> {
  await until(watch, `${address} has not enrolled`, async () => {
    const state = (await identify(address, { signal: watch.signal }))?.security?.ethernetIpState;
    return state === EtherNetIpSecurityState.pullCompleted ? state : undefined;
  });
}

/** Whether the plant's tool, which trusts the plant alone, finds the device configured with the certificate that was issued to it. */
async function isConfigured(
  device: LabDevice,
  cast: Cast,
  { answers, signal }: Watch,
): Promise<{ readonly holds: boolean; readonly words: string }> {
  const posture: Posture = await postureOf(device, trusted(cast), { signal, ...cast.logging });
  const { serial = "" } = answers.get(device.description.address) ?? {};
  const { sha256 } = (await cast.plant.certificate(serial)).facts;
  const { security, deviceCertificate, verifyClient } = posture;
  const isIssued = deviceCertificate?.sha256 === sha256;
  return {
    holds: isIssued && verifyClient === true && security?.ethernetIpState === "pull-completed",
    words: `${security?.ethernetIpState ?? "no security"}, certificate ${isIssued ? "as issued" : "of somebody else"}`,
  };
}

/** Looks again and again until there is something to see. */
async function until<T>(
  { signal }: Pick<Watch, "signal">,
  otherwise: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > end)
      throw new TransportError("transport/timeout", `${otherwise} within ${patienceMs / 1000} s`);
    await new Promise<void>((resolve) => void systemClock.after(lookMs, resolve, true));
  }
}
