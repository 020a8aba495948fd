import type { ChannelFacts } from "@cipsec/transport";

/** Who asks for what, over which channel: everything an access decision may rest on. */
export interface AccessQuestion {
  readonly channel: ChannelFacts;
  readonly classId: number;
  readonly instance: number;
  readonly service: number;
  readonly attribute?: number | undefined;
  /** Full name of the tag where one is asked for, by name or by instance of class 0x6B; without the case that it was asked in. */
  readonly symbol?: string | undefined;
}

/** `undefined` allows; a general status refuses, usually privilege violation (0x0F). */
export type AccessDecision = (question: AccessQuestion) => number | undefined;
