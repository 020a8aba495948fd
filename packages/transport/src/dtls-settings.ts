import { alerts, certificateCredential, cipherSuite, defaultSuites, DtlsError } from "@cipsec/dtls";
import type {
  AlertName,
  Association,
  Credentials,
  LiveOptions,
  Remote,
  VerifyRequest,
  Verdict as DtlsVerdict,
} from "@cipsec/dtls";
import { BugError, cipherSuiteText, isStackError, UsageError } from "@cipsec/wire";
import type { StackErrorShape } from "@cipsec/wire";
import { judge } from "./tls-accept.ts";
import { alertForVerdict } from "./tls-alerts.ts";
import type { TlsPolicy } from "./tls-policy.ts";
import { keysFor, pskIdentityText } from "./tls-psk.ts";

/** What a handshake of DTLS takes from a policy. */
export type DtlsSettings = Required<Pick<LiveOptions, "suites" | "credentials" | "clientAuth">>;

/**
 * Builds, or finds again, what DTLS needs of a policy in one role.
 *
 * @throws {UsageError} `usage/state` when no suite of the policy can be used over DTLS with the credentials that there are, or a
 * certificate and its key do not fit together.
 */
export function dtlsSettings(policy: TlsPolicy, role: "client" | "server"): DtlsSettings {
  const known = built[role].get(policy);
  if (known !== undefined) return known;
  const settings = build(policy, role);
  built[role].set(policy, settings);
  return settings;
}

/** The policy that an association's handshake began with; a policy that lets nobody in where it had none. */
export function policyOf({ credentials }: Association): TlsPolicy {
  return (credentials && policies.get(credentials)) ?? closedPolicy;
}

const policies = new WeakMap<Credentials, TlsPolicy>();

const closedPolicy: TlsPolicy = { suites: [], certificates: [], sendChain: false, psks: [], verifyPeer: true };

const built = { client: new WeakMap<TlsPolicy, DtlsSettings>(), server: new WeakMap<TlsPolicy, DtlsSettings>() };

/** A server that can agree with nobody: each handshake ends with an alert. */
export const closedSettings: DtlsSettings = {
  suites: defaultSuites,
  credentials: {},
  clientAuth: "none",
};

/**
 * Asks the policy for its verdict on a certificate.
 *
 * @param refused Told the reason before DTLS is, which carries no more of it than an alert.
 */
export function dtlsVerdict(
  policy: TlsPolicy,
  { chain, peer }: Pick<VerifyRequest, "chain" | "peer">,
  { remote, host }: { readonly remote: Remote; readonly host?: string },
  refused: (error: StackErrorShape) => void,
): DtlsVerdict {
  try {
    const verdict = judge(policy, { chain, role: peer, remote, ...(host !== undefined && { host }) });
    if (verdict.ok) return { accepted: true };
    refused(verdict.error);
    return { accepted: false, reason: verdict.error.message, alert: nameOf(alertForVerdict(verdict.error.code)) };
  } catch (error) {
    const reason = `${remote.address}: judging the other side failed`;
    refused(isStackError(error) ? error : new BugError("bug/unreachable", reason, { cause: error }));
    return { accepted: false, reason, alert: "internal_error" };
  }
}

function build(policy: TlsPolicy, role: "client" | "server"): DtlsSettings {
  const psks = keysFor(role, policy.psks);
  const hasKey = (id: number): boolean => {
    const auth = cipherSuite(id)?.authentication;
    if (auth === undefined) return false;
    return auth === "psk" ? psks.size > 0 : role === "client" || policy.certificates.length > 0;
  };
  const suites = policy.suites.filter(hasKey);
  if (suites.length === 0) {
    const names = policy.suites.map(cipherSuiteText).join(", ") || "none";
    throw new UsageError("usage/state", `none of the allowed cipher suites can be used over DTLS: ${names}`, {
      fix: "Allow a suite of DTLS 1.2 that fits the credentials: a certificate, or a pre-shared key for this role.",
    });
  }
  const own = credentials(policy, psks);
  policies.set(own, policy);
  return {
    suites,
    credentials: own,
    clientAuth: policy.verifyPeer ? "require" : "none",
  };
}

function credentials(policy: TlsPolicy, psks: ReadonlyMap<string, Uint8Array>): Credentials {
  const [first] = psks;
  try {
    return {
      certificates: policy.certificates.map(({ chain, key }) =>
        certificateCredential(policy.sendChain ? chain : chain.slice(0, 1), key),
      ),
      ...(first !== undefined && { psk: { identity: new TextEncoder().encode(first[0]), key: first[1] } }),
      findPsk: (identity) => psks.get(pskIdentityText(identity) ?? ""),
    };
  } catch (error) {
    if (!(error instanceof DtlsError)) throw error;
    throw new UsageError("usage/state", `the DTLS configuration cannot be used: ${error.message}`, {
      cause: error,
      fix: "Check that each certificate belongs to its key, and that keys are ECDSA P-256 or stronger, or RSA 2048 or more.",
    });
  }
}

/** DTLS takes alerts by name; those of verdicts are the certificate alerts. */
function nameOf(number: number): AlertName {
  const found = Object.keys(alerts).find((name) => isAlertName(name) && alerts[name] === number);
  return found !== undefined && isAlertName(found) ? found : "bad_certificate";
}

function isAlertName(name: string): name is AlertName {
  return Object.hasOwn(alerts, name);
}
