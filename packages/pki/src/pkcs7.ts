import { ContentInfo, id_data, id_signedData } from "@peculiar/asn1-cms";
import { AsnConvert, AsnObjectIdentifierConverter } from "@peculiar/asn1-schema";
import { readElements, readOid, readOnly, Tag, writeElement, type DerElement } from "./der.ts";
import { UsageError } from "./errors.ts";
import { writePem } from "./pem.ts";

/** What a PKCS#7 file without content and signers carries, as DER, untouched. */
export interface Pkcs7 {
  readonly certificates: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
}

/** Bounds the work before each member is looked at. */
const maxMembers = 64;

/**
 * Reads a degenerate SignedData: certificates and revocation lists. Their octets are taken as they stand, so that
 * signatures and fingerprints stay what they were.
 *
 * @throws {UsageError} `usage/encoding`
 * @see RFC 2315 9.1, RFC 5652 5.1
 */
export function readPkcs7(der: Uint8Array): Pkcs7 {
  const [type, content, ...rest] = readElements(readOnly(der, Tag.sequence, "PKCS#7").content, 3, "PKCS#7");
  if (type === undefined || readOid(type) !== id_signedData || content?.tag !== Tag.context0 || rest.length > 0) {
    throw new UsageError("usage/encoding", "this PKCS#7 file does not hold certificates");
  }
  const [, digests, encapsulated, ...more] = readElements(
    readOnly(content.content, Tag.sequence, "PKCS#7").content,
    6,
    "PKCS#7",
  );
  if (digests?.tag !== Tag.set || encapsulated?.tag !== Tag.sequence) {
    throw new UsageError("usage/encoding", "this PKCS#7 file is not SignedData");
  }
  return { certificates: members(more, Tag.context0), crls: members(more, Tag.context1) };
}

/** Writes certificates and revocation lists as one degenerate SignedData, in the given order. */
export function writePkcs7({ certificates = [], crls = [] }: Partial<Pkcs7>): Uint8Array {
  const content = writeElement(
    Tag.sequence,
    Uint8Array.of(Tag.integer, 1, 1),
    writeElement(Tag.set),
    writeElement(Tag.sequence, new Uint8Array(AsnObjectIdentifierConverter.toASN(id_data).toBER())),
    ...(certificates.length > 0 ? [writeElement(Tag.context0, ...certificates)] : []),
    ...(crls.length > 0 ? [writeElement(Tag.context1, ...crls)] : []),
    writeElement(Tag.set),
  );
  return new Uint8Array(
    AsnConvert.serialize(new ContentInfo({ contentType: id_signedData, content: Uint8Array.from(content).buffer })),
  );
}

/** PKCS#7 with the armour that OpenSSL writes. */
export function pkcs7ToPem(der: Uint8Array): string {
  return writePem("PKCS7", der);
}

function members(fields: readonly DerElement[], tag: number): readonly Uint8Array[] {
  const field = fields.find((f) => f.tag === tag);
  return field === undefined ? [] : readElements(field.content, maxMembers, "PKCS#7").map(({ raw }) => raw);
}
