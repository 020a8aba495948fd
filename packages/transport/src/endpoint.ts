import type { Endpoint } from "./channel.ts";

/** `127.0.0.1:44818`, or `[::1]:44818`. */
export function endpointText({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An endpoint of a socket; an IPv4 address that came over a dual-stack socket is written as IPv4. */
export function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  return { address: (address ?? "").replace(/^::ffff:(?=\d+\.)/, ""), port: port ?? 0 };
}
