import {
  BOOL,
  LREAL,
  REST,
  STRINGI,
  ULINT,
  WireError,
  cipherSuites,
  decode,
  encode,
  list,
  objectPath,
  optional,
  struct,
  USINT,
  UINT,
  type Codec,
} from "@cipsec/wire";
import * as fc from "fast-check";
import { describe as group, expect, test } from "vitest";
import {
  Assembly,
  CertificateManagement,
  CipSecurity,
  ConnectionManager,
  EtherNetIpSecurity,
  EthernetLink,
  FileObject,
  Identity,
  MessageRouter,
  Qos,
  TcpIpInterface,
  allClasses,
  describe,
  parse,
  type Typed,
} from "../src/index.ts";

const security = EtherNetIpSecurity.attributes;
const tcpIp = TcpIpInterface.attributes;
const hex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const english = (text: string) => ({ language: "eng", stringType: 0xd0, characterSet: 4, text });
const german = { ...english("Pumpe"), language: "deu" };

/** Each kind of value once, with octets of the reference or counted by hand. */
const both: readonly { what: string; type: Typed; octets: string; json: unknown; text: string }[] = [
  { what: "enumeration", type: security.state, octets: "03", json: "pull-in-progress", text: "pullInProgress" },
  { what: "enumeration by number", type: security.state, octets: "09", json: 9, text: "9" },
  {
    what: "bits",
    type: CipSecurity.attributes.securityProfiles,
    octets: "0200",
    json: ["confidentiality"],
    text: "confidentiality",
  },
  {
    what: "several bits",
    type: CipSecurity.attributes.securityProfiles,
    octets: "2281",
    json: ["confidentiality", "pull-model", "0x8100"],
    text: '["confidentiality","pull-model","0x8100"]',
  },
  { what: "no bits", type: CipSecurity.attributes.securityProfiles, octets: "0000", json: [], text: "[]" },
  {
    what: "no bits with a name",
    type: tcpIp.configurationControl,
    octets: "00000000",
    json: ["static"],
    text: "static",
  },
  { what: "top bit", type: tcpIp.status, octets: "00000080", json: ["0x80000000"], text: "0x80000000" },
  {
    what: "suites",
    type: security.allowedCipherSuites,
    octets: "02c02bc02c",
    json: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
    text: "ECDHE-ECDSA-AES128-GCM-SHA256, tls_ecdhe_ecdsa_with_aes_256_gcm_sha384",
  },
  { what: "unknown suite", type: security.allowedCipherSuites, octets: "01fafa", json: ["0xFAFA"], text: "0xfafa" },
  {
    what: "paths",
    type: security.activeDeviceCertificates,
    octets: "0102205f2401",
    json: ["0x5F/1"],
    text: "CertificateManagement/1",
  },
  { what: "no paths", type: security.trustedAuthorities, octets: "00", json: [], text: "[]" },
  {
    what: "CRL",
    type: security.certificateRevocationList,
    octets: "010220372405",
    json: ["0x37/5"],
    text: '["0x37/5"]',
  },
  { what: "boolean", type: security.checkExpiration, octets: "01", json: true, text: "true" },
  { what: "boolean off", type: security.checkExpiration, octets: "00", json: false, text: "off" },
  { what: "number", type: security.dtlsTimeout, octets: "0c00", json: 12, text: "0x0C" },
  {
    what: "large number",
    type: { type: ULINT },
    octets: "ffffffffffffffff",
    json: "18446744073709551615",
    text: "18446744073709551615",
  },
  { what: "real", type: { type: LREAL }, octets: "000000000000f83f", json: 1.5, text: "1.5" },
  { what: "text", type: CertificateManagement.attributes.name, octets: "024142", json: "AB", text: "AB" },
  { what: "padded text", type: tcpIp.hostName, octets: "030061626300", json: "abc", text: "abc" },
  {
    what: "international text",
    type: FileObject.attributes.fileName,
    octets: "01656e67d0040002004142",
    json: "AB",
    text: "AB",
  },
  {
    what: "certificate",
    type: CertificateManagement.attributes.deviceCertificate,
    octets: "000220372405",
    json: { status: 0, path: "0x37/5" },
    text: "File/5",
  },
  {
    what: "no certificate",
    type: CertificateManagement.attributes.caCertificate,
    octets: "0000",
    json: { status: 0, path: "" },
    text: "none",
  },
  { what: "revision", type: Identity.attributes.revision, octets: "0203", json: "2.3", text: "2.3" },
  { what: "octets", type: Assembly.attributes.data, octets: "0a0b", json: "0a0b", text: "0a:0B" },
  {
    what: "counted octets",
    type: EthernetLink.attributes.physicalAddress,
    octets: "001122334455",
    json: "001122334455",
    text: "0x001122334455",
  },
  { what: "link path", type: tcpIp.physicalLink, octets: "020020f62401", json: "0xF6/1", text: "EthernetLink/1" },
  {
    what: "structure",
    type: EthernetLink.attributes.interfaceControl,
    octets: "02006400",
    json: { control: 2, speed: 100 },
    text: '{"speed":100,"control":2}',
  },
  {
    what: "addresses",
    type: tcpIp.interfaceConfiguration,
    octets: "1401a8c000ffffff0101a8c000000000000000000000",
    json: {
      address: "192.168.1.20",
      mask: "255.255.255.0",
      gateway: "192.168.1.1",
      nameServer: "0.0.0.0",
      nameServer2: "0.0.0.0",
      domainName: "",
    },
    text: '{"address":"192.168.1.20","mask":"255.255.255.0","gateway":"192.168.1.1","nameServer":"0.0.0.0","nameServer2":"0.0.0.0","domainName":""}',
  },
  {
    what: "octets in a structure",
    type: tcpIp.lastConflictDetected,
    octets: `01001122334455${"ff".repeat(28)}`,
    json: { activity: 1, mac: "001122334455", arp: "ff".repeat(28) },
    text: `{"activity":1,"mac":"001122334455","arp":"${"ff".repeat(28)}"}`,
  },
  {
    what: "multicast",
    type: tcpIp.multicastConfiguration,
    octets: "010002000102c0ef",
    json: { allocation: 1, reserved: 0, count: 2, start: "239.192.2.1" },
    text: '{"allocation":1,"reserved":0,"count":2,"start":"239.192.2.1"}',
  },
  {
    what: "modes",
    type: EthernetLink.attributes.interfaceCapability,
    octets: "0600000001640001",
    json: { capability: 6, modes: [{ speed: 100, duplex: 1 }] },
    text: '{"capability":6,"modes":[{"speed":100,"duplex":1}]}',
  },
  { what: "numbers", type: MessageRouter.attributes.objectList, octets: "020001005e00", json: [1, 94], text: "[1,94]" },
  {
    what: "connection entries",
    type: ConnectionManager.attributes.connectionEntryList,
    octets: "0a000502",
    json: [true, false, true, false, false, false, false, false, false, true],
    text: "[true,false,true,false,false,false,false,false,false,true]",
  },
  { what: "absent optional", type: { type: optional(USINT) }, octets: "", json: null, text: "" },
  { what: "present optional", type: { type: optional(USINT) }, octets: "02", json: 2, text: "2" },
  {
    what: "apply request",
    type: { type: EtherNetIpSecurity.services.applyConfig.request },
    octets: "0300b80b",
    json: { flags: 3, closeDelayMs: 3000 },
    text: '{"flags":3,"closeDelayMs":3000}',
  },
  {
    what: "CSR request, eight fields",
    type: { type: CertificateManagement.services.createCsr.request },
    octets: `0141${"00".repeat(7)}`,
    json: {
      commonName: "A",
      organization: "",
      organizationalUnit: "",
      locality: "",
      state: "",
      country: "",
      email: "",
      serialNumber: "",
    },
    text: '{"commonName":"A","organization":"","organizationalUnit":"","locality":"","state":"","country":"","email":"","serialNumber":""}',
  },
];

