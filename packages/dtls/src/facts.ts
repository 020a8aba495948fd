import type { Exchange, PeerProof } from "./exchange.ts";
import { dtls12 } from "./record/header.ts";

/** What both ends agreed on. Flat enough to log but for the peer's certificates; holds no secret. */
export interface AssociationFacts {
  readonly role: "client" | "server";
  /** 0xFEFD, DTLS 1.2. */
  readonly version: number;
  /** IANA number. */
  readonly suite: number;
  readonly suiteName: string;
  /** False for integrity-only suites: payloads travel readable. */
  readonly encrypts: boolean;
  /** IANA number of the group of the key agreement; none where keys were exchanged by RSA or taken up again. */
  readonly group: number | undefined;
  /** IANA number of the scheme that the server signed with, where it did. */
  readonly signatureScheme: number | undefined;
  readonly extendedMasterSecret: boolean;
  /** Whether records go through direct calls into OpenSSL; else through `node:crypto`. */
  readonly accelerated: boolean;
  readonly encryptThenMac: boolean;
  /** Whether an earlier session was taken up again. */
  readonly resumed: boolean;
  /** Whom the peer proved to be. */
  readonly peer: PeerProof;
  /** The name that the client asked for. */
  readonly serverName: string | undefined;
  /** Octets of the connection id in records of each direction; 0 where there is none. */
  readonly connectionIdLength: { readonly toUs: number; readonly toPeer: number };
  /** The largest datagram, octets. */
  readonly mtu: number;
  /** The largest payload that fits into one. */
  readonly maxPayload: number;
}

/** The facts of a handshake that is done. */
export function factsOf(x: Exchange, mtu: number): AssociationFacts {
  const { id, name, encrypts } = x.chosen;
  return {
    role: x.role,
    version: dtls12,
    suite: id,
    suiteName: name,
    encrypts,
    group: x.group,
    signatureScheme: x.signatureScheme,
    extendedMasterSecret: x.extendedMaster,
    accelerated: x.layer.accelerated,
    encryptThenMac: x.encryptThenMac,
    resumed: x.resumed,
    peer: x.proof,
    serverName: x.serverName,
    connectionIdLength: { toUs: x.ourCid.length, toPeer: x.peerCid.length },
    mtu,
    maxPayload: maxPayload(x, mtu),
  };
}

/** Content of a record ends at 2^14 octets whatever the datagram holds. @see RFC 5246 6.2.1 */
const maxContent = 16_384 - 1;

function maxPayload({ layer }: Exchange, mtu: number): number {
  let length = Math.min(maxContent, mtu - layer.overhead(1) + 32);
  while (layer.sealedLength(length) > mtu) length--;
  return length;
}
