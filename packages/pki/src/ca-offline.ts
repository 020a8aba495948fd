import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic-file.ts";
import { openCa, type CaOptions, type CertificateAuthority } from "./ca.ts";
import { firstTiers, rowOf } from "./ca-index.ts";
import { createLedger, openLedger } from "./ca-ledger.ts";
import { makeCaFolders, readTierKey, writeTier, writeTierCertificate } from "./ca-store.ts";
import { keyUsageFlags, type Certificate } from "./certificate.ts";
import { createCsr, parseCsr, type CertificateRequest } from "./csr.ts";
import { TrustError, UsageError } from "./errors.ts";
import { makeKeyPair, samePublicKey, writeKeyFile } from "./keys.ts";
import { withLock } from "./lock.ts";
import { requireTrusted } from "./verify.ts";

/** How an issuing authority below another organisation's root is begun. */
export interface OfflineCaOptions extends CaOptions {
  /** Stands in the subject; up to 48 characters. */
  readonly name: string;
}

const requestFile = "issuing.csr.pem";

/**
 * Begins an issuing authority whose certificate comes from an authority that is reached by files only: makes its key and its
 * request. Called again before the certificate came, it gives the same request.
 *
 * @throws {UsageError} `usage/ca-exists`, `usage/argument`
 */
export async function requestOfflineCa(folder: string, options: OfflineCaOptions): Promise<CertificateRequest> {
  const { name, passphrase, pause } = options;
  if (name.length === 0 || name.length > 48)
    throw new UsageError("usage/argument", "the name of the authority must have 1 to 48 characters");
  await makeCaFolders(folder);
  return await withLock(folder, pause, async () => {
    if ((await openLedger(folder)) !== undefined)
      throw new UsageError("usage/ca-exists", `'${folder}' holds an authority already`, { facts: { folder } });
    const begun = await readRequest(folder);
    if (begun !== undefined) return begun;
    const { privateKey } = await makeKeyPair();
    await writeKeyFile(join(folder, "issuing.key.pem"), privateKey, passphrase);
    const request = await createCsr({
      subject: { organization: name, commonName: `${name} Issuing CA` },
      privateKey,
    });
    // Last: a request without its key would be signed for nothing.
    await writeFileAtomic(join(folder, requestFile), request.pem, { mode: 0o644 });
    return request;
  });
}

/**
 * Ends what {@link requestOfflineCa} began.
 *
 * @param certificates The authority's certificate and its root, in any order.
 * @throws {UsageError} `usage/ca-missing` where nothing was begun; {@link TrustError} `trust/key-mismatch`, `trust/not-a-ca`,
 * `trust/usage` for one that may not sign revocation lists, or what else is wrong with the chain
 */
export async function importOfflineCa(
  folder: string,
  certificates: readonly Certificate[],
  options: CaOptions,
): Promise<CertificateAuthority> {
  await makeCaFolders(folder);
  await withLock(folder, options.pause, async () => {
    if ((await openLedger(folder)) !== undefined)
      throw new UsageError("usage/ca-exists", `'${folder}' holds an authority already`, { facts: { folder } });
    const request = await readRequest(folder);
    if (request === undefined)
      throw new UsageError("usage/ca-missing", `no certificate was requested in '${folder}'`, {
        fix: "Begin with 'cipsec ca init --offline'.",
      });
    const key = await readTierKey(folder, "issuing", firstTiers.issuing, options.passphrase);
    const issuing = certificates.find(({ publicKey }) => samePublicKey(publicKey, request.publicKey));
    if (issuing === undefined)
      throw new TrustError("trust/key-mismatch", "none of the certificates is for the key of the request");
    const roots = certificates.filter(({ facts }) => facts.selfSigned && facts.isCa);
    const { chain } = requireTrusted({ leaf: issuing, anchors: roots, time: options.now(), purpose: "any" });
    const root = chain.at(-1);
    if (!issuing.facts.isCa || root === undefined || root === issuing)
      throw new TrustError(
        "trust/not-a-ca",
        "the certificate for the request is not one of an authority below a root",
        {
          fix: "Have it issued with CA true and keyCertSign, directly by the root, and give the root's certificate too.",
        },
      );
    const { keyUsage = keyUsageFlags.cRLSign } = issuing.constraints;
    if ((keyUsage & keyUsageFlags.cRLSign) === 0)
      throw new TrustError("trust/usage", "the authority may not sign revocation lists: nobody would believe them", {
        fix: "Have it issued with keyCertSign and cRLSign.",
      });
    await writeTier(folder, "issuing", firstTiers.issuing, { certificate: issuing, key }, options.passphrase);
    await writeTierCertificate(folder, "root", firstTiers.root, root);
    const name = request.subject.organization ?? "";
    const issued = [rowOf(issuing, "issuing-ca")];
    await createLedger(folder, { name, crlNumber: 0, tiers: firstTiers, change: undefined, issued });
  });
  return await openCa(folder, options);
}

async function readRequest(folder: string): Promise<CertificateRequest | undefined> {
  const pem = await readFile(join(folder, requestFile)).catch(() => undefined);
  return pem === undefined ? undefined : parseCsr(pem);
}
