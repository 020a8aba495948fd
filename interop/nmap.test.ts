import { afterAll, beforeAll, expect, test } from "vitest";
import { makePlant, type Plant } from "./kit/plant.ts";
import { must, rootRights, withPeers } from "./kit/programs.ts";

const address = "127.27.5.1";

withPeers("nmap's enip-info reads the identity", ["nmap", rootRights], () => {
  let plant: Plant;

  beforeAll(async () => {
    plant = await makePlant("nmap");
    await plant.device({ address, serialNumber: 0x00c0_ffee, security: null });
    const secured = await plant.device({ address: "127.27.5.2" });
    await plant.commission(secured, {});
  });

  afterAll(async () => await plant[Symbol.asyncDispose]());

  const scan = (host: string, kind: string): Promise<string> =>
    must("nmap", [kind, "-p", "44818", "--script", "enip-info", "-Pn", "-n", host], { timeoutMs: 25_000 });

  const facts = {
    type: "Generic Device (keyable) (43)",
    vendor: "Unknown Vendor Number (65535)",
    productName: "Interop Device",
    serialNumber: "0x00c0ffee",
    productCode: "7",
    revision: "2.1",
    status: "0x0030",
    state: "0x03",
    deviceIp: address,
  };

  test.each([
    { over: "TCP", kind: "-sT" },
    { over: "UDP", kind: "-sU" },
  ])("over $over", async ({ kind }) => {
    const said = Object.fromEntries(
      [...(await scan(address, kind)).matchAll(/^\|[_ ]+(\w+): (.+)$/gmu)].map(([, name, value]) => [name, value]),
    );
    expect(said).toEqual(facts);
  });

  test("a commissioned device with closed plaintext ports tells it nothing over TCP", async () => {
    const said = await scan("127.27.5.2", "-sT");
    expect(said).toMatch(/44818\/tcp closed/u);
    expect(said).not.toContain("enip-info");
  });
});
