import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createSecretKey, randomBytes } from "node:crypto";
import {
  basicAnswer,
  digestAnswer,
  digestResponse,
  isPassword,
  makePasswordRecord,
  Nonces,
  readBasic,
  readChallenges,
  readDigest,
  readPasswordRecords,
} from "../src/est/auth.ts";
import { isLabel, mediaType, pathOf, readEstUrl, readPath } from "../src/est/http.ts";
import { RateLimiter } from "../src/est/limits.ts";
import { coversName, isAddressPattern } from "../src/est/patterns.ts";
import { decideEnrolment, identityOf, ruleFor, sameNames, type Caller, type EnrolPolicy } from "../src/est/policy.ts";
import { readRetryAfter, retryDelayMs, untilIssued } from "../src/est/retry.ts";
import { readEnrolPolicy } from "../src/est/rules.ts";
import { openKey, sealKey } from "../src/key-envelope.ts";
import { birth, pump } from "./est-support.ts";
import { authority, make, makeKeyPair, noon, opensslIssue } from "./support.ts";

const vendor = await authority("Vendor Root");
const device = await birth(vendor);
const [certificate] = device.chain;
if (certificate === undefined) throw new RangeError("no birth certificate");
const anchor = vendor.certificate.facts.sha256;
const born: Caller = { kind: "birth", certificate, anchor };
const none = { ip: [], dns: [], uri: [] };
const ask = (policy: EnrolPolicy, caller: Caller, more: object = {}) =>
  decideEnrolment(policy, {
    operation: "simpleenroll",
    label: undefined,
    caller,
    request: { subject: pump, san: none },
    ...more,
  });

test.each([
  { name: "another caller", rule: { callers: ["password"] } },
  { name: "another label", rule: { labels: ["x"] }, label: "y" },
  { name: "a label where there is none", rule: { labels: ["x"] } },
  { name: "another user", rule: { users: ["ann"] } },
  { name: "another vendor root", rule: { anchors: ["00"] } },
  { name: "another maker", rule: { subject: { organization: "Other" } } },
  { name: "a part that the certificate lacks", rule: { subject: { locality: "?" } } },
])("a rule does not fit: $name", ({ rule, label }) => {
  const policy = readEnrolPolicyOf({ name: "r", callers: ["birth"], action: "issue", ...rule });
  expect(ask(policy, born, { label })).toMatchObject({ action: "refuse", rule: "none" });
});

function readEnrolPolicyOf(rule: object): EnrolPolicy {
  const { anchors, ...rest } = { anchors: undefined, ...rule };
  const policy = readEnrolPolicy(JSON.stringify({ rules: [rest] }));
  return { ...policy, rules: policy.rules.map((one) => (anchors === undefined ? one : { ...one, anchors })) };
}

test("subjects come from the request, the caller, or a template of both", () => {
  const rule = (takeSubject: object | string | undefined) =>
    readEnrolPolicyOf({
      name: "r",
      callers: ["birth"],
      action: "issue",
      labels: ["a"],
      subject: { organization: "Ac*", serialNumber: "00*EE" },
      ...(takeSubject === undefined ? {} : { takeSubject }),
    });
  const subjectBy = (takeSubject: object | string | undefined) =>
    ask(rule(takeSubject), born, { label: "a", request: { subject: { commonName: "mine" }, san: none } });
  expect(subjectBy(undefined)).toMatchObject({ subject: pump, profile: "device" });
  expect(subjectBy("request")).toMatchObject({ subject: { commonName: "mine" } });
  expect(
    subjectBy({ organization: "Plant", commonName: "{request.commonName} {caller.serialNumber}{caller.nothing}" }),
  ).toMatchObject({ subject: { organization: "Plant", commonName: "mine 00C0FFEE" } });
  const user: Caller = { kind: "password", user: "ann" };
  const byUser = readEnrolPolicyOf({
    name: "r",
    callers: ["password"],
    action: "issue",
    takeSubject: "caller",
    takeNames: "caller",
  });
  expect(ask(byUser, user)).toMatchObject({ subject: {}, san: none });
  expect(identityOf(user)).toBe("user/ann");
});

