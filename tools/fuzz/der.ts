import { sign, type KeyObject } from "node:crypto";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

/** An element of DER with what is in it, so that mutations keep the lengths around it right. */
export interface Node {
  readonly tag: number;
  /** Of constructed elements, and of strings that hold elements themselves. */
  readonly children: readonly Node[] | undefined;
  readonly content: Uint8Array;
}

/** One element. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(tag), lengthOctets(content.length), content]);
}

/** One element as a tree; nothing for octets that are not exactly one. */
export function parseTree(bytes: Uint8Array, depth = 0): Node | undefined {
  const [node, ...more] = parseAll(bytes, depth) ?? [];
  return more.length > 0 ? undefined : node;
}

/** The octets of a tree. */
export function encodeTree({ tag, children, content }: Node): Uint8Array {
  // Not spread over arguments: mutations make tens of thousands.
  return tlv(tag, children === undefined ? content : Buffer.concat(children.map(encodeTree)));
}

/** Layers of a tree. */
export function depthOf({ children }: Node): number {
  return 1 + (children ?? []).reduce((most, child) => Math.max(most, depthOf(child)), 0);
}

/** Elements of a tree. */
export function countOf({ children }: Node): number {
  return 1 + (children ?? []).reduce((sum, child) => sum + countOf(child), 0);
}

/** A changed copy of a tree, with parts of others in it. */
export function mutateTree(random: Random, tree: Node, others: readonly Node[]): Node {
  const places = all(tree);
  const victim = random.pick(places);
  return replaced(tree, victim, () => changed(random, victim, places, others));
}

/** The structure signed anew: what mutations did is then judged for itself. Octets that are no signed structure stay as they are. */
export function resigned(der: Uint8Array, key: KeyObject): Uint8Array {
  const tree = parseTree(der);
  const [toBeSigned, algorithm] = tree?.children ?? [];
  if (tree === undefined || toBeSigned === undefined || algorithm === undefined) return der;
  const octets = encodeTree(toBeSigned);
  return tlv(tree.tag, octets, encodeTree(algorithm), tlv(0x03, Uint8Array.of(0), sign("sha256", octets, key)));
}

/** Structures made to cost more than they are: deep, endless, boastful, or many. */
export function bomb(random: Random, octets: number): Uint8Array {
  const tag = random.pick([0x30, 0x31, 0xa0, 0x24, 0x23]);
  const layers = 1 + random.below(Math.max(1, Math.floor(octets / 4)));
  switch (random.below(7)) {
    case 0: // Layers of indefinite length, closed or not.
      return Buffer.concat([
        Buffer.alloc(2 * layers, Uint8Array.of(tag, 0x80)),
        Buffer.alloc(random.oneIn(2) ? 2 * layers : 0),
      ]);
    case 1: {
      let bytes: Uint8Array = Uint8Array.of(0x05, 0x00);
      for (let i = 0; i < Math.min(layers, 2000); i += 1) bytes = tlv(tag, bytes);
      return bytes;
    }
    case 2: // More than there is.
      return Buffer.concat([Uint8Array.of(tag, 0x84, 0xff, 0xff, 0xff, random.below(256)), random.octets(16)]);
    case 3:
      return Buffer.concat([Uint8Array.of(tag, 0xfe), Buffer.alloc(Math.min(octets, 126), 0xff)]);
    case 4: // Many that are nothing.
      return tlv(tag, Buffer.alloc(2 * layers, Uint8Array.of(random.pick([0x05, 0x30, 0x04, 0x02]), 0x00)));
    case 5:
      return tlv(random.pick([0x02, 0x06, 0x0c, 0x1e]), Buffer.alloc(octets, random.pick([0x00, 0x7f, 0x80, 0xff])));
    default: // A tag without end.
      return Buffer.concat([Uint8Array.of(tag | 0x1f), Buffer.alloc(octets, 0xff)]);
  }
}

function changed(random: Random, node: Node, places: readonly Node[], others: readonly Node[]): readonly Node[] {
  const { children } = node;
  switch (random.below(10)) {
    case 0:
      return [];
    case 1:
      return Array.from({ length: random.oneIn(10) ? 300 : 2 }, () => node);
    case 2:
      return [random.pick(places)];
    case 3:
      return [random.pick(all(random.pick(others)))];
    case 4:
      return [{ ...node, tag: random.oneIn(3) ? random.below(256) : node.tag ^ (1 << random.below(8)) }];
    case 5:
      return [{ tag: 0x30, children: [node], content: node.content }];
    case 6:
      return children === undefined ? [leaf(random, node)] : [{ ...node, children: children.toReversed() }];
    case 7:
      return [parseTree(bomb(random, 256)) ?? leaf(random, node)];
    default:
      return [leaf(random, node)];
  }
}

function leaf(random: Random, node: Node): Node {
  const content = node.children === undefined ? node.content : Buffer.concat(node.children.map(encodeTree));
  return { tag: node.tag, children: undefined, content: mutate(random, content, []) };
}

function replaced(tree: Node, victim: Node, by: () => readonly Node[]): Node {
  if (tree === victim) return by()[0] ?? { tag: 0x05, children: undefined, content: new Uint8Array(0) };
  if (tree.children === undefined) return tree;
  const children = tree.children.flatMap((child) => (child === victim ? by() : [replaced(child, victim, by)]));
  return { ...tree, children };
}

function all(tree: Node): readonly Node[] {
  return [tree, ...(tree.children ?? []).flatMap(all)];
}

function parseAll(bytes: Uint8Array, depth: number): readonly Node[] | undefined {
  const nodes: Node[] = [];
  for (let at = 0; at < bytes.length;) {
    const [tag, first = 0] = bytes.subarray(at);
    const count = first > 0x80 ? first & 0x7f : 0;
    if (tag === undefined || (tag & 0x1f) === 0x1f || first === 0x80 || count > 3) return undefined;
    const start = at + 2 + count;
    const length = count === 0 ? first : bytes.subarray(at + 2, start).reduce((sum, octet) => sum * 256 + octet, 0);
    const content = bytes.subarray(start, start + length);
    if (content.length < length || start > bytes.length || nodes.length > 500) return undefined;
    const mayHold = ((tag & 0x20) !== 0 || tag === 0x04) && length > 1 && depth < 40;
    nodes.push({ tag, content, children: mayHold ? parseAll(content, depth + 1) : undefined });
    at = start + length;
  }
  return nodes;
}

function lengthOctets(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}
