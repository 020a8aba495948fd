import { createSocket } from "node:dgram";
import { once } from "node:events";
import mdns from "multicast-dns";
import * as packet from "dns-packet";
import { afterAll, expect, test, vi } from "vitest";
import { serversOf, type ServiceRecords } from "../src/est/discovery.ts";
import { announceEst, browseEstByDns, browseEstByMdns, findEstByName } from "../src/est/dns-sd.ts";

/** Seconds that peers let others keep what they say. */
const ttl = 120;
const good: ServiceRecords = { target: "est.plant.example.", port: 8443, priority: 10, weight: 0, txt: [] };

test.each([
  { name: "a host and port", records: [good], urls: ["https://est.plant.example:8443"] },
  {
    name: "a label",
    records: [{ ...good, txt: ["label=line2"] }],
    urls: ["https://est.plant.example:8443/.well-known/est/line2"],
  },
  {
    name: "a path",
    records: [{ ...good, txt: ["path=/.well-known/est/b"] }],
    urls: ["https://est.plant.example:8443/.well-known/est/b"],
  },
  {
    name: "priority before weight before name",
    records: [
      { ...good, target: "c", priority: 10, weight: 1 },
      { ...good, target: "b", priority: 10, weight: 9 },
      { ...good, target: "a", priority: 20, weight: 9 },
    ],
    urls: ["https://b:8443", "https://c:8443", "https://a:8443"],
  },
  { name: "no port", records: [{ ...good, port: 0 }], urls: [] },
  { name: "a user in the host", records: [{ ...good, target: "plant@evil.example" }], urls: [] },
  { name: "a path in the host", records: [{ ...good, target: "evil.example/x" }], urls: [] },
  { name: "a path elsewhere", records: [{ ...good, txt: ["path=/a/b/c"] }], urls: [] },
  {
    name: "a path that leaves its place",
    records: [{ ...good, txt: ["path=@evil.example/.well-known/est"] }],
    urls: [],
  },
  { name: "a label that is two", records: [{ ...good, txt: ["label=a/b"] }], urls: [] },
  {
    name: "more than a plant has",
    records: Array.from({ length: 40 }, () => good),
    urls: Array(16).fill("https://est.plant.example:8443"),
  },
])("records give servers: $name", ({ records, urls }) => {
  expect(serversOf(records, "dns-sd").map(({ url }) => url)).toEqual(urls);
});

test("an address that is none is left out", () => {
  expect(serversOf([{ ...good, address: "not one" }], "mdns")).toEqual([
    { url: "https://est.plant.example:8443", source: "mdns" },
  ]);
});

test("by multicast an announced server is found, and not after its good-bye", async () => {
  const service = "_est-t1._tcp";
  const announced = announceEst({
    name: "Hall 3.1",
    host: "hall3.local",
    address: "127.41.0.1",
    port: 8443,
    label: "line2",
    service,
    interface: "127.41.0.1",
  });
  const found = await browseEstByMdns(service, { interface: "127.41.0.2", timeoutMs: 10_000 });
  expect(found).toEqual([
    { url: "https://hall3.local:8443/.well-known/est/line2", address: "127.41.0.1", source: "mdns" },
  ]);
  await announced.close();
  expect(await browseEstByMdns(service, { interface: "127.41.0.2", timeoutMs: 300 })).toEqual([]);
}, 20_000);

test("a server that answers in pieces is asked for the rest", async () => {
  const service = "_est-t2._tcp.local";
  const peer = mdns({ bind: "0.0.0.0", interface: "127.41.0.3" });
  peer.on("query", ({ questions = [] }) => {
    for (const { name, type } of questions) {
      if (name === service) peer.respond([{ name, type: "PTR", ttl, data: `one.${service}` }]);
      if (type === "SRV") peer.respond([{ name, type, ttl, data: { target: "one.local", port: 443 } }]);
      if (type === "A") peer.respond([{ name, type, ttl, data: "127.41.0.3" }]);
    }
  });
  await once(peer, "ready");
  const found = await browseEstByMdns("_est-t2._tcp", { interface: "127.41.0.2", timeoutMs: 10_000 });
  expect(found).toEqual([{ url: "https://one.local:443", address: "127.41.0.3", source: "mdns" }]);
  peer.destroy();
}, 20_000);

