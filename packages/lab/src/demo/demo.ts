import { rm } from "node:fs/promises";
import { join } from "node:path";
import {
  commission,
  connect,
  discover,
  parseTarget,
  readPosture,
  type CommissionPlan,
  type DiscoveredDevice,
  type Posture,
  type SecurityOptions,
} from "@cipsec/originator";
import { crlToPem, makePrivateFolder, parseCertificates, type CertificateAuthority } from "@cipsec/pki";
import { BugError } from "@cipsec/wire";
import { startLab, type Lab, type LabDevice } from "../lab.ts";
import { mixedPlant } from "../plant.ts";
import { anchorsOf, makeAuthority, makeCaller, makePsk, signer, type Caller, type Psk } from "./authority.ts";
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
}

/** Who is who in the demonstration. */
interface Cast {
  readonly plant: CertificateAuthority;
  /** The tool that the plant trusts. */
  readonly tool: Caller;
  /** A tool that the plant trusted until it was revoked. */
  readonly lost: Caller;
  /** A tool of somebody else's authority. */
  readonly stranger: Caller;
  /** Keys by device address: in force, and withdrawn. */
  readonly psks: ReadonlyMap<string, { readonly current: Psk; readonly withdrawn: Psk }>;
  readonly logging: KeyLogging;
}

/** Integrity-only suites: no data is hidden. */
const integrityOnly = { certificate: [0xc006], psk: [0xc03a] } as const;

/**
 * Takes a virtual plant from factory default to secured and proves it: discovers, reads postures, makes the plant's authority,
 * commissions by push, closes plain ports, then tries to get in by every wrong way and by the right one.
 *
 * @throws the first error that is no finding but a failure; whatever happens, no process stays behind.
 */
export async function runDemo({ devices: count, folder, telling, signal, keyLog }: DemoOptions): Promise<DemoResult> {
  const logging: KeyLogging = keyLog === undefined ? {} : { keyLog };
  const started = performance.now();
  await rm(folder, { recursive: true, force: true });
  await makePrivateFolder(folder);
  telling.chapter(`Starting ${count} virtual devices`);
  await using lab = await startLab({ dataDir: join(folder, "lab"), devices: mixedPlant(count) });
  const secured = lab.devices.filter(({ kind }) => kind !== "legacy");
  signal.throwIfAborted();

  telling.chapter("Discovering the plant");
  const found = await discover({ ranges: lab.devices.map(({ description }) => description.address), signal });
  telling.discovered(found.devices);

  telling.chapter("Reading the security posture from the factory");
  const before = await inTurn(lab.devices, (device) => postureOf(device, { acceptAny: true }, { signal, ...logging }));
  telling.postures("before", before);

  telling.chapter("Making the plant's certificate authority");
  const cast = await makeCast(folder, secured, logging);
  telling.note(`${cast.plant.name}: root and issuing authority, ECDSA P-256.`);

  telling.chapter("Commissioning by push, and closing the plaintext ports");
  const proofs = new Map<LabDevice, Proof[]>();
  for (const [i, device] of secured.entries()) {
    proofs.set(device, await commissionTwice(device, cast, lab, { telling, signal }, `${i + 1} of ${secured.length}`));
  }

  telling.chapter("Reading the security posture again");
  const after = await inTurn(lab.devices, (device) =>
    postureOf(device, accessOf(device, cast), { signal, ...logging }),
  );
  telling.postures("after", after);

  telling.chapter("Proving it with real connections");
  for (const device of secured) {
    telling.progress(`${device.description.address}: trying to get in`);
    proofs.set(device, [...(await prove(device, cast)), ...(proofs.get(device) ?? [])]);
    signal.throwIfAborted();
  }

  telling.chapter("Cutting the power of every device (kill -9) and starting it again");
  for (const [i, device] of lab.devices.entries()) {
    const posture = after[i];
    if (posture === undefined || device.kind === "legacy") continue;
    proofs.set(device, [...(proofs.get(device) ?? []), await provePowerCut(device, cast, posture, signal)]);
  }
  const results = lab.devices.map((device, i) => result(device, before[i], after[i], proofs.get(device)));
  const holds = results.every((device) => device.proofs.every((proof) => proof.holds));
  return { devices: results, holds, elapsedMs: Math.round(performance.now() - started) };
}

