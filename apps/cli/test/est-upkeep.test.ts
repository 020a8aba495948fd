import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import https from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { parseCrl } from "@cipsec/pki";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cipsec, document, temporaryFolder, type Ran } from "./support.ts";

/* One EST server that runs on while its rules, its authority and its own certificate change under it. */

const host = "127.35.40.20";
const folder = temporaryFolder();
const at = (name: string): string => join(folder.path, name);
const data = at("plant");
const vendor = at("vendor");
const stop = new AbortController();
let ended: Promise<Ran>;
let said = "";

const run = (...words: readonly string[]): Promise<Ran> => cipsec([...words, "--json"], { data });
const rules = (action: string): void =>
  writeFileSync(at("rules.json"), JSON.stringify({ rules: [{ name: action, callers: ["birth"], action }] }));

beforeAll(async () => {
  await run("ca", "init", "--name", "Hall 3");
  await cipsec(["ca", "init", "--name", "Acme"], { data: vendor });
  await cipsec(["ca", "export", "--out", at("vendor.pem")], { data: vendor });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("birth.key")];
  spawnSync("openssl", ["req", "-new", ...key, "-subj", "/O=Acme/CN=Pump/serialNumber=7", "-out", at("birth.csr")]);
  await cipsec(["ca", "issue", at("birth.csr"), "--profile", "vendor-device", "--out", at("birth.pem")], {
    data: vendor,
  });
  await run("ca", "export", "--out", at("plant.pem"));
  rules("refuse");
  const words = [
    "--rules",
    at("rules.json"),
    "--vendor",
    at("vendor.pem"),
    "--publish-crl",
    "--crl-listen",
    `${host}:8080`,
  ];
  ended = cipsec(["est", "serve", "--json", "--listen", `${host}:8443`, ...words], {
    data,
    signal: stop.signal,
    onProgress: (text) => void (said += text),
  });
  await until(() => said.includes("Revocation lists"));
}, 60_000);

afterAll(async () => {
  stop.abort();
  await ended;
  folder.remove();
});

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end; await sleep(50)) if (await isSo()) return;
  throw new RangeError(`in vain; it said: ${said}`);
}

const enroll = async (authorities = "plant.pem"): Promise<Ran> => {
  const identity = ["--ca", at(authorities), "--cert", at("birth.pem"), "--key", at("birth.key")];
  return await run(
    "est",
    "enroll",
    `https://${host}:8443`,
    ...identity,
    "--new-key",
    at("new.key"),
    "--out",
    at("new.pem"),
  );
};

/** Issuer of the certificate that the server shows. */
async function shownIssuer(): Promise<string> {
  const socket = tls.connect({ host, port: 8443, rejectUnauthorized: false });
  await new Promise((done) => void socket.once("secureConnect", done));
  const { issuer } = socket.getPeerCertificate();
  socket.destroy();
  return String(issuer.CN);
}

test("rules that are changed are in force at once; wrong ones are told, and change nothing", async () => {
  expect((await enroll()).code).toBe(4);
  writeFileSync(at("rules.json"), "{");
  await until(() => said.includes("are not taken"));
  expect((await enroll()).code).toBe(4);
  rules("issue");
  await until(() => said.includes("in force: issue"));
  expect(await enroll()).toMatchObject({ code: 0 });
});

test("a change of authority: published, then issued from, and the server's own certificate follows", async () => {
  await run("ca", "rollover", "--begin");
  const first = await run("est", "cacerts", `https://${host}:8443`, "--ca", at("plant.pem"), "--out", at("both.pem"));
  expect((document(first) as { certificates: readonly unknown[] }).certificates).toHaveLength(6);
  expect(await shownIssuer()).toBe("Hall 3 Issuing CA");
  await run("ca", "rollover", "--switch");
  process.emit("SIGHUP");
  await until(async () => (await shownIssuer()) === "Hall 3 Issuing CA 2");
  expect(said).toContain("The server has a new certificate");
  // Who knows only the old root believes the server by the link in its chain, and learns of the new one.
  const again = await run("est", "cacerts", `https://${host}:8443`, "--ca", at("plant.pem"), "--out", at("both.pem"));
  expect(again.code).toBe(0);
  expect(await enroll("both.pem")).toMatchObject({ code: 0 });
});

test("revocation lists at their paths, by HTTPS and by HTTP, as soon as something is revoked", async () => {
  const get = async (path: string): Promise<Response> => await fetch(`http://${host}:8080${path}`);
  // Where certificates name such places, the lists of both roots stand there too.
  await run("ca", "set", "--crl-url", `http://${host}:8080`);
  const list = await get("/crl/issuing-2.crl");
  expect(list.headers.get("content-type")).toBe("application/pkix-crl");
  const crl = parseCrl(new Uint8Array(await list.arrayBuffer()));
  expect(crl.issuer).toContain("Issuing CA 2");
  expect((await get("/crl/issuing-1.crl")).status).toBe(200);
  expect((await (await get("/crl/plant.pem?x=1")).text()).match(/BEGIN X509 CRL/g)).toHaveLength(4);
  expect(parseCrl(new Uint8Array(await (await get("/crl/root-1.crl")).arrayBuffer())).issuer).toContain("Root CA");
  for (const path of ["/crl/issuing-3.crl", "/crl/root-3.crl", "/.well-known/est/cacerts", "/crl/../index", "/"])
    expect((await get(path)).status).toBe(404);
  expect((await fetch(`http://${host}:8080/crl/plant.pem`, { method: "POST", body: "x" })).status).toBe(405);
  const octets = await new Promise<Uint8Array>((resolve, reject) => {
    const asked = { host, port: 8443, path: "/crl/issuing-2.crl", rejectUnauthorized: false };
    https
      .get(asked, (answer) => void answer.toArray().then((parts) => resolve(Buffer.concat(parts))))
      .on("error", reject);
  });
  expect(parseCrl(Uint8Array.from(octets)).sha256).toBe(crl.sha256);
});
