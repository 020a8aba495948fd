import { readFileSync } from "node:fs";
import { parseEds } from "@cipsec/objects";
import { describe, expect, test } from "vitest";
import { parseDescription, readDescription } from "../src/description.ts";
import { edsOf } from "../src/eds.ts";

const docs = new URL("../../../docs/", import.meta.url);

const least = {
  name: "press-1",
  identity: {
    vendorId: 65_520,
    productCode: 1,
    revision: { major: 1, minor: 2 },
    serialNumber: 4711,
    productName: "Press",
  },
};

type Entries = Readonly<Record<string, unknown>>;

/** The least description with the value at a dotted path replaced; `undefined` takes it away. */
function withEntry(path: string, value: unknown): unknown {
  const [first = "", ...rest] = path.split(".");
  const put = (object: Entries, name: string, names: readonly string[]): Entries => {
    const [next, ...more] = names;
    if (next === undefined) return { ...object, [name]: value };
    const inner = object[name];
    return { ...object, [name]: put(typeof inner === "object" && inner !== null ? { ...inner } : {}, next, more) };
  };
  const changed = put(least, first, rest);
  const text = JSON.stringify(changed);
  return JSON.parse(text);
}

test("what is left out takes its default", () => {
  expect(readDescription(least)).toEqual({
    ...least,
    identity: { ...least.identity, deviceType: 0x2b },
    address: "0.0.0.0",
    ports: { eip: 44_818, eipUdp: 44_818, io: null, eips: 2221, eipd: 2221 },
    broadcastAddresses: [],
    hostName: "",
    clock: true,
    security: {
      generation: "modern",
      maxVersion: "TLSv1.2",
      defaultCertificate: { kind: "self-signed" },
      csrKey: "P-256",
      configTimerS: 10,
      samePort: false,
      startDtls: true,
      plainIoOverTls: false,
      sessions: {
        onRevocation: "close",
        onTrustChange: "close",
        onExpiry: "close",
        expiryGraceSeconds: 86_400,
        onRotation: "drain",
        drainSeconds: 86_400,
      },
    },
    assemblies: [],
    connections: [],
  });
});

test("outputs and inputs make connections as controllers expect them", () => {
  const description = readDescription({
    ...least,
    assemblies: [
      { instance: 100, kind: "input", size: 8 },
      { instance: 101, kind: "output", size: 8 },
      { instance: 102, kind: "configuration", size: 4 },
    ],
  });
  const points = description.connections.map(({ type, consume, produce, configuration, oToTFormat, tToOFormat }) => [
    type,
    consume,
    produce,
    configuration,
    oToTFormat,
    tToOFormat,
  ]);
  expect(points).toEqual([
    ["exclusive-owner", 101, 100, 102, "run-idle-32", "modeless"],
    ["input-only", 254, 100, 102, "heartbeat", "modeless"],
    ["listen-only", 255, 100, 102, "heartbeat", "modeless"],
  ]);
  expect(description.ports.io).toBe(2222);
});

test("a device from before CIP Security has security null", () => {
  expect(readDescription({ ...least, security: null }).security).toBeNull();
});

describe("each entry takes", () => {
  const assembly = { instance: 1, kind: "input", size: 0 };
  test.each([
    { path: "name", values: ["x", "Presse 1 – links", "x".repeat(64)] },
    { path: "identity.vendorId", values: [1, 65_535] },
    { path: "identity.deviceType", values: [0, 65_535] },
    { path: "identity.productCode", values: [1, 65_535] },
    { path: "identity.revision.major", values: [1, 127] },
    { path: "identity.revision.minor", values: [1, 255] },
    { path: "identity.serialNumber", values: [1, 0xffff_ffff] },
    { path: "identity.productName", values: ["x", "Prüfgerät", "x".repeat(32)] },
    { path: "address", values: ["127.0.0.1", "0.0.0.0"] },
    { path: "broadcastAddresses", values: [[], ["127.255.255.255"], Array.from({ length: 8 }, () => "10.0.0.255")] },
    { path: "ports.eip", values: [0, 65_535, null] },
    { path: "ports.eipUdp", values: [0, 44_818, null] },
    { path: "ports.io", values: [0, 2222, null] },
    { path: "ports.eips", values: [0, 2221, null] },
    { path: "hostName", values: ["", "press-1"] },
    { path: "clock", values: [true, false] },
    { path: "security.generation", values: ["modern", "cbc-psk"] },
    { path: "security.maxVersion", values: ["TLSv1.2", "TLSv1.3"] },
    { path: "security.csrKey", values: ["P-256", "P-384", "RSA-2048", "RSA-3072"] },
    { path: "security.configTimerS", values: [1, 3600] },
    { path: "security.fileOctets", values: [16_384, 8_388_608] },
    { path: "security.rsa", values: [true] },
    { path: "security.earlyLayouts", values: [true] },
    {
      path: "security.defaultCertificate",
      values: [
        "self-signed",
        { certificate: "c.pem", key: "k.pem" },
        { kind: "self-signed" },
        { kind: "vendor", certificate: "c", key: "k" },
      ],
    },
    {
      path: "assemblies",
      values: [
        [],
        [assembly],
        [{ ...assembly, instance: 65_535, kind: "output", size: 65_000, name: "out" }],
        [{ ...assembly, kind: "configuration" }],
        [{ ...assembly, kind: "output", size: 2, faultState: "hold", idleState: { hex: "00fF" } }],
      ],
    },
  ])("$path: $values", ({ path, values }) => {
    for (const value of values) expect(() => readDescription(withEntry(path, value))).not.toThrow();
  });
});

