import { keyUsageFlags } from "./certificate.ts";
import { requestAttributeIds, type CertificateRequest } from "./csr.ts";
import { readElement, readElements, readOid, readOnly, Tag, type DerElement } from "./der.ts";
import { parsing } from "./errors.ts";
import { extensionIds, readCertificateExtensions, readExtensions } from "./extensions.ts";
import { usageIds } from "./make-certificate.ts";
import { subjectPartIds } from "./names.ts";

const what = "certificate request";

/** Attributes of a request (RFC 2985 5.4.1, 5.4.2); unstructuredName is a note to the reader. */
const extensionRequest = "1.2.840.113549.1.9.14";
const attributes: readonly string[] = [...Object.values(requestAttributeIds), extensionRequest, "1.2.840.113549.1.9.2"];

/** Extensions whose whole content is looked at here. */
const extensions: readonly string[] = [
  extensionIds.subjectAltName,
  extensionIds.subjectKeyId,
  extensionIds.keyUsage,
  extensionIds.extendedKeyUsage,
  extensionIds.basicConstraints,
];

/** Host names, URIs and addresses: the kinds of alternative names that {@link CertificateRequest.san} has. */
const nameTags: readonly number[] = [0x82, 0x86, 0x87];

const usages: readonly string[] = [usageIds.server, usageIds.client];
const authorityFlags = keyUsageFlags.keyCertSign | keyUsageFlags.cRLSign;

/**
 * What a request asks for beside what {@link CertificateRequest} says of it: parts of the subject that are not known or stand twice,
 * alternative names of other kinds, extensions and uses that no device needs, other attributes. An authority of one's own puts
 * nothing of that into a certificate; one above, to which the request is forwarded as it is, may.
 *
 * @returns Dotted identifiers.
 * @throws {UsageError} `usage/csr`
 */
export function unjudgedParts({ der }: CertificateRequest): readonly string[] {
  return parsing("usage/csr", what, () => {
    const info = readElement(readElement(der, what).content, what);
    const parts = readElements(info.content, 4, what);
    return [...parts.slice(1, 2).flatMap(strangeNames), ...parts.slice(3).flatMap(strangeAttributes)];
  });
}

function strangeNames(subject: DerElement): readonly string[] {
  const ids = readElements(subject.content, 32, what)
    .flatMap(({ content }) => readElements(content, 8, what))
    .map(firstOid);
  return ids.filter((id, at) => !subjectPartIds.includes(id) || ids.indexOf(id) !== at);
}

function strangeAttributes({ content }: DerElement): readonly string[] {
  const given = readElements(content, 32, what).map((one) => ({
    id: firstOid(one),
    parts: readElements(one.content, 2, what),
  }));
  const ids = given.map(({ id }) => id);
  const lists = given
    .filter(({ id }) => id === extensionRequest)
    .flatMap(({ parts }) => parts.slice(1).flatMap((values) => readElements(values.content, 8, what)));
  return [
    ...ids.filter((id, at) => !attributes.includes(id) || ids.indexOf(id) !== at),
    // A second list of extensions would be another's to choose from.
    ...(lists.length > 1 ? [extensionRequest] : lists.flatMap(strangeExtensions)),
  ];
}

function strangeExtensions(list: DerElement): readonly string[] {
  const map = readExtensions(list);
  const { ca, keyUsage = 0, extendedKeyUsage = [] } = readCertificateExtensions(list);
  const names = map.get(extensionIds.subjectAltName)?.value;
  const kinds = names === undefined ? [] : readElements(readOnly(names, Tag.sequence, what).content, 64, what);
  return [
    ...[...map.keys()].filter((id) => !extensions.includes(id)),
    ...(ca ? [extensionIds.basicConstraints] : []),
    ...((keyUsage & authorityFlags) === 0 ? [] : [extensionIds.keyUsage]),
    ...extendedKeyUsage.filter((id) => !usages.includes(id)),
    ...(kinds.every(({ tag }) => nameTags.includes(tag)) ? [] : [extensionIds.subjectAltName]),
  ];
}

function firstOid({ content }: DerElement): string {
  return readOid(readElement(content, what));
}
