import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isStackError } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commission, connect, type CommissionOptions } from "../src/index.ts";
import { readStates } from "../src/commission-connect.ts";
import { net } from "./addresses.ts";
import { certificatePlan, makePlant, type Plant } from "./real-target.ts";

/** A longer campaign: `CIPSEC_POWER_CUTS=100`. */
const cuts = Number(process.env["CIPSEC_POWER_CUTS"] ?? 4);
const address = `${net}.71`;
let plant: Plant;

beforeAll(async () => {
  plant = await makePlant();
});
afterAll(() => plant[Symbol.asyncDispose]());

async function powerUp(stateDir: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("run-target.ts", import.meta.url)), [address, stateDir], {
    execArgv: ["--conditions=@cipsec/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
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
    requestTimeoutMs: 1500,
    connectTimeoutMs: 1500,
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
  60_000 + cuts * 8000,
);
