import { productName, startDevices } from "./device.ts";
import { Prober } from "./prober.ts";
import { dialPlain, type Place } from "./wires.ts";

/**
 * Sends the inputs of a live finding to a fresh device, each on a connection of its own and then all on one, and tells what is
 * wrong afterwards.
 */
export async function replayLive(inputs: readonly Uint8Array[], address = "127.26.0.1"): Promise<string | undefined> {
  const device = await startDevices([address]);
  const place: Place = { address, port: 44_818, from: address.replace(/\d+$/u, "9") };
  const prober = new Prober({ ...place, from: address.replace(/\d+$/u, "10") }, productName(0));
  try {
    const one = await dialPlain(place);
    for (const bytes of inputs) {
      await one?.send(bytes);
      const own = await dialPlain(place);
      await own?.send(bytes);
      await own?.next(() => false, 5);
      own?.end();
      if (device.death !== undefined) return device.death;
    }
    one?.end();
    const result = await prober.get();
    return result.ok ? device.death : result.what;
  } finally {
    prober.end();
    await device.stop();
  }
}
