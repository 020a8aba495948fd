import { expect, test } from "vitest";
import { soak, soakTable } from "../dtls-io-soak.ts";

test("a short soak: connections over two associations run with traffic beside them, and all is counted", async () => {
  const told: string[] = [];
  const result = await soak(
    { connections: 6, rpiMs: 100 },
    {
      seconds: 1,
      connectionsEach: 3,
      load: { listIdentities: 20, smallDatagrams: 50, handshakes: 2 },
      tell: (text) => told.push(text),
    },
  );
  expect(result).toMatchObject({ associations: 2, scanner: { running: 6 }, devices: { connections: 6 } });
  expect(result.scanner.received).toBeGreaterThan(0);
  expect(result.load.smallDatagrams).toBeGreaterThan(0);
  expect(result.devices.dropped).toBeGreaterThan(0);
  expect(told[0]).toBe("2 devices are up");
  expect(soakTable([result])).toContain("6 at 100 ms");
}, 60_000);
