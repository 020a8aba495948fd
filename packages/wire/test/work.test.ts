import { afterEach, describe, expect, test, vi } from "vitest";
import {
  AttributeIds,
  CertificateDirectory,
  CipherSuiteList,
  Cpf,
  CrlPaths,
  EPATH,
  FileDirectory,
  MessageRouterRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  ObjectAuthorization,
  PathList,
  PskList,
  Reader,
  STRINGI,
  SendData,
  SetRulesRequest,
  UnconnectedSend,
  WireError,
  decode,
  type Codec,
} from "@cipsec/wire";
import { hex } from "./support/hex.ts";

/*
 * Decoding costs no more than a few reads an octet, whatever the octets: work is counted in reads and copied octets, not in time.
 */

const methods = ["u8", "u16", "u32", "u64", "octets", "sub", "peek", "u16be", "u32be", "zero"] as const;

/** Octets of the largest frame. */
const whole = 65_511;

/** Fills `size` octets with a pattern behind a start that makes a codec go on as long as it may. */
function filled(start: string, pattern: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const first = hex(start);
  const rest = hex(pattern);
  bytes.set(first);
  for (let at = first.length; at < size; at += 1) bytes[at] = rest[(at - first.length) % rest.length] ?? 0;
  return bytes;
}

function reads(codec: Codec<unknown>, bytes: Uint8Array): number {
  const spies = methods.map((method) => vi.spyOn(Reader.prototype, method));
  const copies = vi.spyOn(Uint8Array.prototype, "set");
  try {
    decode(codec, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
  }
  const copied = copies.mock.calls.reduce((sum, [source]) => sum + source.length, 0);
  return copied + spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
}

afterEach(() => vi.restoreAllMocks());

describe("hostile octets cost no more than three reads an octet", () => {
  test.each<{ name: string; codec: Codec<unknown>; start: string; pattern: string }>([
    { name: "segments without end", codec: EPATH, start: "", pattern: "2401" },
    { name: "empty symbols", codec: EPATH, start: "", pattern: "9100" },
    { name: "items without data", codec: Cpf, start: "ffff", pattern: "00000000" },
    { name: "items within a frame", codec: SendData, start: "00000000 0000 1000", pattern: "00000000" },
    { name: "the longest path", codec: MessageRouterRequest, start: "0eff", pattern: "2401" },
    { name: "a packet of many services", codec: MultipleServiceRequest, start: "0001", pattern: "0402" },
    {
      name: "replies with many status words",
      codec: MultipleServiceReply,
      start: "0100 0400 8e00 0020",
      pattern: "01",
    },
    { name: "a route without end", codec: UnconnectedSend, start: "0000 0000 ff00", pattern: "0101" },
    { name: "attribute ids", codec: AttributeIds, start: "ffff", pattern: "0100" },
    { name: "files without names", codec: FileDirectory, start: "", pattern: "01000000" },
    { name: "languages without end", codec: STRINGI, start: "20", pattern: "656e67da040000" },
    { name: "cipher suites", codec: CipherSuiteList, start: "ff", pattern: "c02b" },
    { name: "paths", codec: PathList, start: "ff", pattern: "00" },
    { name: "paths of either edition", codec: CrlPaths, start: "ff", pattern: "2001" },
    { name: "certificates", codec: CertificateDirectory, start: "ff", pattern: "0000" },
    { name: "keys of either edition", codec: PskList, start: "20", pattern: "0000" },
    { name: "keys of either edition, long ones", codec: PskList, start: "20", pattern: "40" },
    { name: "authorizations", codec: ObjectAuthorization, start: "ffff", pattern: "00" },
    { name: "rules", codec: SetRulesRequest, start: "00000000 00000000 1000", pattern: "0000 0001 00" },
  ])("$name", ({ codec, start, pattern }) => {
    expect(reads(codec, filled(start, pattern, whole))).toBeLessThan(3 * whole);
    const half = reads(codec, filled(start, pattern, whole >> 1));
    vi.restoreAllMocks();
    expect(reads(codec, filled(start, pattern, whole))).toBeLessThanOrEqual(2 * half + 16);
  });
});

test("an embedded request is read once, however many there are", () => {
  const count = 256;
  const start = 2 + 2 * count;
  const message = "0e0220012401";
  const offsets = Array.from({ length: count }, (_, i) => start + 6 * i);
  const low = offsets.map((offset) => `${byte(offset & 0xff)}${byte(offset >> 8)}`).join("");
  const bytes = hex(`0001${low}${message.repeat(count)}`);
  expect(decode(MultipleServiceRequest, bytes)).toHaveLength(count);
  expect(reads(MultipleServiceRequest, bytes)).toBeLessThan(2 * bytes.length + 16);
});

function byte(value: number): string {
  return value.toString(16).padStart(2, "0");
}
