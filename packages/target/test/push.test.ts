import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileEncoding, FileObject } from "@cipsec/objects";
import {
  keyFacts,
  parseCsr,
  pkcs7ToPem,
  selfSigned,
  makeKeyPair,
  toPem,
  writePkcs7,
  type Certificate,
} from "@cipsec/pki";
import { decode, encode, objectPath, UINT } from "@cipsec/wire";
import { beforeAll, describe, expect, test } from "vitest";
import {
  begin,
  channels,
  createCertificate,
  download,
  emptyCsr,
  give,
  makeAuthority,
  must,
  startDevice,
  statusOf,
  take,
  type Device,
} from "./security-device.ts";

/* What a device makes of what tools push: chains in any order and form, keys of both types, files that are not what they should be. */

let ca: Awaited<ReturnType<typeof makeAuthority>>;
let device: Device;
let stranger: Certificate;
let list: Uint8Array;

beforeAll(async () => {
  ca = await makeAuthority();
  list = (await ca.crl()).der;
  device = await startDevice(undefined, { availableSuites: [0xc02b, 0xc02c, 0x003c, 0x003d] });
  const { privateKey } = await makeKeyPair();
  stranger = await selfSigned({ subject: { commonName: "stranger" }, privateKey, now: new Date() });
  await begin(device);
});

const file = (instance: number) => objectPath(FileObject.classId, instance);
let made = 0;

/** Creates an instance, has its request signed, and returns both. */
async function requested(): Promise<{ readonly instance: number; readonly leaf: Certificate }> {
  made += 1;
  const instance = await createCertificate(device, `certificate ${made}`);
  const { code, response } = CertificateManagement.services.createCsr;
  const reply = await device.ask(CertificateManagement.classId, instance, code, emptyCsr);
  const csrFile = decode(response, reply.data).at(-1);
  if (csrFile?.kind !== "instance") throw new Error(`csr: ${statusOf(reply)}`);
  const csr = parseCsr(await take(device, csrFile.value));
  const { certificate } = await ca.issue({ profile: "device", csr });
  return { instance, leaf: certificate };
}

/** Links both files, and returns the statuses of Verify_Certificate. */
async function installed(instance: number, content: Uint8Array | string, above: Uint8Array | string) {
  made += 1;
  const own = await download(device, `own ${made}`, content, FileEncoding.pkcs7Certificate);
  const authority = await download(device, `authority ${made}`, above);
  await must(device.set(CertificateManagement, instance, "deviceCertificate", { status: 0, path: file(own) }));
  await must(device.set(CertificateManagement, instance, "caCertificate", { status: 0, path: file(authority) }));
  const verify = (which: number) =>
    device.call(CertificateManagement, instance, "verifyCertificate", encode(UINT, which));
  return [await verify(3), await verify(4)];
}

const ders = (certificates: readonly Certificate[]) => certificates.map(({ der }) => der);

describe("a chain is taken", () => {
  const forms: readonly [string, (leaf: Certificate) => Uint8Array | string][] = [
    ["as PEM, the leaf last", (leaf) => toPem([ca.root, ca.issuing, leaf])],
    ["as PKCS#7, the leaf in the middle", (leaf) => writePkcs7({ certificates: ders([ca.issuing, leaf, stranger]) })],
    ["as PKCS#7 in armour", (leaf) => pkcs7ToPem(writePkcs7({ certificates: ders([stranger, ca.issuing, leaf]) }))],
  ];
  test.each(forms)("%s, and is sent in the order of a handshake", async (_, form) => {
    const { instance, leaf } = await requested();
    expect(await installed(instance, form(leaf), toPem(ca.root))).toEqual(["0x00", "0x00"]);
    await must(
      device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [
        objectPath(CertificateManagement.classId, instance),
      ]),
    );
    await must(device.set(EtherNetIpSecurity, 1, "sendCertificateChain", true));
    await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
    const [sent] = device.security.tlsPolicy().certificates;
    expect(sent?.chain).toEqual(ders([leaf, ca.issuing]));
    device.channel = channels.certificate;
    await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
  });

  test("as DER, with the authorities in the other file", async () => {
    const { instance, leaf } = await requested();
    expect(await installed(instance, leaf.der, toPem([ca.root, stranger, ca.issuing]))).toEqual(["0x00", "0xD0"]);
    expect(await installed(instance, leaf.der, writePkcs7({ certificates: ders([ca.root, ca.issuing]) }))).toEqual([
      "0x00",
      "0x00",
    ]);
  });
});

describe("a certificate file is refused by Verify_Certificate", () => {
  const der = (leaf: Certificate): Uint8Array => writePkcs7({ certificates: [leaf.der] });
  const forms: readonly [string, (leaf: Certificate) => Uint8Array][] = [
    ["PKCS#7 that ends early", (leaf) => der(leaf).subarray(0, -20)],
    ["PKCS#7 with one octet of the certificate turned", (leaf) => turned(der(leaf), leaf.der.length >> 1)],
    ["PKCS#7 without certificates", () => writePkcs7({ certificates: [] })],
    ["PKCS#7 with only somebody else's certificate", () => der(stranger)],
    ["PKCS#7 with more members than anybody needs", (leaf) => writePkcs7({ certificates: Array(65).fill(leaf.der) })],
    ["a revocation list", () => writePkcs7({ crls: [list] })],
    ["lengths that promise 4 GiB", () => Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x06)],
    ["nothing but opening brackets", () => new Uint8Array(60_000).fill(0x30)],
  ];
  test.each(forms)("%s", async (_, form) => {
    const { instance, leaf } = await requested();
    expect((await installed(instance, form(leaf), toPem(ca.root)))[0]).toBe("0xD0");
    expect(await device.get(CertificateManagement, instance, "state")).toBe(4);
    await must(device.call(CertificateManagement, instance, "delete"));
    await must(device.call(CipSecurity, 1, "objectCleanup"));
  });
});

