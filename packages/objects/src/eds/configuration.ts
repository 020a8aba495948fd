import { LREAL, REAL, SHORT_STRING, STRING, UsageError, encode, fromLatin1 } from "@cipsec/wire";
import { assemblyKey, maxNesting, type EdsAssembly } from "./assemblies.ts";
import type { EdsConfiguration } from "./connections.ts";
import type { EdsReference } from "./model.ts";
import type { Eds } from "./parse.ts";
import type { EdsParam, EdsScalar } from "./params.ts";

/** A data segment holds 255 words. */
export const maxConfiguration = 510;

/** Values of parameters by number, in place of their defaults. */
export type ParamValues = Readonly<Record<number, EdsScalar>>;

/**
 * The octets of a connection's configuration, made of the defaults of its parameters or of `values`.
 *
 * @throws {UsageError} `usage/file` naming `label` where the EDS contradicts itself; `usage/argument` for a value that does not
 *   fit its parameter.
 */
export function configurationOctets(
  eds: Eds,
  label: string,
  configurations: readonly EdsConfiguration[],
  values: ParamValues,
): Uint8Array {
  const parts = configurations.map(({ size, data }, i) => {
    const dataSize = data === undefined ? 0 : referenceSize(eds, data);
    const octets = size?.default ?? dataSize;
    if (octets === undefined || dataSize === undefined || octets < dataSize || octets > maxConfiguration) {
      const message = `${label}: config #${i + 1} has ${octets ?? "an unknown number of"} octets for ${dataSize ?? "unknown"} of data.`;
      throw new UsageError("usage/file", message, {
        facts: { entry: label },
        fix: `Correct the size in the EDS (at most ${maxConfiguration}), or pass the configuration yourself.`,
      });
    }
    const context: Context = { eds, values, done: new Map() };
    return octetsOf(data === undefined ? 0n : referenceBits(context, data, 0), octets);
  });
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Octets of what a reference names; undefined where nothing says. */
export function referenceSize(eds: Eds, reference: EdsReference): number | undefined {
  if (reference.to.toLowerCase() === "param") return eds.params.get(reference.number)?.dataSize;
  return eds.assemblies.get(assemblyKey(reference))?.size;
}

/**
 * A parameter's value as octets, little-endian, as many as its data size says. Nothing is 0.
 *
 * @throws {UsageError} `usage/argument` for a value that is not of the parameter's type.
 */
export function paramOctets(param: EdsParam, value: EdsScalar | undefined = param.default): Uint8Array {
  const size = param.dataSize;
  if (param.dataType === 0xca || param.dataType === 0xcb) {
    const real = Number(value ?? 0);
    if (typeof value === "string" || size !== (param.dataType === 0xca ? 4 : 8)) throw unfit(param, real);
    return param.dataType === 0xca ? encode(REAL, real) : encode(LREAL, real);
  }
  if (typeof value === "string") return textOctets(param, value);
  if (typeof value === "number" && !Number.isInteger(value)) throw unfit(param, value);
  return octetsOf(BigInt.asUintN(8 * size, BigInt(value ?? 0)), size);
}

interface Context {
  readonly eds: Eds;
  readonly values: ParamValues;
  /** Assemblies by key: one that stands in many places is put together once. */
  readonly done: Map<string, bigint>;
}

function referenceBits(context: Context, reference: EdsReference, depth: number): bigint {
  if (reference.to.toLowerCase() === "param") {
    const param = context.eds.params.get(reference.number);
    return param === undefined ? 0n : bitsOf(paramOctets(param, context.values[reference.number]));
  }
  const key = assemblyKey(reference);
  const assembly = context.eds.assemblies.get(key);
  if (assembly === undefined || depth > maxNesting) return 0n;
  const bits = context.done.get(key) ?? assemblyBits(context, assembly, depth);
  context.done.set(key, bits);
  return bits;
}

function assemblyBits(context: Context, { members }: EdsAssembly, depth: number): bigint {
  let at = 0;
  let whole = 0n;
  for (const { bits = 0, reference } of members) {
    // What lies behind the longest configuration is cut off anyway; stopping here bounds the work.
    if (at + bits > 8 * maxConfiguration) break;
    if (reference !== undefined)
      whole |= BigInt.asUintN(bits, referenceBits(context, reference, depth + 1)) << BigInt(at);
    at += bits;
  }
  return whole;
}

function bitsOf(octets: Uint8Array): bigint {
  return octets.reduceRight((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
}

function octetsOf(bits: bigint, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => Number((bits >> BigInt(8 * i)) & 0xffn));
}

function textOctets(param: EdsParam, text: string): Uint8Array {
  const isShort = text.length <= (param.dataType === 0xda ? 0xff : param.dataSize);
  if (!isShort || /[\u0100-\uffff]/.test(text)) throw unfit(param, text);
  const encoded = encodeText(param.dataType, text);
  if (encoded.length > param.dataSize) throw unfit(param, text);
  const octets = new Uint8Array(param.dataSize);
  octets.set(encoded);
  return octets;
}

function encodeText(dataType: number, text: string): Uint8Array {
  if (dataType === 0xd0) return encode(STRING, text);
  return dataType === 0xda ? encode(SHORT_STRING, text) : fromLatin1(text, text.length, "text");
}

function unfit(param: EdsParam, value: EdsScalar): UsageError {
  const name = `Param${param.number} (${param.name})`;
  return new UsageError(
    "usage/argument",
    `${name}: the value does not fit its type and its ${param.dataSize} octets.`,
    {
      facts: { param: param.number, value: String(value).slice(0, 40) },
      fix: "Pass a value of the parameter's type, or correct its default in the EDS.",
    },
  );
}
