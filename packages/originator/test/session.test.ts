import * as fc from "fast-check";
import { Identity } from "@cipsec/objects";
import { Command, SendData, encode, frame, type Frame } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { connect, type ConnectOptions } from "../src/index.ts";
import { net } from "./addresses.ts";
import { answered, device, fakeDevice, handle, type Answer, type FakeDevice } from "./fake-device.ts";

const at = `${net}.1`;
const value = Uint8Array.of(7, 0);

function open({ port }: FakeDevice, options: ConnectOptions = {}) {
  return connect({ scheme: "eip", host: at, port }, { requestTimeoutMs: 3000, reconnect: false, ...options });
}

const vendorId = (session: Awaited<ReturnType<typeof open>>) => session.object(Identity, 1).get("vendorId");

describe("opening", () => {
  test.each([
    { name: "nobody listens", code: "transport/refused", answer: undefined },
    { name: "hangs up", code: "transport/closed", answer: (): Answer => "hang-up", during: "RegisterSession" },
    { name: "is silent", code: "transport/timeout", answer: (): Answer => undefined },
    {
      name: "refuses",
      code: "encap/status",
      answer: (f: Frame): Answer => [frame(f.command, { status: 2, context: f.context })],
    },
    {
      name: "gives handle 0",
      code: "cip/mismatch",
      answer: (f: Frame): Answer => [frame(f.command, { context: f.context, data: f.data })],
    },
    {
      name: "answers another context",
      code: "cip/mismatch",
      answer: (f: Frame): Answer => [frame(f.command, { session: 5, data: f.data })],
    },
    {
      name: "answers another command",
      code: "cip/mismatch",
      answer: (f: Frame): Answer => [frame(0x6f, { session: 5, context: f.context })],
    },
    {
      name: "answers short",
      code: "wire/truncated",
      answer: (f: Frame): Answer => [frame(f.command, { session: 5, context: f.context, data: f.data.subarray(0, 2) })],
    },
    {
      name: "speaks something else",
      code: "wire/length",
      answer: (): Answer => [new Uint8Array(30).fill(0xff)],
    },
  ])("tells when the device $name", async ({ code, answer, during }) => {
    await using fake = await fakeDevice(at, answer ?? (() => undefined));
    const port = answer === undefined ? 1 : fake.port;
    const failed = connect({ scheme: "eip", host: at, port }, { requestTimeoutMs: 1500 });
    await expect(failed).rejects.toMatchObject({ code, ...(during === undefined ? {} : { facts: { during } }) });
  });
});

