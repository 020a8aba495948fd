import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cipsec, document, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const data = join(folder.path, "data");
const at = (name: string): string => join(folder.path, name);

function openssl(...words: readonly string[]): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync("openssl", words, { encoding: "utf8", cwd: folder.path });
  return { code: status, text: stdout + stderr };
}

beforeAll(async () => {
  const made = await cipsec(["ca", "init", "--name", "Hall 3", "--json"], { data });
  expect(made.code).toBe(0);
  expect(document(made)).toMatchObject({
    root: { subject: expect.stringContaining("Hall 3"), sha256: expect.any(String) },
    issuing: { subject: expect.stringContaining("Hall 3") },
    folder: join(data, "ca"),
  });
});

afterAll(() => folder.remove());

test("init makes the data folder for its owner alone, and never a second authority", async () => {
  expect(statSync(data).mode & 0o777).toBe(0o700);
  expect(statSync(join(data, "tool", "key.pem")).mode & 0o777).toBe(0o600);
  const again = await cipsec(["ca", "init", "--json"], { data });
  expect(again.code).toBe(2);
  expect(document(again)).toMatchObject({ error: { code: "usage/ca-exists" } });
});

test("issue, list, revoke, crl, export: openssl verifies the result, and refuses it once it is revoked", async () => {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "drive.key"];
  expect(openssl("req", "-new", ...key, "-subj", "/O=Hall 3/CN=drive 7", "-out", "drive.csr").code).toBe(0);
  const issued = await cipsec(["ca", "issue", at("drive.csr"), "--out", at("drive.pem"), "--days", "30", "--json"], {
    data,
  });
  expect(issued.code).toBe(0);
  const { serial } = document(issued) as { serial: string };

  expect((await cipsec(["ca", "export", "--out", at("anchors.pem")], { data })).out).toBe(
    `Written to ${at("anchors.pem")}.\n`,
  );
  const chain = await cipsec(["ca", "export", "--chain"], { data });
  writeFileSync(at("chain.pem"), chain.out);
  const verify = ["verify", "-CAfile", "anchors.pem", "-untrusted", "drive.pem"];
  expect(openssl(...verify, "drive.pem")).toMatchObject({ code: 0 });
  expect(openssl("verify", "-CAfile", "anchors.pem", "-untrusted", "chain.pem", "drive.pem")).toMatchObject({
    code: 0,
  });

  const before = await cipsec(["ca", "crl", "--out", at("before.crl")], { data });
  expect(before.code).toBe(0);
  expect(openssl(...verify, "-crl_check", "-CRLfile", "before.crl", "drive.pem")).toMatchObject({ code: 0 });

  const revoked = await cipsec(["ca", "revoke", serial, "--reason", "keyCompromise"], { data });
  expect(revoked).toMatchObject({ code: 0, out: expect.stringContaining(`${serial} is revoked`) });
  const pem = (document(await cipsec(["ca", "crl", "--days", "7", "--json"], { data })) as { pem: string }).pem;
  writeFileSync(at("after.crl"), pem);
  expect(openssl(...verify, "-crl_check", "-CRLfile", "after.crl", "drive.pem")).toMatchObject({
    code: 2,
    text: expect.stringContaining("revoked"),
  });

  const rows = document(await cipsec(["ca", "list", "--json"], { data }));
  expect(rows).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ serial, status: "revoked", profile: "device" }),
      expect.objectContaining({ profile: "tool" }),
    ]),
  );
  const table = await cipsec(["ca", "list"], { data });
  expect(table.out).toMatch(/^serial +subject +profile +until +status\n/);
  expect(table.out).not.toContain("PRIVATE");
});

