import {
  CertificateDirectory,
  CertificateEncoding,
  CertificateSlot,
  CertificateState,
  COUNTED_EPATH,
  CreateCsrRequest,
  DWORD,
  SHORT_STRING,
  UINT,
  USINT,
} from "@cipsec/wire";
import { objectClass } from "./declare.ts";

/** What Verify_Certificate checks: the id of the attribute that holds it. */
export const VerifyTarget = { deviceCertificate: 3, caCertificate: 4 } as const;

/** Certificates that a device may present, each with its authority's. Instance 1 is the device's default certificate. */
export const CertificateManagement = objectClass({
  name: "Certificate Management",
  classId: 0x5f,
  revision: 3,
  source: "CIP Vol 8, 5-5; reference cip-security.md 3.3",
  classAttributes: {
    capabilityFlags: {
      id: 8,
      type: DWORD,
      access: "get",
      values: { pushModel: 0x0000_0001, pullModel: 0x0000_0002 },
      doc: "Ways in which certificates come into the device.",
    },
    certificateList: { id: 9, type: CertificateDirectory, access: "get", doc: "Every instance by name and path." },
    encodings: {
      id: 10,
      type: DWORD,
      access: "get",
      values: { pem: 0x0000_0001, pkcs7: 0x0000_0002 },
      doc: "Encodings of certificates that the device reads.",
    },
  },
  attributes: {
    name: { id: 1, type: SHORT_STRING, access: "get", nonVolatile: true, doc: "Name given to Create." },
    state: {
      id: 2,
      type: USINT,
      access: "get",
      nonVolatile: true,
      values: CertificateState,
      doc: "Whether both certificates are there and good.",
    },
    deviceCertificate: {
      id: 3,
      type: CertificateSlot,
      access: "get/set",
      nonVolatile: true,
      default: { status: 0, path: [] },
      doc: "File instance of the device's certificate, and its verdict.",
    },
    caCertificate: {
      id: 4,
      type: CertificateSlot,
      access: "get/set",
      nonVolatile: true,
      default: { status: 0, path: [] },
      doc: "File instance of the issuer's certificate, and its verdict.",
    },
    encoding: {
      id: 5,
      type: USINT,
      access: "get",
      values: CertificateEncoding,
      default: 0,
      doc: "Encoding of both certificates.",
    },
  },
  services: {
    create: {
      code: 0x08,
      level: "class",
      request: SHORT_STRING,
      response: UINT,
      doc: "Makes an instance of this name and returns its number.",
    },
    delete: { code: 0x09, doc: "Removes an instance that Create made, with its private key." },
    createCsr: {
      code: 0x4b,
      request: CreateCsrRequest,
      response: COUNTED_EPATH,
      doc: "Makes a key and a request for its certificate; returns the path of the request's File instance.",
    },
    verifyCertificate: {
      code: 0x4c,
      request: UINT,
      doc: "Checks the certificate in the attribute of this id: 3 device, 4 authority.",
    },
  },
  all: ["name", "state", "deviceCertificate", "caCertificate", "encoding"],
  classAll: [1, 2, 6, 7, 8, 9, 10],
});
