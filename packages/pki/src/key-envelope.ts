import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
  type KeyObject,
} from "node:crypto";
import { parseCertificates, type Certificate } from "./certificate.ts";
import { readElement, readElements, readOid, readOnly, Tag, writeElement, writeOid, type DerElement } from "./der.ts";
import { parsing, UsageError } from "./errors.ts";
import { keyFacts } from "./strength.ts";

/** For whom a key is sealed: the holder of a certificate, or of a shared AES key with an identifier. */
export type EnvelopeRecipient =
  | { readonly kind: "certificate"; readonly certificate: Certificate }
  | { readonly kind: "shared"; readonly id: Uint8Array; readonly key: KeyObject };

/** Who made the key and vouches for it. */
export interface EnvelopeSigner {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** A key that was opened. Whether its signer is trusted is for the caller to judge. */
export interface OpenedKey {
  readonly privateKey: KeyObject;
  readonly signer: Certificate;
  readonly certificates: readonly Certificate[];
}

const ids = {
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  envelopedData: "1.2.840.113549.1.7.3",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  keyPackage: "2.16.840.1.101.2.1.2.78.5",
  sha256: "2.16.840.1.101.3.4.2.1",
  ecdsaSha256: "1.2.840.10045.4.3.2",
  rsaSha256: "1.2.840.113549.1.1.11",
  rsaOaep: "1.2.840.113549.1.1.7",
  mgf1: "1.2.840.113549.1.1.8",
  ecdhSha256: "1.3.132.1.11.1",
  aes256Cbc: "2.16.840.1.101.3.4.1.42",
  aes256Wrap: "2.16.840.1.101.3.4.1.45",
} as const;

/** AES key wrap by the length of the key that wraps, in octets (RFC 3565 2.3.2). */
const wraps: Readonly<Record<number, { readonly id: string; readonly cipher: string }>> = {
  16: { id: "2.16.840.1.101.3.4.1.5", cipher: "id-aes128-wrap" },
  24: { id: "2.16.840.1.101.3.4.1.25", cipher: "id-aes192-wrap" },
  32: { id: ids.aes256Wrap, cipher: "id-aes256-wrap" },
};

const wrapIv = Buffer.from("a6a6a6a6a6a6a6a6", "hex");
const null_ = Uint8Array.of(5, 0);

/**
 * Seals a private key: a key package, signed by who made it, encrypted for its owner.
 *
 * @returns EnvelopedData as DER, with its ContentInfo.
 * @throws {UsageError} `usage/key` for a recipient whose key cannot be encrypted to
 * @see RFC 7030 4.4.2; RFC 5958 4; RFC 5652 6
 */
export function sealKey(key: KeyObject, recipient: EnvelopeRecipient, signer: EnvelopeSigner): Uint8Array {
  const content = signedPackage(key, signer);
  const contentKey = randomBytes(32);
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-256-cbc", contentKey, iv);
  const encrypted = Buffer.concat([cipher.update(content), cipher.final()]);
  return contentInfo(
    ids.envelopedData,
    writeElement(
      Tag.sequence,
      whole(2),
      writeElement(Tag.set, recipientInfo(recipient, contentKey)),
      writeElement(
        Tag.sequence,
        writeOid(ids.signedData),
        algorithm(ids.aes256Cbc, writeElement(Tag.octetString, iv)),
        writeElement(Tag.implicit0, encrypted),
      ),
    ),
  );
}

/**
 * Opens what {@link sealKey} made.
 *
 * @param with_ The private key of the certificate, or the shared key, that it was sealed for.
 * @throws {UsageError} `usage/key` for anything that is not such an envelope, is not for this key, or was changed.
 */
export function openKey(der: Uint8Array, with_: KeyObject): OpenedKey {
  return parsing("usage/key", "sealed private key", () => {
    const [, recipients, encrypted] = sequenceIn(explicitContent(der, ids.envelopedData), 4);
    const [type, how, octets] = readElements(sure(encrypted).content, 3, what);
    if (readOid(sure(type)) !== ids.signedData || octets?.tag !== Tag.implicit0) throw fail();
    const [cipherId, iv] = readElements(sure(how).content, 2, what);
    if (readOid(sure(cipherId)) !== ids.aes256Cbc || iv?.content.length !== 16) throw fail();
    const [info] = readElements(sure(recipients).content, 1, what);
    const contentKey = unwrapContentKey(sure(info), with_);
    const decipher = createDecipheriv("aes-256-cbc", contentKey, iv.content);
    return openSigned(new Uint8Array(Buffer.concat([decipher.update(octets.content), decipher.final()])));
  });
}

const what = "sealed private key";

function signedPackage(key: KeyObject, { certificate, key: signingKey }: EnvelopeSigner): Uint8Array {
  const package_ = writeElement(Tag.sequence, key.export({ type: "pkcs8", format: "der" }));
  const attributes = [
    attribute(ids.contentType, writeOid(ids.keyPackage)),
    attribute(ids.messageDigest, writeElement(Tag.octetString, digest(package_))),
  ];
  const signature = sign("sha256", writeElement(Tag.set, ...attributes), signingKey);
  const isRsa = keyFacts(signingKey).type === "rsa";
  const { issuerHex } = certificate.constraints;
  return writeElement(
    Tag.sequence,
    whole(3),
    writeElement(Tag.set, algorithm(ids.sha256)),
    writeElement(Tag.sequence, writeOid(ids.keyPackage), explicit0(writeElement(Tag.octetString, package_))),
    writeElement(Tag.context0, certificate.der),
    writeElement(
      Tag.set,
      writeElement(
        Tag.sequence,
        whole(1),
        writeElement(Tag.sequence, Buffer.from(issuerHex, "hex"), serialElement(certificate)),
        algorithm(ids.sha256),
        writeElement(Tag.context0, ...attributes),
        isRsa ? algorithm(ids.rsaSha256, null_) : algorithm(ids.ecdsaSha256),
        writeElement(Tag.octetString, signature),
      ),
    ),
  );
}

/** The content was signed by the certificate beside it, and it is one key. */
function openSigned(der: Uint8Array): OpenedKey {
  const [, , encapsulated, ...rest] = sequenceIn(readOnly(der, Tag.sequence, what), 6);
  const [type, content] = readElements(sure(encapsulated).content, 2, what);
  if (readOid(sure(type)) !== ids.keyPackage || content === undefined) throw fail();
  const package_ = readOnly(content.content, Tag.octetString, what).content;
  const bundle = sure(rest.find(({ tag }) => tag === Tag.context0));
  const certificates = readElements(bundle.content, 8, what).flatMap(({ raw }) => parseCertificates(raw));
  const [info] = readElements(sure(rest.at(-1)).content, 1, what);
  const fields = sequenceIn(sure(info), 7);
  const signer = sure(certificates.find((one) => isNamed(one, sure(fields[1]))));
  const attributes = sure(fields.find(({ tag }) => tag === Tag.context0));
  const signature = sure(fields.find(({ tag }) => tag === Tag.octetString));
  const signed = writeElement(Tag.set, attributes.content);
  if (!verify("sha256", signed, signer.publicKey, signature.content)) throw fail();
  const value = (id: string): DerElement => {
    const found = readElements(attributes.content, 8, what).map((one) => readElements(one.content, 2, what));
    const [, values] = found.find(([oid]) => oid !== undefined && readOid(oid) === id) ?? [];
    return readElement(sure(values).content, what);
  };
  const expected = value(ids.messageDigest).content;
  const actual = digest(package_);
  if (expected.length !== actual.length || !timingSafeEqual(expected, actual)) throw fail();
  if (readOid(value(ids.contentType)) !== ids.keyPackage) throw fail();
  const [key, ...more] = readElements(readOnly(package_, Tag.sequence, what).content, 2, what);
  if (key === undefined || more.length > 0) throw fail();
  const privateKey = createPrivateKey({ key: Buffer.from(key.raw), format: "der", type: "pkcs8" });
  return { privateKey, signer, certificates };
}

function recipientInfo(recipient: EnvelopeRecipient, contentKey: Uint8Array): Uint8Array {
  if (recipient.kind === "shared") {
    const wrapped = wrap(recipient.key.export(), contentKey);
    const keyId = writeElement(Tag.sequence, writeElement(Tag.octetString, recipient.id));
    const octets = writeElement(Tag.octetString, wrapped.octets);
    return writeElement(0xa2, whole(4), keyId, algorithm(wrapped.id), octets);
  }
  const { publicKey, constraints } = recipient.certificate;
  const keyId = Buffer.from(constraints.subjectKeyId ?? "", "hex");
  switch (keyFacts(publicKey).type) {
    case "rsa": {
      const octets = publicEncrypt(
        { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" },
        contentKey,
      );
      const encrypted = writeElement(Tag.octetString, octets);
      return writeElement(Tag.sequence, whole(2), writeElement(Tag.implicit0, keyId), oaep(), encrypted);
    }
    case "ecdsa": {
      const { privateKey, publicKey: ephemeral } = ephemeralKey(publicKey);
      const wrapped = wrap(agreedKey(privateKey, publicKey), contentKey);
      const originator = readOnly(
        new Uint8Array(ephemeral.export({ type: "spki", format: "der" })),
        Tag.sequence,
        what,
      );
      const rid = writeElement(Tag.context0, writeElement(Tag.octetString, keyId));
      const encrypted = writeElement(Tag.sequence, rid, writeElement(Tag.octetString, wrapped.octets));
      return writeElement(
        Tag.context1,
        whole(3),
        writeElement(Tag.context0, writeElement(Tag.context1, originator.content)),
        algorithm(ids.ecdhSha256, algorithm(ids.aes256Wrap)),
        writeElement(Tag.sequence, encrypted),
      );
    }
    case "other":
      throw new UsageError("usage/key", "a key can only be sealed for an ECDSA or RSA certificate");
  }
}

function unwrapContentKey(info: DerElement, key: KeyObject): Uint8Array {
  const fields = readElements(info.content, 5, what);
  const last = sure(fields.at(-1));
  if (info.tag === 0xa2 && key.type === "secret") return unwrap(key.export(), last.content);
  if (info.tag === Tag.sequence && keyFacts(key).type === "rsa") {
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    return privateDecrypt({ key, padding, oaepHash: "sha256" }, last.content);
  }
  if (info.tag !== Tag.context1 || keyFacts(key).type !== "ecdsa") throw fail();
  const originator = readElement(sure(fields[1]).content, what);
  const spki = writeElement(Tag.sequence, originator.content);
  const peer = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  const [, octets] = readElements(readElement(last.content, what).content, 2, what);
  return unwrap(agreedKey(key, peer), sure(octets).content);
}

/** X9.63 with SHA-256 over the agreed secret, for an AES-256 wrapping key. @see RFC 5753 7.2 */
function agreedKey(privateKey: KeyObject, publicKey: KeyObject): Uint8Array {
  const shared = writeElement(
    Tag.sequence,
    algorithm(ids.aes256Wrap),
    writeElement(0xa2, writeElement(Tag.octetString, Uint8Array.of(0, 0, 1, 0))),
  );
  const secret = diffieHellman({ privateKey, publicKey });
  return createHash("sha256")
    .update(secret)
    .update(Uint8Array.of(0, 0, 0, 1))
    .update(shared)
    .digest();
}

function ephemeralKey(like: KeyObject): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: like.asymmetricKeyDetails?.namedCurve ?? "prime256v1" });
}

