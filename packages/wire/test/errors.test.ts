import { describe, expect, test } from "vitest";
import {
  BugError,
  PeerError,
  StackError,
  StateError,
  TransportError,
  TrustError,
  UsageError,
  WireError,
  errorCodes,
  isStackError,
} from "@cipsec/wire";

describe("errors", () => {
  test.each([
    new WireError("wire/value", "m"),
    new PeerError("cip/status", "m"),
    new TrustError("trust/refused", "m"),
    new TransportError("transport/timeout", "m"),
    new UsageError("usage/argument", "m"),
    new StateError("state/corrupt", "m"),
    new BugError("bug/unreachable", "m"),
  ])("$name carries code, facts and the fix of its code", (error) => {
    expect(error).toBeInstanceOf(StackError);
    expect(error.name).toBe(error.constructor.name);
    expect(error).toMatchObject({ message: "m", facts: {}, fix: errorCodes[error.code].fix });
    expect("cause" in error).toBe(false);
    expect(isStackError(error)).toBe(true);
  });

  test("a better fix replaces the general one, and a cause is kept", () => {
    const cause = new Error("inner");
    const error = new WireError("wire/value", "m", { cause, fix: "do this", facts: { octets: 3 } });
    expect(error).toMatchObject({ cause, fix: "do this", facts: { octets: 3 } });
  });

  test("an error of a package that imports nothing is known by its shape", () => {
    const alike = Object.assign(new Error("m"), { code: "pki/expired", facts: {}, fix: "renew" });
    expect(isStackError(alike)).toBe(true);
  });

  test.each([
    { name: "a plain error", value: new Error("m") },
    { name: "a system error", value: Object.assign(new Error("m"), { code: "ENOENT" }) },
    { name: "a numeric code", value: Object.assign(new Error("m"), { code: 5, facts: {}, fix: "" }) },
    { name: "no facts", value: Object.assign(new Error("m"), { code: "a/b", fix: "" }) },
    { name: "no fix", value: Object.assign(new Error("m"), { code: "a/b", facts: {} }) },
    { name: "not an error", value: { code: "a/b", facts: {}, fix: "" } },
    { name: "nothing", value: undefined },
  ])("$name is none of the stack's", ({ value }) => expect(isStackError(value)).toBe(false));

  test("every code has a cause and a fix, and its family is one of the classes'", () => {
    for (const [code, { cause, fix }] of Object.entries(errorCodes)) {
      expect(code).toMatch(/^(?:wire|cip|encap|tls|trust|pull|transport|usage|state|bug)\/[a-z-]+$/u);
      expect(cause).toMatch(/\.$/u);
      expect(fix).toMatch(/[.]$|--help\.$/u);
    }
  });
});
