import * as fc from "fast-check";
import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { expect, test } from "vitest";
import { begin, channels, createCertificate, download, startDevice } from "./security-device.ts";

const classes = fc.constantFrom(0x5d, 0x5e, 0x5f, 0x37, 0xf5);
const services = fc.oneof(
  fc.constantFrom(0x01, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0e, 0x10, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51),
  fc.integer({ min: 0, max: 0x7f }),
);
const channel = fc.constantFrom(...Object.values(channels));
const request = fc.record({
  channel,
  classId: classes,
  instance: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(0xc8, 0x100, 0x101, 0xffff)),
  service: services,
  attribute: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
  data: fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 60 })),
});

/** 0x1F is what an error that nobody foresaw is told as. */
const unforeseen = 0x1f;

test("no request leads to an error that nobody foresaw, whatever came before it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 40, maxLength: 120 }), async (requests) => {
      const device = await startDevice(undefined, { eds: Buffer.from("[File]") });
      await begin(device);
      await createCertificate(device, "one");
      await download(device, "file", "content");
      for (const { channel, classId, instance, service, attribute, data } of requests) {
        device.channel = channel;
        const { status } = await device.ask(classId, instance, service, data, attribute);
        expect(status, JSON.stringify({ classId, instance, service, attribute })).not.toBe(unforeseen);
      }
      device.security.tlsPolicy();
      const again = await startDevice(device.store.folder);
      expect(again.security.facts().cipState).not.toBe(1);
      expect(again.security.facts().ethernetIpState).not.toBe(1);
    }),
    { numRuns: 40, seed: 11 },
  );
}, 60_000);

test("in no order of services does an unproven tool change a configured device", async () => {
  const step = fc.record({
    channel,
    object: fc.constantFrom(CipSecurity, EtherNetIpSecurity),
    service: fc.constantFrom("beginConfig", "kickTimer", "endConfig", "applyConfig", "abortConfig", "reset", "set"),
    wait: fc.constantFrom(0, 0, 0, 6000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const device = await startDevice();
      for (const { channel, object, service, wait } of steps) {
        if (wait > 0) await device.clock.pass(wait);
        device.channel = channel;
        const isProven = channel === channels.psk || channel === channels.certificate;
        const applied = await startDevice(device.store.folder);
        const asksForProof = await applied.get(EtherNetIpSecurity, 1, "verifyClientCertificate");
        const isConfigured =
          applied.security.facts().ethernetIpState === 2 && (asksForProof || channel === channels.plain);
        if (service === "set") {
          const status = await device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true);
          if (isConfigured && !isProven) expect(status).toBe(0x0f);
        } else if (service in object.services) {
          const status = await device.call(object, 1, service);
          const mayEndItsOwn = service === "kickTimer" || service === "endConfig";
          if (isConfigured && !isProven && !(object === CipSecurity && mayEndItsOwn)) expect(status).toBe("0x0F");
        }
        // What the device says of itself is what it would come back as, unless a session is open.
        const saved = (await startDevice(device.store.folder)).security.facts();
        const now = device.security.facts();
        if (now.ethernetIpState !== 1) expect(saved.ethernetIpState).toBe(now.ethernetIpState);
        if (now.cipState !== 1) expect(saved.cipState).toBe(now.cipState);
        expect(saved.ethernetIpState).not.toBe(1);
      }
    }),
    { numRuns: 25, seed: 12 },
  );
}, 120_000);