test("a search by multicast ends when it is called off", async () => {
  const stop = new AbortController();
  const search = browseEstByMdns("_est-t3._tcp", { interface: "127.41.0.2", timeoutMs: 600_000, signal: stop.signal });
  stop.abort();
  expect(await search).toEqual([]);
});

test.each([
  { name: "a host outside .local", change: { host: "est.plant.example" } },
  { name: "a service that is none", change: { service: "est" } },
  { name: "a name too long", change: { name: "x".repeat(64) } },
])("refuses to announce $name", ({ change }) => {
  const announce = (): unknown =>
    announceEst({ name: "x", host: "x.local", address: "127.41.0.1", port: 1, interface: "127.41.0.1", ...change });
  expect(announce).toThrow(expect.objectContaining({ code: "usage/argument" }));
});

test("an announced server answers whoever asks for its kind, its name or its host, and nobody else", async () => {
  const type = "_est-t4._tcp.local";
  const where = { interface: "127.41.0.4" };
  const announced = announceEst({
    name: "hall4",
    host: "hall4.local",
    address: "127.41.0.4",
    port: 443,
    service: "_est-t4._tcp",
    ...where,
  });
  const asker = mdns({ bind: "0.0.0.0", interface: "127.41.0.5" });
  const heard = new Set<string>();
  asker.on("response", ({ answers = [] }) => {
    for (const answer of answers)
      if (JSON.stringify(answer).includes("est-t4") || answer.name === "hall4.local") heard.add(answer.name);
  });
  await once(asker, "ready");
  const asks = async (name: string, answer: string): Promise<void> => {
    heard.clear();
    await vi.waitFor(
      () => {
        asker.query([{ name, type: "PTR" }]);
        expect([...heard]).toContain(answer);
      },
      { timeout: 10_000, interval: 50 },
    );
  };
  await asks("_services._dns-sd._udp.local", "_services._dns-sd._udp.local");
  await asks(type, type);
  await asks("hall4.local", "hall4.local");
  heard.clear();
  asker.query([{ name: "printer.local", type: "A" }]);
  await asks(`hall4.${type}`, `hall4.${type}`);
  expect([...heard]).not.toContain("printer.local");
  asker.destroy();
  await announced.close();
}, 60_000);

test("answers that are nonsense, or say good-bye, name no server; the one beside them does", async () => {
  const service = "_est-t5._tcp.local";
  const peer = mdns({ bind: "0.0.0.0", interface: "127.41.0.3" });
  peer.on("query", ({ questions = [] }) => {
    if (!questions.some(({ name }) => name === service)) return;
    const srv = { target: "two.local", port: 8443 };
    peer.respond([
      { name: service, type: "PTR", ttl, data: "elsewhere._http._tcp.local" },
      { name: service, type: "PTR", ttl, data: `gone.${service}` },
      { name: service, type: "PTR", ttl: 0, data: `gone.${service}` },
      { name: service, type: "PTR", ttl, data: `two.${service}` },
      { name: `gone.${service}`, type: "SRV", data: srv },
      { name: `two.${service}`, type: "SRV", data: srv },
      { name: `two.${service}`, type: "TXT", data: "label=b" },
      { name: "two.local", type: "A", ttl, data: "127.41.0.9" },
      { name: "two.local", type: "A", ttl: 0, data: "127.41.0.9" },
      { name: "two.local", type: "A", ttl, data: "127.41.0.3" },
    ]);
  });
  await once(peer, "ready");
  const where = { interface: "127.41.0.2", timeoutMs: 10_000 };
  expect(await browseEstByMdns("_est-t5._tcp", where)).toEqual([
    { url: "https://two.local:8443/.well-known/est/b", address: "127.41.0.3", source: "mdns" },
  ]);
  expect(await browseEstByMdns("_est-t5._tcp", { ...where, signal: AbortSignal.abort() })).toEqual([]);
  peer.destroy();
}, 20_000);

