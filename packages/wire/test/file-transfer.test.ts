import { describe, expect, test } from "vitest";
import {
  CreateFileReply,
  CreateFileRequest,
  FileDirectory,
  InitiateDownloadReply,
  InitiateDownloadRequest,
  InitiateUploadReply,
  InitiateUploadRequest,
  PacketType,
  TransferNumber,
  TransferPacket,
  decode,
  encode,
  fileChecksum,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const text = "01 656e67 d0 0400 0200 4869";
const named = [{ language: "eng", stringType: 0xd0, characterSet: 4, text: "Hi" }];

/** Reference cip-security.md 3.4. */
test.each([
  good("files by name", FileDirectory, `c800 ${text} 00`, [{ instance: 200, instanceName: named, fileName: [] }]),
  good("no files", FileDirectory, "", []),
  good("Create", CreateFileRequest, `${text} 02`, { instanceName: named, encoding: 2 }),
  good("Create reply", CreateFileReply, "0500 ff", { instance: 5, invocationMethod: 255 }),
  good("Initiate_Upload", InitiateUploadRequest, "fa", { maxTransferSize: 250 }),
  good("Initiate_Upload reply", InitiateUploadReply, "00010000 fa", { fileSize: 256, transferSize: 250 }),
  good("Initiate_Download", InitiateDownloadRequest, `00010000 0100 0203 ${text}`, {
    fileSize: 256,
    formatVersion: 1,
    revision: { major: 2, minor: 3 },
    fileName: named,
  }),
  good("Initiate_Download reply", InitiateDownloadReply, "00000000 0500 fa", {
    incrementalBurn: 0,
    burnTimeS: 5,
    transferSize: 250,
  }),
  good("transfer number", TransferNumber, "07", 7),
  good("the first packet", TransferPacket, "00 00 0102", {
    transferNumber: 0,
    packetType: PacketType.first,
    data: hex("0102"),
  }),
  good("the last packet", TransferPacket, "01 02 03 faff", {
    transferNumber: 1,
    packetType: PacketType.last,
    data: hex("03"),
    checksum: 0xfffa,
  }),
  good("a last packet of the checksum alone", TransferPacket, "01 02 0000", {
    transferNumber: 1,
    packetType: PacketType.last,
    data: hex(""),
    checksum: 0,
  }),
  good("an abort", TransferPacket, "02 03", { transferNumber: 2, packetType: PacketType.abort, data: hex("") }),
])("$name", ({ holds }) => holds());

describe("refuses", () => {
  test.each([
    { name: "packet type 5", bytes: "00 05", code: "wire/value" },
    { name: "a last packet without checksum", bytes: "00 02", code: "wire/truncated" },
    { name: "a last packet with half a checksum", bytes: "00 04 01", code: "wire/truncated" },
  ])("$name", ({ bytes, code }) =>
    expect(() => decode(TransferPacket, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test.each([
    { name: "packet type 5", packetType: 5 },
    { name: "a last packet without checksum", packetType: PacketType.last },
    { name: "a middle packet with checksum", packetType: PacketType.middle, checksum: 1 },
  ])("to write $name", ({ name: _, ...packet }) =>
    expect(() => encode(TransferPacket, { transferNumber: 0, data: hex(""), ...packet })).toThrow(
      expect.objectContaining({ code: "wire/value" }),
    ),
  );
});

test.each([
  { octets: "", checksum: 0 },
  { octets: "01 02 03", checksum: 0xfffa },
  { octets: "ff".repeat(514), checksum: 0x1_0000 * 3 - 255 * 514 },
])("checksum of $octets.length digits", ({ octets, checksum }) =>
  expect(fileChecksum(hex(octets))).toBe(checksum & 0xffff),
);

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(FileDirectory, [`c800 ${text} ${text}`]);
  refusesOrReturns(CreateFileRequest, [`${text} 02`]);
  refusesOrReturns(CreateFileReply, ["0500 ff"]);
  refusesOrReturns(InitiateUploadRequest, ["fa"]);
  refusesOrReturns(InitiateUploadReply, ["00010000 fa"]);
  refusesOrReturns(InitiateDownloadRequest, [`00010000 0100 0203 ${text}`]);
  refusesOrReturns(InitiateDownloadReply, ["00000000 0500 fa"]);
  refusesOrReturns(TransferPacket, ["00 00 0102", "01 02 03 faff"]);
});
