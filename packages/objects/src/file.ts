import {
  BYTE,
  CreateFileReply,
  CreateFileRequest,
  FileDirectory,
  FileState,
  InitiateDownloadReply,
  InitiateDownloadRequest,
  InitiateUploadReply,
  InitiateUploadRequest,
  REST,
  Revision,
  STRINGI,
  TransferNumber,
  TransferPacket,
  UDINT,
  UINT,
  USINT,
} from "@cipsec/wire";
import { objectClass } from "./declare.ts";

/** Values of File `invocationMethod`: what puts a downloaded file to use. */
export const InvocationMethod = {
  none: 0,
  identityReset: 1,
  powerCycle: 2,
  startService: 3,
  application: 4,
  notApplicable: 255,
} as const;

/** Bits of File `saveParameters`. */
export const SaveParameter = { saveServiceNeeded: 0x01, saved: 0x10 } as const;

/** Values of File `accessRule`. */
export const FileAccessRule = { readWrite: 0, readOnly: 1 } as const;

/** Values of File `encoding`. Certificates travel as PEM or PKCS#7; DER as such has no value. */
export const FileEncoding = {
  binary: 0,
  compressed: 1,
  pemCertificate: 2,
  pkcs7Certificate: 3,
  pemCrl: 4,
  pkcs7Crl: 5,
  ascii: 11,
  word: 12,
  excel: 13,
  pdf: 14,
  unknown: 255,
} as const;

/** Files moved into and out of a device: certificates, requests for them, revocation lists, its EDS (instance 200). */
export const FileObject = objectClass({
  name: "File",
  classId: 0x37,
  revision: 3,
  source: "CIP Vol 1, 5A-42; reference cip-security.md 3.4, ethernet-ip.md 7.6",
  classAttributes: {
    directory: { id: 32, type: FileDirectory, access: "get", doc: "Every instance by its name and its file's name." },
  },
  attributes: {
    state: { id: 1, type: USINT, access: "get", values: FileState, doc: "Whether a file is there or on its way." },
    instanceName: { id: 2, type: STRINGI, access: "get", nonVolatile: true, doc: "Name of the instance." },
    formatVersion: { id: 3, type: UINT, access: "get", doc: "Version of this instance's own format." },
    fileName: { id: 4, type: STRINGI, access: "get", nonVolatile: true, doc: "Name of the file." },
    fileRevision: { id: 5, type: Revision, access: "get", nonVolatile: true, doc: "Revision of the file." },
    fileSize: { id: 6, type: UDINT, access: "get", unit: "octets", doc: "Octets of the file." },
    fileChecksum: { id: 7, type: UINT, access: "get", doc: "Two's complement of the 16-bit sum of all octets." },
    invocationMethod: {
      id: 8,
      type: USINT,
      access: "get",
      values: InvocationMethod,
      doc: "What puts a downloaded file to use.",
    },
    saveParameters: {
      id: 9,
      type: BYTE,
      access: "get",
      values: SaveParameter,
      doc: "Whether Save must be called to keep a download.",
    },
    accessRule: { id: 10, type: USINT, access: "get", values: FileAccessRule, doc: "Whether the file may be changed." },
    encoding: { id: 11, type: USINT, access: "get", values: FileEncoding, doc: "What the octets of the file are." },
    transferTimeout: {
      id: 12,
      type: USINT,
      access: "get/set",
      unit: "s",
      default: 10,
      doc: "Silence after which a transfer is given up.",
    },
  },
  services: {
    create: {
      code: 0x08,
      level: "class",
      request: CreateFileRequest,
      response: CreateFileReply,
      doc: "Makes an empty instance.",
    },
    delete: { code: 0x09, doc: "Removes an instance that Create made." },
    restore: { code: 0x15, optional: true, doc: "Takes the file back from non-volatile memory." },
    save: { code: 0x16, optional: true, doc: "Keeps the file in non-volatile memory." },
    initiateUpload: {
      code: 0x4b,
      request: InitiateUploadRequest,
      response: InitiateUploadReply,
      doc: "Begins to read the file out of the device.",
    },
    initiateDownload: {
      code: 0x4c,
      request: InitiateDownloadRequest,
      response: InitiateDownloadReply,
      doc: "Begins to write a file into the device.",
    },
    initiatePartialRead: {
      code: 0x4d,
      request: REST,
      response: REST,
      optional: true,
      doc: "Begins to read a part; its layout is not public, so it passes as octets.",
    },
    initiatePartialWrite: {
      code: 0x4e,
      request: REST,
      response: REST,
      optional: true,
      doc: "Begins to write a part; its layout is not public, so it passes as octets.",
    },
    uploadTransfer: {
      code: 0x4f,
      request: TransferNumber,
      response: TransferPacket,
      doc: "Takes the packet of this number; the number before again repeats it.",
    },
    downloadTransfer: {
      code: 0x50,
      request: TransferPacket,
      response: TransferNumber,
      doc: "Gives a packet; the number before again repeats it.",
    },
    clearFile: { code: 0x51, doc: "Empties the instance." },
  },
});