describe("each entry refuses, and says which", () => {
  const one = (more: Entries): unknown => [{ instance: 1, kind: "input", size: 0, ...more }];
  test.each([
    { path: "name", values: [undefined, null, "", 5, "x".repeat(65), "a\nb"] },
    { path: "identity", values: [undefined, null, [], "x"] },
    { path: "identity.vendorId", values: [undefined, null, 0, 65_536, 1.5, "1"] },
    { path: "identity.deviceType", values: [null, -1, 65_536] },
    { path: "identity.productCode", values: [undefined, 0, 65_536] },
    { path: "identity.revision", values: [undefined, "1.2", [1, 2]] },
    { path: "identity.revision.major", values: [undefined, 0, 128] },
    { path: "identity.revision.minor", values: [undefined, 0, 256] },
    { path: "identity.revision.patch", values: [1] },
    { path: "identity.serialNumber", values: [undefined, 0, 0x1_0000_0000] },
    { path: "identity.productName", values: [undefined, "", "x".repeat(33), "Пресс", "a\u0000"] },
    { path: "identity.colour", values: ["red"] },
    { path: "address", values: [null, "", "::1", "localhost", "1.2.3.256", 5] },
    { path: "broadcastAddresses", values: [null, "10.0.0.255", Array.from({ length: 9 }, () => "10.0.0.255")] },
    {
      path: "broadcastAddresses",
      where: "broadcastAddresses[1]",
      values: [
        ["10.0.0.255", "x"],
        ["10.0.0.255", null],
      ],
    },
    { path: "ports", values: [null, 5] },
    { path: "ports.eip", values: [-1, 65_536, "44818"] },
    { path: "ports.eipUdp", values: [-1, 1.5] },
    { path: "ports.eips", values: [70_000, false] },
    { path: "ports.io", values: [-1, "2222"] },
    { path: "ports.eipd", values: [-1, "2221"] },
    { path: "ports.dtls", values: [2221] },
    { path: "hostName", values: [null, "x".repeat(65), "пресс"] },
    { path: "clock", values: [null, "yes", 1] },
    { path: "security", values: ["none", 5, []] },
    { path: "security.generation", values: [null, "old", 1] },
    { path: "security.maxVersion", values: ["TLSv1.1", 1.2] },
    { path: "security.csrKey", values: ["P-521"] },
    { path: "security.fileOctets", values: [0, 16_383, 8_388_609, "1"] },
    { path: "security.rsa", values: ["yes"] },
    { path: "security.earlyLayouts", values: [1] },
    { path: "security.configTimerS", values: [0, 3601, "10"] },
    { path: "security.samePort", values: [null, "yes", 1] },
    { path: "security.startDtls", values: [null, "yes", 1] },
    { path: "security.plainIoOverTls", values: [null, 1] },
    { path: "security.policy", values: ["x"] },
    { path: "security.defaultCertificate", values: ["vendor", null, 5] },
    { path: "security.defaultCertificate", where: "security.defaultCertificate.key", values: [{ certificate: "c" }] },
    { path: "security.defaultCertificate", where: "security.defaultCertificate.certificate", values: [{ key: "k" }] },
    { path: "security.defaultCertificate", where: "security.defaultCertificate.kind", values: [{ kind: "bought" }] },
    {
      path: "assemblies",
      values: [null, {}, Array.from({ length: 65 }, (_, i) => ({ instance: i + 1, kind: "input", size: 0 }))],
    },
    { path: "assemblies", where: "assemblies[0]", values: [[5], [null]] },
    { path: "assemblies", where: "assemblies[0].instance", values: [one({ instance: 0 }), one({ instance: 65_536 })] },
    { path: "assemblies", where: "assemblies[0].kind", values: [one({ kind: "both" }), one({ kind: null })] },
    { path: "assemblies", where: "assemblies[0].size", values: [one({ size: -1 }), one({ size: 65_001 })] },
    { path: "assemblies", where: "assemblies[0].name", values: [one({ name: 5 })] },
    { path: "assemblies", where: "assemblies[0].faultState", values: [one({ faultState: "zero" })] },
    {
      path: "assemblies",
      where: "assemblies[0].idleState",
      values: ["keep", 5, null, [], { hex: "00" }, { hex: "00gg" }].map((idleState) =>
        one({ kind: "output", size: 2, idleState }),
      ),
    },
    { path: "assemblies", where: "assemblies[0].length", values: [one({ length: 5 })] },
    { path: "adress", values: ["127.0.0.1"] },
  ])("$path: $values", ({ path, where = path, values }) => {
    for (const value of values) {
      expect(() => readDescription(withEntry(path, value))).toThrow(
        expect.objectContaining({ code: "usage/file", facts: { where: `device.${where}` } }),
      );
    }
  });

  const owner = { type: "exclusive-owner", consume: 2, produce: 1 };
  const listener = { type: "listen-only", produce: 1 };
  test.each([
    { where: "connections", connections: [listener, listener] },
    { where: "connections", connections: "all" },
    { where: "connections[0].type", connections: [{ ...owner, type: "redundant-owner" }] },
    { where: "connections[0].consume", connections: [{ ...owner, consume: 1 }] },
    { where: "connections[0].consume", connections: [{ ...listener, consume: 2 }] },
    { where: "connections[0].produce", connections: [{ ...owner, produce: 2 }] },
    { where: "connections[0].configuration", connections: [{ ...owner, configuration: 2 }] },
    { where: "connections[0].oToTFormat", connections: [{ ...owner, oToTFormat: "heartbeat" }] },
    { where: "connections[0].oToTFormat", connections: [{ ...listener, oToTFormat: "modeless" }] },
    { where: "connections[0].tToOFormat", connections: [{ ...owner, tToOFormat: "safety" }] },
    { where: "connections[0].minRpiMicros", connections: [{ ...owner, minRpiMicros: 999 }] },
    { where: "connections[0].minRpiMicros", connections: [{ ...owner, minRpiMicros: 5000, maxRpiMicros: 4000 }] },
    { where: "connections[0].maxConnections", connections: [{ ...owner, maxConnections: 2 }] },
    { where: "connections[0].rpi", connections: [{ ...owner, rpi: 5000 }] },
  ])("$where: $connections", ({ where, connections }) => {
    const assemblies = [
      { instance: 1, kind: "input", size: 4 },
      { instance: 2, kind: "output", size: 4 },
    ];
    expect(() => readDescription({ ...least, assemblies, connections })).toThrow(
      expect.objectContaining({ code: "usage/file", facts: { where: `device.${where}` } }),
    );
  });

  test("an instance that is there twice", () => {
    const twice = [1, 2, 1].map((instance) => ({ instance, kind: "input", size: 1 }));
    expect(() => readDescription({ ...least, assemblies: twice })).toThrow(/instance 1 is there twice/);
  });

  test("an unknown entry, with those that are known", () => {
    expect(() => readDescription({ ...least, adress: "127.0.0.1" })).toThrow(
      /device\.adress is not known here; known are name, .*address/,
    );
  });

  test.each(["", "{", "not json"])("text that is not JSON: %j", (text) => {
    expect(() => parseDescription(text)).toThrow(expect.objectContaining({ code: "usage/file" }));
  });

  test.each(["null", "5", "[]", '"x"'])("JSON that is no object: %s", (text) => {
    expect(() => parseDescription(text)).toThrow(expect.objectContaining({ facts: { where: "device" } }));
  });

  test("a name from the prototype is unknown like any other", () => {
    expect(() => parseDescription('{"__proto__": {"name": "x"}}')).toThrow(/device\.name/);
    expect(() => parseDescription(JSON.stringify(least).replace("{", '{"__proto__": {},'))).toThrow(/__proto__/);
  });
});

