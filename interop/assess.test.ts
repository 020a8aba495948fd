import type { ChildProcessWithoutNullStreams } from "node:child_process";
import type { Assessment, VerdictWord } from "@cipsec/assess";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assessedAt } from "./kit/assessed.ts";
import { makePlant, type Caller, type Plant } from "./kit/plant.ts";
import { start, stop, until, withPeers } from "./kit/programs.ts";
import { startStunnel } from "./kit/stunnel.ts";

const prefix = "127.37.5";
const plainAddress = `${prefix}.1`;

let plant: Plant;
const children: ChildProcessWithoutNullStreams[] = [];

beforeAll(async () => {
  plant = await makePlant("assess");
  await plant.device({ address: plainAddress, security: null });
});

afterAll(async () => {
  await Promise.all(children.map(async (child) => await stop(child)));
  await plant[Symbol.asyncDispose]();
});

/** An assessment as the plant's tool. What takes long, and says nothing of a TLS server, is left out. */
async function assessed(host: string, wanted: (id: string) => boolean = () => true): Promise<Assessment> {
  const { tool, anchors } = plant;
  const { assessment } = await assessedAt(
    plant,
    {
      target: { scheme: "eips", host },
      security: { certificate: { chain: tool.chain, key: tool.key }, anchors },
      handles: 40,
      timeoutMs: 3000,
    },
    (id) => id !== "E-7.1R1" && wanted(id),
  );
  return assessment;
}

/** Checks that ended by a fault of their own, or were cut off: never, whatever they meet. */
function faultsOf({ records }: Assessment): readonly string[] {
  return records.flatMap(({ id, notRun = "" }) =>
    /fault of its own|could not be finished/.test(notRun) ? [`${id}: ${notRun}`] : [],
  );
}

/** What stunnel before a plain device comes to. It has no objects that tell its settings, so much stays open. */
const beforePlain: Readonly<Record<string, VerdictWord>> = {
  "CR 1.2": "met",
  "CR 1.8": "inconclusive",
  "CR 1.9": "inconclusive",
  "CR 1.14": "inconclusive",
  "EDR 2.4": "inconclusive",
  "EDR 2.4 RE(1)": "inconclusive",
  "CR 2.6": "inconclusive",
  "CR 3.1": "met",
  "CR 3.1 RE(1)": "met",
  "CR 3.3": "inconclusive",
  "CR 3.4": "inconclusive",
  "CR 3.4 RE(1)": "inconclusive",
  "CR 3.5": "met",
  "CR 3.6": "inconclusive",
  "CR 3.7": "partial",
  "CR 3.8": "met",
  "EDR 3.12": "inconclusive",
  "EDR 3.13": "inconclusive",
  "CR 4.1": "inconclusive",
  "CR 4.3": "inconclusive",
  "CR 7.1": "inconclusive",
  "CR 7.2": "inconclusive",
  "CR 7.3": "partial",
  "CR 7.3 RE(1)": "partial",
  "CR 7.4": "inconclusive",
  "CR 7.6": "inconclusive",
  "CR 7.7": "inconclusive",
  "CR 7.8": "partial",
};

function partsOf({ verdicts }: Assessment): Readonly<Record<string, VerdictWord>> {
  return Object.fromEntries(
    verdicts
      .filter(({ checks }) => checks.length > 0)
      .map(({ requirement, parts, verdict }) => [
        requirement,
        parts.find(({ part }) => part === "protocol")?.verdict ?? verdict,
      ]),
  );
}

const server = async (address: string): Promise<Caller> =>
  await plant.issue(`front-${address}`, { server: true, san: { ip: [address] } });

