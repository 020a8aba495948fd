export { Port, formatTarget, parseTarget } from "./address.ts";
export type { Scheme, TargetAddress } from "./address.ts";
export { getAttributeList, multipleServices } from "./bulk.ts";
export { openClass3 } from "./class3.ts";
export type { Class3Connection, Class3Grant, Class3Options } from "./class3.ts";
export { chooseScheme, connect } from "./connect.ts";
export type { ConnectOptions } from "./connect.ts";
export { identify, identifyTcp, identifyUdp } from "./identify.ts";
export type { IdentifyOptions } from "./identify.ts";
export { readIdentityItems, readIdentityReply } from "./identity-reply.ts";
export type { IdentityReply, SecurityAnnouncement } from "./identity-reply.ts";
export { isPortOpen } from "./probe.ts";
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
export type { AcceptedPeer, OriginatorTrust, SecurityOptions, TrustFacts } from "./trust.ts";
