import { requestAttributeIds } from "../csr.ts";
import { readElement, readElements, readOid, readOnly, Tag, writeElement, writeOid, type DerElement } from "../der.ts";
import { UsageError, parsing } from "../errors.ts";
import { extensionIds, readExtensions } from "../extensions.ts";
import {
  alternativeNamesExtension,
  checkAlternativeNames,
  readAlternativeNames,
  type AlternativeNames,
} from "../names.ts";
import type { KeyKind } from "../keys.ts";

/** What a server wishes to see in requests. Everything that is not understood is left out but for its identifier. */
export interface CsrAttributes {
  /** Every identifier at the top level: attributes to include, algorithms to use. */
  readonly oids: readonly string[];
  /** The request has to be linked to its TLS session. */
  readonly wantsChallenge: boolean;
  /** The key to make, where the server names one that can be made here. */
  readonly keyKind: KeyKind | undefined;
  /** Alternative names with their values, to be copied into the request (RFC 9908 3.2). */
  readonly san: AlternativeNames | undefined;
}

/** What a server asks for. */
export interface AttributesWish {
  readonly challenge?: boolean;
  readonly keyKind?: KeyKind;
  readonly san?: AlternativeNames;
  /** Says it once more as a template of a whole request, which newer clients read in place of the rest (RFC 9908 3.4). */
  readonly template?: boolean;
}

const ids = {
  extensionRequest: "1.2.840.113549.1.9.14",
  requestTemplate: "1.2.840.113549.1.9.16.2.61",
  ecPublicKey: "1.2.840.10045.2.1",
  rsaEncryption: "1.2.840.113549.1.1.1",
  p256: "1.2.840.10045.3.1.7",
  p384: "1.3.132.0.34",
  ecdsaSha256: "1.2.840.10045.4.3.2",
  ecdsaSha384: "1.2.840.10045.4.3.3",
  rsaSha256: "1.2.840.113549.1.1.11",
} as const;

/** Real answers have up to ten. */
const maxAttributes = 64;

/**
 * Reads a CsrAttrs value.
 *
 * @throws {UsageError} `usage/encoding`
 * @see RFC 7030 4.5.2; RFC 8951 4 and errata; RFC 9908 3
 */
export function readCsrAttributes(der: Uint8Array): CsrAttributes {
  return parsing("usage/encoding", "CSR attributes", () => {
    const items = readElements(readOnly(der, Tag.sequence, "CSR attributes").content, maxAttributes, "CSR attributes");
    const plain = items.map(readItem);
    const templates = plain.filter(({ oid }) => oid === ids.requestTemplate);
    const inside = templates.flatMap(templateItems);
    // Where there is a template, it alone counts (RFC 9908 4).
    const counting = templates.length > 0 ? inside : plain;
    const of = (id: string): readonly DerElement[] =>
      counting.filter(({ oid }) => oid === id).flatMap(({ values }) => values);
    return {
      oids: plain.map(({ oid }) => oid),
      // A request that is linked unasked does no harm.
      wantsChallenge: [...plain, ...inside].some(({ oid }) => oid === requestAttributeIds.challengePassword),
      keyKind: keyKindOf(of),
      san: of(ids.extensionRequest)
        .map(sanOf)
        .find((names) => names !== undefined),
    };
  });
}

/** Writes a CsrAttrs value; nothing when there is nothing to ask for. */
export function writeCsrAttributes(wish: AttributesWish): Uint8Array | undefined {
  const { challenge = false, keyKind, san, template = false } = wish;
  const parts = [
    ...(challenge ? [writeOid(requestAttributeIds.challengePassword)] : []),
    ...(keyKind === undefined ? [] : keyParts(keyKind)),
    ...(san === undefined ? [] : sanParts(san)),
  ];
  if (parts.length === 0) return undefined;
  return writeElement(
    Tag.sequence,
    ...parts,
    ...(template ? [attribute(ids.requestTemplate, writeTemplate(wish))] : []),
  );
}

/** A request of which only what is wished for is filled in: version, key, attributes; the subject is left to the client. */
function writeTemplate({ challenge = false, keyKind, san }: AttributesWish): Uint8Array {
  return writeElement(
    Tag.sequence,
    writeElement(Tag.integer, Uint8Array.of(0)),
    ...(keyKind === undefined ? [] : [writeElement(Tag.context0, ...templateKey(keyKind))]),
    writeElement(
      Tag.context1,
      ...(challenge ? [attribute(requestAttributeIds.challengePassword)] : []),
      ...(san === undefined ? [] : sanParts(san)),
    ),
  );
}

/** The algorithm with its parameter; of RSA, whose parameter says nothing, also a modulus of the right length in place of one. */
function templateKey(kind: KeyKind): readonly Uint8Array[] {
  switch (kind) {
    case "ecdsa-p256":
    case "ecdsa-p384":
      return [
        writeElement(Tag.sequence, writeOid(ids.ecPublicKey), writeOid(kind === "ecdsa-p256" ? ids.p256 : ids.p384)),
      ];
    case "rsa-2048":
    case "rsa-3072": {
      const modulus = new Uint8Array(1 + (kind === "rsa-2048" ? 256 : 384));
      modulus[1] = 0x80;
      const exponent = Uint8Array.of(1, 0, 1);
      const key = writeElement(Tag.sequence, writeElement(Tag.integer, modulus), writeElement(Tag.integer, exponent));
      return [
        writeElement(Tag.sequence, writeOid(ids.rsaEncryption), writeElement(Tag.null)),
        writeElement(Tag.bitString, Uint8Array.of(0), key),
      ];
    }
  }
}

