import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { browseEstByMdns } from "@cipsec/pki";
import { readDescription, startTarget } from "@cipsec/target";
import { systemClock, type Clock } from "@cipsec/transport";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Process } from "./processes.ts";
import { cipsec, document, temporaryFolder, type Ran } from "./support.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder.path, name);
const data = at("plant");
const vendor = at("vendor");

function openssl(...words: readonly string[]): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync("openssl", words, { encoding: "utf8", cwd: folder.path });
  return { code: status, text: stdout + stderr };
}

/** A request of OpenSSL, with its key. */
function request(name: string, subject: string): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
  expect(openssl("req", "-new", ...key, "-subj", subject, "-out", `${name}.csr`).code).toBe(0);
}

let fingerprint = "";

beforeAll(async () => {
  const made = document(await cipsec(["ca", "init", "--name", "Hall 3", "--json"], { data })) as {
    root: { sha256: string };
  };
  fingerprint = made.root.sha256;
  await cipsec(["ca", "init", "--name", "Acme"], { data: vendor });
  await cipsec(["ca", "init", "--name", "Hall 4"], { data: at("looking") });
  await cipsec(["ca", "export", "--out", at("vendor.pem")], { data: vendor });
  request("birth", "/O=Acme/CN=Pump 7/serialNumber=00C0FFEE");
  await cipsec(["ca", "issue", at("birth.csr"), "--profile", "vendor-device", "--out", at("birth.pem")], {
    data: vendor,
  });
});

afterAll(() => folder.remove());

/** Serves at an address, in this process, until it is disposed of; then it tells what it said. */
async function serve(host: string, words: readonly string[], folderOfData = data): Promise<Server> {
  const stop = new AbortController();
  const ended = cipsec(["est", "serve", "--json", "--listen", `${host}:8443`, ...words], {
    data: folderOfData,
    signal: stop.signal,
  });
  await Promise.race([
    listens(host),
    ended.then(({ out, err }) => Promise.reject(new RangeError(`it ended: ${out}${err}`))),
  ]);
  const end = async (): Promise<Ran> => {
    stop.abort();
    return await ended;
  };
  return { url: `https://${host}:8443`, end, [Symbol.asyncDispose]: async () => void (await end()) };
}

interface Server extends AsyncDisposable {
  readonly url: string;
  end(): Promise<Ran>;
}

async function listens(host: string): Promise<void> {
  for (const until = performance.now() + 20_000; performance.now() < until; await sleep(20)) {
    const socket = net.connect({ host, port: 8443 });
    const isOpen = await new Promise<boolean>((tell) => {
      socket.once("connect", () => tell(true));
      socket.once("error", () => tell(false));
    });
    socket.destroy();
    if (isOpen) return;
  }
  throw new RangeError(`nobody listens at ${host}`);
}

