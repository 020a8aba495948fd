import { createPrivateKey, randomBytes, type KeyObject } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createCsr, makeKeyPair, writeKeyFile } from "@cipsec/pki";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { systemClock, type Clock } from "@cipsec/transport";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cipsec, descriptionOf, temporaryFolder, type Ran } from "./support.ts";

const folder = temporaryFolder();
const at = (...names: readonly string[]): string => join(folder.path, ...names);
const [plant, vendor] = [at("plant"), at("vendor")];
const host = "127.36.12.1";
const url = `https://${host}:8443`;
const password = "correct horse battery staple";
const psk = randomBytes(32).toString("hex");

/** Where private keys may be, each file for its owner alone. docs/architecture.md, "Where secrets are". */
const keyPlaces: readonly RegExp[] = [
  /^(plant|vendor)\/ca\/(root|issuing)\.key\.pem$/,
  /^(plant|vendor)\/tool\/key\.pem$/,
  /^plant\/est\/server\.key\.pem$/,
  /^plant\/assess\/signing-key\.pem$/,
  /^(drive|cell|pump)\/keys\/[0-9a-f]{32}\.pem$/,
  // Of people: they named the file.
  /^(birth|enrolled|made)\.key$/,
];

/** Where pre-shared keys and passwords may be. */
const secretPlaces: readonly RegExp[] = [/^cell\/state(\.previous)?$/, /^(psk|password|wrong)$/];

const outputs: { readonly words: string; readonly ran: Ran }[] = [];
const events: string[] = [];
const targets: Target[] = [];
const serving = new AbortController();
let served: Promise<Ran> | undefined;

/** Runs a command, in words and as JSON, telling all it knows; the first output is kept as well. */
async function both(words: readonly string[], data = plant): Promise<Ran> {
  await kept([...words, "--verbose"], data);
  return await kept([...words, "--json"], data);
}

async function kept(words: readonly string[], data = plant): Promise<Ran> {
  const ran = await cipsec(words, { data });
  outputs.push({ words: words.join(" "), ran });
  return ran;
}

async function start(name: string, description: object, calendar = systemClock): Promise<void> {
  const onEvent = (event: object): void => void events.push(JSON.stringify(event));
  const options = { description: readDescription(description), stateDir: at(name), onEvent, calendar };
  targets.push(await startTarget(options));
}

beforeAll(async () => {
  await kept(["ca", "init", "--name", "Hall 3", "--verbose", "--json"]);
  await kept(["ca", "init", "--name", "Acme"], vendor);
  await kept(["ca", "export", "--out", at("vendor.pem")], vendor);
  writeFileSync(at("password"), `${password}\n`);
  writeFileSync(at("psk"), `${psk}\n`);
  await both(["est", "user", "line2", "--password-file", at("password")]);
  const rule = { name: "all", callers: ["birth", "password"], action: "issue" };
  writeFileSync(at("rules.json"), JSON.stringify({ rules: [rule] }));
  const serve = ["est", "serve", "--listen", `${host}:8443`, "--rules", at("rules.json"), "--vendor", at("vendor.pem")];
  let isUp = false;
  served = cipsec([...serve, "--server-keygen", "--without-certificate", "--verbose", "--json"], {
    data: plant,
    signal: serving.signal,
  });
  await kept(["ca", "export", "--out", at("plant.pem")]);
  for (const until = performance.now() + 20_000; !isUp && performance.now() < until; await sleep(20))
    isUp = (await cipsec(["est", "cacerts", url, "--ca", at("plant.pem")])).code === 0;
  await Promise.all([
    start("drive", descriptionOf("drive", "127.36.12.2", "modern")),
    start("cell", descriptionOf("cell", "127.36.12.3", "cbc-psk")),
  ]);
});

afterAll(async () => {
  serving.abort();
  await Promise.all([served, ...targets.map((target) => target.stop())]);
  folder.remove();
});

