import { expect, test } from "vitest";
import { openUdp, probeUdp } from "../src/index.ts";
import { rejection } from "./support.ts";

const address = "127.23.3.2";
const octets = Uint8Array.of(0, 0);

test("a port that answers, one that is silent and one that nobody has are told apart", async () => {
  const echo = await openUdp({ address, port: 0, receive: (bytes, remote) => echo.send(bytes.slice(), remote) });
  const silent = await openUdp({ address, port: 0, receive: () => undefined });
  const ask = async (port: number, waitMs: number) => await probeUdp({ address, port, octets, waitMs });
  expect(await ask(echo.local.port, 10_000)).toBe("answered");
  expect(await ask(silent.local.port, 100)).toBe("silent");
  await silent.close();
  expect(await ask(silent.local.port, 10_000)).toBe("refused");
  await echo.close();
});

test("a name is not looked up, and a wait ends with its signal", async () => {
  const wish = { port: 1, octets, waitMs: 10_000 };
  expect(await rejection(probeUdp({ ...wish, address: "localhost" }))).toMatchObject({ code: "transport/address" });
  const socket = await openUdp({ address, port: 0, receive: () => undefined });
  const cut = new AbortController();
  const asked = probeUdp({ ...wish, address, port: socket.local.port, signal: cut.signal });
  cut.abort(new Error("enough"));
  await expect(asked).rejects.toThrow("enough");
  await socket.close();
});
