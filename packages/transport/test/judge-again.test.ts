import { PskUsage, type PreSharedKey } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Channel, TlsPolicy, VerifyOptions } from "../src/index.ts";
import { dial, judgeAgain, listen, listenDtls, presentsTheSame, systemClock, verifyWith } from "../src/index.ts";
import { echo, plant, policy, utf8 } from "./support.ts";
import type { Identity, Plant } from "./support.ts";

const address = "127.34.6.9";
let here: Plant;
let other: Plant;
let device: Identity;
let renewed: Identity;
let tool: Identity;

beforeAll(async () => {
  here = await plant("Here");
  other = await plant("Other");
  device = await here.issue("device", { ip: address });
  renewed = await here.issue("renewed", { ip: address });
  tool = await here.issue("tool", { ip: address });
});

afterAll(async () => {
  await here[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

interface Pair extends AsyncDisposable {
  /** The end that was dialled, and the end that dialled. */
  readonly target: Channel;
  readonly originator: Channel;
}

async function pair(protocol: "tls" | "dtls", ours: TlsPolicy, theirs: TlsPolicy): Promise<Pair> {
  const { promise, resolve } = Promise.withResolvers<Channel>();
  const accept = (channel: Channel): void => {
    echo(channel);
    resolve(channel);
  };
  const common = { address, port: 0, tls: () => ours, accept };
  const listener = await (protocol === "tls" ? listen({ ...common, protocol }) : listenDtls(common));
  const originator = await dial({ protocol, host: address, port: listener.port, tls: theirs });
  return {
    target: await promise,
    originator,
    async [Symbol.asyncDispose]() {
      await originator.close();
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** `ok`, or the code and reason of a refusal. */
function verdictOn(channel: Channel, now: TlsPolicy): string {
  const verdict = judgeAgain(channel, now);
  if (verdict.ok) return "ok";
  const { reason } = verdict.error.facts;
  return typeof reason === "string" ? `${verdict.error.code} ${reason}` : verdict.error.code;
}

const judged = (by: Plant, more: Partial<VerifyOptions> = {}) =>
  verifyWith({ anchors: [by.ca.issuing, by.ca.root], checkName: false, clock: systemClock, ...more });

test.each(["tls", "dtls"] as const)("the peer of an open session is judged anew: %s", async (protocol) => {
  const ours = policy(here, device);
  const caller = await here.issue(`caller-${protocol}`, { ip: address });
  await using sessions = await pair(protocol, ours, policy(here, caller));
  const { target, originator } = sessions;
  const { serialHex } = caller.certificate.facts;
  const others = [await here.ca.crl()];
  await here.ca.revoke(serialHex, "keyCompromise");
  const crls = [await here.ca.crl()];
  const inYears = { wallNow: () => Date.now() + 366 * 86_400_000 };
  const cases: readonly (readonly [Partial<TlsPolicy>, string])[] = [
    [{}, "ok"],
    [{ verify: judged(here, { crls: others }) }, "ok"],
    [{ verify: judged(here, { crls }) }, "trust/revoked keyCompromise"],
    [{ verify: judged(other) }, "trust/unknown-authority"],
    [{ verify: judged(here, { pinned: [device.certificate] }) }, "trust/not-pinned"],
    [{ verify: judged(here, { clock: inYears }) }, "trust/expired"],
    [{ suites: [0xc02c] }, "trust/refused suite"],
    [{ verifyPeer: false, verify: judged(other) }, "ok"],
  ];
  for (const [change, says] of cases) expect(verdictOn(target, { ...ours, ...change })).toBe(says);
  // The end that dialled always judges the other one.
  expect(verdictOn(originator, policy(here, tool))).toBe("ok");
  expect(verdictOn(originator, policy(here, tool, { verifyPeer: false, verify: judged(other) }))).toBe(
    "trust/unknown-authority",
  );
});

test("who showed no certificate is refused once one is demanded", async () => {
  const ours = policy(here, device, { verifyPeer: false });
  await using sessions = await pair("tls", ours, policy(here, undefined));
  expect(verdictOn(sessions.target, ours)).toBe("ok");
  expect(verdictOn(sessions.target, { ...ours, verifyPeer: true })).toBe("trust/refused");
});

test("TLS 1.3 is refused once it is not allowed", async () => {
  const ours = policy(here, device, { suites: [0x1301, 0xc02b], maxVersion: "TLSv1.3" });
  const theirs = policy(here, tool, { suites: [0x1301], maxVersion: "TLSv1.3", verify: judged(here) });
  const mine = { ...ours, verify: judged(here) };
  await using sessions = await pair("tls", mine, theirs);
  expect(verdictOn(sessions.target, mine)).toBe("ok");
  expect(verdictOn(sessions.target, { ...mine, maxVersion: "TLSv1.2" })).toBe("trust/refused version");
});

test.each(["tls", "dtls"] as const)(
  "a pre-shared key counts while it is there with the same octets: %s",
  async (protocol) => {
    const psk = (identity: string, octet: number): PreSharedKey => ({
      identity: utf8(identity),
      key: new Uint8Array(16).fill(octet),
      usage: PskUsage.any,
    });
    const suites = [0xc037];
    const ours = policy(here, device, { suites, psks: [psk("a", 1), psk("b", 2)] });
    await using sessions = await pair(protocol, ours, policy(here, undefined, { suites, psks: [psk("b", 2)] }));
    const { target } = sessions;
    expect(verdictOn(target, ours)).toBe("ok");
    expect(verdictOn(target, { ...ours, psks: [psk("b", 2), psk("c", 3)] })).toBe("ok");
    for (const psks of [[psk("a", 1)], [psk("b", 3)], [{ ...psk("b", 2), usage: PskUsage.client }], []])
      expect(verdictOn(target, { ...ours, psks })).toBe("trust/refused psk");
    // With a key nothing is presented, so nothing of it can be renewed.
    expect(presentsTheSame(target, { ...ours, certificates: [renewed] })).toBe(true);
  },
);

test.each(["tls", "dtls"] as const)(
  "tells whether an end would present another certificate now: %s",
  async (protocol) => {
    const rsa = await here.issue(`rsa-${protocol}`, { kind: "rsa-2048", ip: address });
    const ours = policy(here, device, { certificates: [rsa, device] });
    await using sessions = await pair(protocol, ours, policy(here, tool, { verify: judged(here) }));
    const { target } = sessions;
    const showing = (...certificates: readonly Identity[]) => presentsTheSame(target, { ...ours, certificates });
    // The suite is an ECDSA one: what becomes of the RSA certificate does not concern this session.
    expect([showing(rsa, device), showing(device), showing(rsa, renewed), showing()]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  },
);

test("nothing protects a plain channel, so nothing speaks against it", async () => {
  const { promise, resolve } = Promise.withResolvers<Channel>();
  await using listener = await listen({ protocol: "tcp", address, port: 0, accept: resolve });
  await using channel = await dial({ protocol: "tcp", host: address, port: listener.port });
  const accepted = await promise;
  accepted.receive(() => undefined);
  const strict = policy(here, device);
  expect([verdictOn(accepted, strict), presentsTheSame(channel, strict)]).toEqual(["ok", true]);
});