test("a device from the box: authorities by fingerprint, a person's word, certificate, renewal", async () => {
  await using server = await serve("127.37.2.1", [
    "--vendor",
    at("vendor.pem"),
    "--require-linking",
    "--announce",
    "est-cli.local",
  ]);
  const found = await browseEstByMdns("_est._tcp", { interface: "127.37.2.1", timeoutMs: 10_000 });
  expect(found).toContainEqual({ url: "https://est-cli.local:8443", address: "127.37.2.1", source: "mdns" });
  const { url } = server;
  const taken = await cipsec(["est", "cacerts", url, "--fingerprint", fingerprint, "--out", at("plant.pem"), "--json"]);
  expect(document(taken)).toMatchObject({
    certificates: [{ kind: "anchor", sha256: fingerprint }, { kind: "intermediate" }],
  });
  expect((await cipsec(["est", "cacerts", url, "--fingerprint", "00", "--json"])).code).toBe(4);
  expect((await cipsec(["est", "cacerts", url, "--trust-on-first-use"])).err).toContain("nothing vouches");
  const identity = ["--ca", at("plant.pem"), "--cert", at("birth.pem"), "--key", at("birth.key")];
  const wishes = await cipsec(["est", "csrattrs", url, ...identity, "--json"]);
  expect(document(wishes)).toMatchObject({ wantsChallenge: true });
  const enroll = [
    "est",
    "enroll",
    url,
    ...identity,
    "--new-key",
    at("drive.key"),
    "--san",
    "IP:192.0.2.7",
    "--out",
    at("drive.pem"),
    "--json",
  ];
  const first = await cipsec(enroll);
  expect([first.code, document(first)]).toMatchObject([1, { status: "pending", retryAfterMs: 60_000 }]);
  expect(statSync(at("drive.key")).mode & 0o777).toBe(0o600);

  const [waiting] = document(await cipsec(["est", "pending", "--json"], { data })) as { id: string }[];
  expect(waiting).toMatchObject({ state: "waiting", identity: "Acme/00C0FFEE", san: { ip: ["192.0.2.7"] } });
  expect((await cipsec(["est", "approve", waiting?.id ?? ""], { data })).out).toContain("Acme/00C0FFEE");
  expect((await cipsec(["est", "deny", waiting?.id ?? "", "--json"], { data })).code).toBe(2);
  const issued = await cipsec(enroll);
  expect([issued.code, document(issued)]).toMatchObject([
    0,
    { status: "issued", subject: expect.stringContaining("00C0FFEE") },
  ]);
  expect(openssl("verify", "-CAfile", "plant.pem", "-verify_ip", "192.0.2.7", "drive.pem").text).toContain("OK");

  const current = ["--ca", at("plant.pem"), "--cert", at("drive.pem"), "--key", at("drive.key")];
  const renewed = await cipsec([
    "est",
    "reenroll",
    url,
    ...current,
    "--new-key",
    at("drive2.key"),
    "--out",
    at("drive2.pem"),
  ]);
  expect(renewed.code).toBe(0);
  expect(openssl("verify", "-CAfile", "plant.pem", "-verify_ip", "192.0.2.7", "drive2.pem").text).toContain("OK");
  const changed = await cipsec(["est", "reenroll", url, ...current, "--san", "IP:192.0.2.8", "--json"]);
  expect([changed.code, document(changed)]).toMatchObject([4, { error: { code: "est/http", facts: { status: 403 } } }]);
  const { code, out, err } = await server.end();
  expect([code, out]).toEqual([0, expect.stringContaining('"outcome":"issued"')]);
  expect(out).toContain('"listening":true');
  expect(out + err).not.toContain("PRIVATE KEY");
});

test("--check-identity: a certificate alone does not do, its device has to answer for it", async () => {
  await using server = await serve("127.32.21.1", ["--vendor", at("vendor.pem"), "--check-identity"], at("looking"));
  await cipsec(["ca", "export", "--out", at("hall4.pem")], { data: at("looking") });
  const identity = ["--ca", at("hall4.pem"), "--cert", at("birth.pem"), "--key", at("birth.key")];
  const asked = ["est", "enroll", server.url, ...identity, "--new-key", at("x.key"), "--out", at("x.pem"), "--json"];
  const refused = await cipsec(asked);
  expect([refused.code, JSON.parse(refused.out)]).toMatchObject([
    4,
    { error: { code: "est/http", message: expect.stringContaining("127.0.0.1") } },
  ]);
});

test("name and password, a key made by the server, and what rules refuse", async () => {
  writeFileSync(at("pw"), "correct horse\n");
  writeFileSync(at("wrong"), "wrong horses\n");
  writeFileSync(
    at("rules.json"),
    JSON.stringify({
      rules: [
        {
          name: "staff",
          callers: ["password"],
          users: ["line2"],
          action: "issue",
          takeNames: { dns: ["*.plant.example"] },
        },
        { name: "vendor", callers: ["birth"], action: "issue" },
      ],
    }),
  );
  expect((await cipsec(["est", "user", "line2", "--password-file", at("pw")], { data })).code).toBe(0);
  expect(readFileSync(join(data, "est", "users.json"), "utf8")).not.toContain("horse");
  const rules = ["--rules", at("rules.json"), "--vendor", at("vendor.pem"), "--without-certificate", "--server-keygen"];
  await using server = await serve("127.37.2.2", ["--name", "localhost", ...rules]);
  const { url } = server;
  await cipsec(["ca", "export", "--out", at("plant.pem")], { data });
  const enroll = (file: string, san: string) =>
    cipsec([
      "est",
      "enroll",
      url,
      "--ca",
      at("plant.pem"),
      "--username",
      "line2",
      "--password-file",
      at(file),
      "--subject",
      "O=Hall 3,CN=hmi 3",
      "--san",
      san,
      "--new-key",
      at("hmi.key"),
      "--json",
    ]);
  expect((await enroll("pw", "DNS:hmi.plant.example")).code).toBe(0);
  expect((await enroll("wrong", "DNS:hmi.plant.example")).code).toBe(4);
  expect((await enroll("pw", "DNS:hmi.elsewhere.example")).code).toBe(4);
  const keygen = [
    "est",
    "serverkeygen",
    url,
    "--ca",
    at("plant.pem"),
    "--cert",
    at("birth.pem"),
    "--key",
    at("birth.key"),
  ];
  for (const more of [[], ["--encrypt"]]) {
    const made = await cipsec([...keygen, ...more, "--key-out", at("made.key"), "--out", at("made.pem"), "--json"]);
    expect(made.code).toBe(0);
    expect(made.out).not.toContain("PRIVATE KEY");
    const publicOf = (...words: readonly string[]) => openssl(...words).text;
    expect(publicOf("pkey", "-in", "made.key", "-pubout")).toBe(
      publicOf("x509", "-in", "made.pem", "-pubkey", "-noout"),
    );
  }
});