function wrap(key: Uint8Array, contentKey: Uint8Array): { readonly id: string; readonly octets: Uint8Array } {
  const how = wraps[key.length];
  if (how === undefined) throw new UsageError("usage/key", "a shared key for sealing has 16, 24 or 32 octets");
  const cipher = createCipheriv(how.cipher, key, wrapIv);
  return { id: how.id, octets: Buffer.concat([cipher.update(contentKey), cipher.final()]) };
}

function unwrap(key: Uint8Array, octets: Uint8Array): Uint8Array {
  const decipher = createDecipheriv(sure(wraps[key.length]).cipher, key, wrapIv);
  return Buffer.concat([decipher.update(octets), decipher.final()]);
}

function explicitContent(der: Uint8Array, id: string): DerElement {
  const [type, content] = sequenceIn(readOnly(der, Tag.sequence, what), 2);
  if (readOid(sure(type)) !== id) throw fail();
  return readOnly(sure(content).content, Tag.sequence, what);
}

function sequenceIn({ tag, content }: DerElement, max: number): readonly DerElement[] {
  if (tag !== Tag.sequence) throw fail();
  return readElements(content, max, what);
}

function contentInfo(id: string, content: Uint8Array): Uint8Array {
  return writeElement(Tag.sequence, writeOid(id), explicit0(content));
}

