import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:net";
import tls from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  cmpClient,
  createCsr,
  crlToPem,
  importUpstreamCrl,
  initCa,
  initUpstreamCa,
  makeKeyPair,
  privateKeyToPem,
  toPem,
  upstreamAuthority,
  type CertificateAuthority,
  type CertificateRequest,
  type CmpClientOptions,
  type TlsIdentity,
} from "@cipsec/pki";
import { cipsec, document } from "../apps/cli/test/support.ts";
import { cmpServer, type CmpServer, type CmpServerOptions } from "./kit/cmp-server.ts";
import { networkPeers, privateNetwork, type PrivateNetwork } from "./kit/network.ts";
import { must, withPeers } from "./kit/programs.ts";

const host = "127.36.5.1";

withPeers("OpenSSL speaks CMP for us, with its own mock server", ["openssl", ...networkPeers], () => {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-cmp-test-"));
  const at = (name: string): string => join(folder, name);
  const now = (): Date => new Date();
  const pause = async (ms: number): Promise<void> => await sleep(ms);
  const closing: (() => Promise<void>)[] = [];
  const fresh = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
  let network: PrivateNetwork;
  let ca: CertificateAuthority;
  let registrar: TlsIdentity;
  let asked: CertificateRequest;

  async function identity(name: string): Promise<TlsIdentity> {
    const { privateKey, publicKey } = await makeKeyPair();
    const { chain } = await ca.issue({
      profile: "tool",
      server: true,
      registrar: true,
      publicKey,
      subject: { organization: "Corp", commonName: name },
      san: { ip: [host] },
    });
    writeFileSync(at(`${name}.pem`), toPem(chain));
    writeFileSync(at(`${name}.key`), privateKeyToPem(privateKey), { mode: 0o600 });
    return { chain, key: privateKey };
  }

  async function server(port: number, more: Partial<CmpServerOptions> = {}): Promise<CmpServer> {
    const own = { certificate: at("server.pem"), key: at("server.key"), trusted: at("corp.pem") };
    const made = await cmpServer({ network, host, port, folder, ca, ...own, ...more });
    closing.push(() => made.close());
    return made;
  }

  const client = (port: number, more: Partial<CmpClientOptions> = {}) =>
    cmpClient({
      url: `cmp+http://${host}:${port}/`,
      authorities: [ca.root, ca.issuing],
      identity: { certificate: registrar },
      now,
      randomBytes: fresh,
      timeoutMs: 20_000,
      ...more,
    });

  beforeAll(async () => {
    network = await privateNetwork();
    ca = await initCa(at("corp"), { name: "Corp", now, pause });
    writeFileSync(at("corp.pem"), toPem([ca.root, ca.issuing]));
    await identity("server");
    registrar = await identity("registrar");
    const { privateKey } = await makeKeyPair();
    const subject = { organization: "Acme", commonName: "Pump" };
    asked = await createCsr({ subject, san: { ip: ["192.0.2.7"] }, privateKey });
    await server(8000);
  });

  afterAll(async () => {
    await Promise.all(closing.map(async (close) => await close()));
    await network.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("p10cr and rr: a device's own request is forwarded, and its certificate comes with its chain", async () => {
    const answer = await client(8000).request(asked);
    expect(answer).toMatchObject({ status: "issued", chain: [{ facts: { san: { ip: ["192.0.2.7"] } } }, ca.issuing] });
    expect((await ca.list()).filter(({ subject }) => subject.includes("Pump"))).toHaveLength(1);
    if (answer.status !== "issued") return;
    await client(8000).revoke(answer.certificate, "superseded");
    // The server revokes only what it issued last.
    await expect(client(8000).revoke(ca.issuing, "superseded")).rejects.toMatchObject({ code: "cmp/refused" });
  });

  test("a name and a password protect the messages of who has no certificate yet", async () => {
    await server(8100, { words: ["-srv_ref", "hall4", "-srv_secret", "pass:correct horse"] });
    const by = (password: string) => ({ identity: { password: { username: "hall4", password } } });
    expect(await client(8100, by("correct horse")).request(asked)).toMatchObject({ status: "issued" });
    await expect(client(8100, by("wrong horse")).request(asked)).rejects.toMatchObject({
      code: "trust/unknown-authority",
      message: expect.not.stringContaining("horse"),
    });
  });

  test("over TLS, whose server has to lead to the same authority", async () => {
    const options = { cert: readFileSync(at("server.pem")), key: readFileSync(at("server.key")) };
    const front = tls.createServer(options, (socket) => {
      const there = connect({ host, port: 8000 });
      socket.on("error", () => there.destroy());
      there.on("error", () => socket.destroy());
      socket.pipe(there).pipe(socket);
    });
    await once(front.listen({ host, port: 8443 }), "listening");
    const url = `cmp+https://${host}:8443/`;
    expect(await client(0, { url }).request(asked)).toMatchObject({ status: "issued" });
    const other = await initCa(at("other"), { name: "Other", now, pause });
    await expect(client(0, { url, authorities: [other.root] }).request(asked)).rejects.toMatchObject({
      code: "trust/unknown-authority",
    });
    front.close();
  });

  test("what goes wrong is told by who has to act, in the server's own words", async () => {
    const refuses = ["-pkistatus", "2", "-failure", "9", "-statusstring", "not for you"];
    await server(8200, { words: refuses });
    await expect(client(8200).request(asked)).rejects.toMatchObject({
      code: "cmp/refused",
      message: expect.stringContaining("not for you"),
    });
    await server(8300, { words: ["-poll_count", "3", "-check_after", "90"] });
    const impatient = client(8300, { timeoutMs: 5000 });
    expect(await impatient.request(asked)).toEqual({ status: "pending", retryAfterMs: 90_000 });
    const { privateKey } = await makeKeyPair();
    await server(8400, { stubborn: await createCsr({ subject: asked.subject, privateKey }) });
    await expect(client(8400).request(asked)).rejects.toMatchObject({ code: "trust/key-mismatch" });
    const stranger = await initCa(at("stranger"), { name: "Stranger", now, pause });
    await expect(client(8000, { authorities: [stranger.root] }).request(asked)).rejects.toMatchObject({
      code: "trust/unknown-authority",
    });
    await expect(client(8999, { timeoutMs: 3000 }).request(asked)).rejects.toMatchObject({
      code: "transport/unreachable",
    });
    const web = createServer((_, response) => response.writeHead(200).end("<html>"));
    await once(web.listen({ host, port: 8500 }), "listening");
    await expect(client(8500).request(asked)).rejects.toMatchObject({ code: "cmp/answer" });
    web.close();
    const silent = createServer(() => undefined);
    await once(silent.listen({ host, port: 8501 }), "listening");
    await expect(client(8501, { timeoutMs: 1000 }).request(asked)).rejects.toMatchObject({ code: "transport/timeout" });
    silent.closeAllConnections();
    silent.close();
  });

  test("an authority above by CMP: what it issued is listed, and revoked from here", async () => {
    const settings = { name: "Hall 4", url: `cmp+http://${host}:8000/`, authorities: [ca.root, ca.issuing], registrar };
    const above = await initUpstreamCa(at("hall4"), settings, { now, pause, randomBytes: fresh });
    const issued = await above.issue({ profile: "device", csr: asked });
    const { serialHex } = issued.certificate.facts;
    expect(await above.list()).toMatchObject([{ serial: serialHex, status: "good" }]);
    const forDevices = upstreamAuthority(above);
    expect(await forDevices.isRevoked(issued.certificate.facts.serialHex)).toBe(false);
    await forDevices.supersede(serialHex);
    expect(await forDevices.isRevoked(issued.certificate.facts.serialHex)).toBe(true);
    expect(await above.list()).toMatchObject([{ status: "revoked", revoked: { reason: "superseded" } }]);
    expect(await above.revoke(serialHex.toUpperCase())).toMatchObject({ revoked: { reason: "superseded" } });
    await expect(above.revoke("0badc0de")).rejects.toMatchObject({ code: "usage/serial" });
    await importUpstreamCrl(at("hall4"), crlToPem(await ca.crl()));
    expect((await above.crl()).entries.size).toBe(0);
  });

  test("the command: ca init, issue and revoke, with nothing secret in what it writes", async () => {
    const cli = async (...words: readonly string[]) => await cipsec(words, { data: at("plant") });
    const identityWords = ["--cert", at("registrar.pem"), "--key", at("registrar.key")];
    const upstream = ["ca", "init", "--name", "Hall 5", "--upstream", `cmp+http://${host}:8000/`];
    const made = await cli(...upstream, "--ca", at("corp.pem"), ...identityWords, "--timeout", "20000");
    expect(made).toMatchObject({ code: 0, err: expect.not.stringContaining("PRIVATE") });
    writeFileSync(at("asked.csr"), asked.pem);
    expect(await cli("ca", "issue", at("asked.csr"), "--out", at("asked.pem"))).toMatchObject({ code: 0 });
    expect(await must("openssl", ["verify", "-CAfile", at("corp.pem"), at("asked.pem")])).toContain("OK");
    const serial = (await must("openssl", ["x509", "-in", at("asked.pem"), "-noout", "-serial"])).trim().slice(7);
    expect(await cli("ca", "revoke", serial, "--reason", "keyCompromise")).toMatchObject({ code: 0 });
    const refused = await cli(...upstream, "--ca", at("corp.pem"), "--data", at("none"), "--json");
    expect(refused).toMatchObject({ code: 2 });
    expect(document(refused)).toMatchObject({ error: { code: "usage/argument" } });
  });
});
