import { constants } from "node:crypto";
import tls from "node:tls";
import { cipherSuite, cipherSuiteText, UsageError } from "@cipsec/wire";
import type { CipherSuite } from "@cipsec/wire";
import type { TlsPolicy } from "./tls-policy.ts";
import { keysFor } from "./tls-psk.ts";

/** What OpenSSL needs of a policy in one role. */
export interface TlsContext {
  readonly secure: tls.SecureContext;
  /** Pre-shared keys by identity; empty when no pre-shared key suite is allowed. */
  readonly psks: ReadonlyMap<string, Uint8Array>;
}

/**
 * Builds, or finds again, what OpenSSL derives from a policy.
 *
 * @throws {UsageError} `usage/state` when no suite of the policy can be used over TLS, or a certificate and its key do
 * not fit together.
 */
export function tlsContext(policy: TlsPolicy, role: "client" | "server"): TlsContext {
  const known = built[role].get(policy);
  if (known !== undefined) return known;
  const context = build(policy, role);
  built[role].set(policy, context);
  return context;
}

const built = { client: new WeakMap<TlsPolicy, TlsContext>(), server: new WeakMap<TlsPolicy, TlsContext>() };

function build(policy: TlsPolicy, role: "client" | "server"): TlsContext {
  const suites = usable(policy);
  if (suites.length === 0) {
    const names = policy.suites.map(cipherSuiteText).join(", ") || "none";
    throw new UsageError("usage/state", `none of the allowed cipher suites can be used over TLS: ${names}`, {
      fix: "Allow a suite that TLS has; suites of TLS 1.3 also need that version to be allowed.",
    });
  }
  const has = (version: string): boolean => suites.some((suite) => suite.version === version);
  try {
    const secure = tls.createSecureContext({
      minVersion: has("1.2") ? "TLSv1.2" : "TLSv1.3",
      maxVersion: has("1.3") ? "TLSv1.3" : "TLSv1.2",
      ciphers: cipherString(suites),
      honorCipherOrder: true,
      // Named here and not left to the security level, which NULL suites turn off: no SHA-1 signature is ever accepted.
      sigalgs: signatureAlgorithms,
      ecdhCurve: "P-256:P-384:X25519",
      // Trust is decided by the policy's verdict; an empty list keeps Node from loading the authorities of the web.
      ca: [],
      cert: policy.certificates.map(({ chain }) => pem(policy.sendChain ? chain : chain.slice(0, 1))),
      key: policy.certificates.map(({ key }) => key.export({ type: "pkcs8", format: "pem" })),
      // Nothing is resumed, but a pre-shared key in TLS 1.3 is a session to OpenSSL, and servers need this to take one.
      ...(role === "server" && { sessionIdContext: "cipsec" }),
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
    });
    const psks = suites.some(({ auth }) => auth === "psk") ? keysFor(role, policy.psks) : new Map<string, Uint8Array>();
    return { secure, psks };
  } catch (error) {
    throw new UsageError(
      "usage/state",
      "the TLS configuration cannot be used: a certificate, or its key, does not fit",
      {
        cause: error,
        fix: "Check that each certificate belongs to its key, and that keys are ECDSA P-256 or stronger, or RSA 2048 or more.",
      },
    );
  }
}

type Usable = CipherSuite & { readonly openssl: string };

function usable({ suites, maxVersion = "TLSv1.2" }: TlsPolicy): readonly Usable[] {
  return suites.flatMap((id) => {
    const suite = cipherSuite(id);
    if (suite?.openssl === undefined || (suite.version === "1.3" && maxVersion !== "TLSv1.3")) return [];
    return [{ ...suite, openssl: suite.openssl }];
  });
}

/**
 * The list in order. OpenSSL counts suites without encryption, and those with a tag of eight octets, as level 0 and
 * does not offer them at its default level; the level is lowered only for a policy that names one, and what the level
 * would forbid beside is forbidden here otherwise: old signatures by `sigalgs`, small keys by the verdict.
 */
function cipherString(suites: readonly Usable[]): string {
  const needsLevelZero = suites.some(({ encrypts, openssl }) => !encrypts || openssl.endsWith("CCM8"));
  return [...suites.map(({ openssl }) => openssl), ...(needsLevelZero ? ["@SECLEVEL=0"] : [])].join(":");
}

const signatureAlgorithms = [
  "ECDSA+SHA256",
  "ECDSA+SHA384",
  "ECDSA+SHA512",
  "rsa_pss_rsae_sha256",
  "rsa_pss_rsae_sha384",
  "rsa_pss_rsae_sha512",
  "RSA+SHA256",
  "RSA+SHA384",
  "RSA+SHA512",
].join(":");

function pem(chain: readonly Uint8Array[]): string {
  return chain
    .map((der) => {
      const lines =
        Buffer.from(der)
          .toString("base64")
          .match(/.{1,64}/g) ?? [];
      return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
    })
    .join("");
}
