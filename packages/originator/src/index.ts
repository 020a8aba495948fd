export { Port, formatTarget, parseTarget } from "./address.ts";
export type { Scheme, TargetAddress } from "./address.ts";
export { getAttributeList, multipleServices } from "./bulk.ts";
export { openClass3 } from "./class3.ts";
export type { Class3Connection, Class3Grant, Class3Options } from "./class3.ts";
export { chooseScheme, connect } from "./connect.ts";
export type { ConnectOptions } from "./connect.ts";
export { announcedPorts, cipStateName, etherNetIpStateName, identityReport, securityReport } from "./device-report.ts";
export type { DiscoveredDevice, IdentityReport, PortReport, SecurityReport, StateNames } from "./device-report.ts";
export { bringOver } from "./bring-over.ts";
export type { BringOverOptions, BringOverResult } from "./bring-over.ts";
export { deliverTrust, planDelivery } from "./deliver.ts";
export type { DeliverOptions, DeliveryPlan, DeliveryResult, HeldTrust, TrustDelivery } from "./deliver.ts";
export { discover } from "./discovery.ts";
export type { BroadcastFrom, DiscoverOptions, DiscoverProgress, Discovery } from "./discovery.ts";
export { createFile, listFiles, putFile, readFile, writeFile } from "./file.ts";
export type { FileEntry, ReadFileOptions, TransferOptions, WriteFileOptions } from "./file.ts";
export { findingsOf } from "./findings.ts";
export type { Finding, FindingContext } from "./findings.ts";
export { capabilitiesUdp, identify, identifyTcp, identifyUdp } from "./identify.ts";
export type { IdentifyOptions } from "./identify.ts";
export { readIdentityItems, readIdentityReply } from "./identity-reply.ts";
export type { IdentityReply, SecurityAnnouncement } from "./identity-reply.ts";
export { isPlaintext, readIdentity, readPosture } from "./posture.ts";
export type { CertificateReport, ChannelReport, CrlReport, PortState, Posture, PostureOptions } from "./posture.ts";
export { isPortOpen } from "./probe.ts";
export { reissueCertificate } from "./reissue.ts";
export type { ReissueOptions } from "./reissue.ts";
export { parseRange } from "./range.ts";
export type { HostRange } from "./range.ts";
export { cipStatusOf, statusError, succeed } from "./replies.ts";
export type { Requester, RequestOptions } from "./replies.ts";
export { Session } from "./session.ts";
export type { Dialer, ReconnectPolicy, SessionOptions } from "./session.ts";
export { classAccess, getRaw, objectAccess, setRaw } from "./typed.ts";
export type {
  AttributeName,
  AttributeValues,
  CallArguments,
  ClassAccess,
  ClassAttributeName,
  ClassValue,
  ObjectAccess,
} from "./typed.ts";
export { originatorTrust } from "./trust.ts";
export type { AcceptedPeer, OriginatorTrust, Protection, SecurityOptions, TrustFacts } from "./trust.ts";
export { commission, CommissionError } from "./commission.ts";
export type {
  CommissionOptions,
  CommissionProgress,
  CommissionResult,
  DeviceAfterFailure,
  IssueContext,
  IssuedPem,
} from "./commission.ts";
export type { FirstContact, PlainConnectOptions } from "./commission-connect.ts";
export { checkPlan, commissionSteps, stepWords } from "./commission-plan.ts";
export type { CommissionMode, CommissionPlan, PlannedPsk, StepName } from "./commission-plan.ts";
export { commissionByPull } from "./commission-pull.ts";
export type { PullOptions, PullProgress, PullResult } from "./commission-pull.ts";
export { pullWords } from "./commission-pull-status.ts";
export type { PullPhase } from "./commission-pull-status.ts";
export { configure } from "./configure.ts";
export { decommission } from "./decommission.ts";
export type { DecommissionOptions, DecommissionResult } from "./decommission.ts";
export { judgeVendorIdentity, unverifiedVendor, verifyVendorIdentity } from "./vendor-identity.ts";
export type { VendorIdentity, VendorIdentityOptions, VendorVerdict } from "./vendor-identity.ts";
export { vouchByIdentity } from "./vouch.ts";
export { parseRoute, routed } from "./route.ts";
export type { RoutedRequester } from "./route.ts";
export { tags } from "./tags/tags.ts";
export type { TagOptions, TagResult, Tags } from "./tags/tags.ts";
export type { ListOptions, TagInfo } from "./tags/catalogue.ts";
export type { ElementType, Structure, StructureMember, TagValue } from "./tags/values.ts";
export { openIo } from "./io/connection.ts";
export type { InputState, IoConnection, IoEnd, IoOptions } from "./io/connection.ts";
export type { IoGrant } from "./io/forward-open.ts";
export { ioUdpPort, openUdpGate } from "./io/gate.ts";
export { UnansweredOpens } from "./io/unanswered.ts";
export type { IoGate, IoReceiver, OpenGate } from "./io/gate.ts";
export { Histogram } from "./io/histogram.ts";
export { assemblyPath, ioRequestOf } from "./io/request.ts";
export type { AssemblyPoints, IoDirection, IoRequest, Trigger } from "./io/request.ts";
export type { IoStatistics } from "./io/statistics.ts";
export { Scanner } from "./io/scanner.ts";
export type {
  ScanEntry,
  ScanState,
  ScanStatistics,
  ScannedConnection,
  ScannerOptions,
  StateChange,
} from "./io/scanner.ts";
export type { BackoffPolicy } from "./io/backoff.ts";
export type { ReopenPolicy } from "./io/reopen.ts";
export { explainAlert, explainExchange, explainRequest } from "./explain.ts";
export type { ExplainedExchange, RefusedRequest } from "./explain.ts";
export { advisedStatuses, connectionAdvice } from "./explain-connection.ts";
export type { Advice, RefusedField } from "./explain-connection.ts";
export { refusedFields } from "./explain-open.ts";
export type { FieldFinding, RefusedOpen } from "./explain-open.ts";
export { explainEncapsulation, explainStatus } from "./explain-status.ts";
export type { Explanation, Refusal } from "./explain-status.ts";
export { getConnectionData, getConnectionOwner, searchConnectionData } from "./connection-diagnostics.ts";
