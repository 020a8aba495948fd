import type { KeyObject } from "node:crypto";
import { certificateSubject, type Certificate } from "./certificate.ts";
import { UsageError } from "./errors.ts";
import { samePublicKey } from "./keys.ts";
import { makeCertificate, randomSerial } from "./make-certificate.ts";

/** A root with its key. */
export interface RootPair {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  /** Where its revocation list stands; the link that it signs says so. */
  readonly crlUrl?: string;
}

/** The four certificates of a change of root. */
export interface Rollover {
  /** The old root, as it was. */
  readonly oldWithOld: Certificate;
  /** The old root's key, certified by the new root: who has only the new root trusts what the old one issued. */
  readonly oldWithNew: Certificate;
  /** The new root's key, certified by the old root: who has only the old root trusts what the new one issued. */
  readonly newWithOld: Certificate;
  readonly newWithNew: Certificate;
}

/**
 * Links an old and a new root, so that devices that know only one of them trust what either issued while both are in use.
 * Each link lives as long as the root that it certifies, and no longer than the one that signs it.
 *
 * @throws {UsageError} `usage/argument` when both are the same key, or one is not a root
 * @see RFC 4210 4.4; RFC 7030 4.1.3
 */
export async function linkRoots(old: RootPair, next: RootPair): Promise<Rollover> {
  const roots = [old, next];
  if (samePublicKey(old.key, next.key) || roots.some(({ certificate: { facts } }) => !facts.selfSigned || !facts.isCa))
    throw new UsageError("usage/argument", "a change of root needs two self-signed authorities with different keys");
  return {
    oldWithOld: old.certificate,
    oldWithNew: await link(old.certificate, next),
    newWithOld: await link(next.certificate, old),
    newWithNew: next.certificate,
  };
}

async function link(certified: Certificate, by: RootPair): Promise<Certificate> {
  const signer = by.certificate.facts;
  const later = (a: Date, b: Date): Date => (a > b ? a : b);
  const { notBefore, notAfter } = certified.facts;
  const made = await makeCertificate({
    serialHex: randomSerial(),
    subject: certificateSubject(certified),
    san: {},
    publicKey: certified.publicKey,
    notBefore: later(notBefore, signer.notBefore),
    notAfter: notAfter < signer.notAfter ? notAfter : signer.notAfter,
    usage: { pathLength: certified.constraints.pathLength ?? 1, server: false, client: false },
    issuer: by.certificate,
    issuerKey: by.key,
    ...(by.crlUrl === undefined ? {} : { crlUrl: by.crlUrl }),
  });
  if (made.constraints.subjectHex !== certified.constraints.subjectHex)
    throw new UsageError("usage/argument", "a root's name has parts, or an encoding, that cannot be repeated here");
  return made;
}