describe("replies", () => {
  const bad: { name: string; code: string; answer: (f: Frame) => Answer }[] = [
    {
      name: "another context",
      code: "cip/mismatch",
      answer: (f) => [answered(f, { data: value }, { context: new Uint8Array(8) })],
    },
    {
      name: "another session",
      code: "cip/mismatch",
      answer: (f) => [answered(f, { data: value }, { session: handle + 1 })],
    },
    { name: "another service", code: "cip/mismatch", answer: (f) => [answered(f, { service: 0x10, data: value })] },
    {
      name: "another command",
      code: "cip/mismatch",
      answer: (f) => [answered(f, { data: value }, { command: Command.listServices })],
    },
    {
      name: "an encapsulation status",
      code: "encap/status",
      answer: (f) => [frame(f.command, { status: 0x6a, session: handle, context: f.context })],
    },
    { name: "a CIP status", code: "cip/status", answer: (f) => [answered(f, { status: 0x14 })] },
    { name: "a privilege violation", code: "trust/privilege", answer: (f) => [answered(f, { status: 0x0f })] },
    {
      name: "no items",
      code: "cip/mismatch",
      answer: (f) => [
        frame(f.command, {
          session: handle,
          context: f.context,
          data: encode(SendData, { interfaceHandle: 0, timeoutS: 0, items: [] }),
        }),
      ],
    },
    {
      name: "no data",
      code: "wire/truncated",
      answer: (f) => [frame(f.command, { session: handle, context: f.context })],
    },
    { name: "a short value", code: "wire/truncated", answer: (f) => [answered(f, { data: value.subarray(0, 1) })] },
    { name: "a long value", code: "wire/trailing", answer: (f) => [answered(f, { data: Uint8Array.of(1, 2, 3) })] },
    { name: "a huge value", code: "wire/trailing", answer: (f) => [answered(f, { data: new Uint8Array(60_000) })] },
    { name: "half a frame and the end", code: "transport/closed", answer: () => "hang-up" },
    { name: "nothing", code: "transport/timeout", answer: () => undefined },
  ];
  test.each(bad)("$name is told as $code", async ({ code, answer }) => {
    await using fake = await device(at, (_, f) => answer(f));
    await using session = await open(fake);
    await expect(vendorId(session)).rejects.toMatchObject({ code });
  });

  test("a CIP status is told with its words, extended status and what was asked", async () => {
    await using fake = await device(at, (_, f) => [answered(f, { status: 0x0c, extended: [0x0102] })]);
    await using session = await open(fake);
    await expect(vendorId(session)).rejects.toThrow(
      "Identity/1: get vendorId: the device answers object state conflict (0x0C), extended 0x0102",
    );
  });

  test("split and coalesced frames, NOPs between, and replies out of order find their requests", async () => {
    const held: Frame[] = [];
    await using fake = await device(at, (request, f) => {
      held.push(f);
      if (held.length < 4) return undefined;
      const nop = frame(Command.nop, { data: new Uint8Array(3) });
      const all = held
        .splice(0)
        .reverse()
        .flatMap((one) => {
          const { path } = { path: one.data.at(-1) };
          return [...answered(one, { data: Uint8Array.of(path ?? 0, 0) }), ...nop];
        });
      expect(request.service).toBe(0x0e);
      const bytes = Uint8Array.from(all);
      return [bytes.subarray(0, 10), bytes.subarray(10, 61), bytes.subarray(61)];
    });
    await using session = await open(fake);
    const object = session.object(Identity, 1);
    const read = await Promise.all([
      object.get("vendorId"),
      object.get("deviceType"),
      object.get("productCode"),
      object.get("status"),
    ]);
    expect(read).toEqual([1, 2, 3, 5]);
  });

  test("never more than the bound is on the way, and all are answered", async () => {
    const held: Frame[] = [];
    let answeredCount = 0;
    let most = 0;
    await using fake = await device(at, (_, f) => {
      held.push(f);
      most = Math.max(most, held.length);
      if (held.length < 3 && answeredCount + held.length < 30) return undefined;
      answeredCount += held.length;
      return held.splice(0).map((one) => answered(one, { data: value }));
    });
    await using session = await open(fake, { maxInFlight: 3 });
    const all = await Promise.all(Array.from({ length: 30 }, () => vendorId(session)));
    expect([all.length, most]).toEqual([30, 3]);
  });

  test("a late reply to a request that has timed out is dropped, and the session goes on", async () => {
    let first: Frame | undefined;
    await using fake = await device(at, (_, f) => {
      if (first === undefined) {
        first = f;
        return undefined;
      }
      return [answered(first, { data: Uint8Array.of(9, 9) }), answered(f, { data: value })];
    });
    await using session = await open(fake, { requestTimeoutMs: 1500 });
    await expect(vendorId(session)).rejects.toMatchObject({ code: "transport/timeout" });
    expect(await vendorId(session)).toBe(7);
  });

  test("a reply that waits to be read when the time is over is in time", async () => {
    const heldUpMs = 1600;
    await using fake = await device(at, (_, f) => {
      // Once it is on its way, nothing runs until its time is over.
      setImmediate(() => {
        const until = performance.now() + heldUpMs;
        while (performance.now() < until);
      });
      return [answered(f, { data: value })];
    });
    await using session = await open(fake);
    expect(await session.object(Identity, 1).get("vendorId", { timeoutMs: heldUpMs / 2 })).toBe(7);
  });

  test("an abort ends one request and leaves the session", async () => {
    await using fake = await device(at, (request, f) =>
      request.service === 1 ? undefined : [answered(f, { data: value })],
    );
    await using session = await open(fake);
    const controller = new AbortController();
    const aborted = session.object(Identity, 1).getAll({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    expect(await vendorId(session)).toBe(7);
  });

  test("any octets as a reply end in an error or a value, never in a hang or a crash", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), fc.nat(60), fc.boolean(), async (noise, cut, isFrame) => {
        await using fake = await device(at, (_, f) => {
          const good = answered(f, { data: value });
          if (isFrame) return [good.subarray(0, cut), noise, good.subarray(cut)];
          return [frame(f.command, { session: handle, context: f.context, data: noise })];
        });
        await using session = await open(fake);
        const asked = session.object(Identity, 1).get("vendorId", { timeoutMs: 100 });
        const result = await asked.catch((error: unknown) => error);
        expect(typeof result === "number" || (result as { code: string }).code).toBeTruthy();
      }),
      { numRuns: 60, seed: 7 },
    );
  });
});