test("no private key, pre-shared key or password stands anywhere but where it belongs", async () => {
  await enrolments();
  await devices();
  const failed = outputs
    .filter(({ ran }) => ran.code !== 0)
    .map(({ words, ran }) => `${ran.code} ${words.split(" ", 2).join(" ")}`);
  // Three checks of an assessment do not make a level.
  expect(failed).toEqual(["1 assess endpoint"]);
  const before = outputs.length;
  await mistakes();
  expect(outputs.slice(before).map(({ ran }) => ran.code)).not.toContain(0);
  serving.abort();
  if (served !== undefined) outputs.push({ words: "est serve", ran: await served });
  await Promise.all(targets.map((target) => target.stop()));

  const files = filesBelow(folder.path);
  const keys = files.filter(({ name, octets }) => isAt(keyPlaces, name) && octets.includes("PRIVATE KEY"));
  expect(keys.map(({ name }) => name)).toEqual(expect.arrayContaining(["plant/ca/root.key.pem", "made.key"]));
  expect(keys.some(({ name }) => name.startsWith("drive/keys/"))).toBe(true);
  for (const { name, mode } of [...keys, ...files.filter(({ name }) => isAt(secretPlaces, name) && name.includes("/"))])
    expect([name, mode]).toEqual([name, 0o600]);

  const secrets = [
    ...keys.flatMap(({ name, octets }) => formsOf(createPrivateKey(octets)).map((form) => ({ form, of: name }))),
    ...[password, psk, "swordfish"].flatMap((text) => textForms(text).map((form) => ({ form, of: "a secret" }))),
    ...anyKey.map((form) => ({ form, of: "some key" })),
  ];
  // What finds nothing may look wrongly: the search finds the keys where they are.
  for (const { name, octets } of keys) expect(found(secrets, octets)).toContain(name);

  const places = [
    ...files.filter(({ name }) => !isAt(keyPlaces, name) && !isAt(secretPlaces, name)),
    ...outputs.flatMap(({ words, ran }) => [
      { name: `standard output of ${words}`, octets: Buffer.from(ran.out) },
      { name: `standard error of ${words}`, octets: Buffer.from(ran.err) },
    ]),
    { name: "events of devices", octets: Buffer.from(events.join("\n")) },
  ];
  expect(places.length).toBeGreaterThan(60);
  expect(places.some(({ name }) => name.includes("/evidence/"))).toBe(true);
  expect(events.length).toBeGreaterThan(0);
  expect(places.flatMap(({ name, octets }) => found(secrets, octets).map((what) => `${what} in ${name}`))).toEqual([]);
}, 60_000);

/** Certificates by birth certificate and by password, with a key of one's own and one that the server made. */
async function enrolments(): Promise<void> {
  const trust = ["--ca", at("plant.pem")];
  const user = ["--username", "line2", "--password-file", at("password")];
  await kept([
    "est",
    "enroll",
    url,
    ...trust,
    ...user,
    "--subject",
    "CN=line 2",
    "--new-key",
    at("enrolled.key"),
    "--out",
    at("e.pem"),
  ]);
  const csr = await kept([
    "est",
    "serverkeygen",
    url,
    ...trust,
    ...user,
    "--subject",
    "CN=made",
    "--key-out",
    at("made.key"),
    "--out",
    at("m.pem"),
  ]);
  expect(csr.code).toBe(0);
  await both(["est", "reenroll", url, ...trust, "--cert", at("m.pem"), "--key", at("made.key"), "--out", at("r.pem")]);
  await pulled();
}

/** A device with a birth certificate enrols itself. */
async function pulled(): Promise<void> {
  const { privateKey } = await makeKeyPair();
  await writeKeyFile(at("birth.key"), privateKey);
  const subject = { organization: "Acme", commonName: "Pump", serialNumber: "00C0FFEE" };
  writeFileSync(at("birth.csr"), (await createCsr({ subject, privateKey })).pem);
  await kept(["ca", "issue", at("birth.csr"), "--profile", "vendor-device", "--out", at("birth.pem")], vendor);
  const defaultCertificate = { certificate: at("birth.pem"), key: at("birth.key") };
  const security = { defaultCertificate, pull: { url, anchors: at("plant.pem") } };
  // Its waits, of seconds and hours, are over at once.
  const calendar: Clock = { ...systemClock, after: (ms, run) => systemClock.after(Math.min(ms, 50), run) };
  await start("pump", { ...descriptionOf("pump", "127.36.12.4", "modern"), security }, calendar);
  for (const until = performance.now() + 20_000; performance.now() < until; await sleep(20))
    if (events.some((event) => event.includes('"pull/enrolled"'))) return;
  throw new RangeError(`the device has not enrolled: ${events.join("\n")}`);
}

