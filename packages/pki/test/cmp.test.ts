import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { cmpClient, isCmpUrl, type CmpClientOptions } from "../src/cmp.ts";
import { createCsr } from "../src/csr.ts";
import { makeKeyPair } from "../src/keys.ts";
import { now } from "./est-support.ts";
import { authority, make, temporaryFolder } from "./support.ts";

// What `openssl cmp` says for itself is tried in interop/cmp.test.ts.
const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const root = await authority("Corp");
const { privateKey, publicKey } = await makeKeyPair();
const issued = await make({ publicKey, issuer: root.certificate, issuerKey: root.key });
const request = await createCsr({ subject: { commonName: "device" }, privateKey });
const registrar = { certificate: { chain: [issued], key: privateKey } };
const url = "cmp+http://pki.example:8080/pkix/";

/** A program that writes down how it was called, says something, and ends with a code. */
function program(name: string, says: string, code: number): string {
  const lines = [
    "#!/bin/sh",
    `printf '%s\\n' "$@" > ${at(name)}.args`,
    `env > ${at(name)}.env`,
    `while [ $# -gt 0 ]; do case "$1" in -key) cp -p "$2" ${at(name)}.key;; esac; shift; done`,
    `cat <<'END'\n${says}\nEND`,
    `exit ${code}`,
  ];
  writeFileSync(at(name), `${lines.join("\n")}\n`);
  chmodSync(at(name), 0o700);
  return at(name);
}

const client = (options: Partial<CmpClientOptions> = {}) =>
  cmpClient({
    url,
    authorities: [root.certificate],
    identity: registrar,
    now,
    randomBytes: (count) => new Uint8Array(count).fill(7),
    timeoutMs: 10_000,
    ...options,
  });

test("URLs of CMP servers, and what is none", () => {
  expect(["cmp+http://a", "CMP+HTTPS://a", "https://a", "cmp://a", "cmp+ftp://a"].map(isCmpUrl)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  for (const wrong of [
    "cmp+http://",
    "cmp+http://u:p@a/",
    "cmp+http://a/?x",
    "cmp+http://a/#x",
    `cmp+http://a/${"x".repeat(1100)}`,
  ])
    expect(() => client({ url: wrong })).toThrow(expect.objectContaining({ code: "usage/argument" }));
  expect(() => client({ identity: {} })).toThrow(expect.objectContaining({ code: "usage/argument" }));
});

test("the program gets the key wrapped, its passphrase by the environment, and no other word of ours", async () => {
  const spy = program("spy", "CMP error: no", 1);
  await expect(client({ program: spy }).request(request)).rejects.toMatchObject({ code: "cmp/answer" });
  const [args, env, key] = ["args", "env", "key"].map((part) => readFileSync(at(`spy.${part}`), "utf8"));
  expect(key).toContain("BEGIN ENCRYPTED PRIVATE KEY");
  const passphrase = /^CIPSEC_CMP_SECRET=(.+)$/m.exec(env ?? "")?.[1] ?? "";
  expect(passphrase).toHaveLength(32);
  expect(args).not.toContain(passphrase);
  expect(args).toContain("http://pki.example:8080/pkix/");
  const names = [...(env ?? "").matchAll(/^(\w+)=/gm)].map(([, name]) => name);
  expect(
    names.filter(
      (name) => !["PATH", "LC_ALL", "CIPSEC_CMP_SECRET", "PWD", "_", "SHLVL", "OLDPWD"].includes(name ?? ""),
    ),
  ).toEqual([]);
  const own = /\n(\/.*)\/own\.key\n/.exec(args ?? "")?.[1] ?? "";
  expect([own !== "", existsSync(own)]).toEqual([true, false]);
  expect(dirname(own)).toBe(process.env["TMPDIR"] ?? "/tmp");
  const secret = { password: { username: "hall4", password: "correct horse" } };
  const byName = program("by-name", "CMP error: no", 1);
  await expect(client({ program: byName, identity: secret }).request(request)).rejects.toMatchObject({});
  expect(readFileSync(at("by-name.args"), "utf8")).not.toContain("horse");
  expect(readFileSync(at("by-name.args"), "utf8")).toContain("hmacWithSHA256");
});

test("TLS is asked for with the host's name, an authority without its root with partial chains", async () => {
  const spy = program("tls", "CMP error: no", 1);
  const below = await make({
    subject: { commonName: "Corp Issuing" },
    publicKey,
    issuer: root.certificate,
    issuerKey: root.key,
    usage: { pathLength: 0, server: false, client: false },
  });
  const options = { program: spy, url: "cmp+https://[2001:db8::1]/x", authorities: [below] };
  await expect(client(options).revoke(issued, "keyCompromise")).rejects.toMatchObject({ code: "cmp/answer" });
  const args = readFileSync(at("tls.args"), "utf8").split("\n");
  expect(args).toEqual(
    expect.arrayContaining(["-tls_used", "-partial_chain", "https://[2001:db8::1]:443/x", "rr", "1"]),
  );
  expect(args[args.indexOf("-tls_host") + 1]).toBe("2001:db8::1");
});

test.each([
  { says: "CMP info: received 'waiting' PKIStatus\nCMP error: total timeout", code: "cmp/answer" },
  { says: 'CMP error: received error:PKIStatus: rejection; StatusString: "no"', code: "cmp/refused" },
  { says: "CMP error: connect error", code: "transport/unreachable" },
  { says: "CMP error: total timeout", code: "transport/timeout" },
  { says: "CMP error: certificate verify failed", code: "trust/unknown-authority" },
])("revoking, when the program says: $says", async ({ says, code }) => {
  const done = client({ program: program("says", says, 1) }).revoke(issued, "unspecified");
  await expect(done).rejects.toMatchObject({ code });
});

test("no program, no certificate, and a caller who has gone", async () => {
  await expect(client({ program: at("nothing") }).request(request)).rejects.toMatchObject({ code: "usage/file" });
  await expect(client({ program: program("silent", "", 0) }).request(request)).rejects.toMatchObject({
    code: "trust/key-mismatch",
  });
  const gone = AbortSignal.abort();
  await expect(client({ program: at("silent"), signal: gone }).request(request)).rejects.toMatchObject({
    name: "AbortError",
  });
});
