import { isStackError } from "@cipsec/wire";

/** Exit codes of every command. @see docs/cli.md */
export const ExitCode = {
  /** Done, and what was asked holds. */
  ok: 0,
  /** Done, but what was asked does not hold. */
  doesNotHold: 1,
  /** Wrong usage or input. */
  usage: 2,
  /** The other side or the network refused or did not answer. */
  peer: 3,
  /** Certificate, key, token or role. */
  trust: 4,
  /** A fault of cipsec. */
  bug: 70,
} as const;

/** An error as people and machines are told it. */
export interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
  readonly fix: string;
}

/** The exit code that an error calls for, by the family of its code. */
export function exitCodeOf(error: unknown): number {
  if (!isStackError(error)) return ExitCode.bug;
  switch (error.code.slice(0, error.code.indexOf("/"))) {
    case "usage":
    case "state":
    case "policy":
      return ExitCode.usage;
    case "trust":
      return ExitCode.trust;
    case "bug":
      return ExitCode.bug;
    case "wire":
    case "cip":
    case "encap":
    case "tls":
    case "transport":
      return ExitCode.peer;
    default:
      return ExitCode.bug;
  }
}

/** An error in words. A value that no part of the stack throws on purpose is told as a fault of ours. */
export function told(error: unknown): ToldError {
  if (isStackError(error)) return { code: error.code, message: error.message, facts: error.facts, fix: error.fix };
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "bug/unreachable",
    message,
    facts: {},
    fix: "This is a fault in cipsec: please report it with what you did.",
  };
}
