import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { EtherNetIpSecurity, TcpIpInterface } from "@cipsec/objects";
import { announceEst, makeKeyPair, parseCertificate } from "@cipsec/pki";
import { dial, systemClock, verifyWith, type Channel, type Clock, type TlsPolicy } from "@cipsec/transport";
import {
  EtherNetIpSecurityState,
  MessageRouterRequest,
  UINT,
  encode,
  noOctets,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { expect, test } from "vitest";
import { readDescription, startTarget } from "../src/index.ts";
import { birth, issueToAll, rootPem, startPlant, until, type Plant } from "./pull-support.ts";
import { temporaryFolder } from "./security-device.ts";
import { identity, registerSession, request, rrReply, sendRRData } from "./support/device.ts";
import { receiver } from "./support/loopback.ts";

const address = "127.41.2.2";
const service = "_est-t41._tcp";

/** The machine's clock, whose days can be set forward, and a device that has waited long enough. */
let wallSkew = 0;
let skew = 0;
const clock: Clock = {
  ...systemClock,
  now: () => performance.now() + skew,
  wallNow: () => Date.now() + wallSkew,
  after(ms, run) {
    const at = clock.now() + ms;
    const timer = setInterval(() => {
      if (clock.now() < at) return;
      clearInterval(timer);
      run();
    }, 10);
    return () => clearInterval(timer);
  },
};

test("a device from its box finds its server by multicast, is configured with no tool, and renews under a running session", async () => {
  const plant = await startPlant("127.41.2.1", () => new Date(Date.now() + wallSkew), ["hall41.local"]);
  plant.policy = issueToAll;
  const { host, port } = plant.listener;
  const announced = announceEst({ name: "Plant", host: "hall41.local", address: host, port, service, interface: host });
  const folder = temporaryFolder();
  const { chainPem, keyPem } = await birth(plant, "00001267");
  const files = { certificate: chainPem, key: keyPem, anchors: rootPem(plant) };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const description = readDescription({
    name: "device",
    identity,
    address,
    ports: { eip: 0, eipUdp: null, io: null, eips: 0 },
    security: {
      defaultCertificate: { certificate: join(folder, "certificate"), key: join(folder, "key") },
      pull: { service, anchors: join(folder, "anchors"), closePlaintext: true },
    },
  });
  const events: string[] = [];
  const target = await startTarget({
    description,
    stateDir: join(folder, "state"),
    clock,
    onEvent: ({ name }) => events.push(name),
  });
  try {
    await using plain = await session("tcp", target.ports.eip);
    expect(await state(plain)).toBe(EtherNetIpSecurityState.factoryDefault);
    skew = 5000;
    await until("enrolled", () => events.includes("pull/enrolled"), events);
    await until("plaintext closed", () => target.ports.eip === undefined);
    await plain.closed;
    const tool = await toolPolicy(plant);
    await using before = await session("tls", target.ports.eips, tool);
    expect(before.peer.facts.issuer).toContain("Plant");
    expect(await state(before)).toBe(EtherNetIpSecurityState.pullCompleted);
    wallSkew = 61 * 86_400_000;
    const set = { service: 0x10, path: pathOf(TcpIpInterface.classId, 13), data: encode(UINT, 119) };
    expect((await before.ask(set)).status).toBe(0);
    await until("renewed", () => events.filter((name) => name === "pull/enrolled").length === 2, events);
    await using after = await session("tls", target.ports.eips, tool);
    expect(after.peer.facts.sha256).not.toBe(before.peer.facts.sha256);
    expect(after.peer.facts.subject).toBe(before.peer.facts.subject);
    expect(await state(before)).toBe(EtherNetIpSecurityState.pullCompleted);
  } finally {
    await target.stop();
    await announced.close();
  }
}, 60_000);

interface Session extends AsyncDisposable {
  readonly peer: ReturnType<typeof parseCertificate>;
  readonly closed: Promise<unknown>;
  ask(asked: Request): Promise<Reply>;
}

async function session(protocol: "tcp" | "tls", port = 0, tls?: TlsPolicy): Promise<Session> {
  const channel: Channel = await dial({
    protocol,
    host: address,
    port,
    timeoutMs: 20_000,
    ...(tls === undefined ? {} : { tls }),
  });
  const frames = receiver(channel);
  channel.send(registerSession());
  const { session: handle } = await frames.next();
  const shown = channel.facts.security?.peer;
  return {
    closed: channel.closed,
    get peer() {
      return parseCertificate(shown?.kind === "certificate" ? shown.der : noOctets);
    },
    async ask(asked) {
      channel.send(sendRRData(handle, encode(MessageRouterRequest, asked)));
      return rrReply(await frames.next());
    },
    async [Symbol.asyncDispose]() {
      await channel.close();
    },
  };
}

async function state({ ask }: Session): Promise<number | undefined> {
  const reply = await ask({ service: 0x0e, path: pathOf(EtherNetIpSecurity.classId, 1), data: noOctets });
  return reply.data[0];
}

function pathOf(classId: number, attribute: number): Request["path"] {
  return request(0x0e, [classId, 1, attribute]).path;
}

/** A tool of the plant, which asks devices for a certificate of the plant. */
async function toolPolicy({ ca }: Plant): Promise<TlsPolicy> {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "tool" }, days: 300 });
  return {
    suites: [0xc02b],
    certificates: [{ chain: chain.map(({ der }) => der), key: privateKey }],
    sendChain: true,
    psks: [],
    verifyPeer: true,
    verify: verifyWith({ anchors: [ca.root], checkName: false, clock }),
  };
}
