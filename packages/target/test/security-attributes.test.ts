import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  FileObject,
  TcpIpInterface,
  type AttributeValue,
} from "@cipsec/objects";
import { crlToPem, makeKeyPair } from "@cipsec/pki";
import { Service, SetPortAdminRequest, encode, objectPath, type PreSharedKey } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import {
  begin,
  channels,
  createCertificate,
  download,
  enrol,
  makeAuthority,
  must,
  ok,
  startDevice,
  statusOf,
  type Device,
} from "./security-device.ts";

const ca = await makeAuthority();

type Name = keyof (typeof EtherNetIpSecurity)["attributes"];
type Value<K extends Name> = AttributeValue<typeof EtherNetIpSecurity, K>;

function psk(identity: string, octets = 16, usage = 2): PreSharedKey {
  return { identity: Buffer.from(identity), key: new Uint8Array(octets).fill(7), usage };
}

/** A value with its name, so that the table below is typed by attribute. */
function row<K extends Name>(name: K, value: Value<K>, status: number): readonly [K, unknown, number] {
  return [name, value, status];
}

const missing = objectPath(FileObject.classId, 77);
const identity = objectPath(0x01, 1);
const defaultCertificate = objectPath(CertificateManagement.classId, 1);
const defaultFile = objectPath(FileObject.classId, 0x100);

describe("EtherNet/IP Security attributes", () => {
  test.each([
    row("allowedCipherSuites", [0xc02c, 0xc006, 0xc037], 0),
    row("allowedCipherSuites", [], 0),
    row("allowedCipherSuites", [0xc02b, 0x003c], 0x09),
    row("allowedCipherSuites", [0xc02b, 0xc02b], 0x09),
    row("preSharedKeys", [psk("a"), psk("b", 64, 0)], 0),
    row("preSharedKeys", [psk("a"), psk("a")], 0x09),
    row("preSharedKeys", [psk("")], 0x09),
    row("preSharedKeys", [psk("a", 15)], 0x09),
    row("preSharedKeys", [psk("a", 0)], 0x09),
    row("preSharedKeys", [psk("a", 16, 1)], 0x09),
    row(
      "preSharedKeys",
      Array.from({ length: 9 }, (_, i) => psk(`${i}`)),
      0x09,
    ),
    row("activeDeviceCertificates", [defaultCertificate], 0),
    row("activeDeviceCertificates", [], 0),
    row("activeDeviceCertificates", [defaultFile], 0x09),
    row("activeDeviceCertificates", [objectPath(CertificateManagement.classId, 9)], 0x09),
    row(
      "activeDeviceCertificates",
      Array.from({ length: 5 }, () => defaultCertificate),
      0x09,
    ),
    row("trustedAuthorities", [defaultCertificate, defaultFile], 0),
    row("trustedAuthorities", [missing], 0x09),
    row("trustedAuthorities", [identity], 0x09),
    row("trustedAuthorities", [objectPath(FileObject.classId)], 0x09),
    row("certificateRevocationList", [defaultFile], 0),
    row("certificateRevocationList", [], 0),
    row("certificateRevocationList", [defaultCertificate], 0x09),
    row("verifyClientCertificate", true, 0),
    row("sendCertificateChain", true, 0),
    row("checkExpiration", true, 0),
    row("trustedIdentities", [defaultCertificate], 0),
    row("trustedIdentities", [identity], 0x09),
    row("dtlsTimeout", 0, 0),
    row("dtlsTimeout", 3600, 0),
    row("dtlsTimeout", 3601, 0x09),
    row("udpOnlyPolicy", 0, 0),
    row("udpOnlyPolicy", 1, 0x09),
    row("checkSubjectAlternativeName", true, 0),
    row("state", 2, 0x0e),
    row("availableCipherSuites", [0xc02b], 0x0e),
    row("pullModelEnable", false, 0x0e),
  ])("set %s to %j: %i", async (name, value, status) => {
    const device = await startDevice();
    await begin(device);
    const before = await device.get(EtherNetIpSecurity, 1, name);
    expect(await device.set(EtherNetIpSecurity, 1, name, value as never)).toBe(status);
    const after = await device.get(EtherNetIpSecurity, 1, name);
    if (status !== 0) expect(after).toEqual(before);
    else if (name !== "preSharedKeys") expect(after).toEqual(value);
  });

  test("keys go in and never come out", async () => {
    const device = await startDevice();
    await begin(device);
    await must(device.set(EtherNetIpSecurity, 1, "preSharedKeys", [psk("a"), psk("b")]));
    const read = await device.get(EtherNetIpSecurity, 1, "preSharedKeys");
    expect(read.map(({ key }) => key.length)).toEqual([0, 0]);
    const all = await device.ask(EtherNetIpSecurity.classId, 1, Service.getAttributesAll);
    expect(Buffer.from(all.data).toString("hex")).not.toContain("070707");
  });

  test("a device without a clock does not pretend to check days", async () => {
    const device = await startDevice(undefined, { hasClock: false });
    await begin(device);
    expect(await device.set(EtherNetIpSecurity, 1, "checkExpiration", true)).toBe(0x09);
  });

  test("a revocation list in the old form, one path, is taken too", async () => {
    const device = await startDevice();
    await begin(device);
    const { caFile } = await enrol(device, ca, "plant");
    const old = Uint8Array.of(2, 0x20, 0x37, 0x24, caFile);
    expect((await device.ask(EtherNetIpSecurity.classId, 1, Service.setAttributeSingle, old, 8)).status).toBe(0);
    expect(await device.get(EtherNetIpSecurity, 1, "certificateRevocationList")).toEqual([objectPath(0x37, caFile)]);
  });
});