test("the authority above: an EST server of another organisation issues for this plant", async () => {
  const corporate = at("corporate");
  await cipsec(["ca", "init", "--name", "Corporate"], { data: corporate });
  request("ra", "/O=Hall 4/CN=registrar");
  await cipsec(["ca", "issue", at("ra.csr"), "--profile", "tool", "--registrar", "--out", at("ra.pem")], {
    data: corporate,
  });
  await cipsec(["ca", "export", "--out", at("corporate.pem")], { data: corporate });
  writeFileSync(
    at("above.json"),
    JSON.stringify({ rules: [{ name: "ra", callers: ["registrar"], action: "issue", takeNames: "request" }] }),
  );
  writeFileSync(
    at("below.json"),
    JSON.stringify({
      rules: [{ name: "v", callers: ["birth"], action: "issue", takeSubject: "request", takeNames: "request" }],
    }),
  );
  await using above = await serve("127.37.2.3", ["--rules", at("above.json"), "--require-linking"], corporate);
  const hall4 = at("hall4");
  const init = [
    "ca",
    "init",
    "--name",
    "Hall 4",
    "--upstream",
    above.url,
    "--ca",
    at("corporate.pem"),
    "--cert",
    at("ra.pem"),
    "--key",
    at("ra.key"),
    "--json",
  ];
  expect((await cipsec(init, { data: hall4 })).code).toBe(0);
  expect((await cipsec(init, { data: hall4 })).code).toBe(2);
  expect((await cipsec(["ca", "export"], { data: hall4 })).out).toBe(readFileSync(at("corporate.pem"), "utf8"));
  request("valve", "/O=Hall 4/CN=valve 1");
  expect((await cipsec(["ca", "issue", at("valve.csr"), "--out", at("valve.pem")], { data: hall4 })).code).toBe(0);
  expect(openssl("verify", "-CAfile", "corporate.pem", "valve.pem").text).toContain("OK");
  expect(document(await cipsec(["ca", "list", "--json"], { data: hall4 }))).toHaveLength(1);
  expect((await cipsec(["ca", "revoke", "00"], { data: hall4 })).err).toContain("authority above");
  expect((await cipsec(["ca", "crl"], { data: hall4 })).err).toContain("--import");
  await cipsec(["ca", "crl", "--out", at("corporate.crl")], { data: corporate });
  expect((await cipsec(["ca", "crl", "--import", at("corporate.crl")], { data: hall4 })).out).toContain(
    "BEGIN X509 CRL",
  );
  expect((await cipsec(["ca", "crl", "--import", at("corporate.crl")], { data: corporate })).code).toBe(2);

  // Devices ask this plant's server, which asks the one above; what links them to their own session stays here.
  await using here = await serve(
    "127.37.2.4",
    ["--rules", at("below.json"), "--vendor", at("vendor.pem"), "--require-linking"],
    hall4,
  );
  const enrolled = await cipsec([
    "est",
    "enroll",
    here.url,
    "--ca",
    at("corporate.pem"),
    "--cert",
    at("birth.pem"),
    "--key",
    at("birth.key"),
    "--new-key",
    at("low.key"),
    "--san",
    "IP:192.0.2.9",
    "--out",
    at("low.pem"),
    "--json",
  ]);
  expect(document(enrolled)).toMatchObject({ status: "issued" });
  expect(openssl("verify", "-CAfile", "corporate.pem", "-verify_ip", "192.0.2.9", "low.pem").text).toContain("OK");
});