test("names come from nowhere, the request, the caller, or a list of patterns", () => {
  const san = { ip: ["10.1.2.3"], dns: ["a.plant.example"], uri: ["urn:dev:7"] };
  const by = (takeNames: object | string) =>
    ask(readEnrolPolicyOf({ name: "r", callers: ["birth"], action: "hold", takeNames }), born, {
      request: { subject: pump, san },
    });
  expect(by("none")).toMatchObject({ action: "hold", san: none });
  expect(by("request")).toMatchObject({ san });
  expect(by("caller")).toMatchObject({ san: none });
  expect(by({ ip: ["10.1.0.0/16"], dns: ["*.plant.example"], uri: ["urn:dev:*"] })).toMatchObject({ san });
  expect(by({ ip: ["10.1.0.0/16"] })).toMatchObject({
    action: "refuse",
    reason: expect.stringContaining("a.plant.example"),
  });
});

test("renewal keeps names, whatever their order; a change is refused, held or issued by policy", async () => {
  const { publicKey } = await makeKeyPair();
  const san = { ip: ["192.0.2.7", "192.0.2.8"], dns: [], uri: [] };
  const current = await make({
    publicKey,
    issuerKey: vendor.key,
    issuer: vendor.certificate,
    subject: pump,
    san,
    usage: { server: false, client: true },
  });
  const caller: Caller = { kind: "current", certificate: current, anchor };
  const other = { ip: ["192.0.2.9"], dns: [], uri: [] };
  const renew = (policy: EnrolPolicy, request: object) =>
    ask(policy, caller, { request: { subject: pump, san: none, ...request } });
  expect(renew({ rules: [] }, {})).toMatchObject({ action: "issue", san, profile: "tool" });
  expect(renew({ rules: [] }, { san: { ...san, ip: san.ip.toReversed() } })).toMatchObject({ action: "issue", san });
  expect(renew({ rules: [] }, { san: other })).toMatchObject({ action: "refuse" });
  expect(renew({ rules: [], changedNames: "hold" }, { san: other })).toMatchObject({ action: "hold", san: other });
  expect(renew({ rules: [], changedNames: "issue", renewDays: 9 }, { san: other })).toMatchObject({
    action: "issue",
    san: other,
    days: 9,
  });
  expect(renew({ rules: [] }, { subject: { commonName: "other" } })).toMatchObject({
    action: "refuse",
    reason: expect.stringContaining("subject"),
  });
  expect(identityOf(caller)).toBe("Acme/00C0FFEE");
  expect(sameNames(san, other)).toBe(false);
});

test("the first fitting rule decides, also when it refuses", () => {
  const policy = readEnrolPolicy(
    JSON.stringify({
      rules: [
        { name: "stop", callers: ["birth"], anchors: [anchor.toUpperCase()], action: "refuse" },
        { name: "go", callers: ["birth"], action: "issue" },
      ],
      changedNames: "hold",
      renewDays: 30,
      replacements: { a: "b" },
    }),
  );
  expect(ask(policy, born)).toMatchObject({ action: "refuse", rule: "stop" });
  expect(policy).toMatchObject({ changedNames: "hold", renewDays: 30, replacements: { a: "b" } });
  expect(ruleFor(policy, { operation: "csrattrs", label: undefined, caller: born })?.name).toBe("stop");
});

test.each([
  { name: "no JSON", text: "{" },
  { name: "a list", text: "[]" },
  { name: "rules that are none", text: '{"rules":{}}' },
  { name: "an unknown field", text: '{"rules":[{"name":"r","callers":["birth"],"action":"issue","profil":"tool"}]}' },
  { name: "an unknown action", text: '{"rules":[{"name":"r","callers":["birth"],"action":"yes"}]}' },
  { name: "a name that is no text", text: '{"rules":[{"name":7,"callers":["birth"],"action":"issue"}]}' },
  { name: "days that are none", text: '{"rules":[{"name":"r","callers":["birth"],"action":"issue","days":0}]}' },
  { name: "days in text", text: '{"rules":[],"renewDays":"9"}' },
  {
    name: "a fingerprint that is none",
    text: '{"rules":[{"name":"r","callers":["birth"],"action":"issue","anchors":["00"]}]}',
  },
  {
    name: "a network that is none",
    text: '{"rules":[{"name":"r","callers":["birth"],"action":"issue","takeNames":{"ip":["10.1/16"]}}]}',
  },
  { name: "a switch that is none", text: '{"rules":[],"templates":"yes"}' },
  { name: "a replacement that is none", text: '{"rules":[],"replacements":[]}' },
])("no rules: $name", ({ text }) => {
  expect(() => readEnrolPolicy(text)).toThrow(expect.objectContaining({ code: "usage/est" }));
});