describe("Apply_Config refuses what could not work", () => {
  test.each([
    ["no suite", [], [], [defaultCertificate], "0xD0/4"],
    ["PSK suites, no PSK", [0xc037], [], [defaultCertificate], "0xD0/1"],
    ["certificate suites, no certificate", [0xc02b], [psk("a")], [], "0xD0/2"],
    ["RSA suites, ECDSA key", [0x003c], [], [defaultCertificate], "0xD0/3"],
    ["both, neither credential", [0xc02b, 0xc037], [], [], "0xD0/4"],
    ["PSK", [0xc037], [psk("a")], [], ok],
    ["PSK beside certificates that are missing", [0xc02b, 0xc037], [psk("a")], [], ok],
  ] as const)("%s", async (_, suites, psks, certificates, status) => {
    const device = await startDevice(undefined, { availableSuites: [0xc02b, 0xc02c, 0xc037, 0x003c] });
    await begin(device);
    await must(device.set(EtherNetIpSecurity, 1, "allowedCipherSuites", suites));
    await must(device.set(EtherNetIpSecurity, 1, "preSharedKeys", psks));
    await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", certificates));
    expect(await device.call(EtherNetIpSecurity, 1, "applyConfig")).toBe(status);
    expect(await device.get(EtherNetIpSecurity, 1, "state")).toBe(status === ok ? 2 : 1);
  });

  test("a trusted authority or revocation list that is none", async () => {
    const device = await startDevice();
    await begin(device);
    const file = await download(device, "junk", "not a certificate");
    for (const name of ["trustedAuthorities", "certificateRevocationList", "trustedIdentities"] as const) {
      await must(device.set(EtherNetIpSecurity, 1, name, [objectPath(FileObject.classId, file)]));
      expect(await device.call(EtherNetIpSecurity, 1, "applyConfig")).toBe("0xD0/32769");
      await must(device.set(EtherNetIpSecurity, 1, name, []));
    }
    await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  });
});

test("with clients verified and no authority trusted, every client is refused", async () => {
  const device = await startDevice();
  await begin(device);
  await must(device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  const { publicKey } = await makeKeyPair();
  const tool = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "tool" } });
  const peer = { role: "client", remote: { address: "127.21.0.9", port: 1 } } as const;
  expect(device.security.tlsPolicy().verify?.({ ...peer, chain: [tool.certificate.der] })).toMatchObject({ ok: false });
});

