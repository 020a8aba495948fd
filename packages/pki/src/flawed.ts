import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { parseCertificate, type Certificate } from "./certificate.ts";
import { firstTiers } from "./ca-index.ts";
import { openLedger } from "./ca-ledger.ts";
import { readTierCertificate, readTierKey } from "./ca-store.ts";
import { createCrl, type Crl } from "./crl.ts";
import { UsageError } from "./errors.ts";
import { makeKeyPair, type KeyPair } from "./keys.ts";
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
  /**
   * Signs a device's key, or any other one in its place, for an hour; in no index, and never made active.
   *
   * @param isAltered Whether one bit of the signature is flipped.
   */
  sign(publicKey: KeyObject, now: Date, isAltered?: boolean): Promise<Certificate>;
  /**
   * Makes a revocation list of the authority that names these certificates, for an hour, in memory. It takes the place of the plant's
   * list on the device only while an assessment runs.
   *
   * @param number Above that of the list it stands in for, as a device may refuse an older one.
   * @param isOutdated Whether its next issue was due an hour ago.
   */
  revoke(certificates: readonly Certificate[], number: number, now: Date, isOutdated?: boolean): Promise<Crl>;
  /**
   * Makes a good certificate below an authority that only its chain brings along: the whole chain, and the leaf alone.
   *
   * @returns Nothing where the root's key is not in the folder.
   */
  makeBelow(now: Date): Promise<{ readonly whole: FlawedIdentity; readonly leafAlone: FlawedIdentity } | undefined>;
  /** Makes an authority that nobody trusts yet, and a good certificate of it, for an hour, in memory. */
  makeOther(now: Date): Promise<{ readonly authority: Certificate; readonly identity: FlawedIdentity }>;
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
    revoke: async (certificates, number, now, isOutdated = false) =>
      await createCrl({
        issuer: issuing,
        issuerKey: authorityKey,
        number,
        thisUpdate: wholeSecond(now.getTime() - (isOutdated ? 2 * hourMs : 0)),
        nextUpdate: wholeSecond(now.getTime() + (isOutdated ? -hourMs : hourMs)),
        entries: certificates.map(({ facts }) => ({
          serialHex: facts.serialHex,
          revokedAt: now,
          reason: "unspecified",
        })),
      }),
    async sign(publicKey, now, isAltered = false) {
      const certificate = await makeCertificate({
        serialHex: randomSerial(),
        subject: { commonName: "assessment device" },
        san: {},
        publicKey,
        ...daysOf("none", now),
        usage: { server: true, client: true },
        issuer: issuing,
        issuerKey: authorityKey,
      });
      return isAltered ? withFlippedBit(certificate) : certificate;
    },
    async makeBelow(now) {
      const rootKey = await readTierKey(folder, "root", tiers.root, passphrase).catch((error: unknown) => {
        if (error instanceof UsageError) return undefined;
        throw error;
      });
      if (rootKey === undefined) return undefined;
      const { authority, authorityKeys } = await makeAuthority("assessment intermediate", now, {
        issuer: root,
        rootKey,
      });
      const { leaf, key } = await makeClient("assessment below", now, authority, authorityKeys.privateKey);
      return { whole: { chain: [leaf, authority], key }, leafAlone: { chain: [leaf], key } };
    },
    async makeOther(now) {
      const { authority, authorityKeys } = await makeAuthority("assessment other authority", now);
      const { leaf, key } = await makeClient("assessment of the other", now, authority, authorityKeys.privateKey);
      return { authority, identity: { chain: [leaf, authority], key } };
    },
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
  const { authority, authorityKeys } = await makeAuthority("assessment unknown authority", now);
  const { leaf, key } = await makeClient("assessment stranger", now, authority, authorityKeys.privateKey);
  return { chain: [leaf, authority], key };
}

async function makeAuthority(
  commonName: string,
  now: Date,
  above?: { readonly issuer: Certificate; readonly rootKey: KeyObject },
): Promise<{ readonly authority: Certificate; readonly authorityKeys: KeyPair }> {
  const authorityKeys = await makeKeyPair("ecdsa-p256");
  const authority = await makeCertificate({
    serialHex: randomSerial(),
    subject: { commonName: `${commonName} ${randomBytes(4).toString("hex")}` },
    san: {},
    publicKey: authorityKeys.publicKey,
    ...daysOf("none", now),
    usage: { pathLength: 0, server: false, client: false },
    ...(above === undefined ? {} : { issuer: above.issuer }),
    issuerKey: above?.rootKey ?? authorityKeys.privateKey,
  });
  return { authority, authorityKeys };
}

async function makeClient(
  commonName: string,
  now: Date,
  issuer: Certificate,
  issuerKey: KeyObject,
): Promise<{ readonly leaf: Certificate; readonly key: KeyObject }> {
  const own = await makeKeyPair("ecdsa-p256");
  const leaf = await makeCertificate({
    serialHex: randomSerial(),
    subject: { commonName },
    san: {},
    publicKey: own.publicKey,
    ...daysOf("none", now),
    usage: { server: false, client: true },
    issuer,
    issuerKey,
  });
  return { leaf, key: own.privateKey };
}

const hourMs = 3600 * 1000;

function daysOf(flaw: Flaw, now: Date): { readonly notBefore: Date; readonly notAfter: Date } {
  const at = (ms: number): Date => wholeSecond(now.getTime() + ms);
  if (flaw === "expired") return { notBefore: at(-3 * dayMs), notAfter: at(-2 * dayMs) };
  if (flaw === "future") return { notBefore: at(2 * dayMs), notAfter: at(2 * dayMs + hourMs) };
  return { notBefore: at(-hourMs), notAfter: at(hourMs) };
}

/** Certificates and lists tell whole seconds. */
function wholeSecond(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

/** The last octet of a certificate belongs to its signature's second number; the encoding stays sound. */
function withFlippedBit({ der }: Certificate): Certificate {
  const octets = der.slice();
  octets[octets.length - 1] = (octets.at(-1) ?? 0) ^ 1;
  return parseCertificate(octets);
}
