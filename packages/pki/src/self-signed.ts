import type { KeyObject } from "node:crypto";
import type { Certificate } from "./certificate.ts";
import { publicHalf } from "./keys.ts";
import { makeCertificate, randomSerial, validity } from "./make-certificate.ts";
import type { AlternativeNamesInput, Subject } from "./names.ts";

/** What a device's default certificate is made of, where no vendor authority signs it. */
export interface SelfSignedContent {
  readonly subject: Subject;
  readonly san?: AlternativeNamesInput;
  readonly privateKey: KeyObject;
  /** Default ten years: a device waits long on the shelf. */
  readonly days?: number;
  readonly now: Date;
}

/**
 * Makes a self-signed device certificate: TLS server and client, not an authority.
 *
 * @throws {UsageError} `usage/argument`, `usage/key`
 * @see CIP Vol 8, 5-5 (instance 1, the default device certificate)
 */
export async function selfSigned({
  subject,
  san = {},
  privateKey,
  days = 3650,
  now,
}: SelfSignedContent): Promise<Certificate> {
  return await makeCertificate({
    serialHex: randomSerial(),
    subject,
    san,
    publicKey: publicHalf(privateKey),
    ...validity(now, days),
    usage: { server: true, client: true },
    issuerKey: privateKey,
  });
}
