import { randomBytes } from "node:crypto";
import { initCa, makeKeyPair, parseCsr, toPem, type Certificate, type CertificateAuthority } from "@cipsec/pki";
import type { IssueContext, IssuedPem, SecurityOptions } from "@cipsec/originator";

/** A caller with a certificate: what the originator identifies itself with. */
export type Caller = NonNullable<SecurityOptions["certificate"]>;

/** A pre-shared key. */
export interface Psk {
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
}

/** Makes an authority in a new folder. */
export function makeAuthority(folder: string, name: string): Promise<CertificateAuthority> {
  return initCa(folder, { name, now: () => new Date() });
}

/** A certificate and key for a tool, issued by `authority`. */
export async function makeCaller(authority: CertificateAuthority, commonName: string): Promise<Caller> {
  const pair = await makeKeyPair();
  const issued = await authority.issue({
    profile: "tool",
    publicKey: pair.publicKey,
    subject: { organization: authority.name, commonName },
  });
  return { chain: issued.chain, key: pair.privateKey };
}

/** Signs device requests: the subject is the device's own wish, the address is the one that it was reached at. */
export function signer(authority: CertificateAuthority): (csrPem: string, context: IssueContext) => Promise<IssuedPem> {
  return async (csrPem, { host }) => {
    const issued = await authority.issue({ profile: "device", csr: parseCsr(csrPem), san: { ip: [host] } });
    return { certificatePem: toPem(issued.certificate), caChainPem: toPem(anchorsOf(authority)) };
  };
}

/** What devices and tools of a plant trust: the issuing authority and its root. */
export function anchorsOf(authority: CertificateAuthority): readonly Certificate[] {
  return [authority.issuing, authority.root];
}

/** A key of 256 bits under this identity. */
export function makePsk(identity: string): Psk {
  return { identity: Buffer.from(identity, "latin1"), key: randomBytes(32) };
}
