import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { objectPath } from "@cipsec/wire";
import { expect, test } from "vitest";
import { assemblyPath, connect, openIo } from "../src/index.ts";
import { net } from "./addresses.ts";
import { startDevice } from "./real-target.ts";

const address = `${net}.90`;

/** Octets that the heap may be larger: what a thousandth of the errors held would show. */
const heapBound = 3 * 1024 * 1024;

test("leak on error replies: 10,000 of them leave heap and handles as they were", { timeout: 180_000 }, async () => {
  setFlagsFromString("--expose_gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new TypeError("the runtime has no gc");
  const heap = (): number => {
    collect();
    collect();
    return process.memoryUsage().heapUsed;
  };
  const stateDir = await mkdtemp(join(tmpdir(), "cipsec-errors-"));
  await using device = await startDevice({ address, stateDir, security: null });
  await using session = await connect({ scheme: "eip", host: address });
  const fail = async (count: number): Promise<void> => {
    let refused = 0;
    const note = (): void => void (refused += 1);
    for (let i = 0; i < count; i += 10) {
      // Wrong attribute, wrong class, and once in ten a connection that the device does not offer.
      const wrong = Array.from({ length: 9 }, (_, k) => session.getRaw(objectPath(k % 2 === 0 ? 1 : 0x63, 1, 99)));
      await Promise.all(wrong.map((one) => one.catch(note)));
      const direction = { rpiMicros: 10_000, size: 4 };
      const path = assemblyPath({ oToT: 7, tToO: 8 });
      await openIo(session, { oToT: direction, tToO: direction, path }).catch(note);
    }
    expect(refused).toBe(count);
  };
  const handles = (): readonly string[] =>
    process
      .getActiveResourcesInfo()
      .filter((kind) => kind === "UDPWrap" || kind === "TCPSocketWrap" || kind === "TCPServerWrap");
  await fail(1000);
  const [heapBefore, handlesBefore] = [heap(), handles()];
  await fail(10_000);
  expect(heap() - heapBefore).toBeLessThan(heapBound);
  expect(handles()).toEqual(handlesBefore);
  expect(device.io.connections).toBe(0);
  await rm(stateDir, { recursive: true, force: true });
});
