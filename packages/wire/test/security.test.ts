import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AlternativeNames,
  ApplyConfigRequest,
  ApplyFlag,
  CertificateDirectory,
  CertificateSlot,
  CipherSuiteId,
  CipherSuiteList,
  CreateCsrRequest,
  CrlPathOld,
  CrlPaths,
  ObjectAuthorization,
  PathList,
  PortAdminList,
  PortRanges,
  ProtocolAdminList,
  PskList,
  PskListNew,
  PskListOld,
  PskUsage,
  RuleList,
  SetPortAdminRequest,
  SetRulesRequest,
  decode,
  encode,
  maxPskIdentity,
  maxPskKey,
  objectPath,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex, toHex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const text = (value: string) => Uint8Array.from(value, (character) => character.charCodeAt(0));
const toolKey = { identity: text("tool"), key: hex("0102"), usage: PskUsage.server };
const oldKeys = "01 04 746f6f6c 02 0102";
const newKeys = `${oldKeys} 00`;
const csr = "03 6e6f64 00 00 00 00 02 4445 00 00";
const csrFields = {
  commonName: "nod",
  organization: "",
  organizationalUnit: "",
  locality: "",
  state: "",
  country: "DE",
  email: "",
  serialNumber: "",
};
const port = "05 4549502054 12af 06 01 01";

/** Reference cip-security.md 3.1 to 3.8. */
test.each([
  good("a cipher suite, first IANA octet first", CipherSuiteId, "c02b", 0xc02b),
  good("cipher suites", CipherSuiteList, "02 c02b c02c", [0xc02b, 0xc02c]),
  good("paths", PathList, "02 02 205f2401 02 20372403", [objectPath(0x5f, 1), objectPath(0x37, 3)]),
  good("no paths", PathList, "00", []),
  good("a path of no words", PathList, "01 00", [[]]),
  good("revocation lists", CrlPaths, "02 02 20372403 02 20372404", [objectPath(0x37, 3), objectPath(0x37, 4)]),
  good("no revocation list", CrlPaths, "00", []),
  good("one revocation list, old edition", CrlPathOld, "02 20372403", [objectPath(0x37, 3)]),
  good("no revocation list, old edition", CrlPathOld, "00", []),
  good("pre-shared keys", PskListNew, newKeys, [toolKey]),
  good("pre-shared keys, old edition", PskListOld, oldKeys, [{ ...toolKey, usage: PskUsage.any }]),
  good("pre-shared keys read back without the key", PskList, "01 04 746f6f6c 00 02", [
    { ...toolKey, key: hex(""), usage: PskUsage.any },
  ]),
  good("a certificate slot", CertificateSlot, "01 02 20372403", { status: 1, path: objectPath(0x37, 3) }),
  good("an empty certificate slot", CertificateSlot, "00 00", { status: 0, path: [] }),
  good("certificates by name", CertificateDirectory, "01 03 6e6f64 02 205f2402", [
    { name: "nod", path: objectPath(0x5f, 2) },
  ]),
  good("Create_CSR of eight fields", CreateCsrRequest, csr, { ...csrFields, subjectAltName: undefined }),
  good("Create_CSR with alternative names", CreateCsrRequest, `${csr} 09 555249 3d 783a2f2f79`, {
    ...csrFields,
    subjectAltName: "URI=x://y",
  }),
  good("Apply_Config", ApplyConfigRequest, "0300 b80b", {
    flags: ApplyFlag.closeConnections | ApplyFlag.objectCleanup,
    closeDelayMs: 3000,
  }),
  good("Apply_Config without data", ApplyConfigRequest, "", undefined),
  good("authorizations", ObjectAuthorization, "0100 5e000000 4b 00 10000000", [
    { classId: 0x5e, service: 0x4b, reserved: 0, roles: 0x10 },
  ]),
  good("ports", PortAdminList, `01 ${port}`, [{ name: "EIP T", port: 44_818, protocol: 6, open: true, capability: 1 }]),
  good("protocols", ProtocolAdminList, "01 03 544350 06 01 00", [
    { name: "TCP", protocol: 6, open: true, capability: 0 },
  ]),
  good("a port to close", SetPortAdminRequest, "01 12af 06 00", [{ port: 44_818, protocol: 6, open: false }]),
  good("port ranges", PortRanges, "0100 ad08 ae08", [{ low: 2221, high: 2222 }]),
  good("rules", RuleList, "0100 03 613d62", ["a=b"]),
  good("rules to set", SetRulesRequest, "05000000 01000000 0100 0100 0100 03 613d62 0000", {
    changeCount: 5,
    behaviour: 1,
    rules: [{ instance: 1, ingress: ["a=b"], egress: [] }],
  }),
  good("alternative names", AlternativeNames, `1d ${toHex(text("iPAddress=10.0.0.1\ndNSName=a="))}`, [
    { kind: "iPAddress", value: "10.0.0.1" },
    { kind: "dNSName", value: "a=" },
  ]),
  good("no alternative names", AlternativeNames, "00", []),
])("$name", ({ holds }) => holds());

describe("revocation lists in either edition", () => {
  test("one path of the old edition is read as a list of one, and written as a list", () => {
    const read = decode(CrlPaths, hex("02 20372403"));
    expect(read).toEqual([objectPath(0x37, 3)]);
    expect(toHex(encode(CrlPaths, read))).toBe("010220372403");
  });

  test("a path to a class in 16 bits is one path too", () => {
    expect(decode(CrlPaths, hex("03 2100 0003 2401"))).toEqual([objectPath(0x300, 1)]);
  });

  test("an empty list is empty, whatever follows it in a longer reply", () => {
    expect(() => decode(CrlPaths, hex("00 20"))).toThrow(expect.objectContaining({ code: "wire/trailing" }));
  });

  test("the old edition holds one", () => {
    expect(() => encode(CrlPathOld, [objectPath(0x37, 3), objectPath(0x37, 4)])).toThrow(
      expect.objectContaining({ code: "wire/length" }),
    );
  });
});