describe("docs", () => {
  const page = readFileSync(new URL("device-description.md", docs), "utf8");
  const example = readFileSync(new URL("examples/device.json", docs), "utf8");

  test("the example is read, and says every entry", () => {
    const json: unknown = JSON.parse(example);
    const description = parseDescription(example);
    expect(json).toMatchObject({
      ...description,
      security: { ...description.security, defaultCertificate: "self-signed" },
    });
  });

  test("the example of parameters is read, shown, and its EDS reads back", () => {
    const text = readFileSync(new URL("examples/parameters.json", docs), "utf8");
    const description = parseDescription(text);
    expect(page).toContain(text.trim());
    const created = { date: { year: 2026, month: 11, day: 21 }, time: { hours: 0, minutes: 0, seconds: 0 } };
    const eds = parseEds(edsOf(description, { vendorName: "Example", created }), { strict: true });
    expect(eds.problems).toEqual([]);
    expect([...eds.params.values()].slice(0, 5).map(({ name }) => name)).toEqual([
      "Mode",
      "Ramp",
      "Enable",
      "Speed",
      "Silence",
    ]);
  });

  test("the page names every entry of the example and shows the example itself", () => {
    const names = (value: unknown): readonly string[] =>
      typeof value !== "object" || value === null
        ? []
        : Object.entries(value).flatMap(([name, inner]) => [...(Array.isArray(value) ? [] : [name]), ...names(inner)]);
    for (const name of names(JSON.parse(example))) expect(page).toContain(`\`${name}\``);
    expect(page).toContain(example.trim());
  });
});

