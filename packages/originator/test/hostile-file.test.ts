import { FileObject } from "@cipsec/objects";
import {
  InitiateDownloadReply,
  InitiateUploadReply,
  PacketType,
  TransferPacket,
  encode,
  fileChecksum,
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
