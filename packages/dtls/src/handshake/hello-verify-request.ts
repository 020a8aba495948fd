import { concat, Reader, u16, vector8 } from "../presentation.ts";
import { dtls10 } from "../record/header.ts";

/** @returns The cookie that the next hello has to carry. @see RFC 6347 4.2.1 */
export function readHelloVerifyRequest(body: Uint8Array): Uint8Array {
  const reader = new Reader(body, "HelloVerifyRequest");
  reader.u16("version");
  const cookie = reader.vector(1, "cookie");
  reader.end();
  return cookie;
}

/** Names DTLS 1.0 whatever is spoken later, as the RFC says: the version is chosen in ServerHello. */
export function writeHelloVerifyRequest(cookie: Uint8Array): Uint8Array {
  return concat(u16(dtls10), vector8(cookie));
}
