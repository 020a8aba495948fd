import { FileObject } from "@cipsec/objects";
import type { Clock } from "@cipsec/transport";
import {
  InitiateDownloadReply,
  InitiateUploadReply,
  PacketType,
  Service,
  TransferPacket,
  encode,
  fileChecksum,
  noOctets,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { readFile, writeFile, type Requester } from "../src/index.ts";

const { services } = FileObject;
const bytes = Uint8Array.of(1, 2, 3, 4, 5);

/** A device that announces `size` octets and then sends these packets. */
function uploading(size: number, packets: readonly Parameters<typeof packet>[]): Requester {
  let at = 0;
  return device((request) => {
    if (request.service === services.initiateUpload.code)
      return encode(InitiateUploadReply, { fileSize: size, transferSize: 4 });
    const next = packets[Math.min(at, packets.length - 1)]!;
    at += 1;
    return packet(...next);
  });
}

function packet(transferNumber: number, packetType: number, data: readonly number[], checksum?: number): Uint8Array {
  return encode(TransferPacket, {
    transferNumber,
    packetType,
    data: Uint8Array.from(data),
    ...(checksum === undefined ? {} : { checksum }),
  });
}

function device(answer: (request: Request) => Uint8Array | number): Requester {
  return {
    request(request): Promise<Reply> {
      const result = answer(request);
      const isStatus = typeof result === "number";
      return Promise.resolve({
        service: request.service,
        status: isStatus ? result : 0,
        extended: [],
        data: isStatus ? new Uint8Array(0) : result,
      });
    },
  };
}

const { first, middle, last, abort, only } = PacketType;

describe("a device that lies in an upload", () => {
  test.each<{ name: string; size: number; packets: Parameters<typeof packet>[] }>([
    { name: "another transfer number", size: 5, packets: [[1, first, [1, 2, 3, 4]]] },
    { name: "starts in the middle", size: 5, packets: [[0, middle, [1, 2, 3, 4]]] },
    {
      name: "starts twice",
      size: 8,
      packets: [
        [0, first, [1, 2]],
        [1, first, [3, 4]],
      ],
    },
    {
      name: "more than it announced",
      size: 3,
      packets: [[0, only, [1, 2, 3, 4], fileChecksum(Uint8Array.of(1, 2, 3, 4))]],
    },
    { name: "more in a packet than agreed", size: 6, packets: [[0, only, [1, 2, 3, 4, 5, 6], 0]] },
    { name: "less than it announced", size: 8, packets: [[0, only, [1, 2, 3], fileChecksum(Uint8Array.of(1, 2, 3))]] },
    { name: "a wrong checksum", size: 3, packets: [[0, only, [1, 2, 3], 1]] },
    {
      name: "aborts",
      size: 5,
      packets: [
        [0, first, [1, 2]],
        [1, abort, []],
      ],
    },
    {
      name: "empty packets for ever",
      size: 5,
      packets: [
        [0, first, [1]],
        [1, middle, []],
      ],
    },
  ])("$name", async ({ size, packets }) => {
    await expect(readFile(uploading(size, packets), 1)).rejects.toMatchObject({ code: "cip/mismatch" });
  });

  test("announces four gigabytes", async () => {
    await expect(readFile(uploading(0xffff_ffff, [[0, only, [], 0]]), 1)).rejects.toMatchObject({
      code: "usage/argument",
    });
  });

  test("a good one is read", async () => {
    const packets: Parameters<typeof packet>[] = [
      [0, first, [1, 2, 3, 4]],
      [1, last, [5], fileChecksum(bytes)],
    ];
    expect(await readFile(uploading(5, packets), 1)).toEqual(bytes);
  });
});

describe("a device that does not take a download", () => {
  const opened = (transferSize: number) =>
    encode(InitiateDownloadReply, { incrementalBurn: 0, burnTimeS: 0, transferSize });

  test("packets of no octets", async () => {
    await expect(
      writeFile(
        device(() => opened(0)),
        1,
        bytes,
      ),
    ).rejects.toMatchObject({ code: "cip/mismatch" });
  });

  test("confirms another packet, and is told to drop what it has", async () => {
    const types: number[] = [];
    const liar = device(({ service, data }) => {
      if (service === services.initiateDownload.code) return opened(2);
      types.push(data[1]!);
      return Uint8Array.of(9);
    });
    await expect(writeFile(liar, 1, bytes)).rejects.toMatchObject({ code: "cip/mismatch" });
    expect(types).toEqual([first, abort]);
  });

  test("finds another checksum", async () => {
    const picky = device(({ service, data }) => {
      if (service === services.initiateDownload.code) return opened(3);
      return data[1] === last ? 0xd0 : Uint8Array.of(data[0]!);
    });
    await expect(writeFile(picky, 1, bytes)).rejects.toMatchObject({ code: "cip/status", facts: { status: 0xd0 } });
  });
});

describe("a device that has lost a transfer", () => {
  const opened = encode(InitiateDownloadReply, { incrementalBurn: 0, burnTimeS: 0, transferSize: 2 });
  /** Conflict with the state of the file beside it. */
  const conflict = (state: number) => ({ status: 0x0c, extended: [state] });
  /** Time passes with each wait and not otherwise. */
  function fakeClock(): Clock {
    let now = 0;
    return {
      now: () => now,
      wallNow: () => undefined,
      after: (ms, run) => {
        now += ms;
        queueMicrotask(run);
        return () => undefined;
      },
    };
  }
  function answering(answer: (service: number) => Uint8Array | { status: number; extended: number[] }): Requester {
    return {
      request({ service }): Promise<Reply> {
        const result = answer(service);
        const reply =
          result instanceof Uint8Array ? { status: 0, extended: [], data: result } : { ...result, data: noOctets };
        return Promise.resolve({ service, ...reply });
      },
    };
  }

  test("is waited for as long as it keeps a silent one, and no longer", async () => {
    let asked = 0;
    const busy = answering((service) => {
      if (service === Service.getAttributeSingle) return Uint8Array.of(10);
      asked += 1;
      return conflict(6);
    });
    await expect(writeFile(busy, 1, bytes, { clock: fakeClock() })).rejects.toMatchObject({ facts: { status: 0x0c } });
    expect(asked).toBe(23);
  });

  test("is not waited for where no transfer is what it refuses for", async () => {
    let asked = 0;
    const closed = answering(() => {
      asked += 1;
      return conflict(2);
    });
    await expect(writeFile(closed, 1, bytes, { clock: fakeClock() })).rejects.toMatchObject({ code: "cip/status" });
    expect(asked).toBe(1);
  });

  test("gets it from its start again, twice at most", async () => {
    const begun: number[] = [];
    let packets = 0;
    const forgetful = answering((service) => {
      if (service === services.initiateDownload.code) return begun.push(packets) > 0 ? opened : noOctets;
      packets += 1;
      return packets % 3 === 1 ? Uint8Array.of(0) : conflict(2);
    });
    await expect(writeFile(forgetful, 1, bytes, { clock: fakeClock() })).rejects.toMatchObject({ code: "cip/status" });
    expect(begun).toHaveLength(3);
  });
});
