import net from "node:net";

/*
 * The bare reference of `connections.ts` and `tags.ts`: it answers exchanges that take turns, each with so many octets for so
 * many, and looks at none.
 */

/** What the parent says. */
export interface SizesOrder {
  readonly address: string;
  readonly port: number;
  /** In the order in which they come, over and over. */
  readonly exchanges: readonly { readonly request: number; readonly reply: number }[];
}

process.once("message", (order: SizesOrder) => {
  const replies = order.exchanges.map(({ reply }) => Buffer.alloc(reply, 0x5a));
  const server = net.createServer((socket) => {
    let waiting = 0;
    let turn = 0;
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      waiting += bytes.length;
      for (;;) {
        const exchange = order.exchanges[turn];
        const reply = replies[turn];
        if (exchange === undefined || reply === undefined || waiting < exchange.request) return;
        waiting -= exchange.request;
        turn = (turn + 1) % replies.length;
        socket.write(reply);
      }
    });
  });
  server.listen(order.port, order.address, () => process.send?.("listening"));
});
process.on("disconnect", () => process.exit(0));
