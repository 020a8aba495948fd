import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { toPem, type Certificate } from "../src/certificate.ts";
import { createCrl, crlToPem, parseCrl, type Crl } from "../src/crl.ts";
import { requireTrusted, verifyChain } from "../src/verify.ts";
import type { ChainQuestion } from "../src/verdict.ts";
import {
  at,
  authority,
  make,
  makeKeyPair,
  noon,
  openssl,
  opensslIssue,
  spoil,
  temporaryFolder,
  type Authority,
} from "./support.ts";

const folder = temporaryFolder();

const root = await authority("root");
const issuing = await authority("issuing", root, { usage: { pathLength: 0, server: false, client: false } });
const stranger = await authority("stranger root");
const keys = await makeKeyPair();
const otherKeys = await makeKeyPair();
const issued = { publicKey: keys.publicKey, issuer: issuing.certificate, issuerKey: issuing.key };
const good = await make(issued);
const listed = await make({
  publicKey: keys.publicKey,
  issuerKey: keys.privateKey,
  subject: { commonName: "self-signed" },
});
const strangers = await make({ ...issued, issuer: stranger.certificate, issuerKey: stranger.key });
const strong = { san: "subjectAltName=IP:192.0.2.7\n", eku: "extendedKeyUsage=serverAuth,clientAuth\n" };

async function list(by: Authority, entries: readonly Certificate[], from = -1, until = 1, number = 1): Promise<Crl> {
  return await createCrl({
    issuer: by.certificate,
    issuerKey: by.key,
    number,
    thisUpdate: at(from),
    nextUpdate: at(until),
    entries: entries.map(({ facts }) => ({ serialHex: facts.serialHex, revokedAt: at(-2), reason: "keyCompromise" })),
  });
}

const freshList = await list(issuing, []);
const rootList = await list(root, []);

function ask(change: Partial<ChainQuestion> = {}): ChainQuestion {
  return {
    leaf: good,
    chain: [issuing.certificate],
    anchors: [root.certificate],
    time: noon,
    purpose: "server",
    ...change,
  };
}

/** The same question to OpenSSL. */
function openssls({
  leaf,
  chain = [],
  anchors,
  crls = [],
  time,
  purpose,
  expectedNames = {},
  checkExpiration = true,
}: ChainQuestion): boolean {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const args = ["verify", "-auth_level", "2", "-purpose", purpose === "any" ? "any" : `ssl${purpose}`];
  args.push("-partial_chain", "-CAfile", file("anchors.pem", toPem(anchors)));
  if (chain.length > 0) args.push("-untrusted", file("chain.pem", toPem(chain)));
  if (crls.length > 0) args.push("-crl_check", "-CRLfile", file("crl.pem", crlToPem(crls)));
  if (checkExpiration && time !== undefined) args.push("-attime", String(time.getTime() / 1000));
  else args.push("-no_check_time");
  if (expectedNames.ip !== undefined) args.push("-verify_ip", expectedNames.ip);
  else if (expectedNames.dns !== undefined) args.push("-verify_hostname", expectedNames.dns);
  return openssl([...args, file("leaf.pem", toPem(leaf))]).ok;
}

interface Case {
  readonly name: string;
  readonly ask: Partial<ChainQuestion>;
  /** Nothing: accepted. */
  readonly code?: string;
  /** Where OpenSSL is meant to say something else, with the reason. */
  readonly differs?: string;
}

async function leafOf(
  content: Parameters<typeof make>[0],
  code?: string,
): Promise<Pick<Case, "ask"> & { code?: string }> {
  return { ask: { leaf: await make(content) }, ...(code === undefined ? {} : { code }) };
}

const tooDeep = await authority("too deep", issuing);
const notAuthority = await authority("not an authority", root, { usage: { server: true, client: true } });
const signless = opensslIssue(root, {
  subject: "/CN=signless",
  extensions: "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n",
});
const clientOnly = opensslIssue(root, {
  subject: "/CN=client only",
  extensions: "basicConstraints=critical,CA:TRUE\nextendedKeyUsage=clientAuth\n",
});
const constrained = opensslIssue(root, {
  subject: "/CN=constrained",
  extensions: "basicConstraints=critical,CA:TRUE\nnameConstraints=permitted;DNS:example\n",
});
const listless = opensslIssue(root, {
  subject: "/CN=listless",
  extensions: "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n",
});
const expiredIssuing = await authority("issuing", root, { notAfter: at(-1) });
const under = async (issuer: Authority): Promise<Certificate> =>
  await make({ ...issued, issuer: issuer.certificate, issuerKey: issuer.key });