describe("pre-shared keys in either edition", () => {
  test("the newer form is tried first, then the old one; the newer is written", () => {
    expect(decode(PskList, hex(newKeys))).toEqual([toolKey]);
    expect(decode(PskList, hex(oldKeys))).toEqual([{ ...toolKey, usage: PskUsage.any }]);
    expect(toHex(encode(PskList, decode(PskList, hex(oldKeys))))).toBe(`${oldKeys.replaceAll(" ", "")}02`);
  });

  test.each([
    { name: "a key of 65 octets", bytes: `01 01 61 41 ${"00".repeat(65)} 00`, code: "wire/length" },
    { name: "an identity of 129 octets", bytes: `01 81 ${"61".repeat(129)} 01 00 00`, code: "wire/length" },
    { name: "usage 3", bytes: "01 01 61 01 00 03", code: "wire/value" },
    { name: "33 keys", bytes: "21", code: "wire/length" },
    { name: "a key cut short", bytes: "01 01 61 02 00", code: "wire/truncated" },
  ])("refuses $name with the error of the newer form", ({ bytes, code }) =>
    expect(() => decode(PskList, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test("refuses to write what does not fit, without a word of the key", () => {
    const length = expect.objectContaining({ code: "wire/length", facts: { field: "PSK", length: 65, max: 64 } });
    expect(() => encode(PskListNew, [{ ...toolKey, key: new Uint8Array(maxPskKey + 1).fill(0x41) }])).toThrow(length);
    const identity = new Uint8Array(maxPskIdentity + 1);
    expect(() => encode(PskListNew, [{ ...toolKey, identity }])).toThrow(
      expect.objectContaining({ code: "wire/length" }),
    );
    expect(() => encode(PskListNew, [{ ...toolKey, usage: 3 }])).toThrow(
      expect.objectContaining({ code: "wire/value" }),
    );
  });

  test("keys of the largest sizes go both ways", () => {
    const largest = {
      identity: new Uint8Array(maxPskIdentity),
      key: new Uint8Array(maxPskKey),
      usage: PskUsage.client,
    };
    expect(decode(PskList, encode(PskList, [largest, largest]))).toEqual([largest, largest]);
  });
});

describe("alternative names", () => {
  test.each(["dNSName", "=x", "a=b\n=c"])("refuses the line in %j", (value) => {
    const bytes = Uint8Array.of(value.length, ...text(value));
    expect(() => decode(AlternativeNames, bytes)).toThrow(expect.objectContaining({ code: "wire/value" }));
  });

  test.each([
    { kind: "", value: "x" },
    { kind: "a=b", value: "x" },
    { kind: "a\nb", value: "x" },
    { kind: "dNSName", value: "a\niPAddress=10.0.0.1" },
  ])("refuses to write %o, which would read as something else", (name) => {
    expect(() => encode(AlternativeNames, [name])).toThrow(expect.objectContaining({ code: "wire/value" }));
  });

  test("empty lines are nothing", () => {
    expect(decode(AlternativeNames, Uint8Array.of(5, ...text("\na=b\n")))).toEqual([{ kind: "a", value: "b" }]);
  });
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(CipherSuiteList, ["02 c02b c02c"]);
  refusesOrReturns(PathList, ["02 02 205f2401 02 20372403"]);
  refusesOrReturns(PskListNew, [newKeys]);
  refusesOrReturns(PskListOld, [oldKeys]);
  refusesOrReturns(CertificateSlot, ["01 02 20372403"]);
  refusesOrReturns(CertificateDirectory, ["01 03 6e6f64 02 205f2402"]);
  refusesOrReturns(CreateCsrRequest, [csr, `${csr} 01 61`]);
  refusesOrReturns(ApplyConfigRequest, ["0300 b80b"]);
  refusesOrReturns(ObjectAuthorization, ["0100 5e000000 4b 00 10000000"]);
  refusesOrReturns(PortRanges, ["0100 ad08 ae08"]);
  refusesOrReturns(RuleList, ["0100 03 613d62"]);
  refusesOrReturns(SetRulesRequest, ["05000000 01000000 0100 0100 0100 03 613d62 0000"]);
});

test("where an encoding is not unique, any octets are refused or mean the same when encoded again", () => {
  refusesOrReturns(CrlPathOld, ["02 20372403"], "value");
  refusesOrReturns(PskList, [newKeys], "value");
  refusesOrReturns(PortAdminList, [`01 ${port}`], "value");
  refusesOrReturns(ProtocolAdminList, ["01 03 544350 06 01 00"], "value");
  refusesOrReturns(SetPortAdminRequest, ["01 12af 06 00"], "value");
  refusesOrReturns(AlternativeNames, ["03 613d62"], "value");
});

test("paths of File instances keep their meaning in a list of revocation lists", () => {
  const path = fc.integer({ min: 1, max: 300 }).map((instance) => objectPath(0x37, instance));
  fc.assert(
    fc.property(fc.array(path, { maxLength: 5 }), (paths) => {
      expect(decode(CrlPaths, encode(CrlPaths, paths))).toEqual(paths);
    }),
  );
});
