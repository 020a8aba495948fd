import { readFileSync } from "node:fs";
import { createPrivateKey } from "node:crypto";
import { parseCertificates } from "@cipsec/pki";
import { listen, systemClock, verifyWith } from "@cipsec/transport";

/*
 * Our TLS listener alone, for `handshakes.ts`: one port asks for a certificate and judges it, the other does not.
 */

/** What the parent says. */
export interface ListenerOrder {
  readonly address: string;
  readonly port: number;
  readonly mutualPort: number;
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  readonly suite: number;
}

process.on("message", (order: ListenerOrder) => void serve(order));
process.on("disconnect", () => process.exit(0));

async function serve({ address, port, mutualPort, certificate, key, ca, suite }: ListenerOrder): Promise<void> {
  const chain = parseCertificates(readFileSync(certificate)).map(({ der }) => der);
  const anchors = parseCertificates(readFileSync(ca));
  const certificates = [{ chain, key: createPrivateKey(readFileSync(key)) }];
  const verify = verifyWith({
    anchors,
    pinned: [],
    crls: [],
    revocation: { stale: "accept" },
    checkExpiration: true,
    checkName: false,
    clock: systemClock,
  });
  for (const [each, verifyPeer] of [
    [port, false],
    [mutualPort, true],
  ] as const) {
    const policy = { suites: [suite], certificates, sendChain: true, psks: [], verifyPeer, verify };
    await listen({
      protocol: "tls",
      address,
      port: each,
      tls: () => policy,
      accept: (channel) => channel.receive(() => undefined),
    });
  }
  process.send?.("listening");
}
