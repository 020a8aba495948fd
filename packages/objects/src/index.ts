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
export type { Assemblies, EdsAssembly, EdsMember } from "./eds/assemblies.ts";
export type { ParamValues } from "./eds/configuration.ts";
export {
  readParametersWord,
  readTransportWord,
  writeParametersWord,
  writeTransportWord,
} from "./eds/connection-words.ts";
export type {
  ApplicationType,
  ConnectionTypeName,
  DirectionWord,
  ParametersWord,
  PriorityName,
  ProductionTrigger,
  RealTimeFormat,
  TransportWord,
} from "./eds/connection-words.ts";
export type { EdsAmount, EdsConfiguration, EdsConnection, EdsDirection } from "./eds/connections.ts";
export type {
  EdsDescription,
  MadeAssembly,
  MadeClass,
  MadeConnection,
  MadeDirection,
  MadeMember,
  MadeParam,
  MadeParamClass,
  MadePort,
  MadeScaling,
  MadeStamp,
} from "./eds/description.ts";
export type { EdsCapacity, EdsClass, EdsPort, EdsTraffic } from "./eds/device-parts.ts";
export type { EdsDevice, EdsFile, EdsStamp } from "./eds/identity.ts";
export { makeEds } from "./eds/make.ts";
export { paramDescriptor } from "./eds/make-io.ts";
export type {
  EdsDate,
  EdsEntry,
  EdsField,
  EdsPieces,
  EdsPosition,
  EdsProblem,
  EdsReference,
  EdsSection,
  EdsTime,
  EdsValue,
} from "./eds/model.ts";
export { ParamDescriptor } from "./eds/params.ts";
export type { EdsChoice, EdsParam, EdsScalar, ParamScaling } from "./eds/params.ts";
export { parseEds } from "./eds/parse.ts";
export type { Eds, ParseEdsOptions } from "./eds/parse.ts";
export type { EdsPath } from "./eds/path.ts";
export { connectionRequest } from "./eds/request.ts";
export type { ConnectionRequest, ConnectionWishes, DirectionWishes } from "./eds/request.ts";
export { edsLimits } from "./eds/scan.ts";
export { writeEds } from "./eds/write.ts";
export type { WritableEds, WritableEntry, WritableSection } from "./eds/write.ts";
export { EtherNetIpSecurity, EtherNetIpSecurityCapability, PullModelStatus } from "./ethernet-ip-security.ts";
export { EthernetLink, InterfaceFlag, NegotiationStatus } from "./ethernet-link.ts";
export { FileAccessRule, FileEncoding, FileObject, InvocationMethod, SaveParameter } from "./file.ts";
export { ExtendedDeviceStatus, Identity, IdentityState, IdentityStatus, ResetType } from "./identity.ts";
export type { Json } from "./json.ts";
export { LldpDatastore, LldpManagement } from "./lldp-management.ts";
export { SymbolObject, TemplateObject } from "./logix.ts";
export { MessageRouter } from "./message-router.ts";
export { bitNames, hexNumber, nameOf, valueOf } from "./names.ts";
export { Parameter, ParameterClassDescriptor } from "./parameter.ts";
export { PortObject, PortType } from "./port.ts";
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