test("every field of a rule is read", () => {
  const rule = {
    name: "r",
    callers: ["birth", "password", "registrar"],
    labels: ["a"],
    users: ["u"],
    anchors: [anchor],
    subject: { commonName: "x*" },
    action: "issue",
    profile: "user",
    days: 3,
    takeSubject: "caller",
    takeNames: { dns: ["a"] },
    keyKind: "rsa-2048",
  };
  expect(readEnrolPolicy(JSON.stringify({ rules: [rule], templates: true }))).toEqual({
    templates: true,
    rules: [{ ...rule, takeNames: { ip: [], dns: ["a"], uri: [] } }],
  });
});

test.each([
  ["ip", "10.1.0.0/16", "10.1.255.255", true],
  ["ip", "10.1.0.0/16", "10.2.0.1", false],
  ["ip", "10.1.2.3", "10.1.2.3", true],
  ["ip", "10.1.2.3", "10.1.2.4", false],
  ["ip", "0.0.0.0/0", "192.0.2.1", true],
  ["ip", "10.0.0.0/9", "10.128.0.0", false],
  ["ip", "2001:db8::/32", "2001:db8:1::1", true],
  ["ip", "2001:db8::/32", "2001:db9::1", false],
  ["ip", "::/0", "10.0.0.1", false],
  ["ip", "nonsense", "10.0.0.1", false],
  ["ip", "::1", "::1", true],
  ["dns", "*.plant.example", "a.plant.example", true],
  ["dns", "*.Plant.Example", "a.b.plant.example", true],
  ["dns", "*.plant.example", "plant.example", false],
  ["dns", "*.plant.example", ".plant.example", false],
  ["dns", "*.plant.example", "*.plant.example", false],
  ["dns", "a.example", "a.example", true],
  ["dns", "a.example", "b.example", false],
  ["uri", "urn:dev:*", "urn:dev:7", true],
  ["uri", "urn:dev:7", "urn:dev:8", false],
] as const)("a pattern of %s: %s and %s: %s", (kind, pattern, text, covers) => {
  expect(coversName(kind, pattern, text)).toBe(covers);
});

test("address patterns", () => {
  expect(["10.0.0.0/8", "10.0.0.1", "::/128", "fe80::1"].map(isAddressPattern)).toEqual([true, true, true, true]);
  expect(["10.0.0.0/33", "10.0.0.0/x", "10/8", "a/8", "1.1.1.1/8/8", "/8"].map(isAddressPattern)).toEqual([
    false,
    false,
    false,
    false,
    false,
    false,
  ]);
});

test.each([
  ["https://est.example", { host: "est.example", port: 443, label: undefined }],
  ["est.example:8443", { host: "est.example", port: 8443, label: undefined }],
  ["https://[::1]:8443/", { host: "::1", port: 8443, label: undefined }],
  ["https://est.example/.well-known/est", { host: "est.example", port: 443, label: undefined }],
  ["https://est.example/.well-known/est/", { host: "est.example", port: 443, label: undefined }],
  ["https://est.example/.well-known/est/line2", { host: "est.example", port: 443, label: "line2" }],
  ["https://est.example/line2", { host: "est.example", port: 443, label: "line2" }],
])("reads the address %s", (text, expected) => expect(readEstUrl(text)).toEqual(expected));

test.each([
  "http://est.example",
  "https://u:p@est.example",
  "https://est.example/a/b/c",
  "https://est.example/cacerts",
  "",
  "https://",
])("no address: %s", (text) => expect(() => readEstUrl(text)).toThrow(expect.objectContaining({ code: "usage/est" })));

test("paths: labels, a slash at the end, a query", () => {
  expect(readPath("/.well-known/est/cacerts/?x=1")).toEqual({ operation: "cacerts", label: undefined });
  expect(readPath("/.well-known/est/a/fullcmc")).toEqual({ operation: "other", label: "a" });
  expect(readPath("/.well-known/est/a/b/cacerts")).toBeUndefined();
  expect(readPath(pathOf("csrattrs", "a"))).toEqual({ operation: "csrattrs", label: "a" });
  expect([isLabel("a"), isLabel("cacerts"), isLabel(".."), isLabel("."), isLabel("a/b")]).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
  expect([mediaType("A/B; c=d"), mediaType(undefined)]).toEqual(["a/b", ""]);
});

