import { describe, expect, test } from "vitest";
import { findingsOf, type Posture } from "../src/index.ts";

const certificate = {
  subject: "CN=x",
  issuer: "CN=y",
  notAfter: "2027-06-01T00:00:00.000Z",
  sha256: "00",
  selfSigned: false,
  keyType: "ecdsa",
  crlUrls: [],
};
const hardened: Omit<Posture, "findings"> = {
  address: "10.0.0.7",
  identity: { vendorId: 1, deviceType: 1, productCode: 1, revision: "1.1", serial: "00000001", name: "x", state: 3 },
  security: { profiles: [], cipState: "configured", ethernetIpState: "configured", securePortsOnly: true },
  suites: { available: [], allowed: [] },
  verifyClient: true,
  sendChain: true,
  checkExpiration: true,
  checkSan: true,
  trustedAuthorities: [certificate],
  trustedIdentities: [],
  deviceCertificate: certificate,
  deviceCertificates: [certificate],
  crl: [
    {
      file: 3,
      issuer: "CN=y",
      thisUpdate: "2026-01-01T00:00:00.000Z",
      nextUpdate: "2027-01-01T00:00:00.000Z",
      revoked: 0,
    },
  ],
  preSharedKeys: [],
  pullModel: false,
  dtlsTimeoutS: 12,
  inactivityTimeoutS: 120,
  ports: [{ name: "EtherNet/IP (TLS)", port: 2221, protocol: "tcp", open: true, configurable: false }],
  channel: {
    protocol: "tls",
    version: "TLSv1.3",
    suite: "x",
    peer: { kind: "certificate", name: "x", verified: true },
  },
  unread: [],
};
const now = new Date("2026-06-01T00:00:00Z");
const find = (changed: Partial<Posture>, suites: readonly number[] = [0xc02b], at: Date | undefined = now) =>
  findingsOf({ ...hardened, ...changed }, suites, { now: at, warningDays: 30 }).map(
    ({ id, severity }) => `${severity} ${id}`,
  );

test("a hardened device has none", () => expect(find({})).toEqual([]));

test.each(["factory-default", "configured"])("one that configured itself has none, CIP Security %s", (cipState) => {
  expect(find({ security: { ...hardened.security!, cipState, ethernetIpState: "pull-completed" } })).toEqual([]);
});

describe("one weakness, one finding", () => {
  test.each<[string, Partial<Posture>, number[]?]>([
    ["high factory-default", { security: { ...hardened.security!, cipState: "factory-default" } }],
    ["high incomplete-configuration", { security: { ...hardened.security!, cipState: "incomplete" } }],
    ["medium configuration-in-progress", { security: { ...hardened.security!, cipState: "in-progress" } }],
    [
      "high plaintext-port-open",
      { ports: [{ name: "", port: 44818, protocol: "tcp", open: true, configurable: true }] },
    ],
    ["high plaintext-io-open", { ports: [{ name: "", port: 2222, protocol: "udp", open: true, configurable: true }] }],
    ["high null-suite-allowed", {}, [0xc02b, 0xc006]],
    ["medium rsa-suite-allowed", {}, [0xc02b, 0x003d]],
    ["low cbc-suite-allowed", {}, [0xc02b, 0xc023]],
    ["low psk-only", {}, [0xccac]],
    ["medium no-suite", {}, []],
    ["low unknown-suite-allowed", {}, [0xc02b, 0x1234]],
    ["high client-not-verified", { verifyClient: false }],
    ["high no-trusted-authority", { trustedAuthorities: [] }],
    ["medium self-signed-certificate", { deviceCertificates: [{ ...certificate, selfSigned: true }] }],
    [
      "high device-certificate-expired",
      { deviceCertificates: [{ ...certificate, notAfter: "2026-05-01T00:00:00.000Z" }] },
    ],
    [
      "medium device-certificate-expires-soon",
      { deviceCertificates: [{ ...certificate, notAfter: "2026-06-20T00:00:00.000Z" }] },
    ],
    [
      "medium authority-expires-soon",
      { trustedAuthorities: [{ ...certificate, notAfter: "2026-06-20T00:00:00.000Z" }] },
    ],
    ["low expiration-not-checked", { checkExpiration: false }],
    ["low name-not-checked", { checkSan: false }],
    ["low no-crl", { crl: [] }],
    ["medium crl-stale", { crl: [{ ...hardened.crl[0]!, nextUpdate: "2026-02-01T00:00:00.000Z" }] }],
    ["low dtls-never-times-out", { dtlsTimeoutS: 0 }],
    ["low read-over-plaintext", { channel: { protocol: "tcp", version: null, suite: null, peer: null } }],
    [
      "medium identity-not-verified",
      { channel: { ...hardened.channel, peer: { kind: "certificate", name: "x", verified: false } } },
    ],
  ])("%s", (expected, changed, suites) => expect(find(changed, suites)).toContain(expected));

  test("without a clock expiry is not judged", () => {
    expect(
      findingsOf(
        { ...hardened, deviceCertificates: [{ ...certificate, notAfter: "2020-01-01T00:00:00.000Z" }] },
        [0xc02b],
        {
          now: undefined,
          warningDays: 30,
        },
      ),
    ).toEqual([]);
  });

  test("the worst comes first", () => {
    expect(find({ checkSan: false, verifyClient: false })[0]).toBe("high client-not-verified");
  });
});