test("a revoked and an unlisted client are refused, and a wrong address where that is checked", async () => {
  const device = await startDevice();
  await secured(device);
  await must(device.call(CipSecurity, 1, "endConfig"));
  const issue = async (ip: string) => {
    const { publicKey } = await makeKeyPair();
    return ca.issue({ profile: "tool", publicKey, subject: { commonName: "tool" }, san: { ip: [ip] } });
  };
  const [good, bad] = [await issue("127.21.0.9"), await issue("127.21.0.10")];
  await ca.revoke(bad.certificate.facts.serialHex);
  const verdict = (chain: typeof good.chain) =>
    device.security.tlsPolicy().verify?.({
      role: "client",
      remote: { address: "127.21.0.9", port: 1 },
      chain: chain.map(({ der }) => der),
    });
  expect(verdict(bad.chain)).toMatchObject({ ok: true });
  device.channel = channels.certificate;
  await begin(device);
  const list = await download(device, "list", crlToPem([await ca.crl(), await ca.rootCrl()]), 4);
  await must(device.set(EtherNetIpSecurity, 1, "certificateRevocationList", [objectPath(0x37, list)]));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  expect(verdict(bad.chain)).toMatchObject({ ok: false, error: { code: "trust/revoked" } });
  expect(verdict(good.chain)).toMatchObject({ ok: true });
  await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
  const pinned = await download(device, "pinned", good.pem);
  await must(device.set(EtherNetIpSecurity, 1, "trustedIdentities", [objectPath(0x37, pinned)]));
  await must(device.set(EtherNetIpSecurity, 1, "checkSubjectAlternativeName", true));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  expect(verdict(good.chain)).toMatchObject({ ok: true });
  const other = await issue("127.21.0.9");
  expect(verdict(other.chain)).toMatchObject({ ok: false, error: { code: "trust/not-pinned" } });
  const elsewhere = await issue("127.21.0.77");
  expect(verdict(elsewhere.chain)).toMatchObject({ ok: false, error: { code: "trust/name" } });
});

async function secured(device: Device): Promise<void> {
  await begin(device);
  const { instance } = await enrol(device, ca, "plant");
  const certificate = objectPath(CertificateManagement.classId, instance);
  await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [certificate]));
  await must(device.set(EtherNetIpSecurity, 1, "trustedAuthorities", [certificate]));
  await must(device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
}

describe("TCP/IP Interface", () => {
  const ports = (...wishes: readonly (readonly [number, number, boolean])[]): Uint8Array =>
    encode(
      SetPortAdminRequest,
      wishes.map(([port, protocol, open]) => ({ port, protocol, open })),
    );

  test.each([
    ["the plain port", ports([44818, 6, false]), ok],
    ["nothing", ports(), ok],
    ["a port that is not there", ports([2222, 17, false]), "0x20"],
    ["the wrong protocol", ports([2221, 17, false]), "0x20"],
    ["a port that cannot be changed", ports([2221, 6, false]), "0x0C"],
    ["that port as it is", ports([2221, 6, true]), ok],
    ["a good and a bad one", ports([44818, 6, false], [1, 6, false]), "0x20"],
  ])("Set_Port_Admin_State of %s", async (_, data, status) => {
    const device = await startDevice();
    expect(await device.call(TcpIpInterface, 1, "setPortAdminState", data)).toBe(status);
    const closed = status === ok && data[1] === 0x12 && data[4] === 0;
    expect(device.security.ports().eip).toBe(!closed);
  });

  test("outside a session ports change at once and for good; the last one for messages stays", async () => {
    const device = await startDevice(undefined, {
      ports: {
        eip: { port: 44818, open: true, configurable: true },
        eips: { port: 2221, open: true, configurable: true },
      },
    });
    await must(device.call(TcpIpInterface, 1, "setPortAdminState", ports([44818, 6, false])));
    expect(device.portsTold).toHaveLength(1);
    expect(await device.call(TcpIpInterface, 1, "setPortAdminState", ports([2221, 6, false]))).toBe("0x0C");
    expect((await startDevice(device.store.folder)).security.ports().eip).toBe(false);
    // One request may move from one port to the other.
    await must(device.call(TcpIpInterface, 1, "setPortAdminState", ports([2221, 6, false], [44818, 6, true])));
    expect(device.security.ports()).toMatchObject({ eip: true, eips: false });
  });

  test("in a session they wait for Apply_Config, and the status says so", async () => {
    const device = await startDevice();
    await begin(device);
    await must(device.call(TcpIpInterface, 1, "setPortAdminState", ports([44818, 6, false])));
    expect(await device.get(TcpIpInterface, 1, "status")).toBe(0x101);
    expect(device.security.ports().eip).toBe(true);
    await must(device.call(EtherNetIpSecurity, 1, "abortConfig"));
    expect(await device.get(TcpIpInterface, 1, "status")).toBe(0x001);
    expect(device.portsTold).toEqual([]);
  });

  test("the inactivity timeout is kept; what belongs to the host cannot be set", async () => {
    const device = await startDevice();
    await must(device.set(TcpIpInterface, 1, "encapsulationInactivityTimeout", 3600));
    expect(await device.set(TcpIpInterface, 1, "encapsulationInactivityTimeout", 3601)).toBe(0x09);
    expect((await startDevice(device.store.folder)).security.inactivityTimeoutS()).toBe(3600);
    expect(await device.set(TcpIpInterface, 1, "configurationControl", 0)).toBe(0x0e);
    expect(await device.set(TcpIpInterface, 1, "hostName", "x")).toBe(0x0e);
    expect(await device.get(TcpIpInterface, 1, "activeTcpConnections")).toBe(3);
    expect((await device.get(TcpIpInterface, 1, "interfaceConfiguration")).address).toBe("127.21.0.1");
  });
});

