import { FileEncoding } from "@cipsec/objects";
import { crlToPem, parseCrls, toPem, writePkcs7, type Certificate } from "@cipsec/pki";
import { CertificateEncodingFlag, UsageError } from "@cipsec/wire";

/** How certificates and revocation lists travel. Certificates in DER travel as PKCS#7: the File Object has no number for DER. */
export type PushEncoding = "pem" | "pkcs7";

/** A file to bring into a device. */
export interface PushedFile {
  /** One of `FileEncoding`. */
  readonly encoding: number;
  readonly octets: Uint8Array;
}

/**
 * The encoding to use with a device that takes these.
 *
 * @param flags Class attribute 10 of Certificate Management.
 * @throws {UsageError} `usage/state` when it takes neither, or not what is asked for.
 */
export function chooseEncoding(flags: number, wanted: PushEncoding | undefined): PushEncoding {
  const has = (encoding: PushEncoding): boolean => (flags & CertificateEncodingFlag[encoding]) !== 0;
  const encoding = wanted ?? (has("pem") ? "pem" : "pkcs7");
  if (has(encoding)) return encoding;
  throw new UsageError("usage/state", `the device does not take certificates as ${words[encoding]}`, {
    facts: { flags },
    fix:
      wanted === undefined
        ? "Bring its firmware up to date."
        : "Leave the encoding out: what the device takes is used.",
  });
}

/** Certificates as one file, in the given order. */
export function certificateFile(certificates: readonly Certificate[], encoding: PushEncoding): PushedFile {
  return encoding === "pem"
    ? { encoding: FileEncoding.pemCertificate, octets: new TextEncoder().encode(toPem(certificates)) }
    : {
        encoding: FileEncoding.pkcs7Certificate,
        octets: writePkcs7({ certificates: certificates.map(({ der }) => der) }),
      };
}

/** Revocation lists as one file. @throws {UsageError} `usage/crl` for a text that holds none. */
export function crlFile(pem: string, encoding: PushEncoding): PushedFile {
  const crls = parseCrls(pem);
  return encoding === "pem"
    ? { encoding: FileEncoding.pemCrl, octets: new TextEncoder().encode(crlToPem(crls)) }
    : { encoding: FileEncoding.pkcs7Crl, octets: writePkcs7({ crls: crls.map(({ der }) => der) }) };
}

const words = { pem: "PEM", pkcs7: "PKCS#7" } as const;
