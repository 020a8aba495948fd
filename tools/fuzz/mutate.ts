import type { Random } from "./random.ts";

/** Numbers on which length checks turn. */
const borders = [0, 1, 2, 3, 4, 7, 8, 23, 24, 25, 0x7f, 0x80, 0xfe, 0xff, 0x100, 0x1ff, 0x7fff, 0x8000, 0xffe7, 0xffff];

/** Octets in the largest input; longer ones are cut, so that a run's cost is its number of inputs. */
const maxOctets = 8192;

type Mutation = (random: Random, bytes: Uint8Array, others: readonly Uint8Array[]) => Uint8Array;

const mutations: readonly Mutation[] = [
  flipBit,
  flipBit,
  setOctet,
  setBorder,
  setBorder,
  nudgeLength,
  nudgeLength,
  truncate,
  insert,
  remove,
  duplicate,
  splice,
];

/** A changed copy of `bytes`, by one to four mutations; one in fifty times octets that owe nothing to it. */
export function mutate(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (random.oneIn(50)) return random.octets(random.below(64));
  let result: Uint8Array = bytes.slice(0, maxOctets);
  const count = 1 + random.below(random.oneIn(4) ? 4 : 2);
  for (let i = 0; i < count; i += 1) result = random.pick(mutations)(random, result, others);
  return result.length > maxOctets ? result.slice(0, maxOctets) : result;
}

function flipBit(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes.length > 0) put(bytes, random.below(bytes.length), (octet) => octet ^ (1 << random.below(8)));
  return bytes;
}

function setOctet(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes.length > 0) put(bytes, random.below(bytes.length), () => random.below(256));
  return bytes;
}

/** Puts a border number where a field of one, two or four octets may be. */
function setBorder(random: Random, bytes: Uint8Array): Uint8Array {
  const width = random.pick([1, 2, 2, 4]);
  if (bytes.length < width) return bytes;
  const at = random.below(bytes.length - width + 1);
  const value = random.oneIn(4) ? 0xffff_ffff : random.pick(borders);
  for (let i = 0; i < width; i += 1) bytes[at + i] = (value >>> (8 * i)) & 0xff;
  return bytes;
}

/** Finds a field that tells how much follows, as octets or as words, and makes it a little wrong. */
function nudgeLength(random: Random, bytes: Uint8Array): Uint8Array {
  const found: number[] = [];
  for (let at = 0; at < bytes.length && at < 256; at += 1) {
    const left = bytes.length - at - 1;
    const octet = bytes[at] ?? 0;
    if (octet > 0 && (octet === left || 2 * octet === left || octet + 1 === left)) found.push(at);
  }
  const at = found.length > 0 ? random.pick(found) : random.below(Math.max(1, Math.min(bytes.length, 32)));
  if (at < bytes.length) put(bytes, at, (octet) => octet + random.pick([-2, -1, 1, 2, 8, 128]));
  return bytes;
}

function truncate(random: Random, bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, random.below(bytes.length + 1));
}

function insert(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  return joined(bytes.subarray(0, at), random.octets(1 + random.below(8)), bytes.subarray(at));
}

function remove(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8)));
}

function duplicate(random: Random, bytes: Uint8Array): Uint8Array {
  const from = random.below(bytes.length + 1);
  const to = Math.min(bytes.length, from + 1 + random.below(32));
  const times = random.oneIn(8) ? 40 : 1;
  return joined(
    bytes.subarray(0, to),
    ...Array.from({ length: times }, () => bytes.subarray(from, to)),
    bytes.subarray(to),
  );
}

/** The head of one input and the tail of another. */
function splice(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (others.length === 0) return bytes;
  const other = random.pick(others);
  return joined(bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1)));
}

function put(bytes: Uint8Array, at: number, change: (octet: number) => number): void {
  bytes[at] = change(bytes[at] ?? 0) & 0xff;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
