import { objectPath, type Segment } from "@cipsec/wire";
import { expect, test } from "vitest";
import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  FileObject,
  Qos,
  allClassAttributes,
  allClasses,
  attributeById,
  classAttributeById,
  classById,
  classByName,
  classIdentifier,
  objectClass,
  parsePath,
  pathText,
  resolvePath,
  resolveService,
  serviceByCode,
} from "../src/index.ts";

const allowed = EtherNetIpSecurity.attributes.allowedCipherSuites;

test.each(["EtherNet/IP Security", "EtherNetIpSecurity", "ethernet-ip-security", "EtherNetIpSecurityObject"])(
  "class by name: %s",
  (name) => expect(classByName(name)).toBe(EtherNetIpSecurity),
);

test("classes by other names and codes", () => {
  expect(classByName("FileObject")).toBe(FileObject);
  expect(classByName("file")).toBe(FileObject);
  expect(classByName("nothing")).toBeUndefined();
  expect(classById(0x48)).toBe(Qos);
  expect(classById(0x4242)).toBeUndefined();
  expect(allClasses.map(classIdentifier)).toContain("TcpIpInterface");
});

test.each([
  { text: "EtherNetIpSecurity/1/allowedCipherSuites", classId: 0x5e, instance: 1, id: 4, declaration: allowed },
  { text: "0x5E/1/4", classId: 0x5e, instance: 1, id: 4, declaration: allowed },
  { text: "94/0x01/0x4", classId: 0x5e, instance: 1, id: 4, declaration: allowed },
  { text: "ethernet-ip-security/1/allowed-cipher-suites", classId: 0x5e, instance: 1, id: 4, declaration: allowed },
  {
    text: "CertificateManagement/0/certificateList",
    classId: 0x5f,
    instance: 0,
    id: 9,
    declaration: CertificateManagement.classAttributes.certificateList,
  },
])("resolves $text", ({ text, classId, instance, id, declaration }) => {
  const path = resolvePath(text);
  expect(path).toMatchObject({ classId, instance, attribute: { id } });
  expect(path.attribute?.declaration).toBe(declaration);
  expect(path.object).toBe(classById(classId));
});

test("resolves what has no declaration by number", () => {
  expect(resolvePath("0x64/7/3")).toEqual({ classId: 0x64, instance: 7, attribute: { id: 3 } });
  expect(resolvePath("0x5E/1/99").attribute).toEqual({ id: 99 });
  expect(resolvePath("QoS/1")).toEqual({ object: Qos, classId: 0x48, instance: 1 });
  expect(resolvePath("0x64/0/revision").attribute).toMatchObject({ id: 1, name: "revision" });
  expect(allClassAttributes(Qos)).toEqual(allClassAttributes());
});

test("resolves vendor classes that are handed in", () => {
  const Vendor = objectClass({
    name: "Vendor Thing",
    classId: 0x65,
    revision: 1,
    source: "vendor",
    attributes: { mode: allowed },
    services: {},
  });
  expect(resolvePath("VendorThing/2/mode", [...allClasses, Vendor])).toMatchObject({ classId: 0x65, instance: 2 });
});

test.each([
  { text: "EtherNetIpSecurity", message: /not CLASS\/INSTANCE/, fix: /EtherNetIpSecurity\/1\/allowedCipherSuites/ },
  { text: "1/2/3/4", message: /not CLASS\/INSTANCE/, fix: /slashes/ },
  { text: "EtherNetSecurity/1", message: /no class 'EtherNetSecurity'/, fix: /EtherNetIpSecurity/ },
  { text: "Idenity/1", message: /no class/, fix: /^Did you mean Identity\?/ },
  { text: "/1", message: /no class ''/, fix: /one of: Identity, / },
  { text: `${"x".repeat(5000)}/1`, message: /no class 'x{60}…'/, fix: /one of/ },
  { text: "QoS/one", message: /'one' is not an instance/, fix: /number/ },
  { text: "QoS/-1", message: /instance -1 is not a number from 0/, fix: /4294967295/ },
  { text: "0x10000/1", message: /class 0x10000 is not a number from 0 to 65535/, fix: /65535/ },
  { text: "QoS/1/65536", message: /attribute 65536/, fix: /65535/ },
  { text: "QoS/1/dscpLo", message: /no attribute of QoS 'dscpLo'/, fix: /dscpLow/ },
  { text: "0x5E/0/pskUsages", message: /no class attribute of EtherNet\/IP Security/, fix: /pskUsagesSupported/ },
  { text: "0x64/1/name", message: /no attribute 'name'/, fix: /^Use a number\.$/ },
])("refuses $text", ({ text, message, fix }) => {
  expect(() => resolvePath(text)).toThrow(
    expect.objectContaining({
      code: "usage/argument",
      message: expect.stringMatching(message),
      fix: expect.stringMatching(fix),
    }),
  );
});

test("services by name and code, at their level", () => {
  const instance = resolvePath("0x5F/2");
  const ofClass = resolvePath("0x5F/0");
  const { create, createCsr } = CertificateManagement.services;
  expect(resolveService("create-csr", instance)).toEqual({ code: 0x4b, name: "createCsr", declaration: createCsr });
  expect(resolveService("0x4b", instance).declaration).toBe(createCsr);
  expect(resolveService("create", ofClass).declaration).toBe(create);
  expect(resolveService("0x4b", ofClass)).toEqual({ code: 0x4b });
  expect(resolveService("14", resolvePath("0x64/1"))).toEqual({ code: 14 });
  for (const level of ["0x5D/0", "0x5D/1"])
    expect(resolveService("objectCleanup", resolvePath(level)).declaration).toBe(CipSecurity.services.objectCleanup);
  for (const [text, path, what] of [
    ["create", instance, "service of Certificate Management"],
    ["createCsr", ofClass, "class-level service of Certificate Management"],
    ["reset", resolvePath("0x64/1"), "service"],
    ["128", instance, "127"],
  ] as const)
    expect(() => resolveService(text, path)).toThrow(
      expect.objectContaining({ code: "usage/argument", message: expect.stringContaining(what) }),
    );
});

test.each<{ path: readonly Segment[]; text: string }>([
  { path: [], text: "" },
  { path: objectPath(0x5f), text: "0x5F" },
  { path: objectPath(0x5f, 1), text: "0x5F/1" },
  { path: objectPath(0x5f, 300, 3), text: "0x5F/300/3" },
  { path: [{ kind: "instance", value: 1 }], text: "hex:2401" },
  { path: [{ kind: "symbol", name: "ab", form: "ansi" }], text: "hex:91026162" },
])("path in text: $text", ({ path, text }) => {
  expect(pathText(path)).toBe(text);
  expect(parsePath(text)).toEqual(path);
});

test("paths by name, none, and octets that are no path", () => {
  expect(parsePath("CertificateManagement/1")).toEqual(objectPath(0x5f, 1));
  expect(parsePath("none")).toEqual([]);
  for (const text of ["hex:20", "hex:2", "nonsense", "nonsense/1"])
    expect(() => parsePath(text)).toThrow(expect.objectContaining({ code: "usage/argument" }));
});

test("declarations by id", () => {
  expect(attributeById(EtherNetIpSecurity, 4)).toEqual({ ...allowed, name: "allowedCipherSuites" });
  expect(attributeById(EtherNetIpSecurity, 99)).toBeUndefined();
  expect(classAttributeById(FileObject, 32)?.name).toBe("directory");
  expect(classAttributeById(Qos, 32)).toBeUndefined();
  expect(serviceByCode(CipSecurity, 0x4b, "class")).toBeUndefined();
});