describe("access", () => {
  test("a configured device is changed by proven tools only, and read by all", async () => {
    const device = await startDevice();
    await secured(device);
    const asks = [
      [EtherNetIpSecurity.classId, 1, 0x4b],
      [0x5d, 1, 0x4b],
      [0x5f, 0, 0x08],
      [0x37, 0, 0x08],
      [0x37, 1, 0x4b],
      [0x37, 1, 0x51],
      [0xf5, 1, 0x4c],
      [0xf5, 1, 0x10],
      [0xf5, 1, 0x04],
    ] as const;
    for (const channel of [channels.plain, channels.anonymous]) {
      device.channel = channel;
      for (const [classId, instance, service] of asks)
        expect(statusOf(await device.ask(classId, instance, service)), `${classId} ${service}`).toBe("0x0F");
      for (const classId of [0x5d, 0x5e, 0x5f, 0x37])
        expect((await device.ask(classId, 1, Service.getAttributeSingle, undefined, 1)).status).toBe(0);
    }
    device.channel = channels.certificate;
    for (const [classId, instance, service] of asks)
      expect(statusOf(await device.ask(classId, instance, service))).not.toBe("0x0F");
  });

  test("other objects are not its business, and the EDS is for everyone", async () => {
    const device = await startDevice(undefined, { eds: Buffer.from("[File]") });
    await secured(device);
    const question = { channel: channels.plain, classId: 0x01, instance: 1, service: 0x10 };
    expect(device.security.access(question)).toBeUndefined();
    const upload = { ...question, classId: 0x37, service: 0x4b };
    expect(device.security.access({ ...upload, instance: 0xc8 })).toBeUndefined();
    expect(device.security.access({ ...upload, instance: 0x100 })).toBe(0x0f);
  });
});