describe("when the channel ends", () => {
  const fast = { reconnect: { attempts: 3, firstDelayMs: 5, maxDelayMs: 20 } };

  test("a read is repeated over a new session", async () => {
    await using fake = await device(at, (_, f, connection) =>
      connection === 1 ? "hang-up" : [answered(f, { data: value })],
    );
    await using session = await open(fake, fast);
    expect(await vendorId(session)).toBe(7);
    expect(fake.connections).toBe(2);
    expect(session.generation).toBe(2);
  });

  test("a service that may have been done is not repeated", async () => {
    await using fake = await device(at, (_, f, connection) => (connection === 1 ? "hang-up" : [answered(f, {})]));
    await using session = await open(fake, fast);
    await expect(session.object(Identity, 1).call("reset", 0)).rejects.toMatchObject({
      code: "transport/closed",
      facts: { sent: true, during: "service 0x05 of class 0x01 instance 1" },
    });
    expect(fake.connections).toBe(1);
    await session.object(Identity, 1).call("reset", 0);
    expect(fake.connections).toBe(2);
  });

  test("a session that the device has forgotten is registered again", async () => {
    await using fake = await device(at, (_, f, connection) =>
      connection === 1
        ? [frame(f.command, { session: handle, status: 0x64, context: f.context })]
        : [answered(f, { data: value })],
    );
    await using session = await open(fake, fast);
    await expect(vendorId(session)).rejects.toMatchObject({ code: "encap/status", facts: { status: 0x64 } });
    expect(await vendorId(session)).toBe(7);
  });

  test("gives up after its attempts, and says why", async () => {
    const fake = await device(at, () => "hang-up");
    const session = await open(fake, fast);
    await fake[Symbol.asyncDispose]();
    await expect(vendorId(session)).rejects.toMatchObject({ code: "transport/refused" });
    await session.close();
  });

  test("without reconnect the session stays ended", async () => {
    await using fake = await device(at, () => "hang-up");
    await using session = await open(fake);
    await expect(vendorId(session)).rejects.toMatchObject({ code: "transport/closed" });
    await expect(vendorId(session)).rejects.toMatchObject({ code: "transport/closed" });
    expect(fake.connections).toBe(1);
  });

  test("closing unregisters", async () => {
    await using fake = await device(at, (_, f) => [answered(f, { data: value })]);
    const session = await open(fake);
    await session.close();
    await session.close();
    await expect(vendorId(session)).rejects.toMatchObject({ code: "usage/state" });
    await expect.poll(() => fake.frames.at(-1)?.command).toBe(Command.unRegisterSession);
    expect(fake.frames.at(-1)?.session).toBe(handle);
  });
});
