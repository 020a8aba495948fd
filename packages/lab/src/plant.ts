import type { DeviceDescription, SecurityDescription } from "@cipsec/target";
import { UsageError } from "@cipsec/wire";
import type { Birth } from "./vendor.ts";

/** What a virtual device stands for. */
export type DeviceKind = "modern" | "cbc-psk" | "legacy";

/** A virtual device before it has run: its kind and what its description will say. */
export interface PlannedDevice {
  readonly kind: DeviceKind;
  /** Whose certificate it has, where its description names none; default `genuine`. */
  readonly birth?: Birth;
  readonly description: Omit<DeviceDescription, "security" | "connections"> &
    Partial<Pick<DeviceDescription, "connections">> & {
      /** Without a default certificate the lab's vendor signs one. */
      readonly security:
        | (Omit<SecurityDescription, "defaultCertificate"> & Partial<Pick<SecurityDescription, "defaultCertificate">>)
        | null;
    };
}

/** Devices that one plant may have: 127.10.0.1 to 127.10.255.254. */
export const maxDevices = 60_000;

/** A placeholder vendor id: product claims need one from ODVA. */
const labVendor = 0xffff;

const kinds: Readonly<
  Record<DeviceKind, { readonly title: string; readonly productCode: number; readonly deviceType: number }>
> = {
  modern: { title: "Drive", productCode: 101, deviceType: 0x02 },
  "cbc-psk": { title: "I/O block", productCode: 102, deviceType: 0x07 },
  legacy: { title: "Valve bank", productCode: 103, deviceType: 0x1b },
};

/**
 * A mixed plant of `count` devices: of every five, three modern, one of the generation that knows CBC suites and pre-shared
 * keys, one without CIP Security. They stand at 127.10.0.1 and up on the standard ports.
 *
 * @throws {UsageError} `usage/argument` for a count outside 1 to {@link maxDevices}.
 */
export function mixedPlant(count: number): readonly PlannedDevice[] {
  if (!Number.isInteger(count) || count < 1 || count > maxDevices) {
    throw new UsageError("usage/argument", `devices: ${count} is not a whole number from 1 to ${maxDevices}`);
  }
  return Array.from({ length: count }, (_, i) => plannedDevice(kindOf(i), i));
}

/** What becomes of a device that enrols by itself: the plant's, at once or once somebody approves it, or refused as a counterfeit. */
export type PullRole = "genuine" | "waiting" | "stolen" | "forged";

const pullRoles = ["genuine", "waiting", "stolen", "forged", "genuine"] as const satisfies readonly PullRole[];

/**
 * A plant of `count` devices of today's generation: of every five, two that are simply the vendor's, one that somebody has to approve, and
 * two counterfeits.
 *
 * @throws {UsageError} as {@link mixedPlant}.
 */
export function pullPlant(count: number): readonly (PlannedDevice & { readonly role: PullRole })[] {
  return mixedPlant(count).map((_, i) => {
    const role = pullRoles[i % pullRoles.length] ?? "genuine";
    return { ...plannedDevice("modern", i), role, birth: role === "waiting" ? "genuine" : role };
  });
}

/** Where the EST server of a lab stands. No device has this address. */
export const estAddress = "127.10.255.1";

/**
 * The devices, those of today's generation with the pull model where they have none of their own: they look for an EST server by multicast DNS under this service type and
 * believe the first that answers, as in an onboarding network.
 */
export function pulling(devices: readonly PlannedDevice[], service: string): readonly PlannedDevice[] {
  return devices.map((device) => {
    const { security } = device.description;
    if (device.kind !== "modern" || security === null || security.pull !== undefined) return device;
    const pull = { service, domain: "", dnsServers: [], mdns: true, trustOnFirstUse: true, closePlaintext: true };
    return { ...device, description: { ...device.description, security: { ...security, pull } } };
  });
}

/** Address of device number `i`, counted from 0: 127.10.0.1 and up, leaving out .0 and .255. */
export function deviceAddress(i: number): string {
  return `127.10.${Math.floor(i / 254)}.${(i % 254) + 1}`;
}

function kindOf(i: number): DeviceKind {
  if (i % 5 === 3) return "cbc-psk";
  return i % 5 === 4 ? "legacy" : "modern";
}

function plannedDevice(kind: DeviceKind, i: number): PlannedDevice {
  const { title, productCode, deviceType } = kinds[kind];
  const name = `device-${i + 1}`;
  return {
    kind,
    description: {
      name,
      identity: {
        vendorId: labVendor,
        deviceType,
        productCode,
        revision: { major: kind === "modern" ? 2 : 1, minor: 1 },
        serialNumber: 0x10_0000 + i + 1,
        productName: `Lab ${title} ${i + 1}`,
      },
      address: deviceAddress(i),
      ports: { eip: 44_818, eipUdp: 44_818, io: 2222, eips: 2221, eipd: kind === "legacy" ? null : 2221 },
      broadcastAddresses: [],
      hostName: name,
      clock: true,
      security:
        kind === "legacy"
          ? null
          : {
              generation: kind,
              maxVersion: "TLSv1.2",
              csrKey: "P-256",
              configTimerS: 10,
              samePort: false,
              startDtls: true,
              plainIoOverTls: false,
            },
      assemblies: [
        { instance: 100, kind: "input", size: 8, name: "inputs" },
        { instance: 101, kind: "output", size: 8, name: "outputs" },
        { instance: 102, kind: "configuration", size: 4, name: "configuration" },
      ],
    },
  };
}
