import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import {
  estAddress,
  mixedPlant,
  pulling,
  startLab,
  startLabEst,
  type Lab,
  type LabEst,
  type PlannedDevice,
} from "@cipsec/lab";
import { estServiceType, parseCertificates, type CertificateAuthority, type EnrolPolicy } from "@cipsec/pki";
import { vouchByIdentity } from "@cipsec/originator";
import { parseDescription, readDescription, startTarget, type DeviceDescription } from "@cipsec/target";
import { UsageError } from "@cipsec/wire";
import {
  addCommand,
  addNotes,
  argument,
  interrupted,
  textOption,
  wholeNumber,
  type Context,
  type Shell,
} from "../command.ts";
import { keyLogTo } from "../credentials.ts";
import { readInput } from "../data-folder.ts";

/** `target` runs one device, `lab` a virtual plant, both until interrupted. */
export function addDevices(program: Command, shell: Shell): void {
  const target = addCommand(
    program,
    shell,
    "target",
    "run a device from its description, until interrupted",
    async (context, options, args) => {
      const file = argument(args, 0, "FILE");
      const description = withFilesBeside(file, parseDescription(Buffer.from(await readInput(file)).toString("utf8")));
      const keyLog = textOption(options, "keylog");
      const stateDir = textOption(options, "state") ?? context.data.file("devices", description.name);
      await using device = await startTarget({
        description,
        stateDir,
        ...(keyLog === undefined ? {} : { keyLog: keyLogTo(keyLog) }),
        onEvent: ({ name, facts }) => {
          if (context.verbose) context.output.notice(`${name} ${JSON.stringify(facts)}`);
        },
      });
      context.output.line({
        listening: true,
        name: description.name,
        address: description.address,
        ports: device.ports,
      });
      context.output.say(
        `${description.name} listens at ${description.address}: ${portsText(device.ports)}. Ctrl-C ends it.`,
      );
      await interrupted(context);
    },
  )
    .argument("<file>", "device description, JSON")
    .option("--state <dir>", "folder for what the device saves (default: below the data folder)")
    .option("--keylog <file>", "append session secrets, for Wireshark");
  addNotes(target, {
    json: "a line when the device listens: {listening: true, name, address, ports: {eip, eipUdp, io, eips}}",
    examples: [["cipsec target drive.json --verbose", "runs it and tells what happens to it"]],
  });
  const plant = addCommand(
    program,
    shell,
    "lab",
    "run a virtual plant, until interrupted",
    async (context, options, args) => {
      const count = options["devices"];
      if ((args[0] === undefined) === (count === undefined))
        throw new UsageError("usage/argument", "give a FILE or --devices N, not both", {
          fix: "Try: cipsec lab --devices 5",
        });
      const perProcess = options["perProcess"];
      const devices = typeof count === "number" ? mixedPlant(count) : await plantFrom(argument(args, 0, "FILE"));
      const ca = options["est"] === true ? await context.data.ca() : undefined;
      await using lab = await startLab({
        dataDir: context.data.file("lab"),
        devices: ca === undefined ? devices : pulling(devices, estServiceType),
        ...(typeof perProcess === "number" ? { devicesPerProcess: perProcess } : {}),
      });
      await using est = ca === undefined ? undefined : await serveEst(context, lab, ca);
      announce(context, lab);
      if (ca !== undefined && est !== undefined) {
        context.output.line({ listening: true, est: est.url, sha256: ca.root.facts.sha256 });
        context.output.say(`EST is served at ${est.url} and announced as ${estServiceType}.local.`);
      }
      await interrupted(context);
    },
  )
    .argument("[file]", "plant: a JSON list of device descriptions")
    .option("--devices <n>", "a mixed plant of so many devices at 127.10.0.1 and up", (text) =>
      wholeNumber(text, 1, 60_000),
    )
    .option(
      "--est",
      "run an EST server for the plant's authority too, announced by multicast DNS: devices of today's generation enrol there by themselves",
    )
    .option("--per-process <n>", "devices that share a process", (text) => wholeNumber(text, 1, 1000), 20);
  addNotes(plant, {
    json: "a line for each device when it listens: {listening: true, name, kind, address, ports: {eip, eipUdp, io, eips}}; with --est then {listening: true, est: url, sha256}",
    examples: [
      [
        "cipsec lab --devices 5",
        "three modern devices, one of the CBC and pre-shared key generation, one without CIP Security",
      ],
      ["cipsec lab plant.json --json", "the devices of a file, in their order"],
      ["cipsec lab --devices 5 --est", "after 'cipsec ca init': devices from their box find the server and enrol"],
    ],
  });
}

