import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  assemblyPath,
  commission,
  connect,
  openIo,
  parseTarget,
  type IoRequest,
  type SecurityOptions,
} from "../../src/index.ts";
import { makePlant, type Plant } from "../real-target.ts";

/** What each device allows, and what can therefore be had of it. */
const devices = [
  { address: "127.34.8.1", allowed: [0xc02b, 0xc006], encrypted: 0xc02b, integrity: 0xc006 },
  { address: "127.34.8.2", allowed: [0xc02b, 0xc02c], encrypted: 0xc02b, integrity: undefined },
  { address: "127.34.8.3", allowed: [0xc006], encrypted: undefined, integrity: 0xc006 },
] as const;

const request: IoRequest = {
  oToT: { rpiMicros: 20_000, size: 4 },
  tToO: { rpiMicros: 20_000, size: 8 },
  timeoutMultiplier: 7,
  path: assemblyPath({ oToT: 150, tToO: 100 }),
};

let plant: Plant;
const running: { readonly target: Target; readonly folder: string }[] = [];

beforeAll(async () => {
  plant = await makePlant();
  for (const { address, allowed } of devices) {
    const folder = await mkdtemp(join(tmpdir(), "cipsec-allowed-"));
    const target = await startTarget({
      stateDir: folder,
      description: readDescription({
        name: "adapter",
        identity: {
          vendorId: 0x1234,
          productCode: 7,
          revision: { major: 1, minor: 2 },
          serialNumber: 0xcafe,
          productName: "Adapter",
        },
        address,
        assemblies: [
          { instance: 100, kind: "input", size: 8, name: "in" },
          { instance: 150, kind: "output", size: 4, name: "out" },
        ],
        connections: [{ name: "owner", type: "exclusive-owner", consume: 150, produce: 100 }],
      }),
    });
    running.push({ target, folder });
    await commission(parseTarget(address), {
      plan: {
        label: "plant",
        suites: [...allowed],
        verifyClient: true,
        sendChain: true,
        checkExpiration: "if-possible",
        checkSan: false,
        dtlsTimeoutS: 12,
        closePlaintext: false,
      },
      security: { ...plant.security, suites: [...allowed] },
      acceptAny: true,
      announce: () => undefined,
      issue: (csr, context) => plant.issue(csr, context),
    });
  }
}, 60_000);

afterAll(async () => {
  for (const { target, folder } of running) {
    await target.stop();
    await rm(folder, { recursive: true, force: true });
  }
  await plant[Symbol.asyncDispose]();
});

test.each(
  devices.flatMap(({ address, ...suites }) =>
    (["encrypted", "integrity"] as const).map((protection) => ({ address, protection, suite: suites[protection] })),
  ),
)("what $address allows decides: $protection gives $suite", async ({ address, protection, suite }) => {
  const security: SecurityOptions = { ...plant.security, protection };
  const opening = connect({ scheme: "eipd", host: address }, { security });
  if (suite === undefined) {
    await expect(opening).rejects.toMatchObject({ code: "tls/alert", facts: { protection } });
    return;
  }
  await using session = await opening;
  await using io = await openIo(session, request, { protection });
  await expect.poll(() => io.statistics().received).toBeGreaterThan(2);
  expect(io.facts.security).toMatchObject({ suite, encrypts: protection === "encrypted" });
});
