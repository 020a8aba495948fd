import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Socket } from "node:net";
import { parseCsr, toPem, type CertificateAuthority, type CertificateRequest } from "@cipsec/pki";
import { relay, type PrivateNetwork } from "./network.ts";
import { printed, stop } from "./programs.ts";

/** A CMP server in front of an authority of ours. */
export interface CmpServer {
  /** Of the requests that came, the last. */
  readonly asked: () => CertificateRequest | undefined;
  close(): Promise<void>;
}

export interface CmpServerOptions {
  readonly network: PrivateNetwork;
  /** Where it is reached. */
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  /** Issues what is asked for. */
  readonly ca: CertificateAuthority;
  /** Files of its certificate and key. */
  readonly certificate: string;
  readonly key: string;
  /** Whom it believes. */
  readonly trusted: string;
  /** What else the mock server is told. */
  readonly words?: readonly string[];
  /** Issues for this request, whatever is asked for. */
  readonly stubborn?: CertificateRequest;
}

/**
 * OpenSSL's mock server, which answers with one certificate that it is started with, behind a relay that has that certificate issued
 * for the request on its way and starts the server with it. It listens at every address there is, so it runs in a network of its own.
 */
export async function cmpServer(options: CmpServerOptions): Promise<CmpServer> {
  const { network, host, port, folder, ca, stubborn, words = [] } = options;
  let asked: CertificateRequest | undefined;
  let running: { readonly child: ReturnType<PrivateNetwork["start"]>; readonly port: number } | undefined;
  let ports = port;

  const serve = async (request: CertificateRequest | undefined): Promise<number> => {
    const issued =
      request === undefined
        ? ca.issuing
        : (await ca.issue({ profile: "device", csr: stubborn ?? request, subject: request.subject })).certificate;
    const file = join(folder, `issued-${port}.pem`);
    writeFileSync(file, toPem(issued));
    if (running !== undefined) await stop(running.child, "SIGKILL");
    ports += 1;
    const own = ["-srv_cert", options.certificate, "-srv_key", options.key, "-srv_trusted", options.trusted];
    const all = ["cmp", "-config", "", "-port", `${ports}`, ...own, "-rsp_cert", file, ...words];
    const child = network.start("openssl", all);
    await printed(child, /ACCEPT/);
    running = { child, port: ports };
    return ports;
  };

  const answer = (socket: Socket): void => {
    const waiting: Buffer[] = [];
    const collect = (chunk: Buffer): void => {
      waiting.push(chunk);
      const octets = Buffer.concat(waiting);
      if (!isWhole(octets)) return;
      socket.off("data", collect);
      socket.pause();
      void forward(octets);
    };
    const forward = async (octets: Buffer): Promise<void> => {
      const request = requestIn(octets);
      asked = request ?? asked;
      // A confirmation belongs to the server that issued.
      const inner = request === undefined && running !== undefined ? running.port : await serve(request);
      const there = network.connect(inner);
      there.stdin.write(octets);
      socket.pipe(there.stdin);
      there.stdout.pipe(socket);
      socket.once("close", () => there.stdin.end());
    };
    socket.on("data", collect);
  };
  const front = await relay(host, port, answer);
  return {
    asked: () => asked,
    async close() {
      await front.close();
      if (running !== undefined) await stop(running.child, "SIGKILL");
    },
  };
}

/** An HTTP request with all of its body. */
function isWhole(octets: Buffer): boolean {
  const end = octets.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = Number(/^content-length: *(\d+)/im.exec(octets.toString("latin1", 0, end))?.[1] ?? 0);
  return octets.length >= end + 4 + length;
}

/** The PKCS#10 request inside of a CMP message, found by its shape. */
function requestIn(octets: Buffer): CertificateRequest | undefined {
  for (let at = octets.indexOf("\r\n\r\n"); at >= 0 && at < octets.length - 4; at += 1) {
    const [tag, size = 0] = octets.subarray(at);
    if (tag !== 0x30 || (size !== 0x81 && size !== 0x82)) continue;
    const length = size === 0x81 ? 3 + (octets[at + 2] ?? 0) : 4 + octets.readUInt16BE(at + 2);
    try {
      return parseCsr(octets.subarray(at, at + length));
    } catch {
      // Another sequence.
    }
  }
  return undefined;
}