/** Certificate files that a description names stand beside it. */
function withFilesBeside(file: string, description: DeviceDescription): DeviceDescription {
  const { security } = description;
  if (security === null || security.defaultCertificate.kind !== "vendor") return description;
  const { certificate, key } = security.defaultCertificate;
  const beside = (name: string): string => resolve(dirname(file), name);
  return {
    ...description,
    security: {
      ...security,
      defaultCertificate: { kind: "vendor", certificate: beside(certificate), key: beside(key) },
    },
  };
}

/** The plant's EST server: the lab's devices are let in as they come, if they are what they say. */
async function serveEst(context: Context, lab: Lab, ca: CertificateAuthority): Promise<LabEst> {
  const vendorAnchors = parseCertificates(lab.vendorRootPem);
  const policy: EnrolPolicy = {
    rules: [{ name: "from the box", callers: ["birth"], action: "issue", takeNames: "request" }],
  };
  return await startLabEst({
    folder: context.data.file("lab", "est"),
    ca,
    vendorAnchors,
    policy: () => policy,
    vouch: vouchByIdentity(vendorAnchors),
    address: estAddress,
    port: 8443,
    announce: { host: "est.lab.local", service: estServiceType },
    retryAfterS: 60,
    onEvent: ({ address, outcome, reason = "" }) => context.output.notice(`${address}: enrolment ${outcome} ${reason}`),
  });
}

/** A plant file: a JSON list of device descriptions; a device without a default certificate of its own gets one of the lab's vendor. */
async function plantFrom(file: string): Promise<readonly PlannedDevice[]> {
  const text = Buffer.from(await readInput(file)).toString("utf8");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError("usage/file", `${file}: not JSON`, {
      cause: error,
      fix: "Write a JSON list of device descriptions.",
    });
  }
  if (!Array.isArray(json) || json.length === 0)
    throw new UsageError("usage/file", `${file}: a plant is a JSON list of device descriptions`);
  return json.map((entry: unknown) => {
    const description = readDescription(entry);
    const kind = description.security === null ? "legacy" : description.security.generation;
    if (description.security === null || namesCertificate(entry)) return { kind, description };
    const { defaultCertificate: _, ...security } = description.security;
    return { kind, description: { ...description, security } };
  });
}

/** Whether a device description says itself which default certificate the device has. */
function namesCertificate(entry: unknown): boolean {
  if (typeof entry !== "object" || entry === null || !("security" in entry)) return false;
  const { security } = entry;
  return typeof security === "object" && security !== null && "defaultCertificate" in security;
}

function announce(context: Context, lab: Lab): void {
  for (const { kind, description } of lab.devices) {
    context.output.line({
      listening: true,
      name: description.name,
      kind,
      address: description.address,
      ports: description.ports,
    });
  }
  context.output.table(
    ["device", "kind", "address", "product"],
    lab.devices.map(({ kind, description }) => [
      description.name,
      kind,
      description.address,
      description.identity.productName,
    ]),
  );
  context.output.say("The plant runs. Ctrl-C ends it.");
}

function portsText(ports: Readonly<Record<string, number | undefined>>): string {
  const open = Object.entries(ports).filter(([, port]) => port !== undefined);
  return open.length === 0 ? "no port open" : open.map(([name, port]) => `${name} ${port}`).join(", ");
}
