import { errorCodes } from "@cipsec/pki";
import { expect, test } from "vitest";
import { networkError } from "../src/network-errors.ts";
import { Alert, alertForVerdict, alertMeaning } from "../src/tls-alerts.ts";
import { tlsError } from "../src/tls-errors.ts";

const system = (code: string): Error => Object.assign(new Error("socket"), { code });

test.each([
  ["ECONNREFUSED", "transport/refused"],
  ["EHOSTUNREACH", "transport/unreachable"],
  ["ENETUNREACH", "transport/unreachable"],
  ["ETIMEDOUT", "transport/timeout"],
  ["ENOTFOUND", "transport/address"],
  ["EAI_AGAIN", "transport/address"],
  ["EMFILE", "transport/limit"],
  ["ESOMETHING", "transport/closed"],
])("%s is %s", (code, expected) => {
  expect(networkError(system(code), "192.0.2.7:2221")).toMatchObject({
    code: expected,
    message: expect.stringMatching(/^192\.0\.2\.7:2221: .*\(E[A-Z_]+\)$/),
    facts: { system: code },
  });
});

test.each([
  ["ERR_SSL_WRONG_VERSION_NUMBER", "tls/handshake", "not-tls"],
  ["ERR_SSL_NO_SHARED_CIPHER", "tls/handshake", "no-common-suite"],
  ["ERR_SSL_UNSUPPORTED_PROTOCOL", "tls/handshake", "version"],
  ["ERR_SSL_DIGEST_CHECK_FAILED", "tls/handshake", "keys-differ"],
  ["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "trust/refused", "no-certificate"],
  ["ERR_SSL_PSK_IDENTITY_NOT_FOUND", "trust/refused", "unknown-psk-identity"],
])("%s is %s, %s", (code, expected, reason) => {
  expect(tlsError(system(code), "peer")).toMatchObject({ code: expected, facts: { reason } });
});

test("an unnamed failure of OpenSSL keeps its reason and shows no source file", () => {
  const error = Object.assign(new Error("0A:error:x:y:../deps/ssl.c:1:"), { code: "ERR_SSL_ODD", reason: "odd thing" });
  expect(tlsError(error, "peer").message).toBe("peer: TLS failed: odd thing");
});

test("every alert number has words, and every verdict of pki an alert about certificates", () => {
  expect(alertMeaning(200).name).toBe("alert 200");
  const numbers: readonly number[] = Object.values(Alert);
  for (const code of Object.keys(errorCodes).filter((name) => name.startsWith("trust/"))) {
    expect(numbers).toContain(alertForVerdict(code));
  }
});
