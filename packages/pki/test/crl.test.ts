import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toPem } from "../src/certificate.ts";
import { createCrl, crlFreshness, crlToPem, findRevoked, isCrlSignedBy, parseCrl, parseCrls } from "../src/crl.ts";
import type { CrlEntry } from "../src/crl-entry.ts";
import { writeElement } from "../src/der.ts";
import { UsageError } from "../src/errors.ts";
import { privateKeyToPem } from "../src/keys.ts";
import { pkcs7ToPem, writePkcs7 } from "../src/pkcs7.ts";
import { at, authority, mustOpenssl, openssl, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const file = (name: string): string => join(folder, name);
const root = await authority("root");
const other = await authority("root");

// A list by OpenSSL: one held, one compromised, one without reason.
writeFileSync(file("ca.pem"), toPem(root.certificate));
writeFileSync(file("ca.key"), privateKeyToPem(root.key));
writeFileSync(file("number"), "01FF\n");
writeFileSync(
  file("index.txt"),
  [
    "R\t400101000000Z\t260101000000Z,keyCompromise\t0A0B0C\tunknown\t/CN=a",
    "R\t400101000000Z\t260102000000Z,certificateHold\t00F1\tunknown\t/CN=b",
    "R\t400101000000Z\t260103000000Z\t7F\tunknown\t/CN=c",
    "V\t400101000000Z\t\t01\tunknown\t/CN=d\n",
  ].join("\n"),
);
writeFileSync(
  file("ca.cnf"),
  `[ca]\ndefault_ca=d\n[d]\ndatabase=${file("index.txt")}\ncrlnumber=${file("number")}\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n[delta]\n2.5.29.27=critical,DER:020101\n[twice]\n2.5.29.60=DER:0500\n2.5.29.61=DER:0500\n`,
);
const gencrl = (...more: string[]): Buffer =>
  mustOpenssl([
    "ca",
    "-config",
    file("ca.cnf"),
    "-gencrl",
    "-crldays",
    "7",
    "-cert",
    file("ca.pem"),
    "-keyfile",
    file("ca.key"),
    ...more,
  ]);
const pem = gencrl();
const der = mustOpenssl(["crl", "-outform", "DER"], pem);

describe("a list by OpenSSL", () => {
  const crl = parseCrl(pem);

  test("is read with all it says", () => {
    expect(crl).toMatchObject({
      issuer: "CN=root",
      number: "01ff",
      authorityKeyId: root.certificate.constraints.subjectKeyId,
    });
    expect([...crl.entries.values()]).toEqual([
      { serialHex: "7f", revokedAt: new Date("2026-01-03T00:00:00Z"), reason: "unspecified" },
      { serialHex: "f1", revokedAt: new Date("2026-01-02T00:00:00Z"), reason: "certificateHold" },
      { serialHex: "0a0b0c", revokedAt: new Date("2026-01-01T00:00:00Z"), reason: "keyCompromise" },
    ]);
    expect((crl.nextUpdate?.getTime() ?? 0) - crl.thisUpdate.getTime()).toBe(7 * 24 * 3600 * 1000);
  });

  test("is the same in every form", () => {
    const p7 = mustOpenssl(["crl2pkcs7", "-outform", "DER"], pem);
    for (const form of [der, der.toString("base64"), p7, pkcs7ToPem(p7), pkcs7ToPem(writePkcs7({ crls: [der] }))])
      expect(parseCrl(form)).toEqual(crl);
    expect(crlToPem(crl)).toBe(pem.toString());
    expect(crlToPem(parseCrls(pem.toString().repeat(2)))).toBe(pem.toString().repeat(2));
  });

  test("is signed by its issuer alone", () => {
    expect(isCrlSignedBy(crl, root.certificate)).toBe(true);
    expect(isCrlSignedBy(crl, other.certificate)).toBe(false);
    const spoilt = Uint8Array.from(der);
    spoilt[spoilt.length - 1] = (spoilt.at(-1) ?? 0) ^ 1;
    expect(isCrlSignedBy(parseCrl(spoilt), root.certificate)).toBe(false);
  });

  test("signed with SHA-1 counts as not signed", () => {
    expect(isCrlSignedBy(parseCrl(gencrl("-md", "sha1")), root.certificate)).toBe(false);
  });

  test("of the first version has neither number nor key identifier", () => {
    writeFileSync(file("v1.cnf"), `[ca]\ndefault_ca=d\n[d]\ndatabase=${file("index.txt")}\ndefault_md=sha256\n`);
    const first = parseCrl(
      mustOpenssl([
        "ca",
        "-config",
        file("v1.cnf"),
        "-gencrl",
        "-crldays",
        "7",
        "-cert",
        file("ca.pem"),
        "-keyfile",
        file("ca.key"),
      ]),
    );
    expect(first).toMatchObject({ number: undefined, authorityKeyId: undefined });
    expect(first.entries.size).toBe(3);
  });
});

const entries: readonly CrlEntry[] = [
  { serialHex: "f1", revokedAt: at(-3), reason: "superseded" },
  { serialHex: "0a0b", revokedAt: at(-2), reason: "removeFromCRL" },
];

test.each([
  { name: "entries", entries, number: 200 },
  { name: "no entry", entries: [], number: 70_000 },
])("OpenSSL reads a list of ours with $name", async ({ entries, number }) => {
  const crl = await createCrl({
    issuer: root.certificate,
    issuerKey: root.key,
    number,
    thisUpdate: at(-1),
    nextUpdate: at(1),
    entries,
  });
  expect([...crl.entries.values()]).toEqual(entries);
  expect(Number.parseInt(crl.number ?? "", 16)).toBe(number);
  const text = openssl(["crl", "-noout", "-text", "-CAfile", file("ca.pem")], crlToPem(crl)).out;
  expect(text).toContain("verify OK");
  expect(text).toContain(entries.length > 0 ? "Superseded" : "No Revoked Certificates");
});

test("freshness, and what an entry means", async () => {
  const crl = await createCrl({
    issuer: root.certificate,
    issuerKey: root.key,
    number: 1,
    thisUpdate: at(-1),
    nextUpdate: at(1),
    entries,
  });
  expect([-2, 0, 2].map((days) => crlFreshness(crl, at(days)))).toEqual(["not-yet-valid", "fresh", "stale"]);
  expect(crlFreshness({ ...crl, nextUpdate: undefined }, at(900))).toBe("fresh");
  expect(findRevoked(crl, "f1")?.reason).toBe("superseded");
  expect(findRevoked(crl, "0a0b")).toBeUndefined();
  expect(findRevoked(crl, "77")).toBeUndefined();
});

/** An unsigned list around the given fields, for what no tool makes. */
function handmade(...fields: readonly string[]): Uint8Array {
  const algorithm = Buffer.from("300a06082a8648ce3d040302", "hex");
  return writeElement(
    0x30,
    writeElement(0x30, ...fields.map((f) => Buffer.from(f, "hex"))),
    algorithm,
    Buffer.from("03020000", "hex"),
  );
}
const algorithm = "300a06082a8648ce3d040302";
const issuer = "300c310a300806035504030c0161";
const time = "170d3236303130313030303030305a";
const extensionsOf = (...list: string[]): string => {
  const wrapped = writeElement(0xa0, writeElement(0x30, ...list.map((e) => Buffer.from(e, "hex"))));
  return Buffer.from(wrapped).toString("hex");
};

test("a handmade list without next update, with a reason of the future, is read", () => {
  const entry = `3020020105${time}300c300a0603551d150403 0a0163`.replaceAll(" ", "");
  const crl = parseCrl(
    handmade(
      "020101",
      algorithm,
      issuer,
      time,
      `3022${entry}`,
      extensionsOf("300a0603551d14040302010 1".replaceAll(" ", "")),
    ),
  );
  expect(crl).toMatchObject({ nextUpdate: undefined, number: "01", issuer: "CN=a" });
  expect(crl.entries.get("05")?.reason).toBe("unspecified");
});

test.each([
  { name: "no issuer", input: handmade("020101", algorithm) },
  { name: "no time", input: handmade("020101", algorithm, issuer) },
  { name: "a field too many", input: handmade("020101", algorithm, issuer, time, "0500") },
  { name: "another inner algorithm", input: handmade("020101", "300a06082a8648ce3d040303", issuer, time) },
  {
    name: "a malformed entry",
    input: handmade("020101", algorithm, issuer, time, "30043002 0500".replaceAll(" ", "")),
  },
  { name: "a negative serial number", input: handmade("020101", algorithm, issuer, time, `30143012020185${time}`) },
  { name: "a time that is none", input: handmade("020101", algorithm, issuer, "170d3236313330313030303030305a") },
  {
    name: "a time with fraction",
    input: handmade("020101", algorithm, issuer, "1811323032363031303130303030302e30 5a".replaceAll(" ", "")),
  },
  { name: "a malformed extension", input: handmade("020101", algorithm, issuer, time, extensionsOf("30050603551d14")) },
  {
    name: "an extension twice",
    input: handmade(
      "020101",
      algorithm,
      issuer,
      time,
      extensionsOf("300a0603551d140403020101", "300a0603551d140403020101"),
    ),
  },
  { name: "a delta list", input: gencrl("-crlexts", "delta") },
  ...["1b", "1c"].map((id) => ({
    name: `what 2.5.29.${Number.parseInt(id, 16)} says, though it is not critical`,
    input: handmade("020101", algorithm, issuer, time, extensionsOf(`30090603551d${id}04023000`)),
  })),
  {
    name: "an entry of another issuer, though that is not critical",
    input: handmade("020101", algorithm, issuer, time, `3021301f020105${time}300b30090603551d1d04023000`),
  },
  { name: "two lists", input: pem.toString().repeat(2) },
  { name: "no list in PEM", input: toPem(root.certificate) },
  { name: "no list in PKCS#7", input: writePkcs7({ certificates: [root.certificate.der] }) },
  { name: "a certificate", input: root.certificate.der },
  { name: "text", input: "revoked: all" },
  { name: "too many octets", input: Buffer.alloc(1024 * 1024 + 1, 0x30) },
])("refuses: $name", ({ input }) => {
  expect(() => parseCrl(input)).toThrow(expect.objectContaining({ code: "usage/crl", name: "UsageError" }));
});

test("any octets are refused; a changed list is refused or its signature fails", () => {
  const parsed = (input: Uint8Array): readonly ReturnType<typeof parseCrl>[] => {
    try {
      return parseCrls(input);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return [];
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (input) => parsed(input).length === 0),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const octets = Buffer.from(der);
      octets[at] = (octets[at] ?? 0) ^ flip;
      return parsed(octets).every((crl) => !isCrlSignedBy(crl, root.certificate));
    }),
    { numRuns: 2000 },
  );
});

test("ten thousand entries are read", () => {
  const rows = Array.from({ length: 10_000 }, (_, n) =>
    Buffer.from(`30140203${(n + 0x100000).toString(16)}${time}`, "hex"),
  );
  const crl = parseCrl(
    handmade("020101", algorithm, issuer, time, Buffer.from(writeElement(0x30, ...rows)).toString("hex")),
  );
  expect(crl.entries.size).toBe(10_000);
  expect(crl.entries.has("100000")).toBe(true);
});