async function makeCast(folder: string, secured: readonly LabDevice[], logging: KeyLogging): Promise<Cast> {
  const plant = await makeAuthority(join(folder, "plant", "ca"), "Demo Plant");
  const other = await makeAuthority(join(folder, "stranger", "ca"), "Somebody Else");
  const psks = secured
    .filter(({ kind }) => kind === "cbc-psk")
    .map(
      ({ description }) =>
        [
          description.address,
          { current: makePsk(`${description.name}-key-2`), withdrawn: makePsk(`${description.name}-key-1`) },
        ] as const,
    );
  return {
    plant,
    tool: await makeCaller(plant, "engineering tool"),
    lost: await makeCaller(plant, "lost laptop"),
    stranger: await makeCaller(other, "stranger"),
    psks: new Map(psks),
    logging,
  };
}

/**
 * Commissions a device, shows that the tool that will be withdrawn is let in, withdraws it (revocation list, or new key) and
 * brings that to the device. The proof that it is refused from then on has its positive control in the first half.
 */
async function commissionTwice(
  device: LabDevice,
  cast: Cast,
  lab: Lab,
  { telling, signal }: Pick<DemoOptions, "telling" | "signal">,
  which: string,
): Promise<Proof[]> {
  const { address, identity } = device.description;
  const psks = cast.psks.get(address);
  const run = (plan: CommissionPlan): Promise<unknown> =>
    commission(parseTarget(address), {
      plan,
      security: accessOf(device, cast),
      acceptAny: true,
      vendorAnchors: parseCertificates(lab.vendorRootPem),
      announce: ({ vouchedBy, sha256 }) =>
        telling.note(
          `${address}: factory certificate ${sha256.slice(0, 16)}…, ${vouchedBy === undefined ? "nobody vouches for it" : `vouched for by ${vouchedBy}`}`,
        ),
      progress: ({ words, index, total }) =>
        telling.progress(`device ${which}, ${address}: ${words} (${index}/${total})`),
      signal,
      connect: cast.logging,
      ...(psks === undefined ? { issue: signer(cast.plant) } : {}),
    });
  const withdrawn: SecurityOptions =
    psks === undefined ? { certificate: cast.lost, anchors: anchorsOf(cast.plant) } : { psk: psks.withdrawn };
  // A key is replaced as in a plant: old and new side by side first, then the new one alone.
  const bothKeys = psks === undefined ? {} : { psks: [psks.withdrawn, psks.current] };
  await run(planFor(device, bothKeys));
  const control = await proveAccepted("", "", address, { security: withdrawn, ...cast.logging }, identity.serialNumber);
  if (psks === undefined) {
    const [laptop] = cast.lost.chain;
    if (laptop !== undefined) await cast.plant.revoke(laptop.facts.serialHex, "keyCompromise");
    await run(planFor(device, { crlPem: crlToPem(await cast.plant.crl()) }));
  } else {
    await run(planFor(device, { psks: [psks.current] }));
  }
  const what = psks === undefined ? "a tool whose certificate was revoked" : "the key that was replaced";
  const proof = await proveRefused(
    "revoked-refused",
    `${what} is refused; it was accepted before`,
    address,
    { security: withdrawn, ...cast.logging },
    { security: accessOf(device, cast), ...cast.logging },
    identity.serialNumber,
  );
  telling.note(
    `${address}: ${device.description.identity.productName} is commissioned ${psks === undefined ? "by certificate" : "by pre-shared key"}.`,
  );
  return [
    {
      ...proof,
      holds: proof.holds && control.holds,
      observed: control.holds ? proof.observed : `never accepted: ${control.observed}`,
    },
  ];
}