/** Two devices secured, read, assessed; one by certificate, one by pre-shared key. */
async function devices(): Promise<void> {
  const [drive, cell] = ["127.36.12.2", "127.36.12.3"];
  const commissioned = await both(["commission", drive, "--insecure-accept-any"]);
  expect(commissioned.code).toBe(0);
  const me = ["--psk-identity", "cell-4", "--psk-file", at("psk")];
  expect((await both(["commission", cell, "--psk", ...me, "--insecure-accept-any"])).code).toBe(0);
  await both(["posture", drive]);
  await both(["get", drive, "CertificateManagement/1", "--all"]);
  await both(["get", cell, "0x5E/1", "--all", ...me]);
  await kept(["assess", "endpoint", drive, "--only", "E-7.8,B-1.14,B-3.1R1", "--json"]);
  await both(["ca", "list"]);
  await kept(["ca", "crl", "--out", at("plant.crl")]);
}

/** What people do wrong with secrets: errors quote none of them. */
async function mistakes(): Promise<void> {
  const drive = "127.36.12.2";
  const key = at("plant", "tool", "key.pem");
  await both(["get", drive, "1/1/1", "--cert", key, "--key", key, "--ca", key]);
  await both(["ca", "issue", key]);
  await both(["ca", "import", key]);
  await both(["est", "enroll", url, "--ca", key, "--new-key", at("enrolled.key")]);
  const enrol = async (...how: readonly string[]): Promise<void> =>
    void (await both(["est", "enroll", url, "--ca", at("plant.pem"), ...how, "--new-key", at("enrolled.key")]));
  await enrol("--cert", at("e.pem"), "--key", at("psk"));
  await enrol("--username", "x", "--password-file", at("password"));
  writeFileSync(at("wrong"), "not hexadecimal: swordfish");
  await both(["get", drive, "1/1/1", "--psk-identity", "cell-4", "--psk-file", at("wrong")]);
  await both(["explain", key]);
  await both(["decode", key]);
}

interface Place {
  readonly name: string;
  readonly octets: Buffer;
}

function filesBelow(path: string): readonly (Place & { readonly mode: number })[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return { name: relative(path, file), octets: readFileSync(file), mode: statSync(file).mode & 0o777 };
    });
}

function isAt(places: readonly RegExp[], name: string): boolean {
  return places.some((place) => place.test(name));
}

/** The number that a private key is, and its usual encodings, each in the forms that text has for octets. */
function formsOf(key: KeyObject): readonly Buffer[] {
  const { d = "", p = "" } = key.export({ format: "jwk" });
  const numbers = [d, p].filter((text) => text !== "").map((text) => Buffer.from(text, "base64url"));
  const der = key.export({ format: "der", type: "pkcs8" });
  return [...numbers, der].flatMap(octetForms);
}

function octetForms(octets: Buffer): readonly Buffer[] {
  const hex = octets.toString("hex");
  // In base64 the same octets have three forms, as they begin with the first, second or third of a group.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), octets])
      .toString("base64")
      .slice(shift === 0 ? 0 : 4, -4),
  );
  const texts = [
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
  ];
  return [octets, ...texts.map((text) => Buffer.from(text))];
}

function textForms(text: string): readonly Buffer[] {
  const octets = /^[0-9a-f]{64}$/.test(text) ? Buffer.from(text, "hex") : Buffer.from(text);
  return [Buffer.from(text.replaceAll(" ", "")), Buffer.from(text), ...octetForms(octets)];
}

/** How each P-256 key begins, and each PEM: finds keys that were never in a file. */
const anyKey: readonly Buffer[] = [
  ...octetForms(Buffer.from("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420", "hex")),
  Buffer.from("30770201010420", "hex"),
  Buffer.from("BEGINPRIVATEKEY"),
  Buffer.from("BEGINECPRIVATEKEY"),
];

/** Whose secrets stand in these octets, as they are or broken into lines, also those that JSON writes as two characters. */
function found(secrets: readonly { readonly form: Buffer; readonly of: string }[], octets: Buffer): readonly string[] {
  const joined = Buffer.from(octets.toString("latin1").replace(/\\[nrt]|\s/g, ""), "latin1");
  return [...new Set(secrets.filter(({ form }) => octets.includes(form) || joined.includes(form)).map(({ of }) => of))];
}
