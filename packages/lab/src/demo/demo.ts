import { rm } from "node:fs/promises";
import { join } from "node:path";
import { commission, discover, parseTarget, type CommissionPlan, type SecurityOptions } from "@cipsec/originator";
import { crlToPem, makePrivateFolder, parseCertificates, type CertificateAuthority } from "@cipsec/pki";
import { startLab, type Lab, type LabDevice } from "../lab.ts";
import { mixedPlant } from "../plant.ts";
import { assessDevice, summaryOf } from "./assessment.ts";
import { anchorsOf, makeAuthority, makeCaller, makePsk, signer, type Caller, type Psk } from "./authority.ts";
import { proveAccepted, proveRefused, type KeyLogging, type Proof } from "./proofs.ts";
import {
  demoResult,
  inTurn,
  postureOf,
  proveAccess,
  provePowerCut,
  type Callers,
  type DemoOptions,
  type DemoResult,
} from "./stage.ts";

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

/**
 * Takes a virtual plant from factory default to secured and proves it: discovers, reads postures, makes the plant's authority,
 * commissions by push, closes plain ports, then tries to get in by every wrong way and by the right one.
 *
 * @throws the first error that is no finding but a failure; whatever happens, no process stays behind.
 */
export async function runDemo({
  devices: count,
  folder,
  telling,
  signal,
  keyLog,
  assessing,
}: DemoOptions): Promise<DemoResult> {
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
    const proof = await provePowerCut(device, accessOf(device, cast), posture, { signal, ...logging });
    proofs.set(device, [...(proofs.get(device) ?? []), proof]);
  }

  const [first] = secured;
  if (assessing === undefined || first === undefined) return demoResult(lab.devices, before, after, proofs, started);
  telling.chapter("Assessing the first device to IEC 62443-4-2 at SL 2");
  const security = accessOf(first, cast);
  const access = { security, authority: cast.plant.folder, signal, telling };
  const assessment = await assessDevice(first, assessing, access);
  telling.assessed(assessment);
  return { ...demoResult(lab.devices, before, after, proofs, started), assessment: summaryOf(assessment) };
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
  const anchors = anchorsOf(cast.plant);
  const psks = cast.psks.get(device.description.address);
  const trusted = accessOf(device, cast);
  const callers: Callers =
    psks === undefined
      ? { by: "certificate", trusted, nobody: { anchors }, stranger: { certificate: cast.stranger, anchors } }
      : {
          by: "key",
          trusted,
          nobody: { anchors, acceptAny: true },
          stranger: { psk: { identity: psks.current.identity, key: makePsk("").key } },
        };
  return await proveAccess(device, callers, cast.logging);
}
