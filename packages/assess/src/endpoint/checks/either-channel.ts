import type { EndpointSubject } from "../subject.ts";

/** The stream that a device is spoken to by: TLS where it has CIP Security, else plain. */
export function openPlainOrSecure({ isSecured }: EndpointSubject): "tls" | "tcp" {
  return isSecured === false ? "tcp" : "tls";
}
