import { spawnSync } from "node:child_process";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { parseCertificate, toPem, type Certificate } from "../src/certificate.ts";
import { keyPairOf, makeKeyPair, privateKeyToPem } from "../src/keys.ts";
import { makeCertificate, randomSerial, type CertificateContent } from "../src/make-certificate.ts";

/** In an hour, so that what OpenSSL issues meanwhile is valid then; verdicts take the time as an argument. */
export const noon = new Date((Math.floor(Date.now() / 1000) + 3600) * 1000);

export const day = 24 * 60 * 60 * 1000;

export const at = (days: number): Date => new Date(noon.getTime() + days * day);

/** A folder that goes away with the test file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-pki-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs Debian's OpenSSL. */
export function openssl(
  args: readonly string[],
  input?: Uint8Array | string,
): { ok: boolean; out: string; bytes: Buffer } {
  const { status, stdout, stderr } = spawnSync("openssl", args, input === undefined ? {} : { input });
  return { ok: status === 0, out: `${stdout.toString("latin1")}${stderr.toString("latin1")}`, bytes: stdout };
}

/** Runs OpenSSL and fails the test when it fails. */
export function mustOpenssl(args: readonly string[], input?: Uint8Array | string): Buffer {
  const { ok, out, bytes } = openssl(args, input);
  if (!ok) throw new Error(`openssl ${args.join(" ")}: ${out}`);
  return bytes;
}

/** Makes a certificate with our generator, valid around {@link noon}, a device's unless told. */
export async function make(
  content: Partial<CertificateContent> & Pick<CertificateContent, "publicKey" | "issuerKey">,
): Promise<Certificate> {
  return await makeCertificate({
    serialHex: randomSerial(),
    subject: { commonName: "device" },
    san: { ip: ["192.0.2.7"], dns: ["pump.example"] },
    notBefore: at(-30),
    notAfter: at(30),
    usage: { server: true, client: true },
    ...content,
  });
}

export interface Authority {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** An authority, signed by itself or by another. */
export async function authority(
  commonName: string,
  issuer?: Authority,
  content: Partial<CertificateContent> = {},
): Promise<Authority> {
  const { privateKey, publicKey } = await makeKeyPair();
  const certificate = await make({
    subject: { commonName },
    san: {},
    publicKey,
    issuerKey: issuer?.key ?? privateKey,
    notBefore: at(-60),
    notAfter: at(60),
    usage: { pathLength: 3, server: false, client: false },
    ...(issuer === undefined ? {} : { issuer: issuer.certificate }),
    ...content,
  });
  return { certificate, key: privateKey };
}

/** Certificates that our generator refuses to make: OpenSSL does it, with any key, digest and extensions. */
export function opensslIssue(
  issuer: Authority | undefined,
  options: { key?: readonly string[]; digest?: string; extensions?: string; subject?: string },
): Authority {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-pki-o-"));
  try {
    const file = (name: string): string => join(folder, name);
    const {
      key = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
      digest = "sha256",
      subject = "/CN=made by openssl",
    } = options;
    mustOpenssl(["genpkey", ...key, "-out", file("key.pem")]);
    mustOpenssl(["req", "-new", "-key", file("key.pem"), "-subj", subject, "-out", file("csr.pem")]);
    writeFileSync(
      file("ext"),
      options.extensions ?? "subjectAltName=IP:192.0.2.7\nextendedKeyUsage=serverAuth,clientAuth\n",
    );
    const how = [
      "x509",
      "-req",
      "-in",
      file("csr.pem"),
      "-extfile",
      file("ext"),
      "-out",
      file("cert.pem"),
      "-days",
      "3650",
      `-${digest}`,
    ];
    if (issuer === undefined) mustOpenssl([...how, "-signkey", file("key.pem")]);
    else {
      writeFileSync(file("ca.pem"), toPem(issuer.certificate));
      writeFileSync(file("ca.key"), privateKeyToPem(issuer.key));
      mustOpenssl([...how, "-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"]);
    }
    return {
      certificate: parseCertificate(readFileSync(file("cert.pem"))),
      key: createPrivateKey(readFileSync(file("key.pem"))),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same certificate with the last bit of its signature changed. */
export function spoil({ der }: Certificate): Certificate {
  const octets = Uint8Array.from(der);
  octets[octets.length - 1] = (octets.at(-1) ?? 0) ^ 1;
  return parseCertificate(octets);
}

export { keyPairOf, makeKeyPair };
