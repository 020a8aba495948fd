import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { cipherSuites, defaultSuites, errorCodes } from "../src/index.ts";

const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "cipsec-readme-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The TypeScript blocks of the README, in order. */
const blocks = [...readme.matchAll(/```ts\n(.*?)```/gsu)].map(([, code = ""]) => code);

/** Certificates as the example names them: a server's for `sensor.example`, of an authority. */
function makeCertificates(): void {
  const openssl = (...args: readonly string[]): void =>
    void execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...key, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=authority");
  openssl("req", ...key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=sensor.example");
  writeFileSync(join(folder, "names"), "subjectAltName=DNS:sensor.example");
  const signing = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names"];
  openssl("x509", "-req", "-in", "request.pem", ...signing, "-out", "cert.pem");
}

test("the first example runs as it stands: the server echoes what the client says", async () => {
  makeCertificates();
  const [server = "", client = ""] = blocks;
  expect(server.trim().split("\n").length - 4).toBeLessThanOrEqual(10);
  const here = (code: string): string =>
    code
      .replaceAll('"@cipsec/dtls"', JSON.stringify(join(import.meta.dirname, "../src/index.ts")))
      .replace("port: 5684,\n  credentials", 'address: "127.34.5.40",\n  port: 5684,\n  credentials')
      .replace("192.0.2.7", "127.34.5.40");
  writeFileSync(join(folder, "server.ts"), here(server));
  writeFileSync(join(folder, "client.ts"), here(client));
  const run = (file: string) =>
    spawn(process.execPath, ["--no-warnings", file], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  const processes = [run("server.ts"), run("client.ts")];
  try {
    const [octets] = await once(processes[1]!.stdout, "data");
    expect(String(octets)).toBe("hello");
  } finally {
    for (const child of processes) {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    }
  }
}, 40_000);

test("the page names every error code and every suite, and says which are used by default", () => {
  for (const code of Object.keys(errorCodes).filter((each) => !each.startsWith("bug/")))
    expect(readme).toContain(`\`${code}\``);
  const table = readme.slice(readme.indexOf("## Suites"), readme.indexOf("Groups:"));
  for (const { id } of cipherSuites) expect(table).toContain(id.toString(16).toUpperCase().padStart(4, "0"));
  for (const { id, bulk } of cipherSuites)
    expect(defaultSuites.includes(id)).toBe(bulk.kind === "aead" && bulk.tagLength === 16);
});