test("Digest: the example of RFC 7616 3.9.1, with both hashes", () => {
  const challenge = (algorithm: string) =>
    readChallenges([
      `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
    ]);
  const answer = (algorithm: string) => {
    const [one] = challenge(algorithm);
    if (one === undefined) throw new RangeError("no challenge");
    return readDigest(
      digestAnswer(
        one,
        { username: "Mufasa", password: "Circle of Life" },
        { method: "GET", uri: "/dir/index.html", cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ" },
      ) ?? "",
    );
  };
  expect(answer("MD5")).toMatchObject({
    response: "8ca523f5e9506fed4657c9700eebdbec",
    opaque: "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
  });
  expect(answer("SHA-256")).toMatchObject({
    response: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    nc: "00000001",
    qop: "auth",
  });
  expect(
    digestResponse({ algorithm: "MD5", ha1: "", method: "", uri: "", nonce: "", nc: "", cnonce: "" }),
  ).toHaveLength(32);
});

test("challenges: several in a header, in several headers, unknown ones between", () => {
  expect(
    readChallenges(['Basic realm="a, b", Digest realm="c\\"d", nonce=x', "Negotiate"]).map(({ scheme, parameters }) => [
      scheme,
      parameters["realm"],
    ]),
  ).toEqual([
    ["basic", "a, b"],
    ["digest", 'c"d'],
  ]);
  expect(readDigest("Basic x")).toBeUndefined();
  expect(readBasic(basicAnswer({ username: "a", password: "b:c" }))).toEqual({ username: "a", password: "b:c" });
  expect([readBasic("Basic !"), readBasic("Basic OmE="), readBasic("x")]).toEqual([undefined, undefined, undefined]);
});

test("nonces are good once, for five minutes, and only ours", () => {
  const nonces = new Nonces();
  const nonce = nonces.make(noon);
  expect([
    nonces.take(nonce, noon),
    nonces.take(nonce, noon),
    nonces.take("a-b-c", noon),
    nonces.take("x", noon),
  ]).toEqual(["good", "stale", "foreign", "foreign"]);
  const old = nonces.make(noon);
  expect(nonces.take(old, new Date(noon.getTime() + 301_000))).toBe("stale");
  expect(nonces.take(nonces.make(new Date(noon.getTime() + 1000)), noon)).toBe("stale");
  const later = new Date(noon.getTime() + 400_000);
  expect(nonces.take(nonces.make(later), later)).toBe("good");
  expect(new Nonces().take(nonces.make(noon), noon)).toBe("foreign");
});

test("passwords: records tell right from wrong, and are read back", async () => {
  const record = await makePasswordRecord({ username: "ann", password: "correct horse" }, "est", ["SHA-256", "MD5"]);
  expect([
    await isPassword(record, { username: "", password: "correct horse" }),
    await isPassword(record, { username: "", password: "x" }),
    await isPassword(undefined, { username: "", password: "x" }),
  ]).toEqual([true, false, false]);
  expect(readPasswordRecords(JSON.stringify([record, { ...record, digest: {} }]))).toEqual([
    record,
    { ...record, digest: {} },
  ]);
  for (const text of ["{", "[{}]", JSON.stringify([{ ...record, hash: "zz" }])])
    expect(() => readPasswordRecords(text)).toThrow(expect.objectContaining({ code: "usage/est" }));
  await expect(makePasswordRecord({ username: "a:b", password: "correct horse" }, "est")).rejects.toMatchObject({
    code: "usage/est",
  });
  await expect(makePasswordRecord({ username: "ab", password: "short" }, "est")).rejects.toMatchObject({
    code: "usage/est",
  });
});

test("a limiter gives back with time, and forgets the quietest of very many", () => {
  const limiter = new RateLimiter(1, 60);
  expect([
    limiter.take("a", noon),
    limiter.take("a", noon),
    limiter.take("a", new Date(noon.getTime() + 1000)),
  ]).toEqual([0, 1, 0]);
  for (let n = 0; n < 10_000; n++) limiter.take(`${n}`, noon);
  expect(limiter.has("a", noon)).toBe(true);
  expect(limiter.has("9999", noon)).toBe(false);
});

test("Retry-After in seconds, as a date against the server's own, and as nonsense", () => {
  expect(readRetryAfter("120", "")).toBe(120_000);
  expect(readRetryAfter("Sat, 21 Nov 2026 10:01:00 GMT", "Sat, 21 Nov 2026 10:00:00 GMT")).toBe(60_000);
  expect(readRetryAfter("Sat, 21 Nov 2026 09:00:00 GMT", "Sat, 21 Nov 2026 10:00:00 GMT")).toBe(0);
  expect([readRetryAfter("", ""), readRetryAfter("soon", ""), readRetryAfter("999999999", "")]).toEqual([
    0, 0, 86_400_000,
  ]);
});

test("waits grow to an hour, follow the server, and are jittered by a tenth", () => {
  expect([1, 2, 3, 30].map((attempt) => retryDelayMs(0, attempt, () => 0))).toEqual([
    30_000, 60_000, 120_000, 3_600_000,
  ]);
  expect([retryDelayMs(5000, 9, () => 0), retryDelayMs(5000, 9, () => 1), retryDelayMs(1, 1, () => 0)]).toEqual([
    5000, 5500, 1000,
  ]);
});

test("who waits gives up after as many tries as it was told", async () => {
  const waits: number[] = [];
  const options = {
    random: () => 0,
    maxAttempts: 3,
    pause: () => Promise.resolve(),
    onPending: (ms: number) => waits.push(ms),
  };
  await expect(
    untilIssued(() => Promise.resolve({ status: "pending" as const, retryAfterMs: 0 }), options),
  ).rejects.toMatchObject({ code: "est/pending" });
  expect(waits).toEqual([30_000, 60_000]);
});

const signer = { certificate, key: device.key };
const shared = createSecretKey(randomBytes(16));
const { privateKey: made } = await makeKeyPair();

test("a sealed key is opened by its owner, and by nobody else", async () => {
  const rsa = await birth(vendor, "1", "rsa-2048");
  const [rsaCertificate] = rsa.chain;
  if (rsaCertificate === undefined) throw new RangeError("no certificate");
  const stranger = await makeKeyPair();
  const strange = await makeKeyPair("rsa-2048");
  for (const { recipient, key } of [
    { recipient: { kind: "shared", id: Buffer.from("k"), key: shared }, key: shared },
    {
      recipient: { kind: "shared", id: Buffer.from("k"), key: createSecretKey(Buffer.alloc(24, 1)) },
      key: createSecretKey(Buffer.alloc(24, 1)),
    },
    { recipient: { kind: "certificate", certificate }, key: device.key },
    { recipient: { kind: "certificate", certificate: rsaCertificate }, key: rsa.key },
  ] as const) {
    const sealed = sealKey(
      made,
      recipient,
      recipient.kind === "shared" ? signer : { certificate: rsaCertificate, key: rsa.key },
    );
    expect(openKey(sealed, key).privateKey.equals(made)).toBe(true);
    for (const wrong of [
      stranger.privateKey,
      strange.privateKey,
      createSecretKey(Buffer.alloc(16)),
      createSecretKey(Buffer.alloc(15)),
    ])
      expect(() => openKey(sealed, wrong)).toThrow(expect.objectContaining({ code: "usage/key" }));
  }
  expect(() =>
    sealKey(made, { kind: "shared", id: Buffer.from("k"), key: createSecretKey(Buffer.alloc(15)) }, signer),
  ).toThrow(expect.objectContaining({ code: "usage/key" }));
  const odd = opensslIssue(undefined, { key: ["-algorithm", "ED25519"] }).certificate;
  expect(() => sealKey(made, { kind: "certificate", certificate: odd }, signer)).toThrow(
    expect.objectContaining({ code: "usage/key" }),
  );
});

test("a sealed key of which one octet was changed is never another key", () => {
  const sealed = sealKey(made, { kind: "certificate", certificate }, signer);
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (place, flip) => {
      const changed = Uint8Array.from(sealed);
      changed[place] = (changed[place] ?? 0) ^ flip;
      try {
        expect(openKey(changed, device.key).privateKey.equals(made)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "usage/key" });
      }
    }),
    { numRuns: 300 },
  );
});