describe("Certificate Management", () => {
  test("Create refuses empty, overlong and taken names, and more than fit", async () => {
    const device = await startDevice(undefined, { maxCertificates: 2 });
    const create = async (name: string): Promise<string> =>
      statusOf(await device.ask(0x5f, 0, 0x08, Buffer.from([name.length, ...Buffer.from(name)])));
    expect(await create("early")).toBe("0x0C");
    await begin(device);
    expect(await create("")).toBe("0x20");
    expect(await create("x".repeat(65))).toBe("0x20");
    expect(await create("a")).toBe(ok);
    expect(await create("a")).toBe("0x20");
    expect(await create("b")).toBe(ok);
    expect(await create("c")).toBe("0x02");
    expect(statusOf(await device.ask(0x5f, 0, 0x08))).toBe("0x13");
  });

  test("Create_CSR takes eight or nine strings, a country of two letters, and never for the default certificate", async () => {
    const device = await startDevice();
    await begin(device);
    const instance = await createCertificate(device, "one");
    const csr = (fields: readonly string[]): Uint8Array =>
      Buffer.concat(fields.map((field) => Buffer.from([field.length, ...Buffer.from(field)])));
    const ask = (id: number, ...fields: readonly string[]): Promise<string> =>
      device.call(CertificateManagement, id, "createCsr", csr(fields));
    const blank = Array.from({ length: 8 }, () => "");
    expect(await ask(1, ...blank)).toBe("0x0C");
    expect(await ask(instance, ...blank.slice(1))).toBe("0x13");
    expect(await ask(instance, "", "", "", "", "", "D", "", "")).toBe("0x20");
    expect(await ask(instance, "\u0001", ...blank.slice(1))).toBe("0x20");
    expect(await ask(instance, ...blank, "nonsense")).toBe("0x20");
    expect(await ask(instance, ...blank, "rfc822Name=a@b")).toBe("0x20");
    expect(await device.get(CertificateManagement, instance, "state")).toBe(1);
    expect(await ask(instance, ...blank)).toBe(ok);
    expect(await ask(instance, ...blank, "iPAddress=10.0.0.1\ndNSName=plc")).toBe(ok);
    expect(await device.get(CertificateManagement, instance, "state")).toBe(2);
  });

  test("Verify_Certificate: verified, invalid, and not yet to be said", async () => {
    const device = await startDevice();
    await begin(device);
    const verify = (id: number, which: number): Promise<string> =>
      device.call(CertificateManagement, id, "verifyCertificate", Uint8Array.of(which, 0));
    const bare = await createCertificate(device, "bare");
    expect(await verify(bare, 3)).toBe("0xD0");
    expect(await verify(bare, 4)).toBe("0xD0");
    expect(await verify(bare, 5)).toBe("0x20");
    expect(await device.get(CertificateManagement, bare, "state")).toBe(1);
    const { instance, caFile } = await enrol(device, ca, "good");
    // A certificate of another key, and a leaf in the place of the authority.
    const { path } = await device.get(CertificateManagement, instance, "deviceCertificate");
    await must(device.set(CertificateManagement, bare, "deviceCertificate", { status: 1, path }));
    await must(device.set(CertificateManagement, bare, "caCertificate", { status: 1, path: objectPath(0x37, caFile) }));
    expect(await device.get(CertificateManagement, bare, "deviceCertificate")).toMatchObject({ status: 0 });
    expect(await verify(bare, 3)).toBe("0xD0");
    expect(await device.get(CertificateManagement, bare, "state")).toBe(4);
    await must(device.set(CertificateManagement, instance, "caCertificate", { status: 0, path }));
    expect(await device.get(CertificateManagement, instance, "state")).toBe(2);
    expect(await verify(instance, 4)).toBe("0xD0");
    expect(await device.get(CertificateManagement, instance, "caCertificate")).toMatchObject({ status: 2 });
  });

  test("an instance in use cannot be deleted; its slots take paths to files only", async () => {
    const device = await startDevice();
    await begin(device);
    const { instance } = await enrol(device, ca, "used");
    const path = objectPath(CertificateManagement.classId, instance);
    await must(device.set(EtherNetIpSecurity, 1, "trustedAuthorities", [path]));
    expect(await device.call(CertificateManagement, instance, "delete")).toBe("0x0C");
    await must(device.set(EtherNetIpSecurity, 1, "trustedAuthorities", []));
    expect(await device.call(CertificateManagement, instance, "delete")).toBe(ok);
    const other = await createCertificate(device, "other");
    for (const bad of [path, missing])
      expect(await device.set(CertificateManagement, other, "caCertificate", { status: 0, path: bad })).toBe(0x09);
    expect(await device.set(CertificateManagement, 1, "caCertificate", { status: 0, path: [] })).toBe(0x0e);
  });
});