test.each([
  { words: ["issue", "drive.key"], code: "usage/csr" },
  { words: ["issue", "nothing.csr"], code: "usage/file" },
  { words: ["issue", "drive.csr", "--profile", "king"], code: "usage/argument" },
  { words: ["revoke", "1234567890"], code: "usage/serial" },
  { words: ["revoke", "1", "--reason", "boredom"], code: "usage/argument" },
])("$words is refused: $code, and tells no key", async ({ words, code }) => {
  writeFileSync(at("drive.csr"), readFileSync(at("drive.csr")));
  const [action = "", file = "", ...rest] = words;
  const ran = await cipsec(["ca", action, action === "issue" ? at(file) : file, ...rest, "--json"], { data });
  expect(ran.code).toBe(2);
  expect(document(ran)).toMatchObject({ error: { code, fix: expect.stringMatching(/./) } });
  const secret = readFileSync(at("drive.key"), "utf8").split("\n")[1] ?? "";
  expect(ran.out + ran.err).not.toContain(secret);
});

test("certificates say where their list stands, once that is set; the files are written for a web server", async () => {
  const place = async (...words: readonly string[]): Promise<unknown> =>
    document(await cipsec(["ca", "set", ...words, "--json"], { data }));
  const issue = async (): Promise<string> => {
    await cipsec(["ca", "issue", at("drive.csr"), "--out", at("placed.pem")], { data });
    return openssl("x509", "-in", "placed.pem", "-noout", "-ext", "crlDistributionPoints").text;
  };
  expect(await place()).toEqual({ crlUrl: null });
  expect(await place("--crl-url", "http://pki.example/")).toEqual({ crlUrl: "http://pki.example" });
  expect(await issue()).toContain("URI:http://pki.example/crl/issuing-1.crl");
  const said = await cipsec(["ca", "set"], { data });
  expect(said.out).toContain("http://pki.example/crl/issuing-1.crl");
  const published = ["issuing-1.crl", "root-1.crl"].map((name) => at(`www/${name}`));
  const ran = await cipsec(["ca", "crl", "--publish", at("www"), "--json"], { data });
  expect(document(ran)).toMatchObject({ published });
  for (const file of published)
    expect(openssl("crl", "-inform", "DER", "-in", file, "-noout", "-issuer").text).toContain("Hall 3");
  expect((await cipsec(["ca", "crl", "--publish", at("www")], { data })).out).toBe(
    `Written to ${published.join(", ")}.\n`,
  );
  expect(await place("--no-crl-url")).toEqual({ crlUrl: null });
  expect(await issue()).not.toContain("URI:");
  const refused = await cipsec(["ca", "set", "--crl-url", "https://pki.example"], { data });
  expect([refused.code, refused.err]).toEqual([2, expect.stringContaining("http://pki.plant.example")]);
});

test("an authority is made with the place in its certificates; one that is elsewhere is not asked for that", async () => {
  const other = at("placed");
  const made = await cipsec(["ca", "init", "--crl-url", "http://pki.example", "--json"], { data: other });
  expect([made.code, document(made)]).toMatchObject([0, { crlUrl: "http://pki.example" }]);
  const shown = openssl("x509", "-in", join(other, "ca", "issuing.cert.pem"), "-noout", "-text").text;
  expect(shown).toContain("URI:http://pki.example/crl/root-1.crl");
  const tool = openssl("x509", "-in", join(other, "tool", "certificate.pem"), "-noout", "-text").text;
  expect(tool).toContain("URI:http://pki.example/crl/issuing-1.crl");
  for (const more of [["--offline"], ["--upstream", "est.example"]])
    expect(
      await cipsec(["ca", "init", "--crl-url", "http://pki.example", ...more], { data: at("nowhere") }),
    ).toMatchObject({ code: 2, err: expect.stringContaining("cipsec ca set") });
});

test("without an authority each command names the folder and the fix", async () => {
  for (const words of [["list"], ["crl"], ["export"], ["revoke", "1"]]) {
    const ran = await cipsec(["ca", ...words], { data: at("elsewhere") });
    expect(ran.code).toBe(2);
    expect(ran.err).toContain(at("elsewhere"));
    expect(ran.err).toContain("cipsec ca init");
  }
});
