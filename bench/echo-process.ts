import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";

/*
 * The bare reference of `explicit.ts`: for every so many octets that come it sends so many, over TCP and TLS, and looks at none.
 */

/** What the parent says. */
export interface EchoOrder {
  readonly address: string;
  readonly tcpPort: number;
  readonly tlsPort: number;
  readonly requestOctets: number;
  readonly replyOctets: number;
  readonly certificate: string;
  readonly key: string;
  readonly cipher: string;
}

process.on("message", (order: EchoOrder) => void serve(order));
process.on("disconnect", () => process.exit(0));

async function serve(order: EchoOrder): Promise<void> {
  const reply = Buffer.alloc(order.replyOctets, 0x5a);
  const echo = (socket: net.Socket): void => {
    let waiting = 0;
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      waiting += bytes.length;
      const count = Math.floor(waiting / order.requestOctets);
      waiting -= count * order.requestOctets;
      for (let i = 0; i < count; i += 1) socket.write(reply);
    });
  };
  const secure = {
    cert: readFileSync(order.certificate),
    key: readFileSync(order.key),
    ciphers: order.cipher,
    maxVersion: "TLSv1.2",
  } as const;
  const listening = (server: net.Server, port: number): Promise<void> =>
    new Promise((resolve) => void server.listen(port, order.address, resolve));
  await listening(net.createServer(echo), order.tcpPort);
  await listening(tls.createServer(secure, echo), order.tlsPort);
  process.send?.("listening");
}
