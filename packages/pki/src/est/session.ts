// What both ends of an EST session set for TLS and read off its socket; the server's side is in listen.ts, the client's in dial.ts.
import { constants, type KeyObject } from "node:crypto";
import type http from "node:http";
import type tls from "node:tls";
import { parseCertificate, toPem, type Certificate } from "../certificate.ts";
import type { TlsFacts } from "./http.ts";

/** Certificate chain, leaf first, and key of one end. */
export interface TlsIdentity {
  readonly chain: readonly Certificate[];
  readonly key: KeyObject;
}

/** What TLS is told of at both ends; without an identity, for a client that shows none. */
export function secureOptions(identity: TlsIdentity | undefined): tls.SecureContextOptions {
  return {
    ...(identity === undefined
      ? {}
      : { cert: toPem(identity.chain), key: identity.key.export({ type: "pkcs8", format: "pem" }) }),
    // Trust is decided by our own verdict; an empty list keeps Node from loading the authorities of the web.
    ca: [],
    ciphers,
    sigalgs,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
  };
}

/** Suites that Debian's and old EST clients share with us: forward secret, authenticated encryption. */
const ciphers =
  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20";

/** No SHA-1 signature is ever accepted. */
const sigalgs =
  "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

/** Chain, version and channel binding of a session. */
export function readFacts(socket: tls.TLSSocket, role: "client" | "server"): TlsFacts {
  const version = socket.getProtocol() ?? "";
  return { chain: readChain(socket), binding: readBinding(socket, version, role), version };
}

/** Certificates that a peer sends; more than a chain has are not read. */
const maxChain = 10;

function readChain(socket: tls.TLSSocket): readonly Certificate[] {
  const chain: Certificate[] = [];
  let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  try {
    while (next?.raw !== undefined && chain.length < maxChain) {
      const certificate = parseCertificate(next.raw);
      if (chain.some(({ facts }) => facts.sha256 === certificate.facts.sha256)) break;
      chain.push(certificate);
      next = next.issuerCertificate;
    }
  } catch {
    // A certificate that cannot be read counts as not shown; what stands above it is of no use then.
  }
  return chain;
}

/**
 * TLS 1.2: the first Finished message of the latest handshake, which is the client's, as nothing is resumed here.
 * TLS 1.3 has no such value; its exporter takes that place.
 *
 * @see RFC 5929 3; RFC 9266 4.1, 4.2
 */
function readBinding(socket: tls.TLSSocket, version: string, role: "client" | "server"): string | undefined {
  if (version === "TLSv1.3")
    return socket.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", Buffer.alloc(0)).toString("base64");
  return (role === "client" ? socket.getFinished() : socket.getPeerFinished())?.toString("base64");
}

/** A whole body; nothing when it is larger than allowed. What is left of it then stays unread. */
export async function readAll(stream: http.IncomingMessage, max: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let octets = 0;
  return await new Promise((resolve, reject) => {
    stream.on("data", (chunk: Buffer) => {
      octets += chunk.length;
      if (octets <= max) parts.push(chunk);
      else {
        stream.pause();
        resolve(undefined);
      }
    });
    stream.on("end", () => resolve(Buffer.concat(parts)));
    stream.on("error", reject);
  });
}
