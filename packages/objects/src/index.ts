export { Assembly } from "./assembly.ts";
export { CertificateManagement, VerifyTarget } from "./certificate-management.ts";
export { CipSecurity } from "./cip-security.ts";
export { allClassAttributes, standardClassAttributes } from "./class-attributes.ts";
export { allClasses, classById, classByName, classIdentifier } from "./classes.ts";
export { ConnectionManager } from "./connection-manager.ts";
export { attributeById, classAttributeById, objectClass, serviceByCode } from "./declare.ts";
export type {
  Access,
  AttributeDeclaration,
  AttributeValue,
  ClassAttributeValue,
  ClassService,
  InstanceService,
  ObjectClass,
  ServiceDeclaration,
  ServiceRequest,
  ServiceResponse,
  SettableName,
} from "./declare.ts";
export { EtherNetIpSecurity, EtherNetIpSecurityCapability, PullModelStatus } from "./ethernet-ip-security.ts";
export { EthernetLink, InterfaceFlag, NegotiationStatus } from "./ethernet-link.ts";
export { FileAccessRule, FileEncoding, FileObject, InvocationMethod, SaveParameter } from "./file.ts";
export { ExtendedDeviceStatus, Identity, IdentityState, IdentityStatus, ResetType } from "./identity.ts";
export type { Json } from "./json.ts";
export { SymbolObject, TemplateObject } from "./logix.ts";
export { MessageRouter } from "./message-router.ts";
export { bitNames, hexNumber, nameOf, valueOf } from "./names.ts";
export { Qos } from "./qos.ts";
export { classReference, referencePages } from "./reference.ts";
export type { ReferencePage } from "./reference.ts";
export { parsePath, pathText, resolvePath, resolveService } from "./resolve.ts";
export type { ResolvedPath, ResolvedService } from "./resolve.ts";
export {
  ConfigurationControl,
  PortCapability,
  TcpIpCapability,
  TcpIpInterface,
  TcpIpStatus,
} from "./tcp-ip-interface.ts";
export { describe, parse } from "./text.ts";
export type { Typed } from "./text.ts";
