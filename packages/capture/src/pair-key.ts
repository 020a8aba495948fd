import type { Endpoint } from "./segments.ts";

/** Names a pair of endpoints: the same for both directions. */
export function pairKey(a: Endpoint, b: Endpoint): string {
  const [first, second] = [endKey(a), endKey(b)];
  return first < second ? `${first} ${second}` : `${second} ${first}`;
}

/** Names one endpoint. */
export function endKey({ address, port }: Endpoint): string {
  return `${address} ${port}`;
}