test("where others claim a server's name, each address is one to try, up to four", async () => {
  const service = "_est-t6._tcp.local";
  const peer = mdns({ bind: "0.0.0.0", interface: "127.41.0.6" });
  const addresses = ["127.41.0.61", "127.41.0.62", "127.41.0.63", "127.41.0.64", "127.41.0.65"];
  peer.on("query", ({ questions = [] }) => {
    if (!questions.some(({ name }) => name === service)) return;
    peer.respond([
      { name: service, type: "PTR", ttl, data: `six.${service}` },
      { name: `six.${service}`, type: "SRV", ttl, data: { target: "six.local", port: 8443 } },
      ...addresses.map((data) => ({ name: "six.local", type: "A" as const, ttl, data })),
    ]);
  });
  await once(peer, "ready");
  const found = await browseEstByMdns("_est-t6._tcp", { interface: "127.41.0.2", timeoutMs: 10_000 });
  expect(found.map(({ url }) => url)).toEqual(Array(4).fill("https://six.local:8443"));
  expect(found.map(({ address }) => address)).toEqual(addresses.slice(0, 4));
  peer.destroy();
}, 20_000);

test("a DNS server's list is followed to hosts, ports and labels", async () => {
  const server = await dnsServer({
    "_est._tcp.plant.example PTR": [{ type: "PTR", data: "hall-3._est._tcp.plant.example" }],
    "hall-3._est._tcp.plant.example SRV": [
      { type: "SRV", data: { target: "est2.plant.example", port: 8443, priority: 20, weight: 0 } },
      { type: "SRV", data: { target: "est1.plant.example", port: 8443, priority: 10, weight: 0 } },
    ],
    "hall-3._est._tcp.plant.example TXT": [{ type: "TXT", data: ["txtvers=1", "label=a"] }],
    "est1.plant.example A": [{ type: "A", data: "127.41.0.11" }],
    "est.plant.example A": [{ type: "A", data: "127.41.0.12" }],
  });
  expect(await browseEstByDns("_est._tcp", "plant.example", { servers: [server] })).toEqual([
    { url: "https://est1.plant.example:8443/.well-known/est/a", address: "127.41.0.11", source: "dns-sd" },
    { url: "https://est2.plant.example:8443/.well-known/est/a", source: "dns-sd" },
  ]);
  expect(await findEstByName("est.plant.example", { servers: [server] })).toEqual([
    { url: "https://est.plant.example", address: "127.41.0.12", source: "host-name" },
  ]);
  expect(await browseEstByDns("_est._tcp", "other.example", { servers: [server] })).toEqual([]);
  expect(await findEstByName("est.other.example", { servers: [server] })).toEqual([]);
});

test("a DNS server that does not answer lists nothing", async () => {
  const options = { servers: ["127.41.0.250:9"], timeoutMs: 50 };
  expect(await browseEstByDns("_est._tcp", "plant.example", options)).toEqual([]);
});

/** A DNS server that knows these records, by `name type`. */
async function dnsServer(
  zone: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>,
): Promise<string> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, from) => {
    const { id = 0, questions = [] } = packet.decode(bytes);
    const answers = questions.flatMap(({ name, type }) =>
      (zone[`${name.toLowerCase()} ${type}`] ?? []).map((record) => Object.assign({ name, ttl: 60 }, record)),
    );
    const flags = answers.length === 0 ? 3 : 0;
    const reply = { id, type: "response", flags, questions, answers } as unknown as packet.Packet;
    socket.send(packet.encode(reply), from.port, from.address);
  });
  socket.bind(0, "127.41.0.10");
  await once(socket, "listening");
  afterAll(() => void socket.close());
  return `127.41.0.10:${socket.address().port}`;
}
