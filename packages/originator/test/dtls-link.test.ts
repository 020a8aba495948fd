import { Identity } from "@cipsec/objects";
import { PeerError, Service, TransportError, noOctets, objectPath, type Request } from "@cipsec/wire";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Session, type SessionOptions } from "../src/index.ts";
import { FakeAssociation, HandClock, requestIn, responseTo } from "./fake-association.ts";

const serial: Request = { service: Service.getAttributeSingle, path: objectPath(1, 1, 6), data: noOctets };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A session of which the test is the device; `dials` counts associations. */
async function sessionWith(options: SessionOptions = {}) {
  const clock = new HandClock();
  const associations: FakeAssociation[] = [];
  const dial = () => {
    const association = new FakeAssociation();
    associations.push(association);
    return Promise.resolve(association);
  };
  const session = await Session.open(dial, { clock, peer: "eipd://127.38.0.2:2221", ...options });
  return { session, clock, associations, association: associations[0]! };
}

const sentIds = ({ sent }: FakeAssociation) => sent.map((bytes) => requestIn(bytes)?.id);

test("registers nothing, and sends the datagram of the reference", async () => {
  const { session, association } = await sessionWith();
  expect(association.sent).toEqual([]);
  const reading = session.object(Identity, 1).get("productName");
  await turn();
  const [datagram] = association.sent;
  const id = requestIn(datagram!)!.id;
  // reference cip-security.md 2.6, the constructed example, with another transaction id.
  const transaction = Buffer.alloc(4);
  transaction.writeUInt32LE(id);
  expect(Buffer.from(datagram!).toString("hex")).toBe(
    `0100038012000100${transaction.toString("hex")}000000000e03200124013007`,
  );
  association.deliver(responseTo(id, { service: 0x0e, data: Buffer.from("\u0003abc", "latin1") }));
  expect(await reading).toBe("abc");
});

test("transaction ids start at random and differ", async () => {
  const first = new Set<number | undefined>();
  for (let i = 0; i < 4; i += 1) {
    const { session, association } = await sessionWith();
    void session.request(serial).catch(() => undefined);
    void session.request(serial).catch(() => undefined);
    await turn();
    const [a, b] = sentIds(association);
    expect(b).toBe((a! + 1) >>> 0);
    first.add(a);
  }
  expect(first.size).toBe(4);
});

test("sends again after 1, 2 and 4 s, the same octets, and then says that nobody answers", async () => {
  const { session, clock, association } = await sessionWith();
  const asked = session.request(serial).catch((error: unknown) => error);
  await turn();
  const counts = [999, 1, 1999, 1, 3999, 1, 999].map((ms) => {
    clock.advance(ms);
    return association.sent.length;
  });
  expect(counts).toEqual([1, 2, 2, 3, 3, 4, 4]);
  expect(new Set(association.sent.map((bytes) => Buffer.from(bytes).toString("hex"))).size).toBe(1);
  clock.advance(1);
  expect(await asked).toMatchObject({ code: "transport/timeout", facts: { timeoutMs: 8000, sent: true, resent: 3 } });
  expect(clock.size).toBe(0);
});

test("an answer to a resend counts once; late answers and doubles are dropped", async () => {
  const { session, clock, association } = await sessionWith();
  const asked = session.request(serial);
  await turn();
  clock.advance(1500);
  const [id] = sentIds(association);
  association.deliver(responseTo(id!, { service: 0x0e, data: Uint8Array.of(1) }));
  association.deliver(responseTo(id!, { service: 0x0e, data: Uint8Array.of(2) }));
  expect((await asked).data).toEqual(Uint8Array.of(1));
  const next = session.request(serial);
  await turn();
  // The late double comes while another request waits.
  association.deliver(responseTo(id!, { service: 0x0e, data: Uint8Array.of(3) }));
  association.deliver(responseTo(sentIds(association).at(-1)!, { service: 0x0e, data: Uint8Array.of(4) }));
  expect((await next).data).toEqual(Uint8Array.of(4));
  expect(clock.size).toBe(0);
});

test.each([
  { name: "another transaction", spoil: (id: number) => responseTo((id + 1) >>> 0, { service: 0x0e }) },
  { name: "a request, not a response", spoil: (id: number) => responseTo(id, { service: 0x0e }, { type: 1 }) },
  { name: "a reserved message type", spoil: (id: number) => responseTo(id, { service: 0x0e }, { type: 0x8000 }) },
  { name: "two items", spoil: (id: number) => responseTo(id, { service: 0x0e }, { twice: true }) },
  { name: "another item", spoil: (id: number) => responseTo(id, { service: 0x0e }, { itemType: 0x00b2 }) },
  { name: "octets behind", spoil: (id: number) => Buffer.concat([responseTo(id, { service: 0x0e }), Buffer.alloc(1)]) },
  { name: "cut short", spoil: (id: number) => responseTo(id, { service: 0x0e }).subarray(0, 12) },
  { name: "nothing", spoil: () => new Uint8Array(0) },
  { name: "noise", spoil: () => Buffer.alloc(64, 0xff) },
])("drops and goes on waiting: $name", async ({ spoil }) => {
  const { session, association } = await sessionWith();
  const asked = session.request(serial);
  await turn();
  const [id] = sentIds(association);
  association.deliver(spoil(id!));
  association.deliver(responseTo(id!, { service: 0x0e, data: Uint8Array.of(7) }));
  expect((await asked).data).toEqual(Uint8Array.of(7));
  expect(session.isConnected).toBe(true);
});