withPeers("an assessment of what nobody here wrote: stunnel", ["stunnel", "openssl"], () => {
  test.concurrent.each<{
    name: string;
    address: string;
    verifies: boolean;
    changes: Readonly<Record<string, VerdictWord>>;
  }>([
    { name: "with client verification", address: `${prefix}.2`, verifies: true, changes: {} },
    {
      name: "without",
      address: `${prefix}.3`,
      verifies: false,
      changes: { "CR 1.2": "not-met", "CR 1.9": "not-met", "CR 3.1 RE(1)": "not-met" },
    },
  ])("before a plain device, $name", { timeout: 120_000 }, async ({ address, verifies, changes }) => {
    const service = { name: "front", accept: `${address}:2221`, connect: `${plainAddress}:44818` };
    const wish = {
      ...service,
      certificate: await server(address),
      ...(verifies ? { clientAnchors: plant.anchorsFile } : {}),
    };
    children.push(await startStunnel(plant.folder, [wish]));
    const assessment = await assessed(address, (id) => verifies || !["B-3.7", "B-3.8"].includes(id));
    expect(faultsOf(assessment)).toEqual([]);
    const left = verifies ? {} : { "CR 3.5": undefined, "CR 3.7": undefined, "CR 3.8": undefined };
    expect(partsOf(assessment)).toEqual({ ...beforePlain, ...left, ...changes });
  });
});

/** OpenSSL's own server, with a page of its state for whoever gets in. */
async function startSserver(address: string, options: readonly string[]): Promise<void> {
  const { certFile, keyFile } = await server(address);
  const listen = ["s_server", "-accept", `${address}:2221`, "-www", "-cert", certFile, "-cert_chain", certFile];
  const child = start("openssl", [...listen, "-key", keyFile, ...options]);
  children.push(child);
  let printed = "";
  child.stdout.on("data", (octets: Buffer) => (printed += octets.toString()));
  await until(() => printed.includes("ACCEPT"), "s_server listens");
}

withPeers("an assessment of what nobody here wrote: s_server", ["openssl"], () => {
  test.concurrent.each([
    { name: "with client verification", address: `${prefix}.4`, verifies: true },
    { name: "without", address: `${prefix}.5`, verifies: false },
  ])("that speaks HTTP, $name", { timeout: 120_000 }, async ({ address, verifies }) => {
    await startSserver(address, verifies ? ["-CAfile", plant.anchorsFile, "-Verify", "3", "-verify_return_error"] : []);
    const assessment = await assessed(address);
    expect(faultsOf(assessment)).toEqual([]);
    // It lets us in, and is no device: nothing can be said of it but what it negotiates.
    const { "CR 4.3": cryptography, ...rest } = partsOf(assessment);
    expect(cryptography).toBe("inconclusive");
    expect([...new Set(Object.values(rest))]).toEqual(["inconclusive"]);
    const negotiated = assessment.records.find(({ id }) => id === "B-4.3")?.findings?.observations ?? [];
    expect(negotiated.filter(({ holds }) => holds === false)).toEqual([]);
    expect(negotiated.find(({ name }) => name === "TLS 1.0")).toMatchObject({ holds: true });
  });

  test.concurrent.each([
    {
      name: "never",
      address: `${prefix}.6`,
      options: ["-no_renegotiation"],
      verdict: "inconclusive",
      is: { "renegotiation by the caller": true, "renegotiation without the binding": true },
    },
    {
      name: "when it is bound",
      address: `${prefix}.7`,
      options: ["-client_renegotiation"],
      verdict: "inconclusive",
      is: { "renegotiation by the caller": true, "renegotiation without the binding": true },
    },
    {
      name: "when it is not bound, too",
      address: `${prefix}.8`,
      options: ["-client_renegotiation", "-legacy_renegotiation"],
      verdict: "not-met",
      is: { "renegotiation by the caller": true, "renegotiation without the binding": false },
    },
  ])("that negotiates anew $name", { timeout: 60_000 }, async ({ address, options, is, verdict }) => {
    await startSserver(address, options);
    const assessment = await assessed(address, (id) => id === "B-4.3");
    expect(partsOf(assessment)).toEqual({ "CR 4.3": verdict });
    const observations = assessment.records.flatMap(({ findings }) => findings?.observations ?? []);
    expect(Object.fromEntries(observations.map(({ name, holds }) => [name, holds]))).toMatchObject({
      renegotiation_info: true,
      ...is,
    });
  });
});