test.each(both)("writes and reads: $what", ({ type, octets, json, text }) => {
  const codec: Codec<unknown> = type.type;
  const value = decode(codec, hex(octets));
  expect(describe(type, value)).toEqual(json);
  expect(encode(codec, parse(type, text))).toEqual(hex(octets));
});

test("member lists and other paths that stand alone", () => {
  const members = decode(Assembly.attributes.memberList.type, hex("100004002004240108000000"));
  expect(members).toEqual([
    { bits: 16, path: objectPath(4, 1) },
    { bits: 8, path: [] },
  ]);
  expect(describe(Assembly.attributes.memberList, members)).toEqual([
    { bits: 16, path: "0x04/1" },
    { bits: 8, path: [] },
  ]);
  expect(encode(Assembly.attributes.memberList.type, members)).toEqual(hex("100004002004240108000000"));
});

test("Get_Connection_Owner names its path", () => {
  const { request } = ConnectionManager.services.getConnectionOwner;
  expect(decode(request, hex("000220042464"))).toEqual(objectPath(4, 100));
  expect(encode(request, objectPath(4, 100))).toEqual(hex("000220042464"));
});

test("text in several languages goes by language", () => {
  expect(describe(FileObject.attributes.fileName, [english("pump"), german])).toEqual({ eng: "pump", deu: "Pumpe" });
  expect(describe(FileObject.attributes.fileName, [])).toEqual([]);
  const given = JSON.stringify([english("pump"), german]);
  expect(parse(FileObject.attributes.fileName, given)).toEqual([english("pump"), german]);
  expect(
    describe(FileObject.classAttributes.directory, [{ instance: 200, instanceName: [english("EDS")], fileName: [] }]),
  ).toEqual([{ instance: 200, instanceName: "EDS", fileName: [] }]);
});

