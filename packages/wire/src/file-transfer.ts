import { repeated, struct, type Codec } from "./codec.ts";
import { WireError } from "./errors.ts";
import { Revision } from "./cpf.ts";
import { STRINGI, UDINT, UINT, USINT } from "./types.ts";

/* Layouts of the File Object. Source: CIP Vol 1, 5A-42; reference cip-security.md 3.4. */

/** Where a transfer packet stands in its transfer. */
export const PacketType = { first: 0, middle: 1, last: 2, abort: 3, only: 4 } as const;

/** Class attribute 32: every File instance by name. */
export const FileDirectory = repeated(
  struct("file", { instance: UINT, instanceName: STRINGI, fileName: STRINGI }),
  512,
);

/** Request of Create: a name and the encoding of what will be in it. */
export const CreateFileRequest = struct("Create request", { instanceName: STRINGI, encoding: USINT });
export const CreateFileReply = struct("Create reply", { instance: UINT, invocationMethod: USINT });

/** Request of Initiate_Upload: octets a packet may carry, transfer number and packet type not counted. */
export const InitiateUploadRequest = struct("Initiate_Upload request", { maxTransferSize: USINT });
export const InitiateUploadReply = struct("Initiate_Upload reply", { fileSize: UDINT, transferSize: USINT });

export const InitiateDownloadRequest = struct("Initiate_Download request", {
  fileSize: UDINT,
  formatVersion: UINT,
  revision: Revision,
  fileName: STRINGI,
});
export const InitiateDownloadReply = struct("Initiate_Download reply", {
  incrementalBurn: UDINT,
  burnTimeS: UINT,
  transferSize: USINT,
});

/** One packet of a transfer; the checksum follows the data of the last one. */
export interface TransferPacket {
  readonly transferNumber: number;
  readonly packetType: number;
  readonly data: Uint8Array;
  readonly checksum?: number;
}

/**
 * Reply of Upload_Transfer and request of Download_Transfer: number, packet type, data to the end, and with the last a UINT checksum.
 *
 * @throws {WireError} `wire/value` for an unknown packet type, or a checksum missing or out of place; `wire/truncated` when the last packet has no checksum.
 */
export const TransferPacket: Codec<TransferPacket> = {
  type: "transfer packet",
  read(r) {
    const transferNumber = r.u8("transfer number");
    const packetType = knownType(r.u8("packet type"));
    if (!endsTransfer(packetType)) return { transferNumber, packetType, data: r.rest() };
    const data = r.octets(Math.max(r.remaining - 2, 0), "file data");
    return { transferNumber, packetType, data, checksum: r.u16("checksum") };
  },
  write(w, packet) {
    const isLast = endsTransfer(knownType(packet.packetType));
    if (isLast !== (packet.checksum !== undefined)) {
      throw new WireError("wire/value", `transfer packet: the last one ${isLast ? "needs" : "alone has"} a checksum`, {
        facts: { packetType: packet.packetType },
      });
    }
    w.u8(packet.transferNumber);
    w.u8(packet.packetType);
    w.octets(packet.data);
    if (packet.checksum !== undefined) w.u16(packet.checksum);
  },
};

/** Request of Upload_Transfer and reply of Download_Transfer. */
export const TransferNumber = USINT;

/** Two's complement of the 16-bit sum of all octets: 01 02 03 gives 0xFFFA. */
export function fileChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const octet of bytes) sum += octet;
  return -sum & 0xffff;
}

function knownType(packetType: number): number {
  if (packetType > PacketType.only)
    throw new WireError("wire/value", `packet type ${packetType} is not 0 to 4`, { facts: { packetType } });
  return packetType;
}

function endsTransfer(packetType: number): boolean {
  return packetType === PacketType.last || packetType === PacketType.only;
}
