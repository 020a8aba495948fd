import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Identity } from "@cipsec/objects";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Port, assemblyPath, connect, openIo, type SecurityOptions, type Session } from "../src/index.ts";

const address = "127.34.3.1";
const security: SecurityOptions = { acceptAny: true };
let folder: string;
let device: Target;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-start-dtls-"));
  device = await startTarget({
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
      security: { samePort: true },
      assemblies: [
        { instance: 100, kind: "input", size: 8, name: "in" },
        { instance: 150, kind: "output", size: 4, name: "out" },
      ],
      connections: [{ name: "owner", type: "exclusive-owner", consume: 150, produce: 100 }],
    }),
  });
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const opened = (port: number): Promise<Session> => connect({ scheme: "eipd", host: address, port }, { security });

const owner = {
  oToT: { rpiMicros: 20_000, size: 4 },
  tToO: { rpiMicros: 20_000, size: 8 },
  timeoutMultiplier: 7,
  path: assemblyPath({ oToT: 150, tToO: 100 }),
};

test("eipd://HOST:44818 is StartDTLS: messages and class 3 in frames, and no I/O", async () => {
  await using session = await opened(Port.eip);
  expect(session.facts).toMatchObject({ protocol: "dtls", remote: { port: 44_818 } });
  expect(await session.object(Identity, 1).get("vendorId")).toBe(0x1234);
  await using class3 = await session.connectClass3();
  for (const _ of [1, 2, 3]) expect(await class3.object(Identity, 1).get("productName")).toBe("Adapter");
  await expect(openIo(session, owner)).rejects.toMatchObject({ code: "usage/state" });
  await expect(openIo(session, owner, { protection: "encrypted" })).rejects.toMatchObject({ code: "usage/state" });
});

test("eipd://HOST:2222 of a device in same-port mode: messages and I/O", async () => {
  await using session = await opened(Port.io);
  expect(await session.object(Identity, 1).get("vendorId")).toBe(0x1234);
  await using io = await openIo(session, owner);
  await expect.poll(() => io.statistics().received).toBeGreaterThan(3);
  expect(io.facts).toMatchObject({ protocol: "dtls", remote: { address, port: 2222 } });
});

test("a session of frames dials again after its association is lost", async () => {
  await using session = await opened(Port.eip);
  session.drop();
  await session.disconnected;
  expect(await session.object(Identity, 1).get("vendorId")).toBe(0x1234);
});
