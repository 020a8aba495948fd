import { createPrivateKey, createSecretKey, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  estClient,
  initCa,
  listenEst,
  localAuthority,
  makeEstService,
  makeKeyPair,
  makePasswordRecord,
  openRegister,
  parseCertificate,
  sealKey,
  toPem,
  writeKeyFile,
  type CertificateAuthority,
  type EstListener,
  type EstServiceOptions,
} from "@cipsec/pki";
import { must, printed, run, start, stop, withPeers } from "./kit/programs.ts";

const host = "127.37.5.1";

withPeers("curl enrols at our EST server", ["curl", "openssl"], () => {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-est-"));
  const at = (name: string): string => join(folder, name);
  const now = (): Date => new Date();
  const listeners: EstListener[] = [];
  let ca: CertificateAuthority;
  let open: EstListener;
  let byPassword: EstListener;

  /** Serves with the vendor's birth certificates let in. */
  async function serve(name: string, more: Partial<EstServiceOptions["callers"]> = {}): Promise<EstListener> {
    const pause = async (ms: number): Promise<void> => await sleep(ms);
    const { privateKey, publicKey } = await makeKeyPair();
    const { chain } = await ca.issue({
      profile: "tool",
      server: true,
      publicKey,
      subject: { commonName: "est" },
      san: { ip: [host] },
    });
    const [certificate] = chain;
    const service = makeEstService({
      authority: localAuthority(ca),
      labels: { line2: localAuthority(ca) },
      register: await openRegister(at(name), { now, pause }),
      now,
      retryAfterS: 5,
      policy: () => ({
        rules: [
          { name: "held", callers: ["birth"], labels: ["line2"], action: "hold" },
          { name: "birth", callers: ["birth"], action: "issue", takeNames: "request", keyKind: "ecdsa-p256" },
          { name: "password", callers: ["password"], action: "issue" },
        ],
      }),
      callers: { vendorAnchors: [parseCertificate(readFileSync(at("vendor.pem")))], realm: "est", ...more },
      ...(certificate === undefined ? {} : { keyDelivery: { signer: { certificate, key: privateKey } } }),
    });
    const listener = await listenEst(service, { host, port: 0, chain, key: privateKey });
    listeners.push(listener);
    return listener;
  }

  beforeAll(async () => {
    ca = await initCa(at("ca"), { name: "Plant", now });
    writeFileSync(at("plant.pem"), toPem([ca.root, ca.issuing]));
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    await must("openssl", [
      "req",
      "-x509",
      ...ec,
      "-keyout",
      at("vendor.key"),
      "-subj",
      "/O=Acme/CN=Acme Root",
      "-days",
      "30",
      "-out",
      at("vendor.pem"),
    ]);
    await must("openssl", [
      "req",
      "-new",
      ...ec,
      "-keyout",
      at("birth.key"),
      "-subj",
      "/O=Acme/CN=Pump/serialNumber=00C0FFEE",
      "-out",
      at("birth.csr"),
    ]);
    writeFileSync(at("ext"), "extendedKeyUsage=clientAuth,serverAuth\nsubjectKeyIdentifier=hash\n");
    await must("openssl", [
      "x509",
      "-req",
      "-in",
      at("birth.csr"),
      "-CA",
      at("vendor.pem"),
      "-CAkey",
      at("vendor.key"),
      "-CAcreateserial",
      "-days",
      "20",
      "-extfile",
      at("ext"),
      "-out",
      at("birth.pem"),
    ]);
    await must("openssl", [
      "req",
      "-new",
      ...ec,
      "-keyout",
      at("new.key"),
      "-subj",
      "/O=Acme/CN=Pump/serialNumber=00C0FFEE",
      "-addext",
      "subjectAltName=IP:192.0.2.7",
      "-out",
      at("new.csr"),
    ]);
    await must("openssl", ["req", "-in", at("new.csr"), "-outform", "DER", "-out", at("new.der")]);
    writeFileSync(at("new.b64"), readFileSync(at("new.der")).toString("base64"));
    writeFileSync(
      at("new.crlf"),
      readFileSync(at("new.der"))
        .toString("base64")
        .replace(/.{1,76}/g, "$&\r\n"),
    );
    open = await serve("open");
    const record = await makePasswordRecord({ username: "line2", password: "correct horse" }, "est", [
      "SHA-256",
      "MD5",
    ]);
    const users = (name: string) => Promise.resolve(name === "line2" ? record : undefined);
    byPassword = await serve("password", { users, passwordAlone: true });
  });

  afterAll(async () => {
    await Promise.all(listeners.map(async (listener) => await listener.close()));
    rmSync(folder, { recursive: true, force: true });
  });

  interface Answer {
    readonly status: number;
    readonly headers: string;
    readonly body: string;
  }

  async function curl({ port }: EstListener, path: string, ...words: readonly string[]): Promise<Answer> {
    const url = `https://${host}:${port}/.well-known/est/${path}`;
    const headers = at("headers");
    const body = await must("curl", ["-sS", "--cacert", at("plant.pem"), "-D", headers, ...words, url]);
    const said = readFileSync(headers, "utf8");
    return { status: Number([...said.matchAll(/^HTTP\/1\.1 (\d+)/gm)].at(-1)?.[1]), headers: said.toLowerCase(), body };
  }

  const birth = ["--cert", at("birth.pem"), "--key", at("birth.key")];
  const post = (file: string, type = "application/pkcs10"): readonly string[] => [
    "--data-binary",
    `@${at(file)}`,
    "-H",
    `Content-Type: ${type}`,
  ];

  /** Has OpenSSL read the answer, and verify the certificate for its address. */
  async function verified({ body }: Answer): Promise<string> {
    writeFileSync(at("answer.p7"), Buffer.from(body, "base64"));
    await must("openssl", [
      "pkcs7",
      "-inform",
      "DER",
      "-in",
      at("answer.p7"),
      "-print_certs",
      "-out",
      at("answer.pem"),
    ]);
    return await must("openssl", ["verify", "-CAfile", at("plant.pem"), at("answer.pem")]);
  }

  test("cacerts: OpenSSL reads the authorities", async () => {
    const answer = await curl(open, "cacerts");
    expect(answer.headers).toContain("content-type: application/pkcs7-mime");
    writeFileSync(at("ca.p7"), Buffer.from(answer.body, "base64"));
    const printed = await must("openssl", ["pkcs7", "-inform", "DER", "-in", at("ca.p7"), "-print_certs", "-noout"]);
    expect(printed).toContain("CN = Plant Root CA");
    expect(printed).toContain("CN = Plant Issuing CA");
  });

  test("csrattrs: OpenSSL reads what the rule wishes for", async () => {
    const { body } = await curl(open, "csrattrs", ...birth);
    const { stdout } = await run("openssl", ["asn1parse", "-inform", "DER"], { input: Buffer.from(body, "base64") });
    expect(stdout.toString()).toContain("prime256v1");
  });

  test.each([
    { form: "base64 on one line", words: post("new.b64") },
    { form: "base64 with CRLF", words: post("new.crlf") },
    { form: "PEM with its armour", words: post("new.csr") },
    { form: "raw DER", words: post("new.der") },
    { form: "curl's own Content-Type", words: ["--data-binary", `@${at("new.b64")}`] },
    { form: "no Content-Type", words: [...post("new.b64", ""), "-H", "Content-Type:"] },
    {
      form: "a false Content-Transfer-Encoding",
      words: [...post("new.b64"), "-H", "Content-Transfer-Encoding: binary"],
    },
    { form: "chunks", words: [...post("new.b64"), "-H", "Transfer-Encoding: chunked"] },
    { form: "Expect: 100-continue", words: [...post("new.b64"), "-H", "Expect: 100-continue"] },
    { form: "TLS 1.2", words: [...post("new.b64"), "--tls-max", "1.2"] },
  ])("simpleenroll with a birth certificate: $form", async ({ words }) => {
    const answer = await curl(open, "simpleenroll", ...birth, ...words);
    expect(answer.status).toBe(200);
    expect(answer.headers).toContain("content-type: application/pkcs7-mime; smime-type=certs-only");
    expect(await verified(answer)).toContain("OK");
    const text = await must("openssl", ["x509", "-in", at("answer.pem"), "-noout", "-ext", "subjectAltName"]);
    expect(text).toContain("IP Address:192.0.2.7");
  });

  test("simplereenroll with what was issued; a request for another address is refused", async () => {
    await verified(await curl(open, "simpleenroll", ...birth, ...post("new.csr")));
    writeFileSync(at("current.pem"), readFileSync(at("answer.pem")));
    const current = ["--cert", at("current.pem"), "--key", at("new.key")];
    expect(await verified(await curl(open, "simplereenroll", ...current, ...post("new.csr")))).toContain("OK");
    await must("openssl", [
      "req",
      "-new",
      "-key",
      at("new.key"),
      "-subj",
      "/O=Acme/CN=Pump/serialNumber=00C0FFEE",
      "-addext",
      "subjectAltName=IP:192.0.2.8",
      "-out",
      at("other.csr"),
    ]);
    const refused = await curl(open, "simplereenroll", ...current, ...post("other.csr"));
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining("alternative names") });
  });

  test.each([
    { scheme: "Basic", words: ["--basic"] },
    { scheme: "Digest with SHA-256", words: ["--digest"] },
    { scheme: "whichever is best", words: ["--anyauth"] },
  ])("simpleenroll with name and password: $scheme", async ({ words }) => {
    const good = await curl(byPassword, "simpleenroll", ...words, "-u", "line2:correct horse", ...post("new.csr"));
    expect(await verified(good)).toContain("OK");
    expect(
      (await curl(byPassword, "simpleenroll", ...words, "-u", "line2:wrong horses", ...post("new.csr"))).status,
    ).toBe(401);
    expect((await curl(byPassword, "simpleenroll", ...post("new.csr"))).status).toBe(401);
  });

  test("who has no certificate, or waits for a person, is told so", async () => {
    expect(await curl(open, "simpleenroll", ...post("new.csr"))).toMatchObject({
      status: 403,
      body: "no client certificate was shown\n",
    });
    const held = await curl(open, "line2/simpleenroll", ...birth, ...post("new.csr"));
    expect(held).toMatchObject({ status: 202, headers: expect.stringContaining("retry-after: 5") });
    expect((await curl(open, "nowhere/cacerts")).status).toBe(404);
  });

  test("serverkeygen: OpenSSL reads the key, which belongs to the certificate", async () => {
    const { body, headers } = await curl(open, "serverkeygen", ...birth, ...post("new.csr"));
    const boundary = /boundary=(\S+)/.exec(headers)?.[1] ?? "";
    const [, key = "", certificate = ""] = body
      .split(new RegExp(`--${boundary}`, "i"))
      .map((part) => part.split("\r\n\r\n")[1]);
    writeFileSync(at("made.key"), Buffer.from(key, "base64"));
    expect(await verified({ status: 200, headers, body: certificate })).toContain("OK");
    const ofKey = await must("openssl", ["pkey", "-inform", "DER", "-in", at("made.key"), "-pubout"]);
    expect(await must("openssl", ["x509", "-in", at("answer.pem"), "-noout", "-pubkey"])).toBe(ofKey);
  });

  test.each(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "shared key"] as const)(
    "OpenSSL opens a sealed key: %s",
    async (kind) => {
      const { privateKey } = await makeKeyPair();
      const signerKeys = await makeKeyPair();
      const signer = await ca.issue({
        profile: "tool",
        publicKey: signerKeys.publicKey,
        subject: { commonName: "signer" },
      });
      const shared = randomBytes(32);
      const owner = await makeKeyPair(kind === "shared key" ? "ecdsa-p256" : kind);
      const { certificate } = await ca.issue({
        profile: "device",
        publicKey: owner.publicKey,
        subject: { commonName: "owner" },
      });
      const recipient =
        kind === "shared key"
          ? ({ kind: "shared", id: Buffer.from("k1"), key: createSecretKey(shared) } as const)
          : ({ kind: "certificate", certificate } as const);
      writeFileSync(
        at("sealed.cms"),
        sealKey(privateKey, recipient, { certificate: signer.certificate, key: signerKeys.privateKey }),
      );
      writeFileSync(at("owner.pem"), toPem(certificate));
      await writeKeyFile(at("owner.key"), owner.privateKey);
      const by =
        kind === "shared key"
          ? ["-secretkey", shared.toString("hex"), "-secretkeyid", Buffer.from("k1").toString("hex")]
          : ["-recip", at("owner.pem"), "-inkey", at("owner.key")];
      await must("openssl", [
        "cms",
        "-decrypt",
        "-inform",
        "DER",
        "-in",
        at("sealed.cms"),
        ...by,
        "-out",
        at("signed.der"),
      ]);
      // What was encrypted is the content alone; OpenSSL wants its type before it.
      const signed = readFileSync(at("signed.der"));
      const wrapped = derSequence(
        Buffer.concat([Buffer.from("06092a864886f70d010702", "hex"), derElement(0xa0, signed)]),
      );
      writeFileSync(at("signed.cms"), wrapped);
      await must("openssl", [
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        at("signed.cms"),
        "-CAfile",
        at("plant.pem"),
        "-purpose",
        "any",
        "-out",
        at("package.der"),
      ]);
      const octets = readFileSync(at("package.der"));
      // A package of one key: its sequence has a long length.
      const header = (octets[1] ?? 0) > 0x80 ? (octets[1] ?? 0) - 0x80 : 0;
      const opened = createPrivateKey({ key: octets.subarray(2 + header), format: "der", type: "pkcs8" });
      expect(opened.equals(privateKey)).toBe(true);
    },
  );

  test("our client against a server of OpenSSL's that speaks no EST says what is wrong", async () => {
    const { privateKey, publicKey } = await makeKeyPair();
    const { chainPem } = await ca.issue({
      profile: "tool",
      server: true,
      publicKey,
      subject: { commonName: "web" },
      san: { ip: ["127.37.5.2"] },
    });
    writeFileSync(at("web.pem"), chainPem);
    await writeKeyFile(at("web.key"), privateKey);
    const server = start("openssl", [
      "s_server",
      "-accept",
      "127.37.5.2:8443",
      "-cert",
      at("web.pem"),
      "-cert_chain",
      at("web.pem"),
      "-key",
      at("web.key"),
      "-www",
    ]);
    await printed(server, /ACCEPT/);
    const client = estClient({
      url: "https://127.37.5.2:8443",
      trust: { explicit: [ca.root, ca.issuing] },
      now,
      randomBytes,
    });
    await expect(client.cacerts()).rejects.toMatchObject({ code: "est/answer" });
    await stop(server);
  });
});

function derElement(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

function derSequence(content: Buffer): Buffer {
  return derElement(0x30, content);
}