interface Item {
  readonly oid: string;
  readonly values: readonly DerElement[];
}

/** An identifier alone, or an attribute with a set of values. */
function readItem(element: DerElement): Item {
  if (element.tag === Tag.oid) return { oid: readOid(element), values: [] };
  const [type, values, ...more] = readElements(element.content, 2, "CSR attribute");
  if (element.tag !== Tag.sequence || type === undefined || values?.tag !== Tag.set || more.length > 0)
    throw new UsageError("usage/encoding", "a CSR attribute is neither an identifier nor an attribute with values");
  return { oid: readOid(type), values: readElements(values.content, maxAttributes, "CSR attribute") };
}

/**
 * What a template of a whole request holds of the same: its algorithm as an attribute with a parameter, and its attributes.
 * The rest of it is left to the server, which puts in what it wants (RFC 9908 3.4).
 */
function templateItems({ values }: Item): readonly Item[] {
  return values.flatMap((value) => {
    const parts = readElements(readOnly(value.raw, Tag.sequence, "request template").content, 5, "request template");
    const [algorithm, key] = parts
      .filter(({ tag }) => tag === Tag.context0)
      .flatMap(({ content }) => readElements(content, 2, "key template"));
    const attributes = parts.find(({ tag }) => tag === Tag.context1);
    const [type, given] = algorithm === undefined ? [] : readElements(algorithm.content, 2, "key template");
    const parameter = key === undefined ? given : modulusLength(key);
    return [
      ...(type === undefined || parameter === undefined ? [] : [{ oid: readOid(type), values: [parameter] }]),
      ...(attributes === undefined
        ? []
        : readElements(attributes.content, maxAttributes, "request template").map(readItem)),
    ];
  });
}

/** Of a placeholder for an RSA key, what an attribute of RFC 7030 says with a number: the bits of its modulus. */
function modulusLength({ content }: DerElement): DerElement {
  const key = readOnly(content.subarray(1), Tag.sequence, "key template");
  const [modulus] = readElements(key.content, 2, "key template");
  const octets = [...(modulus?.content ?? [])];
  const start = octets.findIndex((octet) => octet !== 0);
  const bits = start < 0 ? 0 : (octets.length - start) * 8 - (Math.clz32(octets[start] ?? 0) - 24);
  return readElement(writeElement(Tag.integer, Uint8Array.of((bits >> 8) & 0x7f, bits & 0xff)), "key template");
}

function keyKindOf(of: (id: string) => readonly DerElement[]): KeyKind | undefined {
  const curves = of(ids.ecPublicKey).flatMap((value) => (value.tag === Tag.oid ? [readOid(value)] : []));
  if (curves.includes(ids.p256)) return "ecdsa-p256";
  if (curves.includes(ids.p384)) return "ecdsa-p384";
  const bits = of(ids.rsaEncryption).flatMap(({ tag, content }) =>
    tag === Tag.integer && content.length <= 3 ? [content.reduce((sum, octet) => sum * 256 + octet, 0)] : [],
  );
  if (bits.includes(2048)) return "rsa-2048";
  return bits.includes(3072) ? "rsa-3072" : undefined;
}

function keyParts(kind: KeyKind): readonly Uint8Array[] {
  switch (kind) {
    case "ecdsa-p256":
      return [attribute(ids.ecPublicKey, writeOid(ids.p256)), writeOid(ids.ecdsaSha256)];
    case "ecdsa-p384":
      return [attribute(ids.ecPublicKey, writeOid(ids.p384)), writeOid(ids.ecdsaSha384)];
    case "rsa-2048":
    case "rsa-3072": {
      const bits = kind === "rsa-2048" ? 2048 : 3072;
      const size = writeElement(Tag.integer, Uint8Array.of(bits >> 8, bits & 0xff));
      return [attribute(ids.rsaEncryption, size), writeOid(ids.rsaSha256)];
    }
  }
}

/**
 * A template may leave the value of an extension open: then there is nothing to copy. The example of RFC 7030 4.5.2 has an
 * identifier where extensions belong.
 */
function sanOf(value: DerElement): AlternativeNames | undefined {
  if (value.tag !== Tag.sequence) return undefined;
  const names = readExtensions(readElement(value.raw, "extension request")).get(extensionIds.subjectAltName)?.value;
  return names === undefined || names.length === 0 ? undefined : readAlternativeNames(names);
}

function sanParts(san: AlternativeNames): readonly Uint8Array[] {
  return alternativeNamesExtension(checkAlternativeNames(san)).map((extension) =>
    attribute(ids.extensionRequest, writeElement(Tag.sequence, new Uint8Array(extension.rawData))),
  );
}

function attribute(id: string, ...values: readonly Uint8Array[]): Uint8Array {
  return writeElement(Tag.sequence, writeOid(id), writeElement(Tag.set, ...values));
}
