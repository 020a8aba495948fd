import * as fc from "fast-check";
import { CipSecurity, EtherNetIpSecurity, FileObject } from "@cipsec/objects";
import {
  CreateFileRequest,
  InitiateDownloadRequest,
  PacketType,
  STRINGI,
  TransferPacket,
  decode,
  encode,
  fileChecksum,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { english } from "../src/security/inventory.ts";
import {
  begin,
  channels,
  download,
  from,
  give,
  must,
  ok,
  packetsOf,
  startDevice,
  statusOf,
  take,
  type Device,
} from "./security-device.ts";

const { initiateDownload, downloadTransfer, uploadTransfer } = FileObject.services;
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);

function plan(fileSize: number, name = "f"): Uint8Array {
  const fileName = english(name);
  return encode(InitiateDownloadRequest, { fileSize, formatVersion: 1, revision: { major: 1, minor: 0 }, fileName });
}

async function send(device: Device, id: number, packet: TransferPacket): Promise<string> {
  return statusOf(await device.ask(FileObject.classId, id, downloadTransfer.code, encode(TransferPacket, packet)));
}

async function started(size: number): Promise<{ device: Device; id: number }> {
  const device = await startDevice();
  await begin(device);
  const id = await download(device, "file", bytes(10));
  await must(device.call(FileObject, id, "initiateDownload", plan(size)));
  return { device, id };
}

describe("a file", () => {
  test.each([1, 239, 240, 241, 480, 61_440, 70_001])("of %i octets goes in and comes out", async (length) => {
    const device = await startDevice();
    await begin(device);
    const id = await download(device, "file", bytes(length));
    expect(await take(device, id)).toEqual(bytes(length));
    expect(await device.get(FileObject, id, "fileSize")).toBe(length);
    expect(await device.get(FileObject, id, "fileChecksum")).toBe(fileChecksum(bytes(length)));
    expect(await device.get(FileObject, id, "fileRevision")).toEqual({ major: 1, minor: 2 });
    expect((await device.get(FileObject, id, "fileName"))[0]?.text).toBe("file");
  });

  test("goes through its states", async () => {
    const { device, id } = await started(480);
    const state = (): Promise<number> => device.get(FileObject, id, "state");
    const [first, last] = packetsOf(bytes(480), 240);
    if (first === undefined || last === undefined) throw new Error("two packets");
    expect(await state()).toBe(4);
    await must(send(device, id, first));
    expect(await state()).toBe(6);
    await must(send(device, id, last));
    expect(await state()).toBe(2);
    await must(device.call(FileObject, id, "initiateUpload", Uint8Array.of(240)));
    expect(await state()).toBe(3);
    await must(device.call(FileObject, id, "uploadTransfer", Uint8Array.of(0)));
    expect(await state()).toBe(5);
    await must(device.call(FileObject, id, "uploadTransfer", Uint8Array.of(1)));
    expect(await state()).toBe(2);
    await must(device.call(FileObject, id, "clearFile"));
    expect(await state()).toBe(1);
    expect(await device.call(FileObject, id, "initiateUpload", Uint8Array.of(240))).toBe("0x0C/1");
  });

  test("that Create made is listed and can be deleted, unless something uses it", async () => {
    const device = await startDevice();
    await begin(device);
    const id = await download(device, "file", "x");
    const { data } = await device.ask(FileObject.classId, 0, 0x0e, undefined, 32);
    const names = decode(FileObject.classAttributes.directory.type, data).map(
      ({ instanceName }) => instanceName[0]?.text,
    );
    expect(names).toContain("file");
    await must(device.call(FileObject, id, "delete"));
    expect(await device.call(FileObject, id, "delete")).toBe("0x05");
  });

  test("keeps its transfer timeout", async () => {
    const device = await startDevice();
    await begin(device);
    const id = await download(device, "file", "x");
    expect(await device.set(FileObject, id, "transferTimeout", 0)).toBe(0x09);
    expect(await device.set(FileObject, 0x100, "transferTimeout", 5)).toBe(0x0e);
    await must(device.set(FileObject, id, "transferTimeout", 3));
    await must(device.call(FileObject, id, "initiateDownload", plan(9)));
    await device.clock.pass(2999);
    expect(await device.get(FileObject, id, "state")).toBe(4);
    await device.clock.pass(1);
    expect(await device.get(FileObject, id, "state")).toBe(2);
    expect(Buffer.from(await take(device, id)).toString()).toBe("x");
  });
});

