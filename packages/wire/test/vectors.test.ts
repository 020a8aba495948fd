import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as wire from "@cipsec/wire";
import { hex, toHex } from "./support/hex.ts";

/** A vector: the same octets looked into layer by layer, the outermost first. Octets inside a value stand as hex digits. */
interface Vector {
  readonly name: string;
  readonly source: string;
  readonly layers: readonly { readonly layout: string; readonly hex: string; readonly value: unknown }[];
}

const item: wire.Codec<wire.CpfItem> = {
  type: "CPF item",
  read: (r) => ({ type: r.u16("type"), data: r.octets(r.u16("length"), "data") }),
  write(w, { type, data }) {
    w.u16(type);
    w.u16(data.length);
    w.octets(data);
  },
};

const layouts: Readonly<Record<string, (bytes: Uint8Array) => { readonly value: unknown; readonly back: Uint8Array }>> =
  {
    ApplyConfigRequest: both(wire.ApplyConfigRequest),
    CipSecurityItem: both(wire.CipSecurityItem),
    CipherSuiteList: both(wire.CipherSuiteList),
    ConnectedAddress: both(wire.ConnectedAddress),
    ConnectionFailure: both(wire.ConnectionFailure),
    Cpf: both(wire.Cpf),
    CpfItem: both(item),
    CrlPathOld: both(wire.CrlPathOld),
    CrlPaths: both(wire.CrlPaths),
    Encapsulation: both(wire.Encapsulation),
    ForwardClose: both(wire.ForwardClose),
    ForwardCloseReply: both(wire.ForwardCloseReply),
    ForwardOpen: both(wire.ForwardOpen),
    ForwardOpenReply: both(wire.ForwardOpenReply),
    ListIdentityItem: both(wire.ListIdentityItem),
    ListServicesItem: both(wire.ListServicesItem),
    MessageRouterReply: both(wire.MessageRouterReply),
    MessageRouterRequest: both(wire.MessageRouterRequest),
    MultipleServiceReply: both(wire.MultipleServiceReply),
    MultipleServiceRequest: both(wire.MultipleServiceRequest),
    PathList: both(wire.PathList),
    RegisterSession: both(wire.RegisterSession),
    SendData: both(wire.SendData),
    SequencedAddress: both(wire.SequencedAddress),
    TransferPacket: both(wire.TransferPacket),
    UnconnectedMessage: both(wire.UnconnectedMessage),
    UnconnectedSend: both(wire.UnconnectedSend),
  };

function both<T>(codec: wire.Codec<T>): (bytes: Uint8Array) => { readonly value: unknown; readonly back: Uint8Array } {
  return (bytes) => {
    const value = wire.decode(codec, bytes);
    return { value: plain(value), back: wire.encode(codec, value) };
  };
}

/** A value as JSON holds it: octets as hex digits, nothing for what is absent. */
function plain(value: unknown): unknown {
  if (value === undefined) return null;
  return JSON.parse(JSON.stringify(value, (_, inner: unknown) => (inner instanceof Uint8Array ? toHex(inner) : inner)));
}

describe.each(["ethernet-ip", "cip-security"])("vectors/%s.json", (name) => {
  const vectors: readonly Vector[] = JSON.parse(
    readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url), "utf8"),
  );

  test("there are vectors, each with a name of its own", () => {
    expect(new Set(vectors.map((vector) => vector.name)).size).toBe(vectors.length);
    expect(vectors.length).toBeGreaterThan(7);
  });

  test.each(vectors)("$name", ({ source, layers }) => {
    expect(source).toMatch(/^reference [a-z-]+\.md \d/u);
    for (const { layout, hex: octets, value } of layers) {
      expect(layers[0]?.hex).toContain(octets);
      const seen = layouts[layout]?.(hex(octets));
      expect(seen?.value, layout).toEqual(value);
      expect(toHex(seen?.back ?? new Uint8Array(1)), layout).toBe(octets);
    }
  });
});

test("the checksum of 01 02 03 is FFFA", () => {
  expect(wire.fileChecksum(hex("01 02 03"))).toBe(0xfffa);
  expect(wire.fileChecksum(hex(""))).toBe(0);
});