function oaep(): Uint8Array {
  const sha256 = algorithm(ids.sha256, null_);
  const mgf = algorithm(ids.mgf1, sha256);
  return algorithm(ids.rsaOaep, writeElement(Tag.sequence, explicit0(sha256), writeElement(Tag.context1, mgf)));
}

function algorithm(id: string, ...parameters: readonly Uint8Array[]): Uint8Array {
  return writeElement(Tag.sequence, writeOid(id), ...parameters);
}

function attribute(id: string, value: Uint8Array): Uint8Array {
  return writeElement(Tag.sequence, writeOid(id), writeElement(Tag.set, value));
}

function explicit0(content: Uint8Array): Uint8Array {
  return writeElement(Tag.context0, content);
}

function whole(value: number): Uint8Array {
  return Uint8Array.of(Tag.integer, 1, value);
}

function serialElement({ facts }: Certificate): Uint8Array {
  const octets = Buffer.from(
    facts.serialHex.padStart(facts.serialHex.length + (facts.serialHex.length % 2), "0"),
    "hex",
  );
  return writeElement(Tag.integer, ...((octets[0] ?? 0) > 0x7f ? [Uint8Array.of(0)] : []), octets);
}

function isNamed(certificate: Certificate, issuerAndSerial: DerElement): boolean {
  const issuer = Buffer.from(certificate.constraints.issuerHex, "hex");
  return Buffer.compare(issuerAndSerial.content, Buffer.concat([issuer, serialElement(certificate)])) === 0;
}

function digest(octets: Uint8Array): Buffer {
  return createHash("sha256").update(octets).digest();
}

/** What has to be there. */
function sure<T>(value: T | undefined): T {
  return value ?? fail();
}

/** One word for every reason: what exactly failed must not help who guesses. */
function fail(): never {
  throw new UsageError("usage/key", "it is not a sealed private key for this key, or it was changed");
}
