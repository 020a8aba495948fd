import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat, writeFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, discover, parseTarget, type SecurityOptions } from "@cipsec/originator";
import { EtherNetIpSecurity, Identity, TcpIpInterface } from "@cipsec/objects";
import { parseCertificates } from "@cipsec/pki";
import { expect, test } from "vitest";
import { startLab } from "../src/index.ts";
import { deviceProcesses, plannedAt, survivors, temporaryFolder } from "./support.ts";

async function productName(address: string): Promise<string> {
  await using session = await connect(parseTarget(`eip://${address}`), { reconnect: false });
  return await session.object(Identity, 1).get("productName");
}

/** SHA-256 of the certificate a device shows, and who vouches for it. */
async function factoryCertificate(address: string, vendorRootPem: string): Promise<{ sha256: string; by?: string }> {
  const seen: { sha256: string; by?: string }[] = [];
  const security: SecurityOptions = {
    acceptAny: true,
    vendorAnchors: parseCertificates(vendorRootPem),
    announce: ({ sha256, vouchedBy }) =>
      void seen.push({ sha256, ...(vouchedBy === undefined ? {} : { by: vouchedBy }) }),
  };
  await using session = await connect(parseTarget(`eips://${address}`), { security, reconnect: false });
  await session.object(EtherNetIpSecurity, 1).get("state");
  return seen[0] ?? { sha256: "" };
}

test("each device in a process of its own: one dies and comes back, the others do not notice", async () => {
  const addresses = ["127.28.20.1", "127.28.20.2"] as const;
  await using folder = await temporaryFolder();
  const lab = await startLab({ dataDir: folder.path, devices: plannedAt(addresses) });
  const first = deviceProcesses();
  expect(first).toHaveLength(2);
  expect(lab.devices.map(({ description }) => description.address)).toEqual(addresses);
  const found = await discover({ ranges: addresses });
  expect(found.devices.map(({ identity }) => identity.name)).toEqual(["Lab Drive 1", "Lab Drive 2"]);
  const certificate = await factoryCertificate(addresses[0], lab.vendorRootPem);
  expect(certificate.by).toContain("Lab Vendor");

  const [device] = lab.devices;
  await device?.kill();
  await device?.kill();
  await expect(productName(addresses[0])).rejects.toMatchObject({ code: "transport/refused" });
  expect(await productName(addresses[1])).toBe("Lab Drive 2");
  await device?.restart();
  expect(await productName(addresses[0])).toBe("Lab Drive 1");
  expect(await factoryCertificate(addresses[0], lab.vendorRootPem)).toEqual(certificate);

  const all = [...first, ...deviceProcesses()];
  await lab.close();
  await lab.close();
  expect(await survivors(all)).toEqual([]);
  expect(deviceProcesses()).toEqual([]);
  // Four processes are started here, one after the other.
}, 120_000);

test("what a device saved is there after the plant was stopped and started; folders are its owner's alone", async () => {
  const address = "127.28.20.3";
  await using folder = await temporaryFolder();
  for (const seconds of [55, 66]) {
    await using _ = await startLab({ dataDir: folder.path, devices: plannedAt([address]) });
    await using session = await connect(parseTarget(`eip://${address}`), { reconnect: false });
    const object = session.object(TcpIpInterface, 1);
    if (seconds === 66) expect(await object.get("encapsulationInactivityTimeout")).toBe(55);
    await object.set("encapsulationInactivityTimeout", seconds);
  }
  expect((await stat(join(folder.path, "devices", "device-1"))).mode & 0o777).toBe(0o700);
  expect((await stat(join(folder.path, "devices", "device-1", "vendor-key.pem"))).mode & 0o777).toBe(0o600);
});

test("devices can share a process", async () => {
  await using folder = await temporaryFolder();
  const addresses = ["127.28.20.4", "127.28.20.5", "127.28.20.6"];
  await using lab = await startLab({ dataDir: folder.path, devices: plannedAt(addresses), devicesPerProcess: 2 });
  expect(deviceProcesses()).toHaveLength(2);
  expect(await productName("127.28.20.6")).toBe("Lab Drive 3");
  await lab.devices[0]?.kill();
  await expect(productName("127.28.20.5")).rejects.toMatchObject({ code: "transport/refused" });
  expect(await productName("127.28.20.6")).toBe("Lab Drive 3");
});

test("a device that cannot start stops the whole plant, with the reason; no process stays", async () => {
  await using folder = await temporaryFolder();
  const addresses = ["127.28.20.7", "127.28.20.8"];
  await using _ = await startLab({ dataDir: join(folder.path, "a"), devices: plannedAt(addresses.slice(1)) });
  const before = deviceProcesses();
  await expect(startLab({ dataDir: join(folder.path, "b"), devices: plannedAt(addresses) })).rejects.toMatchObject({
    code: "transport/address",
    message: expect.stringContaining("127.28.20.8"),
  });
  expect(deviceProcesses()).toEqual(before);
});

test("state that is damaged in every generation is told as that", async () => {
  await using folder = await temporaryFolder();
  const devices = plannedAt(["127.28.20.9"]);
  const lab = await startLab({ dataDir: folder.path, devices });
  await using session = await connect(parseTarget("eip://127.28.20.9"), { reconnect: false });
  await session.object(TcpIpInterface, 1).set("encapsulationInactivityTimeout", 30);
  await lab.close();
  const state = join(folder.path, "devices", "device-1", "state");
  const names = await readdir(state);
  expect(names).toContain("state");
  for (const name of names) if ((await stat(join(state, name))).isFile()) await writeFile(join(state, name), "damaged");
  await expect(startLab({ dataDir: folder.path, devices })).rejects.toMatchObject({ code: "state/corrupt" });
  expect(deviceProcesses()).toEqual([]);
});

test("killed while it starts, and started again", async () => {
  await using folder = await temporaryFolder();
  await using lab = await startLab({ dataDir: folder.path, devices: plannedAt(["127.28.20.10"]) });
  const [device] = lab.devices;
  for (let i = 0; i < 3; i += 1) {
    await device?.kill();
    const starting = expect(device?.restart()).rejects.toMatchObject({ code: "transport/closed" });
    await device?.kill();
    await starting;
  }
  await device?.restart();
  expect(await productName("127.28.20.10")).toBe("Lab Drive 1");
});

test("devices end when the program that started them is killed", async () => {
  await using folder = await temporaryFolder();
  const script = fileURLToPath(new URL("./parent.ts", import.meta.url));
  const parent = spawn(
    process.execPath,
    ["--conditions=@cipsec/source", "--no-warnings", script, folder.path, "127.28.20.11", "127.28.20.12"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(parent.stdout, "data");
  const pids = deviceProcesses(parent.pid);
  expect(pids).toHaveLength(2);
  parent.kill("SIGKILL");
  expect(await survivors(pids)).toEqual([]);
});
