import { KeyLog, dissect, readCapture, readClientHello, readServerHello, TlsDecoder } from "@cipsec/capture";
import { allClasses, parsePath, type ObjectClass } from "@cipsec/objects";
import {
  createCrl,
  createCsr,
  crlToPem,
  makeKeyPair,
  parseCertificates,
  parseCrls,
  parseCsr,
  parsePrivateKey,
  privateKeyToPem,
  readPkcs7,
  selfSigned,
  toPem,
  writePkcs7,
} from "@cipsec/pki";
import { parseDescription } from "@cipsec/target";
import * as wire from "@cipsec/wire";
import type { Corpus } from "./corpus.ts";
import { validEncodings } from "./corpus.ts";
import type { Random } from "./random.ts";

/** Something that reads octets from strangers. */
export interface Decoder {
  readonly name: string;
  /** Octets that it accepts, or nearly. */
  readonly seeds: readonly Uint8Array[];
  /** How many inputs it gets, against 1 for a codec: parsers that check signatures are slow. */
  readonly share: number;
  /**
   * Reads `bytes` and checks what came of it. Refusing with an error of the stack is right; anything else that it throws is a
   * finding.
   */
  run(bytes: Uint8Array): void;
}

/** A decoder did what it must not: read something that it cannot write back as it read it. */
export class Finding extends Error {}

/** Every decoder: all codecs that wire exports, all attributes and services of all classes, streams, captures, pki, texts. */
export async function allDecoders(corpus: Corpus, random: Random): Promise<readonly Decoder[]> {
  return [
    ...wireDecoders(corpus, random),
    ...allClasses.flatMap((declaration) => classDecoders(declaration, random)),
    ...streamDecoders(corpus),
    ...captureDecoders(corpus),
    ...textDecoders(),
    ...(await pkiDecoders()),
  ];
}

/** Whatever wire exports in the shape of a codec: a new one is fuzzed without being listed here. */
function wireDecoders(corpus: Corpus, random: Random): readonly Decoder[] {
  const named: readonly (readonly [string, unknown])[] = Object.entries(wire);
  return named.flatMap(([name, value]) => {
    if (!isCodec(value)) return [];
    const vectors = corpus.layouts.get(name) ?? [];
    const more = name === "Encapsulation" ? corpus.frames : name.startsWith("MessageRouter") ? corpus.messages : [];
    return [codecDecoder(`wire ${name}`, value, [...vectors, ...more], random)];
  });
}

function classDecoders(declaration: ObjectClass, random: Random): readonly Decoder[] {
  const { name, attributes, classAttributes = {}, services } = declaration;
  const of = (kind: string, all: ObjectClass["attributes"]): readonly Decoder[] =>
    Object.entries(all).map(([attribute, { type }]) => codecDecoder(`${name} ${kind} ${attribute}`, type, [], random));
  const layouts = Object.entries(services).flatMap(([service, { request, response }]) => [
    ...(request === undefined ? [] : [codecDecoder(`${name} request ${service}`, request, [], random)]),
    ...(response === undefined ? [] : [codecDecoder(`${name} response ${service}`, response, [], random)]),
  ]);
  return [...of("attribute", attributes), ...of("class attribute", classAttributes), ...layouts];
}

/** What a codec reads it must write, and what it wrote it must read as the same octets again. */
function codecDecoder(
  name: string,
  codec: wire.Codec<unknown>,
  vectors: readonly Uint8Array[],
  random: Random,
): Decoder {
  const seeds = [...vectors, ...validEncodings(codec, random.fork(name)), new Uint8Array(0)];
  return {
    name,
    seeds,
    share: 1,
    run(bytes) {
      const value = wire.decode(codec, bytes);
      const back = encoded(name, codec, value);
      if (same(back, bytes)) return;
      let again: Uint8Array;
      try {
        again = encoded(name, codec, wire.decode(codec, back));
      } catch (error) {
        throw new Finding(`${name}: refuses what it wrote itself`, { cause: error });
      }
      if (!same(again, back)) throw new Finding(`${name}: what it wrote reads as another value`);
    },
  };
}

function encoded(name: string, codec: wire.Codec<unknown>, value: unknown): Uint8Array {
  try {
    return wire.encode(codec, value);
  } catch (error) {
    throw new Finding(`${name}: cannot write what it read`, { cause: error });
  }
}

function streamDecoders(corpus: Corpus): readonly Decoder[] {
  return [
    {
      name: "FrameStream",
      seeds: corpus.frames,
      share: 20,
      // However the octets are cut, the same frames come out.
      run(bytes) {
        const whole = cut(bytes, bytes.length);
        if (cut(bytes, 1 + ((bytes[0] ?? 0) % 29)) !== whole)
          throw new Finding("FrameStream: other frames for other chunks");
      },
    },
  ];
}

