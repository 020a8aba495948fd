export type { AccessDecision, AccessQuestion } from "./access.ts";
export { isSecure } from "./context.ts";
export type { RequestContext } from "./context.ts";
export { parseDescription, readDescription } from "./description.ts";
export type {
  AssemblyDescription,
  CipherGeneration,
  DeviceDescription,
  DevicePorts,
  PullDescription,
  SecurityDescription,
} from "./description.ts";
export { edsOf } from "./eds.ts";
export type { EdsFacts } from "./eds.ts";
export type { TargetEvent } from "./events.ts";
export type { ClassHandlers, InstanceHandlers, Instances } from "./hosting.ts";
export type { DeviceIdentity } from "./identity.ts";
export type { IngressRule } from "./ingress.ts";
export { deviceLimits } from "./limits.ts";
export type { DeviceLimits } from "./limits.ts";
export { AssemblyData } from "./objects/assembly.ts";
export type { OutputHandler, OutputState } from "./objects/assembly.ts";
export type { ConnectionDescription, OutputAction } from "./io/description.ts";
export type { DroppedDatagrams } from "./io/engine.ts";
export type { ParameterDescription, ParameterSource, ParametersDescription } from "./parameters/description.ts";
export type { ParameterValue, Parameters } from "./parameters/table.ts";
export { Refusal, refuse } from "./refusal.ts";
export { Router } from "./router.ts";
export type { RouterObserver } from "./router.ts";
export type { TagAccess, TagDescription, TagsDescription } from "./tags/description.ts";
export type { TagWrite, Tags } from "./tags/table.ts";
export type { ElementType, ElementaryType, Shape, StructMember, StructType } from "./tags/types.ts";
export type { TagValue } from "./tags/values.ts";
export { startTarget } from "./target.ts";
export type { TargetOptions } from "./device.ts";
export type { Target } from "./target.ts";
