import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateCredential } from "../src/credentials.ts";
import type { CertificateCredential } from "../src/credentials.ts";

/** A self-signed certificate as text and as credential. */
export interface Identity {
  readonly pem: string;
  readonly keyPem: string;
  readonly credential: CertificateCredential;
}

/** Makes a self-signed certificate with the system's `openssl`. @param kind As `-newkey` and its options say. */
export function makeIdentity(kind: readonly string[], name = "plant.example"): Identity {
  const { pem, keyPem } = makePem(kind, name);
  return { pem, keyPem, credential: certificateCredential(pem, createPrivateKey(keyPem)) };
}

/** The same as text, also where the key is too weak to be used. */
export function makePem(kind: readonly string[], name = "plant.example"): { pem: string; keyPem: string } {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-dtls-"));
  try {
    const key = join(folder, "key.pem");
    const certificate = join(folder, "cert.pem");
    const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name},IP:127.0.0.1`, "-days", "30"];
    const files = ["-nodes", "-keyout", key, "-out", certificate];
    execFileSync("openssl", ["req", "-x509", ...kind, ...files, ...subject], { stdio: "pipe" });
    const pem = readFileSync(certificate, "utf8");
    const keyPem = readFileSync(key, "utf8");
    return { pem, keyPem };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Kinds of key. */
export const kinds = {
  ecdsa: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  p384: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
  rsa: ["-newkey", "rsa:2048"],
  ed25519: ["-newkey", "ed25519"],
} as const;