test("large numbers and octets in structures come back where the default has them", () => {
  const like = {
    type: list(USINT, struct("s", { time: ULINT, data: optional(REST) }), 4),
    default: [{ time: 0n, data: new Uint8Array() }],
  };
  const value = [{ time: 7n, data: hex("0102") }];
  expect(parse(like, '[{"time":"7","data":"0102"}]')).toEqual(value);
  expect(parse(like, '[{"time":7,"data":"0102"}]')).toEqual(value);
  expect(describe(like, value)).toEqual([{ time: "7", data: "0102" }]);
  expect(() => parse(like, '[{"time":"soon","data":"0102"}]')).toThrow(
    expect.objectContaining({ code: "usage/argument" }),
  );
});

group("pre-shared keys", () => {
  const keys = [{ identity: hex("63656c6c2034"), key: hex("00112233"), usage: 1 }];

  test("are read from JSON and written without the key", () => {
    expect(parse(security.preSharedKeys, '[{"identity":"cell 4","key":"0x00112233","usage":"client"}]')).toEqual(keys);
    expect(parse(security.preSharedKeys, '[{"identity":"0x00ff","key":"","usage":0}]')).toEqual([
      { identity: hex("00ff"), key: hex(""), usage: 0 },
    ]);
    expect(parse(security.preSharedKeys, '[{"identity":"a","key":"01"}]')).toMatchObject([{ usage: 2 }]);
    expect(describe(security.preSharedKeys, keys)).toEqual([{ identity: "cell 4", keyOctets: 4, usage: "client" }]);
    expect(describe(security.preSharedKeys, [{ identity: hex("00ff"), key: hex(""), usage: 2 }])).toEqual([
      { identity: "0x00ff", keyOctets: 0, usage: "any" },
    ]);
    expect(describe(security.preSharedKeys, [{ identity: hex("30783132"), key: hex(""), usage: 2 }])).toMatchObject([
      { identity: "0x30783132" },
    ]);
  });

  test.each([
    "deadbeefdeadbeef",
    '{"key":"deadbeef"}',
    '["deadbeef"]',
    '[{"identity":"a","key":7}]',
    '[{"identity":7,"key":"deadbeef"}]',
    '[{"identity":"a","key":"deadbeef","more":1}]',
    '[{"identity":"a","key":"deadbeefz"}]',
    '[{"identity":"a","key":"0","usage":"deadbeef"}]',
    '[{"identity":"a","key":"00","usage":"deadbeef"}]',
    `[{"identity":"a","key":"${"deadbeef".repeat(17)}"}]`,
    `[{"identity":"${"a".repeat(200)}","key":"deadbeef"}]`,
    '[{"identity":"€","key":"deadbeef"}]',
  ])("refuses without repeating: %s", (text) => {
    const refused = caught(() => parse(security.preSharedKeys, text));
    expect(refused).toMatchObject({ code: "usage/argument" });
    expect(JSON.stringify({ ...refused, message: refused.message, cause: String(refused.cause) })).not.toContain(
      "deadbeef",
    );
  });
});