function planFor(
  device: LabDevice,
  { psks, crlPem }: { readonly psks?: readonly Psk[]; readonly crlPem?: string },
): CommissionPlan {
  return {
    label: "plant",
    suites: device.kind === "modern" ? [0xc02b, 0xc02c] : [0xc037],
    verifyClient: psks === undefined,
    sendChain: true,
    checkExpiration: psks === undefined ? "if-possible" : false,
    checkSan: false,
    dtlsTimeoutS: 12,
    closePlaintext: true,
    ...(psks === undefined ? {} : { psks }),
    ...(crlPem === undefined ? {} : { crlPem }),
  };
}

/** How the plant's tool gets into a device. */
function accessOf({ description }: LabDevice, cast: Cast): SecurityOptions {
  const psks = cast.psks.get(description.address);
  return psks === undefined ? { certificate: cast.tool, anchors: anchorsOf(cast.plant) } : { psk: psks.current };
}

async function prove(device: LabDevice, cast: Cast): Promise<Proof[]> {
  const { address, identity } = device.description;
  const serial = identity.serialNumber;
  const trusted: SecurityOptions = accessOf(device, cast);
  const control = { security: trusted, ...cast.logging };
  const anchors = anchorsOf(cast.plant);
  const psks = cast.psks.get(address);
  const refused = (name: string, expected: string, security: SecurityOptions): Promise<Proof> =>
    proveRefused(name, expected, address, { security, ...cast.logging }, control, serial);
  return [
    await proveAccepted("trusted-accepted", "the plant's tool is accepted", address, control, serial),
    await proveRefused(
      "plain-refused",
      "nothing answers on plain TCP 44818",
      address,
      { plain: true },
      control,
      serial,
    ),
    await refused(
      "no-certificate-refused",
      psks === undefined ? "a tool without a certificate is refused" : "a tool without the key is refused",
      psks === undefined ? { anchors } : { anchors, acceptAny: true },
    ),
    psks === undefined
      ? await refused("stranger-refused", "a tool of another authority is refused", {
          certificate: cast.stranger,
          anchors,
        })
      : await refused("stranger-refused", "a tool with a wrong key is refused", {
          psk: { identity: psks.current.identity, key: makePsk("").key },
        }),
    await refused("integrity-only-refused", "a suite that does not encrypt is refused", {
      ...trusted,
      suites: psks === undefined ? integrityOnly.certificate : integrityOnly.psk,
    }),
    await proveIo(device.description, trusted, cast.logging),
  ];
}

/** Cuts the power, starts the device again and compares every setting. */
async function provePowerCut(device: LabDevice, cast: Cast, posture: Posture, signal: AbortSignal): Promise<Proof> {
  const name = "power-cut-survived";
  const expected = "all settings are there after kill -9 and restart, and the tool is accepted";
  await device.kill();
  const dead = await proveAccepted(
    name,
    expected,
    device.description.address,
    { security: accessOf(device, cast), ...cast.logging },
    device.description.identity.serialNumber,
  );
  await device.restart();
  const again = await postureOf(device, accessOf(device, cast), { signal, ...cast.logging });
  const isSame = JSON.stringify(again) === JSON.stringify(posture);
  const observed = dead.holds
    ? "the device went on without power"
    : isSame
      ? "silent while off, then the same settings"
      : "the settings differ";
  return { name, expected, observed, holds: isSame && !dead.holds };
}

async function postureOf(
  { kind, description }: LabDevice,
  security: SecurityOptions,
  options: KeyLogging & Pick<DemoOptions, "signal">,
): Promise<Posture> {
  const target = parseTarget(`${kind === "legacy" ? "eip" : "eips"}://${description.address}`);
  await using session = await connect(target, { ...options, ...(kind === "legacy" ? {} : { security }) });
  return await readPosture(session);
}

function result(
  device: LabDevice,
  before: Posture | undefined,
  after: Posture | undefined,
  proofs: readonly Proof[] = [],
): DemoDevice {
  if (before === undefined || after === undefined)
    throw new BugError("bug/unreachable", `${device.description.address}: no posture was read`);
  return { address: device.description.address, before, after, proofs };
}

async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}