const underDeep = await under(tooDeep);
const underSignless = await under(signless);
const underClientOnly = await under(clientOnly);
const underListless = await under(listless);
const listlessList = await list(listless, []);
const sha1 = opensslIssue(issuing, { digest: "sha1" });
const rsaIssuing = opensslIssue(root, {
  subject: "/CN=rsa",
  key: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  extensions: "basicConstraints=critical,CA:TRUE\n",
});
const md5 = opensslIssue(rsaIssuing, { digest: "md5" }).certificate;
const forged = await createCrl({
  issuer: issuing.certificate,
  issuerKey: stranger.key,
  number: 9,
  thisUpdate: at(-1),
  nextUpdate: at(1),
  entries: [],
});
const nameOnly = await make({ ...issued, subject: { commonName: "192.0.2.7" }, san: {} });
const wildcard = await make({ ...issued, san: { dns: ["*.plant.example"] } });
const v6 = await make({ ...issued, san: { ip: ["2001:DB8:0::7"] } });
const noUsage = opensslIssue(issuing, { extensions: strong.san });
const anyUsage = opensslIssue(issuing, { extensions: `${strong.san}extendedKeyUsage=anyExtendedKeyUsage\n` });
const keyCertSignOnly = opensslIssue(issuing, { extensions: `${strong.san}keyUsage=critical,nonRepudiation\n` });
const unknownCritical = opensslIssue(issuing, { extensions: `${strong.san}1.2.3.4.5=critical,DER:0500\n` });
const otherSerial = opensslIssue(issuing, { extensions: `${strong.san}authorityKeyIdentifier=DER:3003820105\n` });
const harmlessCritical = opensslIssue(issuing, { extensions: `${strong.san}certificatePolicies=critical,1.2.3.4\n` });