/** Everything that a stream yields for these octets in chunks of `size`, as text. */
function cut(bytes: Uint8Array, size: number): string {
  const stream = new wire.FrameStream(4096);
  const seen: string[] = [];
  try {
    for (let at = 0; at < bytes.length; at += size) {
      for (const event of stream.push(bytes.subarray(at, at + size))) {
        const header = event.type === "frame" ? event.frame : event.header;
        const data = event.type === "frame" ? Buffer.from(event.frame.data).toString("hex") : event.header.length;
        seen.push(`${event.type} ${header.command} ${header.session} ${header.status} ${header.options} ${data}`);
      }
    }
    // A stream that is out of step says so at the next call.
    stream.push(wire.noOctets);
  } catch (error) {
    if (!wire.isStackError(error)) throw error;
    seen.push(error.code);
  }
  return seen.join("\n");
}

function captureDecoders(corpus: Corpus): readonly Decoder[] {
  const lines = ["CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0"].map(
    (label) => `${label} ${"ab".repeat(32)} ${"cd".repeat(48)}\n`,
  );
  return [
    {
      name: "readCapture and dissect",
      seeds: corpus.captures,
      share: corpus.captures.length > 0 ? 8 : 0,
      run: (bytes) => drain(dissect(readCapture(bytes, { keyLog: corpus.keyLog }))),
    },
    { name: "KeyLog", seeds: [utf8(lines.join(""))], share: 4, run: (bytes) => new KeyLog().add(latin(bytes)) },
    { name: "ClientHello", seeds: [sampleHello], share: 4, run: (bytes) => void readClientHello(bytes) },
    { name: "ServerHello", seeds: [sampleHello], share: 4, run: (bytes) => void readServerHello(bytes) },
    {
      name: "TlsDecoder",
      seeds: [Uint8Array.of(22, 3, 3, 0, sampleHello.length + 4, 1, 0, 0, sampleHello.length, ...sampleHello)],
      share: 4,
      run(bytes) {
        const decoder = new TlsDecoder(new KeyLog());
        decoder.push(0, bytes);
        decoder.push(1, bytes);
      },
    },
  ];
}

/** Version, random, no session, one suite, no compression, no extension. */
const sampleHello = Uint8Array.of(3, 3, ...new Uint8Array(32), 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 0);

function textDecoders(): readonly Decoder[] {
  const description = {
    name: "pump",
    identity: { vendorId: 1, productCode: 2, revision: { major: 1, minor: 2 }, serialNumber: 3, productName: "Pump" },
    ports: { eip: 44_818 },
    security: { generation: "modern", defaultCertificate: "self-signed" },
    assemblies: [{ instance: 100, kind: "input", size: 8 }],
  };
  return [
    {
      name: "device description",
      seeds: [utf8(JSON.stringify(description)), utf8(JSON.stringify({ ...description, security: null }))],
      share: 4,
      run: (bytes) => void parseDescription(latin(bytes)),
    },
    {
      name: "object path text",
      seeds: ["Identity/1/productName", "0x5E/1/4", "File/class/32"].map(utf8),
      share: 4,
      run: (bytes) => void parsePath(latin(bytes)),
    },
  ];
}

/** Certificates, requests, lists and keys, as DER and as PEM. */
async function pkiDecoders(): Promise<readonly Decoder[]> {
  const { privateKey } = await makeKeyPair();
  const now = new Date(Date.UTC(2026, 0, 1));
  const subject = { commonName: "fuzzed device" };
  const certificate = await selfSigned({ subject, san: { ip: ["127.0.0.1"], dns: ["a.example"] }, privateKey, now });
  const request = await createCsr({ subject, san: { dns: ["a.example"] }, privateKey });
  const crl = await createCrl({
    issuer: certificate,
    issuerKey: privateKey,
    number: 1,
    thisUpdate: now,
    nextUpdate: new Date(Date.UTC(2027, 0, 1)),
    entries: [{ serialHex: "0123", revokedAt: now, reason: "keyCompromise" }],
  });
  const bundle = writePkcs7({ certificates: [certificate.der], crls: [crl.der] });
  return [
    {
      name: "certificate",
      seeds: [certificate.der, utf8(toPem([certificate]))],
      share: 3,
      run: (bytes) => void parseCertificates(bytes),
    },
    {
      name: "certificate request",
      seeds: [request.der, utf8(request.pem)],
      share: 3,
      run: (bytes) => void parseCsr(bytes),
    },
    { name: "revocation list", seeds: [crl.der, utf8(crlToPem(crl))], share: 3, run: (bytes) => void parseCrls(bytes) },
    { name: "PKCS#7", seeds: [bundle], share: 3, run: (bytes) => void readPkcs7(bytes) },
    {
      name: "private key",
      seeds: [utf8(privateKeyToPem(privateKey))],
      share: 3,
      run: (bytes) => void parsePrivateKey(bytes),
    },
  ];
}

function isCodec(value: unknown): value is wire.Codec<unknown> {
  return typeof value === "object" && value !== null && "read" in value && "write" in value && "type" in value;
}

function drain(all: Iterable<unknown>): void {
  for (const _ of all);
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function latin(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
