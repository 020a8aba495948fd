import { MessageRouterReply, MessageRouterRequest, Service, decode, encode, frame } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { device, request, requestContext, sendUnitData } from "./support/device.ts";
import { settle } from "./support/fakes.ts";
import { openConnection } from "./support/connection.ts";

/** Octets that look like a request often enough to get past the first checks. */
const message = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc
    .record({
      service: fc.oneof(fc.constantFrom(1, 3, 4, 0x0a, 0x0e, 0x10, 0x4b, 0x4e, 0x52, 0x54, 0x5b), fc.nat(0x7f)),
      classId: fc.constantFrom(0x02, 0x06, 0x64, 0x63),
      instance: fc.constantFrom(0, 1, 2),
      attribute: fc.option(fc.nat(9), { nil: undefined }),
      data: fc.uint8Array({ maxLength: 60 }),
    })
    .map(({ service, classId, instance, attribute, data }) =>
      encode(
        MessageRouterRequest,
        request(service, attribute === undefined ? [classId, instance] : [classId, instance, attribute], data),
      ),
    ),
);

const limits = fc.integer({ min: 0, max: 500 });

describe("hostile requests", () => {
  test("never reject and always get a reply that is valid and fits", async () => {
    await fc.assert(
      fc.asyncProperty(message, limits, async (bytes, maxReply) => {
        const { router } = device();
        const reply = await router.handleOctets(bytes, requestContext({ maxReply }));
        expect(decode(MessageRouterReply, encode(MessageRouterReply, reply))).toEqual(reply);
        expect(reply.data.length + 2 * reply.extended.length).toBeLessThanOrEqual(maxReply);
      }),
      { numRuns: 1500 },
    );
  });

  test("tell nothing of a fault inside", async () => {
    const { router } = device();
    const reply = await router.handle(request(Service.getAttributeSingle, [0x64, 1, 7]), requestContext());
    expect(JSON.stringify(reply)).not.toContain("hunter2");
  });

  test("packed into one another as deep as a frame holds are answered without a deep stack", async () => {
    const { router } = device();
    let bytes: Uint8Array = encode(MessageRouterRequest, request(0x0e, [0x64, 1, 1]));
    while (bytes.length < 12_000) {
      const body = Uint8Array.of(0x0a, 5, bytes.length & 0xff, bytes.length >> 8, ...bytes, 1, 0, 1, 0);
      const sent = encode(MessageRouterRequest, request(0x52, [0x06, 1], body));
      bytes = encode(MessageRouterRequest, request(0x0a, [0x02, 1], Uint8Array.of(1, 0, 4, 0, ...sent)));
    }
    const reply = await router.handleOctets(bytes, requestContext({ maxReply: 4000 }));
    expect(reply.status).toBe(0x1e);
    expect(reply.data.length).toBeLessThan(40);
  });
});

describe("hostile streams", () => {
  test("any octets leave the device able to answer the next peer", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 8 }), async (chunks) => {
        const { peer, clock } = device();
        const attacker = peer();
        for (const chunk of chunks) attacker.channel.push(chunk);
        await settle();
        clock.advance(6000);
        const honest = peer();
        await honest.register();
        expect((await honest.request(request(0x0e, [0x64, 1, 1]))).status).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test("any data behind a good header is answered with a well-formed frame or not at all", async () => {
    const { peer } = device();
    const command = fc.constantFrom(0, 4, 0x63, 0x64, 0x65, 0x66, 0x6f, 0x70, 0x72, 0xc8, 0xffff);
    await fc.assert(
      fc.asyncProperty(command, fc.uint8Array({ maxLength: 60 }), fc.boolean(), async (code, data, isMine) => {
        const client = peer();
        await client.register();
        const session = isMine ? client.handle : client.handle - 1;
        for (const reply of await client.send(frame(code, { session, data }))) {
          expect(reply.options).toBe(0);
          expect([0, 1, 3, 0x64, 0x65, 0x69]).toContain(reply.status);
        }
        client.channel.hangUp();
        await settle();
      }),
      { numRuns: 300 },
    );
  });

  test("any message over a connection gets a reply that fits it", async () => {
    const { peer } = device();
    const client = peer();
    await client.register();
    const connectionId = await openConnection(client, { size: 100 });
    let sequence = 0;
    await fc.assert(
      fc.asyncProperty(message, async (bytes) => {
        sequence = (sequence + 1) & 0xffff;
        const sent = sendUnitData(client.handle, connectionId, sequence, bytes.subarray(0, 98));
        const [reply] = await client.send(sent);
        expect(reply?.status).toBe(0);
        // 6 octets in front of the CPF, 2 of its count, 8 of the address item, 4 of the data item's head.
        expect(reply?.data.length).toBeLessThanOrEqual(20 + 100);
      }),
      { numRuns: 300 },
    );
  });
});
