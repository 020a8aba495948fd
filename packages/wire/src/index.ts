export {
  errorCodes,
  isStackError,
  BugError,
  PeerError,
  StackError,
  StateError,
  TransportError,
  TrustError,
  UsageError,
  WireError,
} from "./errors.ts";
export type { ErrorCode, ErrorOptionsWithFacts, Facts, StackErrorShape } from "./errors.ts";
export { Reader, Writer } from "./cursor.ts";
export { EMPTY, REST, decode, encode, list, mapped, octets, optional, repeated, struct } from "./codec.ts";
export type { Codec, Value } from "./codec.ts";
export {
  BOOL,
  BYTE,
  DATE,
  DATE_AND_TIME,
  DINT,
  DWORD,
  ENGLISH,
  ENGUNIT,
  FTIME,
  INT,
  ITIME,
  LINT,
  LREAL,
  LTIME,
  LWORD,
  PADDED_STRING,
  REAL,
  SHORT_STRING,
  SINT,
  STIME,
  STRING,
  STRING2,
  STRINGI,
  STRINGN,
  TIME,
  TIME_OF_DAY,
  UDINT,
  UINT,
  ULINT,
  USINT,
  WORD,
  fromLatin1,
  latin1,
} from "./types.ts";
export type { InternationalText } from "./types.ts";
export {
  COUNTED_EPATH,
  EPATH,
  LogicalType,
  PACKED_EPATH,
  objectPath,
  readSegment,
  words,
  writeSegment,
} from "./epath.ts";
export type { LogicalName, PathForm, Segment, Width } from "./epath.ts";
export { ElectronicKey } from "./electronic-key.ts";
export type { Key } from "./electronic-key.ts";
export { productionInhibitMicros } from "./network-segment.ts";
export type { NetworkSegment } from "./network-segment.ts";
export {
  Command,
  Encapsulation,
  EncapsulationStatus,
  FrameHeader,
  RegisterSession,
  SendData,
  frame,
  headerSize,
  maxFrameData,
  maxResponseDelayMs,
  noOctets,
  protocolVersion,
  zeroContext,
} from "./encapsulation.ts";
export type { Frame } from "./encapsulation.ts";
export { FrameStream } from "./frame-stream.ts";
export type { StreamEvent } from "./frame-stream.ts";
export {
  Capability,
  CapabilityItem,
  CipSecurityItem,
  ConnectedAddress,
  Cpf,
  IanaPort,
  ItemType,
  ListIdentityItem,
  ListServicesItem,
  Revision,
  SequencedAddress,
  Sockaddr,
  UnconnectedMessage,
  Usage,
  findItem,
} from "./cpf.ts";
export type { CpfItem } from "./cpf.ts";
export { IoWriter, RunIdleBit, ioOverhead, isNewer16, isNewer32, readIo, readIoData } from "./io-frame.ts";
export type { IoData, IoFrame, IoWriterOptions, RealTimeFormat } from "./io-frame.ts";
export { MessageRouterReply, MessageRouterRequest } from "./message-router.ts";
export type { Reply, Request } from "./message-router.ts";
export { Status, encapsulationStatusText, statusText } from "./status.ts";
export { connectionStatusText } from "./connection-status.ts";
export { extendedStatusText } from "./extended-status.ts";
export {
  AttributeIds,
  EmbeddedMessages,
  FindNextInstanceReply,
  FindNextInstanceRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  Service,
  SetAttributeListReply,
  decodeAttributeResults,
  decodeAttributeValues,
  encodeAttributeResults,
  encodeAttributeValues,
} from "./services.ts";
export type { AttributeResult } from "./services.ts";
export {
  ConnectionData,
  ConnectionFailure,
  ConnectionNumber,
  ConnectionOwnerReply,
  ConnectionOwnerRequest,
  ConnectionService,
  ConnectionTriad,
  ConnectionType,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  LargeForwardOpen,
  UnconnectedSend,
  requestTimeoutMs,
  timeoutFactor,
} from "./connection-manager.ts";
export type { NetworkParameters, Triad } from "./connection-manager.ts";
export {
  AlternativeNames,
  ApplyConfigRequest,
  ApplyFlag,
  CertificateDirectory,
  CertificateSlot,
  CipherSuiteId,
  CipherSuiteList,
  CreateCsrRequest,
  CrlPathOld,
  CrlPaths,
  ObjectAuthorization,
  PathList,
  PortAdminList,
  PortRanges,
  ProtocolAdminList,
  PskList,
  PskListNew,
  PskListOld,
  PskUsage,
  RuleList,
  SetPortAdminRequest,
  SetRulesRequest,
  maxPskIdentity,
  maxPskKey,
} from "./security.ts";
export type { PreSharedKey } from "./security.ts";
export {
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
  fileChecksum,
} from "./file-transfer.ts";
export { cipherSuite, cipherSuiteText, cipherSuites } from "./cipher-suites.ts";
export type { CipherSuite, KeyExchange } from "./cipher-suites.ts";
export {
  CertificateEncoding,
  CertificateEncodingFlag,
  CertificateState,
  CertificateStatus,
  CipSecurityState,
  EtherNetIpSecurityState,
  FileState,
  SecurityProfile,
  certificateStateText,
  certificateStatusText,
  cipSecurityStateText,
  etherNetIpSecurityStateText,
  fileStateText,
  securityProfileTexts,
} from "./security-states.ts";
export { elementaryTypes } from "./data-types.ts";
export {
  ReadModifyWriteRequest,
  ReadTagFragmentedRequest,
  ReadTagReply,
  ReadTagRequest,
  SymbolListRequest,
  SymbolType,
  TagService,
  TagType,
  tagTypeSize,
  WriteTagFragmentedRequest,
  WriteTagRequest,
  structureTypeCode,
} from "./logix.ts";
export type { ReadModifyWrite } from "./logix.ts";
export {
  LogixClass,
  ReadTemplateRequest,
  SymbolAttribute,
  TemplateAttribute,
  symbolList,
  template,
  templateAttributes,
  templateOctets,
} from "./logix-symbols.ts";
export type { SymbolEntry, Template, TemplateMember } from "./logix-symbols.ts";