test.each<{ what: string; type: Typed; text: string; message: RegExp; fix?: RegExp }>([
  {
    what: "unknown value",
    type: security.state,
    text: "configred",
    message: /no value 'configred'/,
    fix: /configured/,
  },
  { what: "value of no type", type: security.state, text: "300", message: /does not fit USINT/ },
  { what: "bit above 32", type: tcpIp.configurationControl, text: "dhcp 0x100000000", message: /from 0 to 4294967295/ },
  {
    what: "unknown bit",
    type: tcpIp.configurationControl,
    text: "dhcp,arp",
    message: /no value 'arp'/,
    fix: /static, bootp, dhcp, dns/,
  },
  { what: "boolean", type: security.checkExpiration, text: "maybe", message: /'maybe' is not true or false/ },
  { what: "number", type: security.dtlsTimeout, text: "twelve", message: /whole number/ },
  { what: "number too large", type: security.dtlsTimeout, text: "70000", message: /does not fit UINT/ },
  { what: "negative", type: security.dtlsTimeout, text: "-1", message: /does not fit UINT/ },
  { what: "fraction", type: security.dtlsTimeout, text: "1.5", message: /whole number/ },
  { what: "large number", type: { type: ULINT }, text: "1e3", message: /whole number/ },
  {
    what: "large number too large",
    type: { type: ULINT },
    text: "18446744073709551616",
    message: /does not fit ULINT/,
  },
  { what: "real", type: { type: LREAL }, text: " ", message: /is not a number/ },
  { what: "real of letters", type: { type: LREAL }, text: "x", message: /is not a number/ },
  {
    what: "suite",
    type: security.allowedCipherSuites,
    text: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA512",
    message: /no cipher suite/,
    fix: /GCM_SHA256/,
  },
  { what: "suite number", type: security.allowedCipherSuites, text: "0x10000", message: /does not fit/ },
  { what: "path", type: security.trustedAuthorities, text: "Certificates/1", message: /no class 'Certificates'/ },
  { what: "link path", type: tcpIp.physicalLink, text: "hex:ff", message: /not a path/ },
  { what: "revision", type: Identity.attributes.revision, text: "2", message: /revision, such as 1.2/ },
  {
    what: "text too long",
    type: CertificateManagement.attributes.name,
    text: "x".repeat(256),
    message: /above the bound of 255/,
  },
  { what: "text of other letters", type: CertificateManagement.attributes.name, text: "日本", message: /ISO 8859-1/ },
  { what: "languages", type: { type: STRINGI }, text: "[oops", message: /JSON list of texts/ },
  {
    what: "languages without fields",
    type: { type: STRINGI },
    text: '[{"text":"a"}]',
    message: /language, stringType/,
  },
  { what: "languages that are no list entries", type: { type: STRINGI }, text: "[1]", message: /language, stringType/ },
  { what: "octets", type: Assembly.attributes.data, text: "0x123", message: /hexadecimal/ },
  { what: "too few octets", type: EthernetLink.attributes.physicalAddress, text: "0011", message: /exactly 6/ },
  {
    what: "no JSON",
    type: EthernetLink.attributes.interfaceControl,
    text: "{control:1}",
    message: /is not JSON/,
    fix: /double quotes/,
  },
  {
    what: "missing field",
    type: EthernetLink.attributes.interfaceControl,
    text: '{"control":1}',
    message: /does not fit WORD, UINT/,
  },
  {
    what: "field of another kind",
    type: tcpIp.interfaceConfiguration,
    text: "{}",
    message: /missing or of another kind/,
  },
  {
    what: "unknown field",
    type: EthernetLink.attributes.interfaceControl,
    text: '{"control":1,"speed":10,"sped":1}',
    message: /Not all of the value/,
    fix: /^Only this is: \{"control":1,"speed":10\}$/,
  },
  {
    what: "address",
    type: tcpIp.multicastConfiguration,
    text: '{"allocation":0,"reserved":0,"count":0,"start":"1.2.3.256"}',
    message: /not an IPv4 address/,
  },
  {
    what: "address in letters",
    type: tcpIp.multicastConfiguration,
    text: '{"allocation":0,"reserved":0,"count":0,"start":"a.b.c.d"}',
    message: /not an IPv4 address/,
  },
  {
    what: "address too short",
    type: tcpIp.multicastConfiguration,
    text: '{"allocation":0,"reserved":0,"count":0,"start":"1.2.3"}',
    message: /not an IPv4 address/,
  },
  {
    what: "megabytes",
    type: Assembly.attributes.data,
    text: "00".repeat(60_000),
    message: /120000 characters/,
    fix: /cipsec file/,
  },
])("refuses: $what", ({ type, text, message, fix = /./ }) => {
  expect(caught(() => parse(type, text))).toMatchObject({
    code: "usage/argument",
    message: expect.stringMatching(message),
    fix: expect.stringMatching(fix),
  });
});

