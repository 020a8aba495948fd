import { sign } from "node:crypto";
import { makeKeyPair, parseCertificate, verifyChain, type Certificate, type KeyPair } from "@cipsec/pki";
import { Finding } from "./decoders.ts";
import { tlv } from "./der.ts";
import type { Random } from "./random.ts";

/** What one certificate of a chain says of itself. */
interface Member {
  readonly isCa: boolean;
  readonly maySign: boolean;
  readonly pathLength: number | undefined;
  readonly hasNameConstraints: boolean;
  readonly forClients: boolean;
  readonly isExpired: boolean;
  /** Signed with another key than that of its issuer. */
  readonly isForged: boolean;
}

const good: Member = {
  isCa: true,
  maySign: true,
  pathLength: undefined,
  hasNameConstraints: false,
  forClients: true,
  isExpired: false,
  isForged: false,
};

/** Chains that are longer than this are refused whatever they say. */
const maxPath = 8;

const now = new Date(Date.UTC(2026, 5, 1));

/**
 * Makes chains of up to twelve certificates, some of them with one fault or several, and compares the verdict with what the rules
 * of RFC 5280 6.1 say of how the chain was made.
 *
 * @returns Tries one; throws a {@link Finding} where the verdict is wrong either way.
 */
export async function chainTrials(random: Random): Promise<() => void> {
  const keys = await Promise.all([makeKeyPair(), makeKeyPair(), makeKeyPair()]);
  const made = new Map<string, Certificate>();
  return () => {
    const length = 2 + random.below(random.oneIn(8) ? 11 : 4);
    const members = Array.from({ length }, (_, at) => memberAt(random, at, length));
    const certificates: Certificate[] = [];
    let name = "";
    for (const [at, member] of members.entries()) {
      name += JSON.stringify(member);
      const certificate = made.get(name) ?? makeMember(member, at, certificates.at(-1), keys);
      // What chains begin with comes again and again; the rest would only fill the memory.
      if (at < 2 && made.size < 2000) made.set(name, certificate);
      certificates.push(certificate);
    }
    const [anchor, ...rest] = certificates;
    const leaf = rest.pop();
    if (anchor === undefined || leaf === undefined) return;
    const shuffled = random.oneIn(2) ? rest.toReversed() : rest;
    const verdict = verifyChain({ leaf, chain: shuffled, anchors: [anchor], time: now, purpose: "client" });
    const wrong = fault(members);
    if (verdict.ok === (wrong === undefined)) return;
    const what = verdict.ok ? `accepts a chain that ${wrong}` : `refuses a good chain (${verdict.code})`;
    throw new Finding(`${what}: ${JSON.stringify(members)}`);
  };
}

function memberAt(random: Random, at: number, length: number): Member {
  const base = at === length - 1 ? { ...good, isCa: false, maySign: false } : good;
  const pathLength = base.isCa && random.oneIn(3) ? random.below(4) : undefined;
  const faulty = { ...base, pathLength };
  if (!random.oneIn(6)) return faulty;
  switch (random.below(6)) {
    case 0:
      return { ...faulty, isCa: !faulty.isCa, pathLength: undefined };
    case 1:
      return { ...faulty, maySign: !faulty.maySign };
    case 2:
      return { ...faulty, hasNameConstraints: true };
    case 3:
      return { ...faulty, forClients: false };
    case 4:
      return { ...faulty, isExpired: true };
    default:
      return { ...faulty, isForged: true };
  }
}

/** Why the rules refuse a chain, anchor first; nothing where they accept it. */
function fault(members: readonly Member[]): string | undefined {
  if (members.length > maxPath) return "is too long";
  const issuers = members.slice(0, -1);
  for (const [at, member] of members.entries()) {
    const issues = at < issuers.length;
    if (issues && !(member.isCa && member.maySign)) return `has an issuer at ${at} that is none`;
    const below = issuers.length - 1 - at;
    if (issues && member.pathLength !== undefined && below > member.pathLength) return `is too long for ${at}`;
    // Not understood here, so refused wherever it stands.
    if (member.hasNameConstraints) return `has name constraints at ${at}`;
    if (!member.forClients) return `is not for clients at ${at}`;
    if (member.isExpired) return `has expired at ${at}`;
    if (member.isForged && at > 0) return `is forged at ${at}`;
    if (!issues && member.maySign) return "ends with a key that may sign certificates only";
  }
  return undefined;
}

function makeMember(
  member: Member,
  at: number,
  issuer: Certificate | undefined,
  keys: readonly KeyPair[],
): Certificate {
  const { isCa, maySign, pathLength, hasNameConstraints, forClients, isExpired, isForged } = member;
  const own = keys[at % keys.length];
  const above = issuer === undefined ? own : keys[(at - 1 + (isForged ? 1 : 0)) % keys.length];
  if (own === undefined || above === undefined) throw new RangeError("no key");
  const constraints = [
    ...(isCa ? [tlv(0x01, Uint8Array.of(0xff))] : []),
    ...(pathLength === undefined ? [] : [tlv(0x02, Uint8Array.of(pathLength))]),
  ];
  const usage = maySign ? 0x06 : 0x80;
  const extensions = [
    extension("551d13", tlv(0x30, ...constraints)),
    extension("551d0f", tlv(0x03, Uint8Array.of(maySign ? 1 : 7, usage))),
    ...(hasNameConstraints
      ? [extension("551d1e", tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0x82, Buffer.from("example"))))))]
      : []),
    ...(isCa && forClients
      ? []
      : [extension("551d25", tlv(0x30, oid(forClients ? "2b06010505070302" : "2b06010505070304")))]),
  ];
  const algorithm = tlv(0x30, oid("2a8648ce3d040302"));
  const toBeSigned = tlv(
    0x30,
    tlv(0xa0, tlv(0x02, Uint8Array.of(2))),
    tlv(0x02, Uint8Array.of(1 + at)),
    algorithm,
    nameOf(issuer === undefined ? 0 : at - 1),
    tlv(0x30, time("250101000000Z"), time(isExpired ? "260501000000Z" : "300101000000Z")),
    nameOf(at),
    new Uint8Array(own.publicKey.export({ format: "der", type: "spki" })),
    tlv(0xa3, tlv(0x30, ...extensions)),
  );
  const signature = sign("sha256", toBeSigned, above.privateKey);
  return parseCertificate(tlv(0x30, toBeSigned, algorithm, tlv(0x03, Uint8Array.of(0), signature)));
}

function extension(id: string, value: Uint8Array): Uint8Array {
  return tlv(0x30, oid(id), tlv(0x01, Uint8Array.of(0xff)), tlv(0x04, value));
}

function nameOf(level: number): Uint8Array {
  return tlv(0x30, tlv(0x31, tlv(0x30, oid("550403"), tlv(0x0c, Buffer.from(`level ${level}`)))));
}

function time(text: string): Uint8Array {
  return tlv(0x17, Buffer.from(text));
}

function oid(hex: string): Uint8Array {
  return tlv(0x06, Buffer.from(hex, "hex"));
}
