import { join } from "node:path";
import { createCsr, makeKeyPair, parseCertificates, type Caller, type Enrolment } from "@cipsec/pki";
import { readFile } from "node:fs/promises";
import { startTarget } from "@cipsec/target";
import { expect, test } from "vitest";
import { pullPlant, pulling } from "../src/plant.ts";
import { openFactory, type Birth } from "../src/vendor.ts";
import { vouchByIdentity } from "@cipsec/originator";
import { readDescription } from "@cipsec/target";
import { temporaryFolder } from "./support.ts";

const address = "127.32.20.1";

test("a device is looked at before it gets its first certificate: it has to be what its certificate says", async () => {
  await using folder = await temporaryFolder();
  const factory = await openFactory(folder.path, () => new Date());
  const [planned] = pulling(pullPlant(1), "_est-h2._tcp");
  if (planned === undefined) throw new RangeError("no device was planned");
  const { identity } = planned.description;
  const births = new Map<Birth, Caller>();
  for (const birth of ["genuine", "stolen", "forged"] as const) {
    const made = await factory.equip(join(folder.path, birth), identity, birth);
    if (made.kind !== "vendor") throw new RangeError("no certificate was made");
    const [certificate] = parseCertificates(await readFile(made.certificate));
    if (certificate === undefined) throw new RangeError("no certificate was made");
    births.set(birth, { kind: "birth", certificate, anchor: "" });
  }
  const security = { ...planned.description.security, defaultCertificate: undefined };
  const start = async (birth: Birth) =>
    await startTarget({
      description: readDescription({
        ...planned.description,
        address,
        security: { ...security, defaultCertificate: await factory.equip(join(folder.path, birth), identity, birth) },
      }),
      stateDir: join(folder.path, `${birth}-state`),
    });
  const vouch = vouchByIdentity([factory.vendor.root, factory.vendor.issuing]);
  const { privateKey } = await makeKeyPair();
  const asks = async (birth: Birth, ip = address): Promise<string | undefined> => {
    const caller = births.get(birth);
    if (caller === undefined) throw new RangeError(birth);
    const request = await createCsr({ subject: { commonName: "x" }, san: { ip: [ip] }, privateKey });
    const asked: Enrolment = { operation: "simpleenroll", label: undefined, caller, request, address };
    return await vouch(asked);
  };
  expect(await asks("genuine")).toContain("nothing listens there");
  {
    await using _ = await start("genuine");
    expect(await asks("genuine")).toBeUndefined();
    expect(await asks("genuine", "127.32.20.2")).toContain("the request names the address 127.32.20.2");
    expect(await asks("stolen")).toContain("80100001");
  }
  {
    await using _ = await start("stolen");
    expect(await asks("stolen")).toContain("the serial number is '80100001' in its birth certificate");
  }
  await using _ = await start("forged");
  expect(await asks("forged")).toContain("no named vendor vouches for it");
});