test("any text is refused with a usage error or gives a value that fits", () => {
  const types = allClasses.flatMap(({ attributes }) => Object.values(attributes));
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.oneof(fc.string(), fc.json(), fc.nat().map(String)), (type, text) => {
      try {
        expect(encode<unknown>(type.type, parse(type, text))).toBeInstanceOf(Uint8Array);
      } catch (error) {
        expect(error).toMatchObject({ code: "usage/argument" });
      }
    }),
  );
});

test("what any octets decode to can be said in JSON", () => {
  const types = allClasses.flatMap(({ attributes }) => Object.values(attributes));
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 60 }), (type, bytes) => {
      const value = tryDecode(type.type, bytes);
      if (value === undefined) return;
      expect(JSON.stringify(describe(type, value))).toEqual(expect.any(String));
    }),
  );
});

test.each([
  { what: "every DSCP", type: Qos.attributes.dscpLow, values: fc.integer({ min: 0, max: 63 }) },
  {
    what: "every word of profiles",
    type: CipSecurity.attributes.securityProfiles,
    values: fc.integer({ min: 0, max: 0xffff }),
  },
  { what: "every status", type: tcpIp.status, values: fc.integer({ min: 0, max: 0xffff_ffff }) },
  {
    what: "suites",
    type: security.allowedCipherSuites,
    values: fc.array(fc.constantFrom(...cipherSuites.map(({ id }) => id))),
  },
  { what: "booleans", type: { type: BOOL }, values: fc.boolean() },
  {
    what: "paths",
    type: security.trustedAuthorities,
    values: fc.array(
      fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([c, i]) => objectPath(c, i)),
      { maxLength: 8 },
    ),
  },
  {
    what: "structures",
    type: { type: struct("pair", { a: UINT, b: USINT }) },
    values: fc.record({ a: fc.nat(0xffff), b: fc.nat(0xff) }),
  },
] satisfies readonly { what: string; type: Typed; values: fc.Arbitrary<unknown> }[])(
  "describe and parse are each other's reverse: $what",
  ({ type, values }) => {
    const arbitrary: fc.Arbitrary<unknown> = values;
    fc.assert(
      fc.property(arbitrary, (value) => {
        const json = describe(type, value);
        expect(parse(type, typeof json === "string" ? json : JSON.stringify(json))).toEqual(value);
      }),
    );
  },
);

function caught(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new TypeError("nothing was thrown");
}

function tryDecode(codec: Codec<unknown>, bytes: Uint8Array): unknown {
  try {
    return decode(codec, bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return undefined;
  }
}
