import type { Target } from "@cipsec/target";
import { Encapsulation, decode, encode } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cipsec, document, startDevice, startServer, temporaryFolder, type Ran } from "./support.ts";

const folder = temporaryFolder();
const data = `${folder.path}/data`;
const device = "127.28.11.1";
const closed = "127.28.11.2";
const hangsUp = "127.28.11.3";
const hangsUpInTls = "127.28.11.4";
const hangsUpInRequest = "127.28.11.5";
const silent = "127.28.11.6";
const notTls = "127.28.11.7";
const noise = "127.28.11.8";
const running: AsyncDisposable[] = [];

beforeAll(async () => {
  const target: Target = await startDevice(folder.path, "strange", device);
  running.push(
    target,
    await startServer(hangsUp, 44_818, (socket) => socket.destroy()),
    await startServer(hangsUpInTls, 2221, (socket) => void socket.once("data", () => socket.destroy())),
    await startServer(hangsUpInRequest, 44_818, (socket) => {
      socket.on("data", (bytes: Buffer) => {
        const { command, context } = decode(Encapsulation, bytes);
        if (command !== 0x65) socket.destroy();
        else
          socket.write(
            encode(Encapsulation, {
              command,
              session: 7,
              status: 0,
              context,
              options: 0,
              data: Uint8Array.of(1, 0, 0, 0),
            }),
          );
      });
    }),
    await startServer(silent, 44_818, () => undefined),
    await startServer(
      notTls,
      2221,
      (socket) => void socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")),
    ),
    await startServer(noise, 44_818, (socket) => socket.write(Buffer.alloc(600, 0xff))),
  );
  expect((await cipsec(["ca", "init"], { data })).code).toBe(0);
});

afterAll(async () => {
  for (const one of running) await one[Symbol.asyncDispose]();
  folder.remove();
});

/** The ways in which `cipsec get` fails, each with its code, exit code, and what a person must read. */
const failures: readonly { name: string; words: readonly string[]; exit: number; code: string; says: RegExp }[] = [
  { name: "wrong class", words: [`eip://${device}`, "0x77/1/1"], exit: 3, code: "cip/status", says: /no such class/ },
  {
    name: "wrong attribute",
    words: [`eip://${device}`, "Identity/1/99"],
    exit: 3,
    code: "cip/status",
    says: /attribute not supported/,
  },
  {
    name: "closed port",
    words: [`eip://${closed}`, "1/1/1"],
    exit: 3,
    code: "transport/refused",
    says: /127\.28\.11\.2:44818: nothing listens/,
  },
  {
    name: "untrusted certificate",
    words: [`eips://${device}`, "1/1/1"],
    exit: 4,
    code: "trust/",
    says: /trust|authority|self-signed/,
  },
  {
    name: "hangs up at once",
    words: [`eip://${hangsUp}`, "1/1/1"],
    exit: 3,
    code: "transport/closed",
    says: /closed the connection: RegisterSession/,
  },
  {
    name: "hangs up in the TLS handshake",
    words: [`eips://${hangsUpInTls}`, "1/1/1"],
    exit: 3,
    code: "tls/handshake",
    says: /closed the connection during the TLS handshake/,
  },
  {
    name: "hangs up in a request",
    words: [`eip://${hangsUpInRequest}`, "1/1/1"],
    exit: 3,
    code: "transport/closed",
    says: /closed the connection: .*class 0x01/i,
  },
  {
    name: "never answers",
    words: [`eip://${silent}`, "1/1/1", "--timeout", "300"],
    exit: 3,
    code: "transport/timeout",
    says: /no answer from .* within 300 ms/,
  },
  {
    name: "port that does not speak TLS",
    words: [`eips://${notTls}`, "1/1/1"],
    exit: 3,
    code: "tls/handshake",
    says: /TLS/,
  },
  {
    name: "octets that are no frames",
    words: [`eip://${noise}`, "1/1/1"],
    exit: 3,
    code: "wire/|cip/mismatch",
    says: /./,
  },
  {
    name: "unknown name",
    // Where no name server answers, it takes the resolver's own time to say so.
    words: ["eip://no-such-device.invalid", "1/1/1", "--timeout", "60000"],
    exit: 3,
    code: "transport/address",
    says: /no-such-device\.invalid/,
  },
];

test.each(failures)("get: $name", async ({ words, exit, code, says }) => {
  const told = await cipsec(["get", ...words], { data });
  expect(told).toMatchObject({ code: exit, out: "" });
  expect(told.err).toMatch(says);
  expect(told.err).toMatch(/^error: .+\nfix: {3}.+\n$/);
  const json = await cipsec(["get", ...words, "--json"], { data });
  expect(json).toMatchObject({ code: exit, err: "" });
  expect(document(json)).toMatchObject({
    error: { code: expect.stringMatching(new RegExp(`^(${code})`)), message: expect.stringMatching(says) },
  });
});

test("each failure has a sentence of its own", async () => {
  const ran: Ran[] = [];
  for (const { words } of failures) ran.push(await cipsec(["get", ...words], { data }));
  expect(new Set(ran.map(({ err }) => err.split("\n")[0])).size).toBe(failures.length);
});

test("--timeout bounds the wait for a silent device", async () => {
  const began = performance.now();
  const ran = await cipsec(["get", `eip://${silent}`, "1/1/1", "--timeout", "400"], { data });
  expect(performance.now() - began).toBeGreaterThan(390);
  // How much later it may end on a busy machine nobody can say; that this time was waited for, it says itself.
  expect(ran.err).toContain("400 ms");
});

test("an interrupted command says so and exits with 130", async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  const ran = await cipsec(["get", `eip://${silent}`, "1/1/1"], { data, signal: stop.signal });
  expect(ran.code).toBe(130);
});

test("a device that the plant does not know is refused as untrusted by every command", async () => {
  for (const words of [
    ["posture", device],
    ["file", device, "list"],
    ["call", device, "Identity/1", "reset"],
    ["decommission", device],
  ]) {
    const ran = await cipsec([...words, "--json"], { data });
    expect(ran.code, words.join(" ")).toBe(4);
  }
});
