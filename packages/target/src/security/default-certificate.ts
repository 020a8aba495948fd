import {
  makeKeyPair,
  parseCertificate,
  parseCertificates,
  parsePrivateKey,
  samePublicKey,
  selfSigned,
  toPem,
} from "@cipsec/pki";
import { StateError, UsageError } from "@cipsec/wire";
import type { Store } from "../store.ts";
import type { DefaultCertificate } from "./inventory.ts";

/** Where the default device certificate comes from. */
export type DefaultCertificateSource =
  | { readonly kind: "vendor"; readonly chainPem: string; readonly keyPem: string }
  | { readonly kind: "self-signed" };

/** What a self-signed default certificate says of the device. */
export interface DeviceNames {
  readonly productName: string;
  readonly serialNumber: number;
  readonly address: string;
  readonly hostName: string;
}

const section = "default-certificate";

/** Without a clock nobody knows when a device starts its life, so its certificate starts before all of them. */
const shelfStart = Date.UTC(2020, 0, 1);
const shelfDays = 50 * 365;

/**
 * The device's default certificate: the vendor's, or one that the device makes at its first start and keeps over every reset.
 *
 * @param wallNow Milliseconds since 1970, where the device has a clock.
 * @throws {UsageError} `usage/file` when the vendor's key and certificate do not belong together; pki's errors when either cannot
 * be read. {@link StateError} when the saved one cannot be used or a new one not be saved.
 */
export async function loadDefaultCertificate(
  source: DefaultCertificateSource,
  store: Store,
  names: DeviceNames,
  wallNow: number | undefined,
): Promise<DefaultCertificate> {
  if (source.kind === "vendor") return vendorCertificate(source.chainPem, source.keyPem);
  return (await savedCertificate(store)) ?? (await makeCertificate(store, names, wallNow));
}

/** The device's serial number as certificates carry it: eight hexadecimal digits. */
export function serialText(serialNumber: number): string {
  return serialNumber.toString(16).toUpperCase().padStart(8, "0");
}

function vendorCertificate(chainPem: string, keyPem: string): DefaultCertificate {
  const chain = parseCertificates(chainPem);
  const key = parsePrivateKey(keyPem);
  const [leaf] = chain;
  if (leaf === undefined || !samePublicKey(leaf.publicKey, key))
    throw new UsageError("usage/file", "the vendor's private key does not belong to the first vendor certificate", {
      fix: "Give the device's own certificate first in its file, then those above it, and the key that belongs to it.",
    });
  return { chain, key };
}

async function savedCertificate(store: Store): Promise<DefaultCertificate | undefined> {
  const saved = store.read(section);
  if (saved === undefined) return undefined;
  if (typeof saved !== "object" || saved === null || !("pem" in saved) || !("key" in saved)) throw corrupt();
  const { pem, key: name } = saved;
  if (typeof pem !== "string" || typeof name !== "string") throw corrupt();
  const key = await store.loadKey(name);
  try {
    const certificate = parseCertificate(pem);
    if (!samePublicKey(certificate.publicKey, key)) throw corrupt();
    return { chain: [certificate], key };
  } catch (error) {
    throw corrupt(error);
  }
}

async function makeCertificate(
  store: Store,
  { productName, serialNumber, address, hostName }: DeviceNames,
  wallNow: number | undefined,
): Promise<DefaultCertificate> {
  const { privateKey } = await makeKeyPair("ecdsa-p256");
  const certificate = await selfSigned({
    subject: {
      commonName: `${productName} ${serialText(serialNumber)}`.slice(-64),
      serialNumber: serialText(serialNumber),
    },
    san: { ip: [address], dns: hostName === "" ? [] : [hostName] },
    privateKey,
    now: new Date(wallNow ?? shelfStart),
    ...(wallNow === undefined ? { days: shelfDays } : {}),
  });
  const key = await store.saveKey(privateKey);
  await store.write({ [section]: { pem: toPem(certificate), key } });
  return { chain: [certificate], key: privateKey };
}

function corrupt(cause?: unknown): StateError {
  return new StateError("state/corrupt", "the saved default device certificate cannot be used", { cause });
}
