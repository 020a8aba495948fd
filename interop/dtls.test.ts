import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateCredential, cipherSuite, cipherSuites, createDtlsEndpoint } from "@cipsec/dtls";
import type { AssociationFacts, Association, Credentials, DtlsEndpoint } from "@cipsec/dtls";
import { gnutls, lossyProxy, makeIdentities, mbedtls, openssl, psk, wolfssl } from "./kit/dtls-peers.ts";
import type { DtlsPeer, Identity } from "./kit/dtls-peers.ts";
import { printed, start, stop, withPeers } from "./kit/programs.ts";

/** What one run does beside the suite. */
interface Variant {
  readonly clientAuth: boolean;
  readonly mtu?: number;
  readonly loss?: number;
  /** This share of the datagrams comes twice, and as many are overtaken on the way to us. */
  readonly disorder?: number;
  readonly seed?: number;
  /** The peer knows no Encrypt-then-MAC, and our side allows that. */
  readonly old?: boolean;
}

const accept = () => ({ accepted: true }) as const;
const address = "127.33.2.1";
let identities: ReturnType<typeof makeIdentities>;
let lastPort = 20_000 + Math.floor(Math.random() * 12_000);

beforeAll(() => {
  identities = makeIdentities();
});
afterAll(() => identities.remove());

const peers = [openssl, gnutls, mbedtls, wolfssl];

/** Each once, as cases run beside each other, and below those that the kernel gives away. */
function freshPort(): number {
  lastPort += 1;
  return lastPort;
}

test("the matrix in docs/interop.md says which suites are run with whom", () => {
  const page = readFileSync(new URL("../docs/interop.md", import.meta.url), "utf8").replaceAll(/ +/gu, " ");
  for (const { id, name } of cipherSuites) {
    const marks = peers.map(({ suites }) => (suites.includes(id) ? "yes" : "no"));
    const row = `| ${id.toString(16).toUpperCase().padStart(4, "0")} | ${name} | ${marks.join(" | ")} |`;
    expect(page).toContain(row);
  }
});

for (const peer of peers) {
  withPeers(`${peer.name} over DTLS`, peer.programs, () => {
    describe("every suite that both have", { concurrent: true }, () => {
      const cases = peer.suites.flatMap((suite) => {
        const { name, authentication } = cipherSuite(suite)!;
        const auths = authentication === "psk" ? [false] : [false, true];
        return auths.map((clientAuth) => ({ suite, name, clientAuth }));
      });
      test.each(cases)("our server, $name, client certificate $clientAuth", async ({ suite, clientAuth }) => {
        await ourServer(peer, suite, { clientAuth });
      });
      test.each(cases)("our client, $name, client certificate $clientAuth", async ({ suite, clientAuth }) => {
        await ourClient(peer, suite, { clientAuth });
      });
    });

    const hard: readonly Variant[] = [
      { clientAuth: true, mtu: 300 },
      { clientAuth: true, loss: 0.1, seed: 1 },
      { clientAuth: true, loss: 0.1, mtu: 300, seed: 2 },
      { clientAuth: true, loss: 0.3, seed: 3 },
      { clientAuth: true, disorder: 0.3, mtu: 300, seed: 4 },
    ];
    describe("over a hard way", { concurrent: true }, () => {
      test.each(hard)("our server, %o", (variant) => ourServer(peer, 0xc02b, variant), 90_000);
      test.each(hard)("our client, %o", (variant) => ourClient(peer, 0xc02b, variant), 90_000);
    });
  });
}

async function ourServer(
  peer: DtlsPeer,
  suite: number,
  { clientAuth, mtu, loss, disorder, seed, old = false }: Variant,
): Promise<void> {
  const identity = identityFor(suite);
  const opened = Promise.withResolvers<Association>();
  await using endpoint = await createDtlsEndpoint({
    address,
    suites: [suite],
    credentials: credentialsOf(identity),
    clientAuth: clientAuth ? "require" : "none",
    verify: accept,
    allowsMacThenEncrypt: old,
    // As for our client below: a flight may get lost again and again.
    handshakeTimeoutMs: 60_000,
    ...(mtu && { mtu }),
    onAssociation(association) {
      association.onMessage = (payload) => association.send(payload);
      opened.resolve(association);
    },
  });
  const faults = { loss: loss ?? 0, disorder: disorder ?? 0, ours: "server" } as const;
  const hasFaults = loss !== undefined || disorder !== undefined;
  const way = hasFaults ? await lossyProxy(address, endpoint.local, faults, seeded(seed ?? 0)) : undefined;
  const port = way?.port ?? endpoint.local.port;
  const child = peer.client({ suite, address, port, identity, clientAuth, old, ...(mtu && { mtu: mtu + 28 }) });
  const heard =
    (loss ?? 0) > 0 || peer.clientDiesAfter.includes(suite) ? undefined : printed(child, /hello from outside/);
  child.stdin.write("hello from outside\n");
  try {
    const { facts } = await opened.promise;
    checkFacts(facts, suite, old);
    expect(facts.peer.kind).toBe(facts.suiteName.includes("PSK") ? "psk" : clientAuth ? "certificate" : "anonymous");
    await heard;
  } finally {
    await stop(child);
    await way?.close();
  }
}

