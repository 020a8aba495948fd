import { concat, Reader, u16, u8, vector16, vector8 } from "../presentation.ts";

/** The server's ephemeral key. */
export interface EcdhParameters {
  readonly group: number;
  readonly point: Uint8Array;
}

/** A signature with the number of its scheme. */
export interface DigitallySigned {
  readonly scheme: number;
  readonly signature: Uint8Array;
}

/** ServerKeyExchange of a suite with certificates. */
export interface SignedKeyExchange {
  readonly parameters: EcdhParameters;
  /** The octets that the signature covers, after both randoms. */
  readonly signed: Uint8Array;
  readonly proof: DigitallySigned;
}

/** @see RFC 8422 5.4 */
export function readSignedKeyExchange(body: Uint8Array): SignedKeyExchange {
  const reader = new Reader(body, "ServerKeyExchange");
  const parameters = readParameters(reader);
  const signed = body.subarray(0, body.length - reader.remaining);
  const proof = readSigned(reader);
  reader.end();
  return { parameters, signed, proof };
}

export function writeSignedKeyExchange(parameters: EcdhParameters, proof: DigitallySigned): Uint8Array {
  return concat(writeParameters(parameters), writeSigned(proof));
}

/** The identity hint is read and not used. @see RFC 5489 2 */
export function readPskKeyExchange(body: Uint8Array): EcdhParameters {
  const reader = new Reader(body, "ServerKeyExchange");
  reader.vector(2, "identity hint");
  const parameters = readParameters(reader);
  reader.end();
  return parameters;
}

export function writePskKeyExchange(parameters: EcdhParameters): Uint8Array {
  return concat(vector16(), writeParameters(parameters));
}

/** CertificateVerify is nothing but a signature. @see RFC 5246 7.4.8 */
export function readCertificateVerify(body: Uint8Array): DigitallySigned {
  const reader = new Reader(body, "CertificateVerify");
  const proof = readSigned(reader);
  reader.end();
  return proof;
}

export function writeSigned({ scheme, signature }: DigitallySigned): Uint8Array {
  return concat(u16(scheme), vector16(signature));
}

export function writeParameters({ group, point }: EcdhParameters): Uint8Array {
  return concat(u8(namedCurve), u16(group), vector8(point));
}

/** Curves by name are the only ones allowed. @see RFC 8422 5.4 */
const namedCurve = 3;

function readParameters(reader: Reader): EcdhParameters {
  const type = reader.u8("curve type");
  if (type !== namedCurve) throw reader.refuse("curve type", `${type}, only named curves are allowed`);
  return { group: reader.u16("group"), point: reader.vector(1, "point", 1) };
}

function readSigned(reader: Reader): DigitallySigned {
  return { scheme: reader.u16("signature scheme"), signature: reader.vector(2, "signature") };
}
