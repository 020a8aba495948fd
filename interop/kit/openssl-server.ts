import { connect as connectTcp, type Socket } from "node:net";
import { cipherOption } from "./openssl.ts";
import { start, stop } from "./programs.ts";
import type { Caller } from "./plant.ts";

/** How `openssl s_server` is to listen. */
export interface OpensslServerWish {
  readonly address: string;
  readonly suite: number;
  readonly certificate?: Pick<Caller, "certFile" | "keyFile">;
  /** Asks for a client certificate of these authorities, and refuses without one. */
  readonly clientAnchors?: string;
  readonly pskHex?: string;
  /** Where the octets that come out of TLS go. */
  readonly plain: { readonly host: string; readonly port: number };
}

/** Starts `openssl s_server` on port 2221 for one connection, its standard input and output joined to a plain target. */
export function startOpensslServer(wish: OpensslServerWish): AsyncDisposable {
  const { address, suite, certificate, clientAnchors, pskHex, plain } = wish;
  const version = suite >>> 8 === 0x13 ? "-tls1_3" : "-tls1_2";
  const own =
    certificate === undefined
      ? ["-nocert"]
      : ["-cert", certificate.certFile, "-cert_chain", certificate.certFile, "-key", certificate.keyFile];
  const clients = clientAnchors === undefined ? [] : ["-CAfile", clientAnchors, "-Verify", "3", "-verify_return_error"];
  const psk = pskHex === undefined ? [] : ["-psk", pskHex];
  const listen = ["s_server", "-accept", `${address}:2221`, "-naccept", "1", "-quiet", version];
  const child = start("openssl", [...listen, ...cipherOption(suite), ...own, ...clients, ...psk]);
  let bridge: Socket | undefined;
  child.stdout.once("data", (first: Buffer) => {
    bridge = connectTcp(plain);
    bridge.on("error", () => undefined);
    bridge.write(first);
    child.stdout.pipe(bridge);
    bridge.pipe(child.stdin);
  });
  return {
    async [Symbol.asyncDispose]() {
      await stop(child);
      bridge?.destroy();
    },
  };
}