test("Create_CSR makes the type of key that the allowed suites need", async () => {
  const kinds: string[] = [];
  for (const suites of [[0x003c, 0x003d], [0xc02b, 0x003c], [0xc02b]]) {
    await must(device.set(EtherNetIpSecurity, 1, "allowedCipherSuites", suites));
    kinds.push(keyFacts((await requested()).leaf.publicKey).type);
  }
  expect(kinds).toEqual(["rsa", "ecdsa", "ecdsa"]);
});

test("Create_CSR makes the device's own kind of key where nobody has touched the suites", async () => {
  const other = await startDevice(undefined, { csrKeyType: "rsa-2048", availableSuites: [0xc02b, 0xc02c, 0x003c] });
  await begin(other);
  const instance = await createCertificate(other, "own kind");
  const { code, response } = CertificateManagement.services.createCsr;
  const kinds: string[] = [];
  for (const suites of [undefined, [0xc02b]]) {
    if (suites !== undefined) await must(other.set(EtherNetIpSecurity, 1, "allowedCipherSuites", suites));
    const reply = await other.ask(CertificateManagement.classId, instance, code, emptyCsr);
    const csrFile = decode(response, reply.data).at(-1);
    const csr = parseCsr(await take(other, csrFile?.kind === "instance" ? csrFile.value : 0));
    kinds.push(keyFacts(csr.publicKey).type);
  }
  expect(kinds).toEqual(["rsa", "ecdsa"]);
});

test("a trusted identity may be a File with its chain, or a certificate instance; what is pinned is the peer", async () => {
  const { instance, leaf } = await requested();
  await installed(instance, leaf.der, toPem([ca.root, ca.issuing]));
  const { publicKey } = await makeKeyPair();
  const peer = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "peer" } });
  const pin = await download(device, "peer", writePkcs7({ certificates: ders([ca.issuing, peer.certificate]) }), 3);
  const self = objectPath(CertificateManagement.classId, instance);
  await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [self]));
  await must(device.set(EtherNetIpSecurity, 1, "trustedAuthorities", [self]));
  await must(device.set(EtherNetIpSecurity, 1, "trustedIdentities", [file(pin), self]));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  const { verify } = device.security.tlsPolicy();
  const remote = { address: "127.21.0.9", port: 50_000 };
  const judged = (chain: readonly Certificate[]) => verify?.({ chain: ders(chain), role: "client", remote }).ok;
  const other = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "other" } });
  expect([judged([peer.certificate]), judged([leaf]), judged([other.certificate])]).toEqual([true, true, false]);
  await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
});

test("of two active certificates for the same type of key the first is shown, by TLS and DTLS alike", async () => {
  const pair = [await requested(), await requested()];
  for (const { instance, leaf } of pair) await installed(instance, leaf.der, toPem([ca.root, ca.issuing]));
  const paths = pair.map(({ instance }) => objectPath(CertificateManagement.classId, instance));
  await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", paths));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  const shown = device.security.tlsPolicy().certificates.map(({ chain }) => chain[0]);
  expect(shown).toEqual([pair[0]?.leaf.der]);
  await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
});

test("an originator of its own the device has none of: no suites, and none can be allowed", async () => {
  expect(await device.get(EtherNetIpSecurity, 1, "availableOriginatorCipherSuites")).toEqual([]);
  expect(await device.set(EtherNetIpSecurity, 1, "allowedOriginatorCipherSuites", [0xc02b])).toBe(0x09);
  expect(await device.set(EtherNetIpSecurity, 1, "allowedOriginatorCipherSuites", [])).toBe(0);
});

test("early layouts: one revocation list, keys without usage, and the newer forms are refused", async () => {
  const early = await startDevice(undefined, { earlyLayouts: true, availableSuites: [0xc02b, 0xc02c, 0xccac] });
  await begin(early);
  const empty = await download(early, "list", "x");
  const set = async (id: number, data: Uint8Array) =>
    (await early.ask(EtherNetIpSecurity.classId, 1, 0x10, data, id)).status;
  const get = async (id: number) => (await early.ask(EtherNetIpSecurity.classId, 1, 0x0e, undefined, id)).data;
  expect(await set(8, Uint8Array.of(1, 2, 0x20, 0x37, 0x24, empty))).not.toBe(0);
  expect(await set(8, Uint8Array.of(2, 0x20, 0x37, 0x24, empty))).toBe(0);
  expect(await get(8)).toEqual(Uint8Array.of(2, 0x20, 0x37, 0x24, empty));
  const key = [1, 65, 16, ...new Uint8Array(16).fill(7)];
  expect(await set(5, Uint8Array.of(1, ...key, 2))).not.toBe(0);
  expect(await set(5, Uint8Array.of(1, ...key))).toBe(0);
  expect(await get(5)).toEqual(Uint8Array.of(1, 1, 65, 0));
  const revision = await early.ask(EtherNetIpSecurity.classId, 0, 0x0e, undefined, 1);
  expect(revision.data).toEqual(Uint8Array.of(7, 0));
  const all = await early.ask(EtherNetIpSecurity.classId, 1, 0x01);
  expect(all.status).toBe(0);
  expect((await early.ask(EtherNetIpSecurity.classId, 1, 0x0e, undefined, 17)).status).toBe(0x14);
  expect(await give(early, empty, new Uint8Array(10))).toBe("0x00");
});

function turned(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((octet, i) => (i === bytes.length - at ? octet ^ 0xff : octet));
}
