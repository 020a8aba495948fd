import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initCa, makeKeyPair, privateKeyToPem, createCsr, toPem } from "@cipsec/pki";

/** Files that OpenSSL and Node both read: an authority, and a server and a client that it signed. ECDSA P-256. */
export interface Credentials {
  readonly ca: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
  remove(): void;
}

/** Makes them in a folder that {@link Credentials.remove} takes away. */
export async function makeCredentials(): Promise<Credentials> {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-bench-"));
  const ca = await initCa(join(folder, "ca"), { name: "Benchmark", now: () => new Date() });
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const issue = async (name: string): Promise<readonly [certificate: string, key: string]> => {
    const { privateKey } = await makeKeyPair();
    const csr = await createCsr({ subject: { commonName: name }, san: { ip: ["127.0.0.1"] }, privateKey });
    const { chainPem } = await ca.issue({ profile: "device", csr });
    return [write(`${name}.pem`, chainPem), write(`${name}.key`, privateKeyToPem(privateKey))];
  };
  const [serverCertificate, serverKey] = await issue("server");
  const [clientCertificate, clientKey] = await issue("client");
  return {
    // OpenSSL's s_time sends its leaf only, so the issuing authority stands here too.
    ca: write("ca.pem", toPem([ca.root, ca.issuing])),
    serverCertificate,
    serverKey,
    clientCertificate,
    clientKey,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
