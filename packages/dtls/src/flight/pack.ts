import { fragmentHeaderLength, writeFragment } from "../handshake/message.ts";
import type { HandshakeMessage } from "../handshake/message.ts";
import { concat } from "../presentation.ts";
import { contentTypes } from "../record/header.ts";
import type { RecordLayer } from "../record/layer.ts";

/** One item of a flight. */
export type FlightItem =
  | { readonly kind: "message"; readonly epoch: 0 | 1; readonly message: HandshakeMessage }
  | { readonly kind: "change cipher spec" };

/** Fragments this small would make more headers than content; an item that has less room starts a new datagram. */
const leastFragment = 16;

/**
 * Makes the datagrams of a flight: records share datagrams, and a message that does not fit is cut into fragments.
 * Called anew for each repetition, as records need fresh sequence numbers, and the size may have shrunk.
 *
 * @param mtu Octets that a datagram may have.
 * @see RFC 6347 4.2.3, 4.2.4
 */
export function packFlight(items: readonly FlightItem[], layer: RecordLayer, mtu: number): readonly Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  let open: Uint8Array[] = [];
  let used = 0;
  const put = (record: Uint8Array): void => {
    if (used + record.length > mtu) close();
    open.push(record);
    used += record.length;
  };
  const close = (): void => {
    if (open.length > 0) datagrams.push(concat(...open));
    open = [];
    used = 0;
  };
  for (const item of items) {
    if (item.kind === "change cipher spec") {
      put(layer.seal(contentTypes.changeCipherSpec, Uint8Array.of(1), 0));
      continue;
    }
    const { message, epoch } = item;
    const overhead = layer.overhead(epoch) + fragmentHeaderLength;
    let offset = 0;
    do {
      let room = mtu - used - overhead;
      if (room < Math.min(message.body.length - offset, leastFragment)) {
        close();
        room = mtu - overhead;
      }
      const bytes = message.body.subarray(offset, offset + Math.max(room, leastFragment));
      const { type, seq } = message;
      const fragment = writeFragment({ type, seq, length: message.body.length, offset, bytes });
      put(layer.seal(contentTypes.handshake, fragment, epoch));
      offset += bytes.length;
    } while (offset < message.body.length);
  }
  close();
  return datagrams;
}