describe("Create refuses", () => {
  const many = Array.from({ length: 5 }, () => english("a")[0]).filter((text) => text !== undefined);
  test.each([
    ["an empty name", english(""), 2, "0x20/10"],
    ["no name", [], 2, "0x20/10"],
    ["a taken name", english("Default Device Certificate"), 2, "0x20/11"],
    ["an overlong name", english("x".repeat(65)), 2, "0x15/1"],
    ["too many languages", many, 2, "0x15/2"],
    ["an encoding it does not know", english("a"), 12, "0x20"],
  ])("%s", async (_, instanceName, encoding, status) => {
    const device = await startDevice();
    const request = encode(CreateFileRequest, { instanceName, encoding });
    expect(statusOf(await device.ask(FileObject.classId, 0, 0x08, request))).toBe("0x0C");
    await begin(device);
    expect(statusOf(await device.ask(FileObject.classId, 0, 0x08, request))).toBe(status);
    expect(encode(STRINGI, instanceName).length).toBeGreaterThan(0);
  });

  test("more instances than fit", async () => {
    const device = await startDevice(undefined, { maxFiles: 2 });
    await begin(device);
    await download(device, "a", "x");
    await download(device, "b", "x");
    const request = encode(CreateFileRequest, { instanceName: english("c"), encoding: 2 });
    expect(statusOf(await device.ask(FileObject.classId, 0, 0x08, request))).toBe("0x02");
  });
});

describe("Initiate_Download refuses", () => {
  test.each([
    ["nothing", plan(0), "0x20/8"],
    ["more than a file may have", plan(1001), "0x20/4"],
    ["an overlong name", plan(5, "x".repeat(65)), "0x15/1"],
    ["data that stops early", Uint8Array.of(1, 2), "0x13"],
  ])("%s", async (_, data, status) => {
    const device = await startDevice(undefined, { maxFileOctets: 1000, maxAllFilesOctets: 1500 });
    await begin(device);
    const id = await download(device, "file", bytes(600));
    expect(await device.call(FileObject, id, "initiateDownload", data)).toBe(status);
    expect(await take(device, id)).toEqual(bytes(600));
  });

  test("more than all files together may have, those on their way included", async () => {
    const device = await startDevice(undefined, { maxFileOctets: 1000, maxAllFilesOctets: 1500 });
    await begin(device);
    const one = await download(device, "one", bytes(10));
    const two = await download(device, "two", bytes(10));
    await must(device.call(FileObject, one, "initiateDownload", plan(1000)));
    expect(await device.call(FileObject, two, "initiateDownload", plan(900))).toBe("0x20/4");
    await must(device.call(FileObject, two, "initiateDownload", plan(400)));
  });

  test("outside a session", async () => {
    const device = await startDevice();
    await must(device.call(CipSecurity, 1, "beginConfig"));
    const id = await download(device, "file", "x");
    await must(device.call(CipSecurity, 1, "endConfig"));
    device.channel = channels.certificate;
    expect(await device.call(FileObject, id, "initiateDownload", plan(5))).toBe("0x0C/2");
    expect(await device.call(FileObject, id, "clearFile")).toBe("0x0C/2");
    expect(Buffer.from(await take(device, id)).toString()).toBe("x");
  });
});