test.each([
  { name: "a status of the item", spoilt: { status: 3 }, reply: { service: 0x0e }, code: "encap/status" },
  { name: "another service", spoilt: {}, reply: { service: 0x10 }, code: "cip/mismatch" },
])("fails that request alone for $name", async ({ spoilt, reply, code }) => {
  const { session, association } = await sessionWith();
  const asked = session.request(serial);
  await turn();
  association.deliver(responseTo(sentIds(association)[0]!, reply, spoilt));
  await expect(asked).rejects.toBeInstanceOf(PeerError);
  await expect(asked).rejects.toMatchObject({ code });
  expect(session.isConnected).toBe(true);
});

test("only so many are on the way; the rest waits its turn, and says so when its time is over", async () => {
  const { session, clock, association } = await sessionWith({ maxInFlight: 2 });
  const asked = [1, 2, 3, 4].map(() => session.request(serial, { timeoutMs: 500 }).catch((error: unknown) => error));
  await turn();
  expect(association.sent).toHaveLength(2);
  association.deliver(responseTo(sentIds(association)[1]!, { service: 0x0e }));
  await turn();
  expect(association.sent).toHaveLength(3);
  expect(await asked[1]).toMatchObject({ status: 0 });
  clock.advance(500);
  const [first, , third, last] = await Promise.all(asked);
  expect(first).toMatchObject({ code: "transport/timeout", facts: { sent: true } });
  expect(third).toMatchObject({ code: "transport/timeout", facts: { sent: true } });
  expect(last).toMatchObject({ code: "transport/timeout" });
  expect(clock.size).toBe(0);
});

test("an abort ends the wait at once and resends nothing", async () => {
  const { session, clock, association } = await sessionWith();
  const abort = new AbortController();
  const asked = session.request(serial, { signal: abort.signal });
  await turn();
  abort.abort(new TransportError("transport/closed", "stopped by hand"));
  await expect(asked).rejects.toThrow("stopped by hand");
  clock.advance(10_000);
  expect(association.sent).toHaveLength(1);
});

test("a lost association: reads are asked again on a new one, a write is not", async () => {
  const { session, clock, associations } = await sessionWith();
  const read = session.request(serial);
  const write = session
    .request({ service: Service.setAttributeSingle, path: objectPath(0xf5, 1, 13), data: Uint8Array.of(1, 0) })
    .catch((error: unknown) => error);
  await turn();
  associations[0]!.destroy();
  expect(await write).toMatchObject({ code: "transport/closed", facts: { sent: true } });
  clock.advance(100);
  await turn();
  await turn();
  expect(associations).toHaveLength(2);
  associations[1]!.deliver(responseTo(sentIds(associations[1]!)[0]!, { service: 0x0e, data: Uint8Array.of(9) }));
  expect((await read).data).toEqual(Uint8Array.of(9));
  expect(session.generation).toBe(2);
});

test("refuses what DTLS cannot carry before anything is sent", async () => {
  const { session, association } = await sessionWith();
  await expect(session.connectClass3()).rejects.toMatchObject({ code: "usage/argument", fix: /eips/u });
  const long = { ...serial, service: Service.setAttributeSingle, data: new Uint8Array(1200) };
  await expect(session.request(long)).rejects.toMatchObject({ code: "usage/argument", fix: /eips/u });
  await expect(session.requestWithItems(serial, [{ type: 0x8001, data: noOctets }])).rejects.toMatchObject({
    code: "usage/argument",
  });
  expect(association.sent).toEqual([]);
});

test("closing closes the association; a request after it is refused", async () => {
  const { session, association } = await sessionWith();
  await session.close();
  expect(await association.closed).toEqual({ clean: true });
  await expect(session.request(serial)).rejects.toMatchObject({ code: "usage/state" });
});

test("no octets that a peer may send end the session or answer what was not asked", async () => {
  const { session, association } = await sessionWith();
  const asked = session.request(serial);
  await turn();
  const [id] = sentIds(association);
  const good = responseTo(id!, { service: 0x0e, data: Uint8Array.of(7) });
  const other = responseTo((id! ^ 1) >>> 0, { service: 0x0e });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(other.length), (noise, at) => {
      association.deliver(noise);
      association.deliver(Buffer.concat([other.subarray(0, at), noise]));
    }),
  );
  expect(session.isConnected).toBe(true);
  association.deliver(good);
  expect((await asked).data).toEqual(Uint8Array.of(7));
});
