import { macLength } from "../key-schedule.ts";
import type { AeadName, CbcName, MacName } from "../suites.ts";
import { nodePrimitives } from "./node-primitives.ts";
import type { PrimitiveName, Primitives } from "./primitives.ts";

const key = Buffer.alloc(48, 7);
const tagLength = 16;
const iv = Buffer.alloc(16, 3);
const data = Buffer.from("additional data");
const content = Buffer.alloc(48, "content");

/** Tells whether a cipher or hash gives the octets that `node:crypto` gives, and refuses what it should. */
export function agrees(candidate: Primitives, name: PrimitiveName): boolean {
  try {
    if (isMac(name)) return agreesOnMac(candidate, name);
    return isCbc(name) ? agreesOnCbc(candidate, name) : agreesOnAead(candidate, name);
  } catch {
    return false;
  }
}

function agreesOnAead(candidate: Primitives, name: AeadName): boolean {
  const secret = keyOf(name);
  const nonce = iv.subarray(0, 12);
  const aead = candidate.aead(name, secret, tagLength);
  const sealed = sealedBy(candidate);
  const opened = aead.decrypt(nonce, data, sealed);
  const forged = aead.decrypt(
    nonce,
    data,
    Uint8Array.from(sealed, (octet, i) => (i === 5 ? octet ^ 1 : octet)),
  );
  const again = aead.decrypt(nonce, data, sealed);
  aead.dispose();
  return (
    same(sealed, sealedBy(nodePrimitives)) && same(content, opened) && forged === undefined && same(content, again)
  );

  function sealedBy(primitives: Primitives): Buffer {
    const record = Buffer.alloc(content.length + tagLength);
    const each = primitives.aead(name, secret, tagLength);
    each.encrypt(nonce, data, content, record, 0);
    each.dispose();
    return record;
  }
}

function agreesOnCbc(candidate: Primitives, name: CbcName): boolean {
  const [ours, theirs] = [nodePrimitives.cbc(name, keyOf(name)), candidate.cbc(name, keyOf(name))];
  const [expected, blocks] = [Buffer.alloc(content.length), Buffer.alloc(content.length)];
  ours.encrypt(iv, content, expected, 0);
  theirs.encrypt(iv, content, blocks, 0);
  const decrypted = theirs.decrypt(iv, blocks);
  theirs.dispose();
  return same(expected, blocks) && same(content, decrypted);
}

function agreesOnMac(candidate: Primitives, name: MacName): boolean {
  const secret = key.subarray(0, macLength[name]);
  const theirs = candidate.hmac(name, secret);
  const tags = [theirs.sign(data, content), theirs.sign(data, content)];
  theirs.dispose();
  const expected = nodePrimitives.hmac(name, secret).sign(data, content);
  return tags.every((tag) => same(tag, expected));
}

function isMac(name: PrimitiveName): name is MacName {
  return name in macLength;
}

function isCbc(name: PrimitiveName): name is CbcName {
  return name.endsWith("-cbc");
}

function keyOf(name: AeadName | CbcName): Buffer {
  return key.subarray(0, name.startsWith("aes-128") ? 16 : 32);
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0;
}