test.each([
  [{ onRevocation: "drain" }, /sessions\.onRevocation must be one of close, next-handshake/],
  [{ onRotation: "next-handshake" }, /sessions\.onRotation must be one of drain, close/],
  [{ drainSeconds: -1 }, /sessions\.drainSeconds must be a whole number/],
  [{ onRevoked: "close" }, /sessions\.onRevoked/],
])("security.sessions: %j is refused", (sessions, words) => {
  expect(() => readDescription({ ...least, security: { sessions } })).toThrow(words);
});

describe("security.pull", () => {
  const pull = (json: unknown): unknown => {
    const identity = {
      vendorId: 1,
      productCode: 1,
      revision: { major: 1, minor: 1 },
      serialNumber: 1,
      productName: "x",
    };
    return readDescription({ name: "x", identity, security: { pull: json } }).security?.pull;
  };

  test("takes its defaults, and is not there unless it is given", () => {
    expect([pull(undefined), pull(null)]).toEqual([undefined, undefined]);
    expect(pull({ fingerprint: "AB:".repeat(31) + "CD" })).toEqual({
      service: "_est._tcp",
      domain: "",
      dnsServers: [],
      mdns: true,
      fingerprint: "ab".repeat(31) + "cd",
      trustOnFirstUse: false,
      closePlaintext: false,
    });
    const all = {
      url: "https://est.plant.example:8443/.well-known/est/a",
      service: "_plant._tcp",
      domain: "plant.example",
      dnsServers: ["192.0.2.1", "192.0.2.2:5353"],
      mdns: false,
      anchors: "root.pem",
      trustOnFirstUse: true,
      closePlaintext: true,
    };
    expect(pull(all)).toEqual({ ...all, dnsServers: ["192.0.2.1:53", "192.0.2.2:5353"] });
  });

  test.each([
    { name: "nothing to know the server by", json: {} },
    { name: "a fingerprint that is none", json: { fingerprint: "abcd" } },
    { name: "a URL that is none", json: { url: "http://x", trustOnFirstUse: true } },
    { name: "a service that is none", json: { service: "est", trustOnFirstUse: true } },
    { name: "a domain that is none", json: { domain: "a b", trustOnFirstUse: true } },
    { name: "a DNS server by name", json: { dnsServers: ["dns.example"], trustOnFirstUse: true } },
    { name: "an entry that is not known", json: { trustOnFirstUse: true, urls: [] } },
  ])("refuses $name", ({ json }) => {
    expect(() => pull(json)).toThrow(expect.objectContaining({ code: "usage/file" }));
  });
});
