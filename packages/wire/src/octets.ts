/*
 * Numbers in octets that are known to be there. They are put together by hand because a `DataView` costs more to make than a
 * message costs to read.
 */

/** An octet. */
export function u8At(bytes: Uint8Array, at: number): number {
  return Number(bytes[at]);
}

/** Two octets, little-endian. */
export function u16At(bytes: Uint8Array, at: number): number {
  return u8At(bytes, at) | (u8At(bytes, at + 1) << 8);
}

/** Two octets, big-endian. */
export function u16beAt(bytes: Uint8Array, at: number): number {
  return (u8At(bytes, at) << 8) | u8At(bytes, at + 1);
}

/** Four octets with a sign, little-endian. */
export function i32At(bytes: Uint8Array, at: number): number {
  return u16At(bytes, at) | (u16At(bytes, at + 2) << 16);
}

/** Four octets, little-endian. */
export function u32At(bytes: Uint8Array, at: number): number {
  return i32At(bytes, at) >>> 0;
}
