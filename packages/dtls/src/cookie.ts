import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { ClientHello } from "./handshake/client-hello.ts";
import { concat, u16, vector8 } from "./presentation.ts";

/** How long a secret makes cookies, milliseconds; it is accepted as long again. */
const lifeMs = 60_000;

/** Octets of a cookie: the answer to a hello is shorter than any hello. */
const cookieLength = 20;

/** The parts of a hello that its cookie covers: all that stands before it, so that a first fragment is enough. */
export type CookieHello = Pick<ClientHello, "version" | "random" | "sessionId">;

/**
 * Makes and checks cookies without remembering a single client. A cookie is an HMAC over the address, the port and the
 * start of the hello, under a secret that changes each minute; the secret before is accepted too.
 *
 * @see RFC 6347 4.2.1
 */
export class CookieJar {
  #current = randomBytes(32);
  #previous = randomBytes(32);
  #since: number | undefined;

  /** @param peer Address and port, in any text that is the same each time. */
  make(peer: string, hello: CookieHello, now: number): Uint8Array {
    this.#rotate(now);
    return cookieOf(this.#current, peer, hello);
  }

  check(peer: string, hello: CookieHello, cookie: Uint8Array, now: number): boolean {
    if (cookie.length !== cookieLength) return false;
    this.#rotate(now);
    const current = timingSafeEqual(cookieOf(this.#current, peer, hello), cookie);
    return current || timingSafeEqual(cookieOf(this.#previous, peer, hello), cookie);
  }

  #rotate(now: number): void {
    this.#since ??= now;
    const age = now - this.#since;
    if (age < lifeMs) return;
    // After a pause of two lives the secret before is too old as well.
    this.#previous = age < 2 * lifeMs ? this.#current : randomBytes(32);
    this.#current = randomBytes(32);
    this.#since = now;
  }
}

function cookieOf(secret: Uint8Array, peer: string, { version, random, sessionId }: CookieHello): Uint8Array {
  const covered = concat(new TextEncoder().encode(peer), u16(version), random, vector8(sessionId));
  return createHmac("sha256", secret).update(covered).digest().subarray(0, cookieLength);
}