describe("a download", () => {
  const [first, middle, last] = packetsOf(bytes(720), 240);
  if (first === undefined || middle === undefined || last === undefined) throw new Error("three packets");

  test.each([
    ["a wrong checksum", { ...last, checksum: 1 }, "0xD0"],
    ["a last packet too early", { ...last, data: bytes(100) }, "0x20/7"],
    ["a first packet in the middle", { ...middle, transferNumber: 2, packetType: PacketType.first }, "0x20/7"],
    ["a packet without data", { ...middle, transferNumber: 2, data: bytes(0) }, "0x20/7"],
    ["a packet that is too large", { ...middle, transferNumber: 2, data: bytes(241) }, "0x20/7"],
  ])("ends at %s and leaves the file as it was", async (_, packet, status) => {
    const { device, id } = await started(720);
    await must(send(device, id, first));
    await must(send(device, id, middle));
    expect(await send(device, id, packet)).toBe(status);
    expect(await send(device, id, last)).toBe("0x0C/2");
    expect(await take(device, id)).toEqual(bytes(10));
  });

  test("takes a repeat once, refuses other numbers, and goes on", async () => {
    const { device, id } = await started(720);
    await must(send(device, id, first));
    await must(send(device, id, first));
    expect(await send(device, id, last)).toBe("0x20/6");
    expect(await send(device, id, { ...middle, transferNumber: 255 })).toBe("0x20/6");
    await must(send(device, id, middle));
    await must(send(device, id, last));
    await must(send(device, id, last));
    expect(await take(device, id)).toEqual(bytes(720));
  });

  test("can be aborted", async () => {
    const { device, id } = await started(720);
    await must(send(device, id, first));
    const abort = { transferNumber: 1, packetType: PacketType.abort, data: bytes(0) };
    expect(await send(device, id, abort)).toBe(ok);
    expect(await take(device, id)).toEqual(bytes(10));
  });

  test("belongs to who began it", async () => {
    const { device, id } = await started(720);
    device.channel = from(channels.plain, 50_001);
    expect(await send(device, id, first)).toBe("0x0C/4");
    expect(await device.call(FileObject, id, "initiateDownload", plan(5))).toBe("0x0C/4");
    expect(await device.call(FileObject, id, "initiateUpload", Uint8Array.of(100))).toBe("0x0C/4");
    expect(await device.call(FileObject, id, "uploadTransfer", Uint8Array.of(0))).toBe("0x0C/4");
    expect(await device.call(FileObject, id, "clearFile")).toBe("0x0C/4");
    expect(await device.call(FileObject, id, "delete")).toBe("0x0C/4");
    expect(await device.call(CipSecurity, 1, "objectCleanup")).toBe("0x0C");
    device.channel = channels.plain;
    await must(send(device, id, first));
  });

  test("goes on over another channel of a peer that has proven who it is, and of nobody else", async () => {
    const device = await startDevice();
    device.channel = channels.certificate;
    await begin(device);
    const id = await download(device, "file", bytes(10));
    await must(device.call(FileObject, id, "initiateDownload", plan(720)));
    await must(send(device, id, first));
    device.channel = from(channels.psk, 50_002);
    expect(await send(device, id, middle)).toBe("0x0C/6");
    device.channel = from(channels.certificate, 50_003);
    // The reply may have got lost with the connection: the packet comes again.
    await must(send(device, id, first));
    await must(send(device, id, middle));
    device.security.channelEnded(device.channel);
    expect(await device.get(FileObject, id, "state")).toBe(6);
    device.channel = from(channels.certificate, 50_004);
    await must(send(device, id, last));
    expect(await take(device, id)).toEqual(bytes(720));
  });

  test("whose channel has ended is anybody's to begin anew, and takes no room twice", async () => {
    const device = await startDevice(undefined, { maxFileOctets: 800, maxAllFilesOctets: 800 });
    device.channel = channels.certificate;
    await begin(device);
    const id = await download(device, "file", bytes(10));
    await must(device.call(FileObject, id, "initiateDownload", plan(720)));
    await must(send(device, id, first));
    device.security.channelEnded(channels.certificate);
    device.channel = from(channels.psk, 50_005);
    await must(device.call(FileObject, id, "initiateDownload", plan(720)));
    device.channel = channels.certificate;
    expect(await send(device, id, middle)).toBe("0x0C/4");
    device.channel = from(channels.psk, 50_005);
    for (const packet of [first, middle, last]) await must(send(device, id, packet));
    expect(await take(device, id)).toEqual(bytes(720));
  });

  test("of somebody without proof ends with its channel; the next one gets the file as it was", async () => {
    const { device, id } = await started(720);
    await must(send(device, id, first));
    device.security.channelEnded(channels.plain);
    expect(await device.get(FileObject, id, "state")).toBe(2);
    device.channel = from(channels.plain, 50_001);
    expect(await send(device, id, middle)).toBe("0x0C/2");
    expect(await take(device, id)).toEqual(bytes(10));
  });

  test("two at once go into two files, packet by packet in turns", async () => {
    const { device, id } = await started(720);
    const other = await download(device, "other", bytes(20));
    await must(device.call(FileObject, other, "initiateDownload", plan(720)));
    for (const packet of [first, middle, last]) {
      await must(send(device, id, packet));
      await must(send(device, other, packet));
    }
    expect([await take(device, id), await take(device, other)]).toEqual([bytes(720), bytes(720)]);
  });

  test("ends with its session", async () => {
    const { device, id } = await started(720);
    await device.clock.pass(10_000);
    expect(await send(device, id, first)).toBe("0x05");
  });
});

