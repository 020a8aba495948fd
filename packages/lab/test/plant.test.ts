import { assert, nat, property } from "fast-check";
import { readDescription } from "@cipsec/target";
import { expect, test } from "vitest";
import { deviceAddress, maxDevices, mixedPlant } from "../src/index.ts";

test("of every five devices three are modern, one is of the CBC generation, one has no CIP Security", () => {
  const kinds = mixedPlant(10).map(({ kind }) => kind);
  expect(kinds.slice(0, 5)).toEqual(["modern", "modern", "modern", "cbc-psk", "legacy"]);
  expect(kinds.slice(5)).toEqual(kinds.slice(0, 5));
});

test("every device has a description that a target takes, and its own name, address and serial number", () => {
  const plant = mixedPlant(300);
  for (const { description } of plant) expect(() => readDescription(withCertificate(description))).not.toThrow();
  for (const of of ["name", "address"] as const)
    expect(new Set(plant.map(({ description }) => description[of])).size).toBe(plant.length);
  expect(new Set(plant.map(({ description }) => description.identity.serialNumber)).size).toBe(plant.length);
});

test("every device with CIP Security has DTLS on the port of IANA, and no other does", () => {
  for (const { kind, description } of mixedPlant(10))
    expect(readDescription(withCertificate(description)).ports.eipd).toBe(kind === "legacy" ? null : 2221);
});

test("addresses are hosts of 127.10, each its own", () => {
  expect([0, 1, 253, 254].map(deviceAddress)).toEqual(["127.10.0.1", "127.10.0.2", "127.10.0.254", "127.10.1.1"]);
  assert(
    property(nat({ max: maxDevices - 1 }), nat({ max: maxDevices - 1 }), (a, b) => {
      expect(deviceAddress(a)).toMatch(/^127\.10\.\d{1,3}\.(?!0$|255$)\d{1,3}$/);
      expect(deviceAddress(a) === deviceAddress(b)).toBe(a === b);
    }),
  );
});

test.each([0, -1, 1.5, Number.NaN, maxDevices + 1])("a plant of %d devices is refused", (count) => {
  expect(() => mixedPlant(count)).toThrow(expect.objectContaining({ code: "usage/argument" }));
});

function withCertificate(description: ReturnType<typeof mixedPlant>[number]["description"]): object {
  const { security } = description;
  return { ...description, security: security === null ? null : { ...security, defaultCertificate: "self-signed" } };
}