const cases: readonly Case[] = [
  { name: "control: the whole chain", ask: {} },
  {
    name: "control: every check at once",
    ask: { crls: [freshList, rootList], expectedNames: { ip: "192.0.2.7" }, pinned: [good], publicKey: keys.publicKey },
  },
  { name: "control: a client", ask: { purpose: "client" } },
  { name: "control: the intermediate is the anchor", ask: { chain: [], anchors: [issuing.certificate] } },
  // a: signature
  { name: "a: one bit of the leaf's signature", ask: { leaf: spoil(good) }, code: "trust/bad-signature" },
  {
    name: "a: one bit of the intermediate's signature",
    ask: { chain: [spoil(issuing.certificate)] },
    code: "trust/bad-signature",
  },
  {
    name: "a: one bit of a self-signed leaf",
    ask: { leaf: spoil(listed), anchors: [root.certificate] },
    code: "trust/bad-signature",
  },
  // b: chain
  { name: "b: no intermediate", ask: { chain: [] }, code: "trust/unknown-authority" },
  { name: "b: unknown root", ask: { leaf: strangers, chain: [stranger.certificate] }, code: "trust/unknown-authority" },
  { name: "b: no anchors", ask: { anchors: [] }, code: "trust/unknown-authority" },
  {
    name: "b: issuer is not an authority",
    ask: { leaf: await under(notAuthority), chain: [notAuthority.certificate] },
    code: "trust/not-a-ca",
  },
  {
    name: "b: path longer than allowed",
    ask: { leaf: underDeep, chain: [tooDeep.certificate, issuing.certificate] },
    code: "trust/not-a-ca",
  },
  {
    name: "b: issuer may not sign certificates",
    ask: { leaf: underSignless, chain: [signless.certificate] },
    code: "trust/not-a-ca",
  },
  { name: "b: self-signed, not listed", ask: { leaf: listed }, code: "trust/self-signed" },
  { name: "b: control: self-signed, listed", ask: { leaf: listed, anchors: [root.certificate, listed] } },
  {
    name: "b: an issued leaf is no anchor by being listed",
    ask: { chain: [], anchors: [good] },
    code: "trust/unknown-authority",
    differs: "OpenSSL takes any listed certificate; ours has trusted identities for that",
  },
  {
    name: "b: the authority itself, listed",
    ask: { leaf: issuing.certificate, chain: [], anchors: [issuing.certificate], purpose: "any" },
  },
  // c: revocation
  { name: "c: control: not listed", ask: { crls: [freshList] } },
  { name: "c: listed", ask: { crls: [await list(issuing, [good])] }, code: "trust/revoked" },
  {
    name: "c: listed in a stale list too",
    ask: { crls: [await list(issuing, [good], -5, -4)] },
    code: "trust/revoked",
  },
  { name: "c: stale list", ask: { crls: [await list(issuing, [], -5, -4)] }, code: "trust/crl-stale" },
  { name: "c: list of the future", ask: { crls: [await list(issuing, [], 1, 2)] }, code: "trust/crl-stale" },
  { name: "c: the newest list counts", ask: { crls: [await list(issuing, [good], -5, 5), freshList] } },
  {
    name: "c: no list of the issuer",
    ask: { crls: [rootList], revocation: { missing: "refuse" } },
    code: "trust/crl-missing",
  },
  { name: "c: list signed by someone else", ask: { crls: [forged] }, code: "trust/crl-signature" },
  {
    name: "c: issuer may not sign lists",
    ask: { leaf: underListless, chain: [listless.certificate], crls: [listlessList] },
    code: "trust/crl-signature",
  },
  {
    name: "c: the intermediate is listed",
    ask: { crls: [freshList, await list(root, [issuing.certificate])] },
    code: "trust/revoked",
    differs: "-crl_check looks at the leaf only",
  },
  { name: "c: no list is needed", ask: { crls: [rootList] }, differs: "-crl_check needs one" },
  {
    name: "c: a stale list is allowed",
    ask: { crls: [await list(issuing, [], -5, -4)], revocation: { stale: "accept" } },
    differs: "OpenSSL has no such choice",
  },
  // d: key
  { name: "d: control: the right key", ask: { publicKey: keys.privateKey } },
  {
    name: "d: another key",
    ask: { publicKey: otherKeys.publicKey },
    code: "trust/key-mismatch",
    differs: "openssl verify has no key to compare",
  },
  // e: identity
  { name: "e: control: address", ask: { expectedNames: { ip: "192.0.2.7" } } },
  { name: "e: another address", ask: { expectedNames: { ip: "192.0.2.8" } }, code: "trust/name" },
  { name: "e: no address at all", ask: { expectedNames: { ip: "no address" } }, code: "trust/name" },
  { name: "e: control: host name in another case", ask: { expectedNames: { dns: "PUMP.example" } } },
  { name: "e: another host name", ask: { expectedNames: { dns: "valve.example" } }, code: "trust/name" },
  {
    name: "e: the common name does not count",
    ask: { leaf: nameOnly, expectedNames: { ip: "192.0.2.7" } },
    code: "trust/name",
  },
  {
    name: "e: no name is expected, but one has to match",
    ask: { expectedNames: {} },
    code: "trust/name",
    differs: "OpenSSL has no such question",
  },
  { name: "e: control: wildcard", ask: { leaf: wildcard, expectedNames: { dns: "a.plant.example" } } },
  {
    name: "e: wildcard stands for one label",
    ask: { leaf: wildcard, expectedNames: { dns: "a.b.plant.example" } },
    code: "trust/name",
  },
  {
    name: "e: wildcard does not stand for none",
    ask: { leaf: wildcard, expectedNames: { dns: "plant.example" } },
    code: "trust/name",
  },
  { name: "e: control: IPv6 in another spelling", ask: { leaf: v6, expectedNames: { ip: "2001:db8::0007" } } },
  {
    name: "e: control: address of a dual-stack socket",
    ask: { expectedNames: { ip: "::ffff:192.0.2.7" } },
    differs: "OpenSSL does not map it",
  },
  {
    name: "e: control: second kind of name",
    ask: { expectedNames: { ip: "192.0.2.9", dns: "pump.example" } },
    differs: "OpenSSL wants both",
  },
  {
    name: "e: not a trusted identity",
    ask: { pinned: ["00".repeat(32), listed] },
    code: "trust/not-pinned",
    differs: "no pinning in openssl verify",
  },
  { name: "e: control: trusted identity by fingerprint", ask: { pinned: [good.x509.fingerprint256] } },
  // f: algorithms
  { name: "f: SHA-1", ask: { leaf: sha1.certificate }, code: "trust/weak" },
  { name: "f: MD5", ask: { leaf: md5, chain: [rsaIssuing.certificate] }, code: "trust/weak" },
  {
    name: "f: SHA-3, which no peer of a plant knows",
    ask: { leaf: opensslIssue(issuing, { digest: "sha3-256" }).certificate },
    code: "trust/weak",
  },
  {
    name: "f: RSA of 1024 bits",
    ask: {
      leaf: opensslIssue(issuing, { key: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"] }).certificate,
    },
    code: "trust/weak",
  },
  {
    name: "f: control: RSA of 2048 bits",
    ask: {
      leaf: opensslIssue(issuing, { key: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] }).certificate,
    },
  },
  {
    name: "f: curve of 192 bits",
    ask: {
      leaf: opensslIssue(issuing, { key: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime192v1"] })
        .certificate,
    },
    code: "trust/weak",
  },
  {
    name: "f: control: P-384",
    ask: {
      leaf: opensslIssue(issuing, { key: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"] }).certificate,
    },
  },
  {
    name: "f: Ed25519, which no suite uses",
    ask: { leaf: opensslIssue(issuing, { key: ["-algorithm", "ED25519"] }).certificate },
    code: "trust/weak",
    differs: "OpenSSL takes it",
  },
  {
    name: "f: a policy asks for more",
    ask: { minimumStrength: { rsaBits: 3072, ecBits: 384 } },
    code: "trust/weak",
    differs: "auth_level 2 asks for less",
  },
  {
    name: "b: another serial number of the issuer in the key identifier",
    ask: { leaf: otherSerial.certificate },
    code: "trust/disagreement",
  },
  // days
  { name: "days: expired", ...(await leafOf({ ...issued, notAfter: at(-1) }, "trust/expired")) },
  { name: "days: not yet valid", ...(await leafOf({ ...issued, notBefore: at(1) }, "trust/not-yet-valid")) },
  { name: "days: the issuer expired", ask: { time: at(61) }, code: "trust/expired" },
  { name: "days: expired, not checked", ask: { time: at(61), checkExpiration: false } },
  { name: "days: expired, no clock", ask: { leaf: await make({ ...issued, notAfter: at(-1) }), time: undefined } },
  {
    name: "days: expired copy of the issuer beside a good one",
    ask: { chain: [expiredIssuing.certificate, issuing.certificate] },
  },
  // usage
  {
    name: "usage: client's on a server",
    ...(await leafOf({ ...issued, usage: { server: false, client: true } }, "trust/usage")),
  },
  {
    name: "usage: not asked for",
    ask: { leaf: await make({ ...issued, usage: { server: false, client: true } }), purpose: "any" },
  },
  { name: "usage: none stated", ask: { leaf: noUsage.certificate } },
  {
    name: "usage: any stated",
    ask: { leaf: anyUsage.certificate },
    differs: "OpenSSL does not count anyExtendedKeyUsage",
  },
  {
    name: "usage: the key may neither sign nor agree",
    ask: { leaf: keyCertSignOnly.certificate },
    code: "trust/usage",
  },
  {
    name: "usage: the authority is limited to clients",
    ask: { leaf: underClientOnly, chain: [clientOnly.certificate] },
    code: "trust/usage",
  },
  // restrictions
  { name: "extension: critical and unknown", ask: { leaf: unknownCritical.certificate }, code: "trust/extension" },
  { name: "extension: critical and harmless", ask: { leaf: harmlessCritical.certificate } },
  {
    name: "extension: name constraints",
    ask: { leaf: await under(constrained), chain: [constrained.certificate] },
    code: "trust/extension",
    differs: "OpenSSL weighs them; ours refuses what it does not weigh",
  },
];

describe("chain verdicts", () => {
  test.each(cases)("$name", ({ ask: change, code, differs }) => {
    const question = ask(change);
    const verdict = verifyChain(question);
    expect(verdict.ok ? undefined : verdict.code).toBe(code);
    // Twice: what was learnt about a pair must not change the answer.
    expect(verifyChain(question)).toEqual(verdict);
    expect(openssls(question) === verdict.ok, differs ?? "OpenSSL says the same").toBe(differs === undefined);
    if (!verdict.ok) expect(Object.keys(verdict)).toEqual(["ok", "code", "message", "facts", "fix"]);
  });

  test("says what a good verdict rests on", () => {
    const all = verifyChain(ask({ crls: [freshList, rootList], expectedNames: { ip: "192.0.2.7" }, pinned: [good] }));
    expect(all).toMatchObject({ ok: true, checked: { expiration: true, revocation: true, name: true, pinned: true } });
    expect(all.ok && all.chain.map(({ facts }) => facts.subject)).toEqual(["CN=device", "CN=issuing", "CN=root"]);
    const none = verifyChain(ask({ time: undefined, crls: [freshList] }));
    expect(none).toMatchObject({
      ok: true,
      checked: { expiration: false, revocation: false, name: false, pinned: false },
    });
  });

  test("a refusal becomes an error with the same parts", () => {
    const question = ask({ chain: [] });
    const verdict = verifyChain(question);
    expect(() => requireTrusted(question)).toThrow(
      expect.objectContaining(
        verdict.ok
          ? {}
          : {
              code: verdict.code,
              message: verdict.message,
              facts: verdict.facts,
              fix: verdict.fix,
              name: "TrustError",
            },
      ),
    );
    expect(requireTrusted(ask()).chain).toHaveLength(3);
  });

  test("a list of an authority's other key says nothing", async () => {
    const renewed = await authority("issuing", root, { usage: { pathLength: 0, server: false, client: false } });
    const other = await list(renewed, [good]);
    expect(verifyChain(ask({ crls: [other] }))).toMatchObject({ ok: true, checked: { revocation: false } });
    expect(verifyChain(ask({ crls: [other, freshList, rootList] }))).toMatchObject({
      ok: true,
      checked: { revocation: true },
    });
  });

  test("of two lists of the same second the one with the greater number counts", async () => {
    const [before, after] = [await list(issuing, [], -1, 1, 255), await list(issuing, [good], -1, 1, 256)];
    for (const crls of [
      [before, after],
      [after, before],
    ])
      expect(verifyChain(ask({ crls }))).toMatchObject({ ok: false, code: "trust/revoked" });
  });

  test("a list without key identifier is judged by its signature", async () => {
    const file = (name: string): string => join(folder, name);
    const bare = opensslIssue(root, {
      subject: "/CN=bare",
      extensions: "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=none\n",
    });
    const leaf = await under(bare);
    const crl = await list(bare, [leaf]);
    expect(crl.authorityKeyId).toBeUndefined();
    writeFileSync(file("bare.pem"), crlToPem(crl));
    expect(verifyChain(ask({ leaf, chain: [bare.certificate], crls: [parseCrl(crlToPem(crl))] }))).toMatchObject({
      ok: false,
      code: "trust/revoked",
    });
  });

  test("a maze of authorities ends", async () => {
    // Every one of a dozen cross-signed certificates may have issued every other.
    const hall = await authority("hall", stranger, { subject: { commonName: "hall" } });
    const maze: Certificate[] = [];
    for (let index = 0; index < 12; index++) {
      maze.push(
        await make({
          subject: { commonName: "hall" },
          san: {},
          publicKey: hall.certificate.publicKey,
          issuer: hall.certificate,
          issuerKey: hall.key,
          usage: { pathLength: 9, server: false, client: false },
        }),
      );
    }
    const leaf = await make({ ...issued, issuer: hall.certificate, issuerKey: hall.key });
    expect(verifyChain(ask({ leaf, chain: maze }))).toMatchObject({
      ok: false,
      code: "trust/unknown-authority",
      message: expect.stringContaining("64 tries"),
    });
  });

  test("a chain longer than eight is not followed", async () => {
    const usage = { pathLength: 20, server: false, client: false };
    const top = await authority("wide root", undefined, { usage });
    const line = [top];
    for (let level = 1; level < 8; level++) line.push(await authority(`level ${level}`, line.at(-1), { usage }));
    const short = await under(line[6]!);
    const long = await under(line[7]!);
    const chain = line.slice(1).map(({ certificate }) => certificate);
    expect(verifyChain(ask({ leaf: short, chain, anchors: [top.certificate] }))).toMatchObject({ ok: true });
    expect(verifyChain(ask({ leaf: long, chain, anchors: [top.certificate] }))).toMatchObject({
      ok: false,
      code: "trust/unknown-authority",
    });
  });
});
