import { DtlsError } from "../errors.ts";
import { nativeLibrary } from "./native-library.ts";
import { nativePrimitives } from "./native-primitives.ts";
import { nodePrimitives } from "./node-primitives.ts";
import type { PrimitiveName, Primitives } from "./primitives.ts";

/**
 * Whether records are protected by direct calls into the OpenSSL that Node runs on, through the package `koffi`: where
 * that can be done, always, or never.
 */
export type Acceleration = "auto" | "required" | "off";

/** @throws {DtlsError} `usage/state` where there is no acceleration here. */
export function requireAcceleration(library = nativeLibrary()): void {
  if (typeof library === "string") throw missing(library);
}

/**
 * The primitives for ciphers and hashes. What direct calls do not do as they should is left to `node:crypto`.
 *
 * @throws {DtlsError} `usage/state` where acceleration is required and cannot be had.
 */
export function primitivesFor(
  acceleration: Acceleration,
  names: readonly PrimitiveName[],
  nativeFor = nativePrimitives,
): Primitives {
  if (acceleration === "off") return nodePrimitives;
  const native = nativeFor(names);
  if (typeof native !== "string") return native;
  if (acceleration === "auto") return nodePrimitives;
  throw missing(native);
}

function missing(reason: string): DtlsError {
  return new DtlsError("usage/state", `acceleration is required and cannot be had: ${reason}`, {
    fix: "Install the package 'koffi', or set acceleration to 'auto'.",
  });
}