test("a root that is reached by files only", async () => {
  const far = at("far");
  const begun = await cipsec(["ca", "init", "--offline", "--name", "Hall 5", "--out", at("hall5.csr"), "--json"], {
    data: far,
  });
  expect(document(begun)).toMatchObject({ pem: expect.stringContaining("BEGIN CERTIFICATE REQUEST") });
  expect((await cipsec(["ca", "init", "--offline", "--name", "Hall 5", "--json"], { data: far })).out).toBe(begun.out);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "corp.key"];
  openssl("req", "-x509", ...key, "-subj", "/O=Corp/CN=Corp Root", "-days", "3650", "-out", "corp.pem");
  writeFileSync(
    at("ca.ext"),
    "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
  );
  const sign = [
    "x509",
    "-req",
    "-in",
    "hall5.csr",
    "-CA",
    "corp.pem",
    "-CAkey",
    "corp.key",
    "-CAcreateserial",
    "-days",
    "1000",
  ];
  openssl(...sign, "-out", "plain.pem");
  writeFileSync(at("plain-chain.pem"), readFileSync(at("plain.pem"), "utf8") + readFileSync(at("corp.pem"), "utf8"));
  expect((await cipsec(["ca", "import", at("plain-chain.pem"), "--json"], { data: far })).code).toBe(4);
  openssl(...sign, "-extfile", "ca.ext", "-out", "hall5.pem");
  writeFileSync(at("hall5-chain.pem"), readFileSync(at("corp.pem"), "utf8") + readFileSync(at("hall5.pem"), "utf8"));
  expect((await cipsec(["ca", "import", at("corp.pem"), "--json"], { data: far })).code).toBe(4);
  expect((await cipsec(["ca", "import", at("hall5-chain.pem"), "--json"], { data: far })).code).toBe(0);
  request("pump5", "/CN=pump 5");
  expect((await cipsec(["ca", "issue", at("pump5.csr"), "--out", at("pump5.pem")], { data: far })).code).toBe(0);
  expect(openssl("verify", "-CAfile", "corp.pem", "-untrusted", "pump5.pem", "pump5.pem").text).toContain("OK");
});

test("a request that waits survives the server's being killed", async () => {
  const words = ["est", "serve", "--json", "--listen", "127.37.2.5:8443", "--vendor", at("vendor.pem")];
  await cipsec(["ca", "export", "--out", at("plant.pem")], { data });
  request("second", "/O=Acme/CN=Pump 8/serialNumber=00C0FFED");
  await cipsec(["ca", "issue", at("second.csr"), "--profile", "vendor-device", "--out", at("second.pem")], {
    data: vendor,
  });
  const identity = ["--ca", at("plant.pem"), "--cert", at("second.pem"), "--key", at("second.key")];
  const enroll = () =>
    cipsec(["est", "enroll", "https://127.37.2.5:8443", ...identity, "--new-key", at("second-new.key"), "--json"]);
  {
    await using server = new Process(words, data);
    await server.says('"listening":true');
    expect((await enroll()).code).toBe(1);
    server.child.kill("SIGKILL");
    await server.end();
  }
  const waiting = document(await cipsec(["est", "pending", "--json"], { data })) as { id: string; identity: string }[];
  const id = waiting.find((one) => one.identity === "Acme/00C0FFED")?.id ?? "";
  expect((await cipsec(["est", "approve", id], { data })).code).toBe(0);
  await using again = new Process(words, data);
  await again.says('"listening":true');
  expect((await enroll()).code).toBe(0);
});

