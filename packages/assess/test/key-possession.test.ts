import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type * as signatures from "../../dtls/src/signatures.ts";
import { startCareless } from "./careless-server.ts";
import { assessed, commissionInto, makePlant, partsOf, startDevice, subjectAt, type Plant } from "./plant.ts";

/** Whether signatures of DTLS are looked at, by all sides in this process. */
const dtls = vi.hoisted(() => ({ looksAtSignatures: true }));

vi.mock("../../dtls/src/signatures.ts", async (original) => {
  const real = await original<typeof signatures>();
  const verifyWith: typeof real.verifyWith = (...proof) => !dtls.looksAtSignatures || real.verifyWith(...proof);
  return { ...real, verifyWith };
});

const [device, careless, behind] = ["127.37.13.1", "127.37.13.2", "127.37.13.3"];
const open: AsyncDisposable[] = [];
let plant: Plant;

beforeAll(async () => {
  plant = await makePlant();
  open.push(
    await startDevice(plant.folder, device),
    await startDevice(plant.folder, behind, { ports: { eipd: null } }),
  );
  await commissionInto(plant, device);
  await commissionInto(plant, behind);
  open.push(await startCareless(plant, careless, behind));
});

afterAll(async () => {
  await Promise.all(open.map(async (one) => await one[Symbol.asyncDispose]()));
  await plant[Symbol.asyncDispose]();
});

// A sound certificate is no secret: whoever has seen one can show it. Only the signature of CertificateVerify says whose it is.
test.each([
  { name: "a sound device", address: device, looksAtSignatures: true, verdict: "met", fails: [] },
  {
    name: "a device that does not look at it over DTLS",
    address: device,
    looksAtSignatures: false,
    verdict: "not-met",
    fails: ["d key possession: wrong-key over dtls"],
  },
  {
    name: "one that does not look at it over TLS",
    address: careless,
    looksAtSignatures: true,
    verdict: "not-met",
    fails: ["d key possession: wrong-key"],
  },
])("whose a certificate is: $name", async ({ address, verdict, fails, looksAtSignatures }) => {
  dtls.looksAtSignatures = looksAtSignatures;
  const { records, ...rest } = await assessed(plant, await subjectAt(plant, address), (id) => id === "B-1.9");
  const observations = records.flatMap(({ findings }) => findings?.observations ?? []);
  const told = observations.map(({ name, observed }) => `${name}: ${observed}`).join("\n");
  expect(
    observations.filter(({ holds }) => holds === false).map(({ name }) => name),
    told,
  ).toEqual(fails);
  expect(partsOf(rest)["CR 1.9"], told).toBe(verdict);
});