async function ourClient(
  peer: DtlsPeer,
  suite: number,
  { clientAuth, mtu, loss, disorder, seed, old = false }: Variant,
): Promise<void> {
  const identity = identityFor(suite);
  const port = freshPort();
  const target = { address: peer.serverAddress ?? address, port };
  const child = await peer.server({ suite, ...target, identity, clientAuth, old, ...(mtu && { mtu: mtu + 28 }) });
  const faults = { loss: loss ?? 0, disorder: disorder ?? 0, ours: "client" } as const;
  const hasFaults = loss !== undefined || disorder !== undefined;
  const way = hasFaults ? await lossyProxy(address, target, faults, seeded(seed ?? 0)) : undefined;
  try {
    await using endpoint: DtlsEndpoint = await createDtlsEndpoint({ address, ...(mtu && { mtu }) });
    const association = await endpoint.connect({
      address: way === undefined ? target.address : address,
      port: way?.port ?? port,
      suites: [suite],
      credentials: credentialsOf(identity),
      verify: accept,
      allowsMacThenEncrypt: old,
      // OpenSSL repeats its flights after 1, 3, 7, 15 and 31 seconds.
      handshakeTimeoutMs: !hasFaults ? 10_000 : 60_000,
    });
    checkFacts(association.facts, suite, old);
    if (loss !== undefined) return;
    const heard = new Promise<string>((resolve) => {
      association.onMessage = (payload) => resolve(Buffer.from(payload).toString());
    });
    const shown = peer.echoes ? undefined : printed(child, /hello from us/);
    association.send(Buffer.from("hello from us\n"));
    if (!peer.echoes) child.stdin.write("hello from us\n");
    expect(await heard).toBe("hello from us\n");
    await shown;
  } finally {
    await stop(child);
    await way?.close();
  }
}

function checkFacts(facts: AssociationFacts, suite: number, old: boolean): void {
  const cbc = facts.suiteName.includes("CBC");
  expect(facts).toMatchObject({ suite, extendedMasterSecret: true, ...(cbc && { encryptThenMac: !old }) });
}

function identityFor(suite: number): Identity {
  return cipherSuite(suite)?.authentication === "rsa" ? identities.rsa : identities.ecdsa;
}

function credentialsOf({ pem, key }: Identity): Credentials {
  const find = (identity: Uint8Array) => (Buffer.compare(identity, psk.identity) === 0 ? psk.key : undefined);
  return { certificates: [certificateCredential(pem, key)], psk, findPsk: find };
}

/** A number from 0 to 1 that depends on the seed only (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

withPeers("sessions taken up again with OpenSSL", ["openssl"], () => {
  test.each([{ clientAuth: false }, { clientAuth: true }])(
    "our client, client certificate $clientAuth",
    async ({ clientAuth }) => {
      const identity = identities.ecdsa;
      const port = freshPort();
      const child = await openssl.server({ suite: 0xc02b, address, port, identity, clientAuth });
      try {
        await using endpoint = await createDtlsEndpoint({
          address,
          verify: accept,
          credentials: credentialsOf(identity),
        });
        const options = { address, port, suites: [0xc02b] };
        const first = await endpoint.connect(options);
        const { session } = first;
        expect(session).toBeDefined();
        const listening = printed(child, /ACCEPT|DONE|ERROR/);
        await first.close();
        await listening;
        const again = await endpoint.connect({ ...options, ...(session && { session }) });
        expect(again.facts.resumed).toBe(true);
        const shown = printed(child, /hello again/);
        again.send(Buffer.from("hello again\n"));
        await shown;
      } finally {
        await stop(child);
      }
    },
  );

  test.each([{ clientAuth: false }, { clientAuth: true }])(
    "our server, client certificate $clientAuth",
    async ({ clientAuth }) => {
      const identity = identities.ecdsa;
      const opened: AssociationFacts[] = [];
      await using endpoint = await createDtlsEndpoint({
        address,
        suites: [0xc02b],
        credentials: credentialsOf(identity),
        clientAuth: clientAuth ? "require" : "none",
        verify: accept,
        onAssociation(association) {
          opened.push(association.facts);
          association.onMessage = (payload) => association.send(payload);
        },
      });
      const file = `${identity.certificateFile}.session`;
      const args = ["s_client", "-dtls1_2", "-connect", `${address}:${endpoint.local.port}`, "-quiet"];
      const proof = clientAuth ? ["-cert", identity.certificateFile, "-key", identity.keyFile] : [];
      for (const session of [
        ["-sess_out", file],
        ["-sess_in", file],
      ]) {
        const child = start("openssl", [...args, ...proof, ...session]);
        const heard = printed(child, /hello from outside/);
        child.stdin.write("hello from outside\n");
        await heard;
        child.stdin.end();
        await stop(child);
      }
      expect(opened.map(({ resumed }) => resumed)).toEqual([false, true]);
      expect(opened[1]?.peer.kind).toBe(clientAuth ? "certificate" : "anonymous");
    },
  );
});

withPeers("OpenSSL that knows no Encrypt-then-MAC", ["openssl"], () => {
  const cases = [0xc023, 0xc024, 0x003d].map((suite) => ({ suite, name: cipherSuite(suite)?.name }));
  test.each(cases)("our server allows it, $name", ({ suite }) =>
    ourServer(openssl, suite, { clientAuth: false, old: true }),
  );
  test.each(cases)("our client allows it, $name", ({ suite }) =>
    ourClient(openssl, suite, { clientAuth: false, old: true }),
  );
});
