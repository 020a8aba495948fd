import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { parseCertificate, type Certificate } from "./certificate.ts";
import { firstTiers } from "./ca-index.ts";
import { openLedger } from "./ca-ledger.ts";
import { readTierCertificate, readTierKey } from "./ca-store.ts";
import { createCrl, type Crl } from "./crl.ts";
import { makeKeyPair } from "./keys.ts";
import { dayMs, makeCertificate, randomSerial } from "./make-certificate.ts";

/** What is wrong with a certificate that an assessor tries a device with; one thing each, so that it alone is the reason. */
export const flaws = {
  none: "nothing: the control of the others, made in the same way",
  expired: "its days are over",
  future: "its days have not begun",
  "bad-signature": "one bit of the authority's signature is flipped",
  "wrong-usage": "it may be used by servers only",
  "wrong-key": "who presents it has not got its private key",
  "weak-key": "its key is RSA of 1024 bits",
  "self-signed": "nobody but itself vouches for it",
} as const satisfies Record<string, string>;

/** One of {@link flaws}. */
export type Flaw = keyof typeof flaws;

/** A certificate with what its presenter signs with. */
export interface FlawedIdentity {
  readonly chain: readonly Certificate[];
  readonly key: KeyObject;
}

/** Makes certificates that an authority must not issue, for trying out who accepts them. */
export interface FlawedSigner {
  readonly root: Certificate;
  readonly issuing: Certificate;
  /**
   * Makes one in memory. It is in no index: none of them outlives the hour, and their keys are never written.
   *
   * @param now Around which its days are laid.
   */
  make(flaw: Flaw, now: Date): Promise<FlawedIdentity>;
  /** Signs a device's key, or any other one in its place, for an hour; in no index, and never made active. */
  sign(publicKey: KeyObject, now: Date): Promise<Certificate>;
  /**
   * Makes a revocation list of the authority that names these certificates, for an hour, in memory. It takes the place of the plant's
   * list on the device only while an assessment runs.
   *
   * @param number Above that of the list it stands in for, as a device may refuse an older one.
   */
  revoke(certificates: readonly Certificate[], number: number, now: Date): Promise<Crl>;
}

/**
 * Opens an authority's folder for making flawed certificates. For assessing devices that trust this authority, and for nothing else.
 *
 * @throws {UsageError} `usage/key`, {@link StateError} `state/corrupt`
 */
export async function flawedSigner(folder: string, passphrase?: string): Promise<FlawedSigner> {
  const tiers = (await openLedger(folder))?.index.tiers ?? firstTiers;
  const [root, issuing] = await Promise.all([
    readTierCertificate(folder, "root", tiers.root),
    readTierCertificate(folder, "issuing", tiers.issuing),
  ]);
  const authorityKey = await readTierKey(folder, "issuing", tiers.issuing, passphrase);
  return {
    root,
    issuing,
    revoke: async (certificates, number, now) =>
      await createCrl({
        issuer: issuing,
        issuerKey: authorityKey,
        number,
        thisUpdate: new Date(Math.floor(now.getTime() / 1000) * 1000),
        nextUpdate: new Date(Math.floor((now.getTime() + hourMs) / 1000) * 1000),
        entries: certificates.map(({ facts }) => ({
          serialHex: facts.serialHex,
          revokedAt: now,
          reason: "unspecified",
        })),
      }),
    sign: async (publicKey, now) =>
      await makeCertificate({
        serialHex: randomSerial(),
        subject: { commonName: "assessment device" },
        san: {},
        publicKey,
        ...daysOf("none", now),
        usage: { server: true, client: true },
        issuer: issuing,
        issuerKey: authorityKey,
      }),
    async make(flaw, now) {
      const pair =
        flaw === "weak-key" ? generateKeyPairSync("rsa", { modulusLength: 1024 }) : await makeKeyPair("ecdsa-p256");
      const isOwn = flaw === "self-signed";
      const certificate = await makeCertificate({
        serialHex: randomSerial(),
        subject: { commonName: `assessment ${flaw} ${randomBytes(4).toString("hex")}` },
        san: {},
        publicKey: pair.publicKey,
        ...daysOf(flaw, now),
        usage: flaw === "wrong-usage" ? { server: true, client: false } : { server: false, client: true },
        ...(isOwn ? {} : { issuer: issuing }),
        issuerKey: isOwn ? pair.privateKey : authorityKey,
      });
      const leaf = flaw === "bad-signature" ? withFlippedBit(certificate) : certificate;
      const key = flaw === "wrong-key" ? (await makeKeyPair("ecdsa-p256")).privateKey : pair.privateKey;
      return { chain: isOwn ? [leaf] : [leaf, issuing], key };
    },
  };
}

/** A certificate of an authority that nobody knows: everything is right with it but who vouches. */
export async function strangerIdentity(now: Date): Promise<FlawedIdentity> {
  const [authority, own] = await Promise.all([makeKeyPair("ecdsa-p256"), makeKeyPair("ecdsa-p256")]);
  const days = daysOf("none", now);
  const root = await makeCertificate({
    serialHex: randomSerial(),
    subject: { commonName: "assessment unknown authority" },
    san: {},
    publicKey: authority.publicKey,
    ...days,
    usage: { pathLength: 0, server: false, client: false },
    issuerKey: authority.privateKey,
  });
  const leaf = await makeCertificate({
    serialHex: randomSerial(),
    subject: { commonName: "assessment stranger" },
    san: {},
    publicKey: own.publicKey,
    ...days,
    usage: { server: false, client: true },
    issuer: root,
    issuerKey: authority.privateKey,
  });
  return { chain: [leaf, root], key: own.privateKey };
}

const hourMs = 3600 * 1000;

function daysOf(flaw: Flaw, now: Date): { readonly notBefore: Date; readonly notAfter: Date } {
  const at = (ms: number): Date => new Date(Math.floor((now.getTime() + ms) / 1000) * 1000);
  if (flaw === "expired") return { notBefore: at(-3 * dayMs), notAfter: at(-2 * dayMs) };
  if (flaw === "future") return { notBefore: at(2 * dayMs), notAfter: at(2 * dayMs + hourMs) };
  return { notBefore: at(-hourMs), notAfter: at(hourMs) };
}

/** The last octet of a certificate belongs to its signature's second number; the encoding stays sound. */
function withFlippedBit({ der }: Certificate): Certificate {
  const octets = der.slice();
  octets[octets.length - 1] = (octets.at(-1) ?? 0) ^ 1;
  return parseCertificate(octets);
}
