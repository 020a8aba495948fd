import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EtherNetIpSecurity, FileEncoding, FileObject } from "@cipsec/objects";
import { crlToPem } from "@cipsec/pki";
import { isStackError, objectPath } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  commission,
  configure,
  connect,
  putFile,
  readFile,
  writeFile,
  type CommissionOptions,
  type Session,
} from "../src/index.ts";
import { readStates } from "../src/commission-connect.ts";
import { net } from "./addresses.ts";
import { certificatePlan, makePlant, type Plant } from "./real-target.ts";

/** A longer campaign: `CIPSEC_POWER_CUTS=100`. */
const cuts = Number(process.env["CIPSEC_POWER_CUTS"] ?? 4);
const listCuts = Math.ceil(cuts / 2);
const address = `${net}.71`;
let plant: Plant;

beforeAll(async () => {
  plant = await makePlant();
});
afterAll(() => plant[Symbol.asyncDispose]());

/** Longer than any hold-up of this machine: a configuration session that a cut left open is gone with the process. */
const configTimerS = 60;

async function powerUp(stateDir: string): Promise<ChildProcess> {
  const child = fork(
    fileURLToPath(new URL("run-target.ts", import.meta.url)),
    [address, stateDir, String(configTimerS)],
    {
      execArgv: ["--conditions=@cipsec/source"],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    },
  );
  const gone = once(child, "exit").then(() => Promise.reject(new Error("the device did not start")));
  gone.catch(() => undefined);
  await Promise.race([once(child, "message"), gone]);
  return child;
}

async function cutPower(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

const options = (): CommissionOptions => ({
  plan: certificatePlan,
  issue: (csr, context) => plant.issue(csr, context),
  security: plant.security,
  acceptAny: true,
  connect: {
    requestTimeoutMs: 10_000,
    connectTimeoutMs: 10_000,
    reconnect: { attempts: 1, firstDelayMs: 10, maxDelayMs: 10 },
  },
});

test(
  `after each of ${cuts} power cuts in a commissioning the device says what it is, and another run succeeds`,
  async () => {
    const states = new Set<string>();
    for (let cut = 0; cut < cuts; cut += 1) {
      const stateDir = join(plant.folder, `cut-${cut}`);
      const first = await powerUp(stateDir);
      const broken = commission({ host: address }, options()).catch((error: unknown) => error);
      await new Promise((resolve) => setTimeout(resolve, 20 + (cut * 560) / cuts));
      await cutPower(first);
      const error = await broken;
      if (error instanceof Error) expect(isStackError(error), String(error)).toBe(true);
      const second = await powerUp(stateDir);
      try {
        const session = await connect(
          { scheme: "eips", host: address },
          { security: { ...plant.security, acceptAny: true } },
        );
        const { cipState, ethernetIpState } = await readStates(session);
        await session.close();
        states.add(`${cipState}/${ethernetIpState}`);
        expect(["0/0", "3/0", "3/2", "2/2"]).toContain(`${cipState}/${ethernetIpState}`);
        const { after } = await commission({ host: address }, options());
        expect(after).toEqual({ cipState: "configured", ethernetIpState: "configured" });
      } finally {
        await cutPower(second);
      }
    }
    expect(states.size).toBeGreaterThan(0);
  },
  120_000 + cuts * 30_000,
);

test(
  `after each of ${listCuts} power cuts while a revocation list is brought the device has the old one or the new one, whole`,
  async () => {
    const stateDir = join(plant.folder, "lists");
    let child = await powerUp(stateDir);
    await commission({ host: address }, options());
    const open = (): Promise<Session> => connect({ host: address }, { security: plant.security, ...options().connect });
    const crl = crlToPem(await plant.ca.crl());
    /** What stands before the armour is nobody's to read, and makes the list as long as we like. */
    const list = (number: number): Uint8Array => Buffer.from(`${`list ${number}\n`.repeat(4000)}${crl}`);
    let instance = 0;
    let tookMs = 0;
    {
      await using session = await open();
      instance = await configure(session, async (signal) => {
        const file = await putFile(session, "list", FileEncoding.pemCrl, list(0), { signal });
        const path = objectPath(FileObject.classId, file);
        await session.object(EtherNetIpSecurity, 1).set("certificateRevocationList", [path]);
        return file;
      });
      const start = Date.now();
      await configure(session, (signal) => writeFile(session, instance, list(0), { signal }));
      tookMs = Date.now() - start;
    }
    for (let cut = 0, held = 0; cut < listCuts; cut += 1) {
      const next = cut + 1;
      const session = await open();
      const broken = configure(session, (signal) => writeFile(session, instance, list(next), { signal }));
      const failed = broken.catch((error: unknown) => error);
      await new Promise((resolve) => setTimeout(resolve, tookMs * (0.5 + (0.6 * cut) / listCuts)));
      await cutPower(child);
      const error = await failed;
      if (error instanceof Error) expect(isStackError(error), String(error)).toBe(true);
      await session.close();
      child = await powerUp(stateDir);
      await using after = await open();
      const { cipState, ethernetIpState } = await readStates(after);
      expect(["2/2", "3/2"]).toContain(`${cipState}/${ethernetIpState}`);
      const found = Buffer.from(await readFile(after, instance));
      expect([held, next].some((number) => found.equals(list(number)))).toBe(true);
      await configure(after, (signal) => writeFile(after, instance, list(next), { signal }));
      expect(await readStates(after)).toEqual({ cipState: 2, ethernetIpState: 2 });
      held = next;
    }
    await cutPower(child);
  },
  120_000 + listCuts * 60_000,
);
