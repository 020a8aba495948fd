import { createSecureContext, getCiphers } from "node:tls";
import { describe, expect, test } from "vitest";
import { cipherSuite, cipherSuiteText, cipherSuites } from "@cipsec/wire";

describe("cipherSuites", () => {
  test.each(cipherSuites)("$name: its facts follow from its IANA name", (suite) => {
    expect(cipherSuite(suite.id)).toBe(suite);
    expect(cipherSuiteText(suite.id)).toBe(suite.name);
    expect(suite.encrypts).toBe(!suite.name.includes("_WITH_NULL"));
    expect(suite.version).toBe(suite.name.includes("_WITH_") ? "1.2" : "1.3");
    expect(suite.auth).toBe(authOf(suite.name));
    expect(suite.protection === "aead").toBe(/GCM|CCM|POLY1305/u.test(suite.name));
    expect(suite.protection === "cbc").toBe(suite.name.includes("CBC"));
  });

  test("no number stands twice", () => {
    expect(new Set(cipherSuites.map((suite) => suite.id)).size).toBe(cipherSuites.length);
  });

  test.each(cipherSuites.filter((suite) => suite.openssl !== undefined && suite.version === "1.2"))(
    "$openssl is a name that OpenSSL takes",
    ({ openssl }) => {
      expect(() => createSecureContext({ ciphers: `${openssl}:@SECLEVEL=0` })).not.toThrow();
      expect(() => createSecureContext({ ciphers: `${openssl}-NO:@SECLEVEL=0` })).toThrow("no cipher match");
    },
  );

  test.each(cipherSuites.filter((suite) => suite.version === "1.3"))("$openssl is on by default", ({ openssl }) =>
    expect(getCiphers()).toContain(openssl?.toLowerCase()),
  );

  test("the suites of the 0xD00x family have no OpenSSL name", () => {
    const without = cipherSuites.filter((suite) => suite.openssl === undefined).map((suite) => suite.id);
    expect(without).toEqual([0xd001, 0xd002, 0xd003, 0xd005]);
  });

  test("a number that the table lacks is told by its number", () => {
    expect(cipherSuite(0x00ff)).toBeUndefined();
    expect(cipherSuiteText(0x00ff)).toBe("cipher suite 0x00FF");
  });
});

function authOf(name: string): string {
  if (name.includes("PSK")) return "psk";
  if (name.includes("ECDSA")) return "ecdsa";
  return name.includes("RSA") ? "rsa" : "any";
}