test("an upload repeats the last packet and refuses other numbers", async () => {
  const device = await startDevice();
  await begin(device);
  const id = await download(device, "file", bytes(250));
  expect(await device.call(FileObject, id, "initiateUpload", Uint8Array.of(0))).toBe("0x20/7");
  await must(device.call(FileObject, id, "initiateUpload", Uint8Array.of(100)));
  const ask = async (number: number): Promise<string> => {
    const reply = await device.ask(FileObject.classId, id, uploadTransfer.code, Uint8Array.of(number));
    return reply.status === 0 ? Buffer.from(reply.data).toString("hex") : statusOf(reply);
  };
  expect(await ask(255)).toBe("0x20/6");
  const zero = await ask(0);
  expect(await ask(0)).toBe(zero);
  expect(await ask(2)).toBe("0x20/6");
  expect(await ask(1)).not.toBe(zero);
  expect(await ask(0)).toBe("0x20/6");
  const last = await ask(2);
  expect(await ask(2)).toBe(last);
  expect(await ask(3)).toBe("0x0C/2");
});

test("no order of packets breaks a file: it holds the old content or the whole new one", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("begin" as const), size: fc.integer({ min: 0, max: 600 }) }),
    fc.record({
      kind: fc.constant("packet" as const),
      transferNumber: fc.integer({ min: 0, max: 3 }),
      packetType: fc.integer({ min: 0, max: 4 }),
      from: fc.integer({ min: 0, max: 500 }),
      length: fc.integer({ min: 0, max: 260 }),
      good: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("good" as const), size: fc.integer({ min: 1, max: 600 }) }),
    fc.record({ kind: fc.constant("octets" as const), data: fc.uint8Array({ maxLength: 12 }) }),
    fc.record({ kind: fc.constant("upload" as const), number: fc.integer({ min: 0, max: 3 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const device = await startDevice();
      await begin(device);
      const id = await download(device, "file", bytes(10));
      for (const s of steps) {
        const sent =
          s.kind === "begin"
            ? await device.ask(FileObject.classId, id, initiateDownload.code, plan(s.size))
            : s.kind === "octets"
              ? await device.ask(FileObject.classId, id, downloadTransfer.code, s.data)
              : s.kind === "upload"
                ? await device.ask(FileObject.classId, id, uploadTransfer.code, Uint8Array.of(s.number))
                : s.kind === "good"
                  ? statusOnly(await give(device, id, bytes(s.size)))
                  : await device.ask(
                      FileObject.classId,
                      id,
                      downloadTransfer.code,
                      encode(TransferPacket, {
                        transferNumber: s.transferNumber,
                        packetType: s.packetType,
                        data: bytes(600).subarray(s.from, s.from + s.length),
                        ...(s.packetType === PacketType.last || s.packetType === PacketType.only
                          ? { checksum: s.good ? fileChecksum(bytes(600).subarray(s.from, s.from + s.length)) : 0 }
                          : {}),
                      }),
                    );
        // 0x1F would be an error that nobody foresaw.
        expect(sent.status).not.toBe(0x1f);
        const size = await device.get(FileObject, id, "fileSize");
        expect(size).toBeGreaterThan(0);
      }
      // Whatever was left open ends by silence, and the session stays.
      await device.clock.pass(6_000);
      await must(device.call(CipSecurity, 1, "kickTimer"));
      await must(device.call(EtherNetIpSecurity, 1, "kickTimer"));
      await device.clock.pass(4_000);
      const content = await take(device, id);
      expect(fileChecksum(content)).toBe(await device.get(FileObject, id, "fileChecksum"));
    }),
    { numRuns: 60, seed: 5 },
  );
}, 60_000);

function statusOnly(status: string): { readonly status: number } {
  return { status: Number(status.split("/")[0]) };
}