test("commission --pull watches a device until a person has approved it, and refuses one that is another", async () => {
  const [host, address] = ["127.37.2.21", "127.37.2.22"];
  await cipsec(["ca", "init", "--name", "Hall 4"], { data: at("pulled") });
  await using _ = await serve(host, ["--vendor", at("vendor.pem"), "--retry-after", "1"], at("pulled"));
  writeFileSync(at("pulled.pem"), (await cipsec(["ca", "export"], { data: at("pulled") })).out);
  await using pump = await startPulling("pump", host, address);
  const watch = ["commission", address, "--pull", "--vendor", at("vendor.pem")];
  const pulled = { data: at("pulled") };

  const seen = await cipsec(
    ["posture", address, "--vendor", at("vendor.pem"), "--insecure-accept-any", "--json"],
    pulled,
  );
  expect(seen.code).toBe(0);
  expect(document(seen)).toMatchObject({ vendorIdentity: { verified: true, serialNumber: "00C0FFEE" } });
  pump.pass(5000);
  const waiting = async () => document(await cipsec(["est", "pending", "--json"], pulled)) as { identity: string }[];
  await expect.poll(async () => await waiting(), { timeout: 30_000 }).toMatchObject([{ identity: "Acme/00C0FFEE" }]);
  const early = await cipsec([...watch, "--wait", "3", "--json"], pulled);
  expect(early.code).toBe(1);
  expect(document(early)).toMatchObject({
    error: { code: "pull/pending", fix: expect.stringContaining("est approve") },
  });
  expect(early.err).toContain("waits for a person");

  const asked = document(await cipsec(["est", "pending", "--json"], pulled)) as { id: string; identity: string }[];
  expect(asked).toMatchObject([{ identity: "Acme/00C0FFEE" }]);
  await cipsec(["est", "approve", asked[0]?.id ?? ""], pulled);
  const done = await cipsec(watch, pulled);
  expect(done).toMatchObject({
    code: 0,
    out: expect.stringContaining("Test pump enrolled by itself; proven over TLSv1."),
  });
  expect(done.out).toContain("Its maker vouches for it: ");
  expect(done.out).toContain("Still open without protection: 44818/tcp");
  const again = await cipsec(["commission", address, "--pull", "--json"], pulled);
  expect(document(again)).toMatchObject({
    mode: "pull",
    start: "already-enrolled",
    vendorIdentity: { verified: false },
    deviceCertificate: { subject: expect.stringContaining("00C0FFEE") },
    posture: { security: { ethernetIpState: "pull-completed" } },
  });
  // What it shows now is the plant's word for it, not its maker's.
  expect((await cipsec(["posture", address, "--vendor", at("vendor.pem")], pulled)).code).toBe(1);

  await using fake = await startPulling("fake", host, "127.37.2.23", 0xbad);
  const refused = await cipsec(["commission", fake.address, "--pull", "--vendor", at("vendor.pem"), "--json"], pulled);
  expect(refused.code).toBe(4);
  expect(document(refused)).toMatchObject({
    error: { code: "trust/counterfeit", facts: { certificate: "00C0FFEE", identity: "00000BAD" } },
  });
}, 60_000);

test.each([
  { name: "push and pull", words: ["--pull", "--psk"], says: "--psk does not go with --pull" },
  { name: "both ways of naming makers", words: ["--vendor", "a", "--vendor-ca", "b"], says: "exclude each other" },
  { name: "nothing to trust by", words: ["--pull"], says: "nothing to verify" },
])("commission refuses: $name", async ({ words, says }) => {
  const ran = await cipsec(["commission", "127.37.2.24", ...words], { data: at("nothing-here") });
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining(says) });
});

/** A device with the pull model and the birth certificate of pump 7, whose time can be made to pass. */
async function startPulling(name: string, host: string, address: string, serialNumber = 0xc0ffee) {
  let ahead = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => performance.now() + ahead,
    after(ms, run) {
      const due = clock.now() + ms;
      const timer = setInterval(() => {
        if (clock.now() < due) return;
        clearInterval(timer);
        run();
      }, 10);
      return () => clearInterval(timer);
    },
  };
  const target = await startTarget({
    stateDir: at(name),
    clock,
    description: readDescription({
      name,
      identity: {
        vendorId: 0xffff,
        productCode: 7,
        revision: { major: 2, minor: 1 },
        serialNumber,
        productName: `Test ${name}`,
      },
      address,
      security: {
        defaultCertificate: { certificate: at("birth.pem"), key: at("birth.key") },
        pull: { url: `https://${host}:8443`, anchors: at("pulled.pem") },
      },
    }),
  });
  return {
    address,
    pass: (ms: number) => void (ahead += ms),
    [Symbol.asyncDispose]: async () => await target.stop(),
  };
}
