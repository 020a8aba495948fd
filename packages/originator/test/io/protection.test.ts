import { expect, test, vi } from "vitest";
import {
  Scanner,
  assemblyPath,
  connect,
  openIo,
  originatorTrust,
  parseTarget,
  type IoRequest,
} from "../../src/index.ts";
import { dtlsAdapter, security, type DtlsAdapter } from "./dtls-adapter.ts";

const net = "127.34.2";
let host = 1;
const adapterWith = (...suites: readonly number[]): Promise<DtlsAdapter> =>
  dtlsAdapter(`${net}.${(host += 1)}`, 0, suites);
const targetOf = ({ address, port }: DtlsAdapter) => parseTarget(`eipd://${address}:${port}`);
const until = (check: () => unknown): Promise<void> =>
  vi.waitFor(() => expect(check()).toBeTruthy(), { timeout: 8000, interval: 5 });

/** A long watchdog: it is not what is tested. */
const request: IoRequest = {
  oToT: { rpiMicros: 20_000, size: 4 },
  tToO: { rpiMicros: 20_000, size: 8 },
  timeoutMultiplier: 7,
  path: assemblyPath({ oToT: 150, tToO: 100 }),
};

const suitesOf = ({ associations }: DtlsAdapter): (number | undefined)[] =>
  associations.map(({ facts }) => facts.security?.suite);

test("each protection has an association of its own, which its connections share and the last one closes", async () => {
  await using adapter = await adapterWith(0xc037, 0xc03a);
  await using session = await connect(targetOf(adapter), { security });
  const hidden = await openIo(session, request, { protection: "encrypted" });
  expect(hidden.facts).toBe(session.facts);
  const first = await openIo(session, request, { protection: "integrity" });
  const second = await openIo(session, request, { protection: "integrity" });
  expect(suitesOf(adapter)).toEqual([0xc037, 0xc03a]);
  expect(first.facts.security).toMatchObject({ suite: 0xc03a, encrypts: false });
  expect(second.facts).toBe(first.facts);
  expect(hidden.facts.security?.encrypts).toBe(true);
  expect(first.dscp).toBe(hidden.dscp);
  await until(() => [hidden, first, second].every((io) => io.statistics().received > 1));
  await first.close();
  expect(second.isOpen).toBe(true);
  await second.close();
  await adapter.associations[1]?.closed;
  expect(hidden.isOpen).toBe(true);
  await hidden.close();
  expect(adapter.closes).toBe(3);
  await using again = await openIo(session, request, { protection: "integrity" });
  expect(again.isOpen).toBe(true);
  expect(suitesOf(adapter)).toEqual([0xc037, 0xc03a, 0xc03a]);
});

test("closing the session closes the associations of its connections too", async () => {
  await using adapter = await adapterWith(0xc037, 0xc03a);
  const session = await connect(targetOf(adapter), { security });
  const io = await openIo(session, request, { protection: "integrity" });
  await session.close();
  expect((await io.ended).reason).toBe("lost");
  await Promise.all(adapter.associations.map(({ closed }) => closed));
});

test.each([
  { protection: "integrity", allowed: 0xc037, words: "integrity only", fix: "C006" },
  { protection: "encrypted", allowed: 0xc03a, words: "encrypts", fix: "C02B" },
] as const)(
  "a device that allows no suite for $protection is told with what to allow",
  async ({ protection, allowed, words, fix }) => {
    await using adapter = await adapterWith(allowed);
    const target = targetOf(adapter);
    const error = {
      code: "tls/alert",
      message: expect.stringContaining(words),
      facts: { protection },
      fix: expect.stringContaining(fix),
    };
    await expect(connect(target, { security: { ...security, protection } })).rejects.toMatchObject(error);
    const other = protection === "integrity" ? "encrypted" : "integrity";
    await using session = await connect(target, { security: { ...security, protection: other } });
    await expect(openIo(session, request, { protection })).rejects.toMatchObject(error);
    expect(adapter.associations).toHaveLength(1);
    await using io = await openIo(session, request, { protection: other });
    expect(io.facts).toBe(session.facts);
  },
);

test("a refused protection is not held against the next try", async () => {
  await using adapter = await adapterWith(0xc037);
  await using session = await connect(targetOf(adapter), { security });
  for (const _ of [1, 2])
    await expect(openIo(session, request, { protection: "integrity" })).rejects.toMatchObject({ code: "tls/alert" });
});

test("a scanner keeps connections of both protections to one device", async () => {
  await using adapter = await adapterWith(0xc037, 0xc03a);
  await using scanner = new Scanner({ connect: { security } });
  const target = targetOf(adapter);
  const kept = (["encrypted", "integrity"] as const).map((protection) =>
    scanner.add({ name: protection, target, request, protection }),
  );
  await until(() => kept.every(({ state }) => state === "running"));
  expect(kept.map(({ facts }) => facts?.security?.encrypts)).toEqual([true, false]);
  expect(new Set(suitesOf(adapter))).toEqual(new Set([0xc037, 0xc03a]));
  expect(scanner.sessions).toBe(2);
});

test("which suites are offered, and what cannot be asked for", async () => {
  const offered = (options: Partial<typeof security>) => originatorTrust({ ...security, ...options }).policy;
  expect(offered({ protection: "integrity" }).suites).toEqual([0xc03a]);
  expect(offered({ protection: "encrypted" }).suites).not.toContain(0xc03a);
  expect(offered({ protection: "integrity", suites: [0xc037, 0xc03a] }).suites).toEqual([0xc03a]);
  expect(() => offered({ protection: "integrity", suites: [0xc037] })).toThrow(/integrity only/u);
  const integrity = originatorTrust({ acceptAny: true, protection: "integrity" }).policy;
  expect(integrity.maxVersion).toBe("TLSv1.2");
  expect(integrity.suites).toContain(0xc006);
});
