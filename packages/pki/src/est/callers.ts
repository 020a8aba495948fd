import { verifyChain } from "../verify.ts";
import type { Certificate } from "../certificate.ts";
import type { Crl } from "../crl.ts";
import { usageIds } from "../make-certificate.ts";
import {
  algorithmOf,
  digestResponse,
  isPassword,
  Nonces,
  readBasic,
  readDigest,
  same,
  type DigestAlgorithm,
  type PasswordRecord,
} from "./auth.ts";
import type { EstAuthority } from "./authority.ts";
import type { HttpRequest } from "./http.ts";
import type { Caller, CertifiedCaller } from "./policy.ts";

/** Whom an EST server takes for whom. */
export interface CallerOptions {
  /** Roots (or lower authorities) of vendors: their certificates are birth certificates. */
  readonly vendorAnchors: readonly Certificate[];
  readonly crls?: readonly Crl[];
  readonly realm: string;
  /** Default: nobody has a password. */
  readonly users?: (name: string) => Promise<PasswordRecord | undefined>;
  /** Schemes that are offered, best first; default Digest with SHA-256, then Basic. */
  readonly schemes?: readonly ("basic" | DigestAlgorithm)[];
  /** A password without a certificate will do; default false. */
  readonly passwordAlone?: boolean;
  /** A certificate without a password will do; default true. */
  readonly certificateAlone?: boolean;
}

/** Who a request is from, or why it is from nobody. */
export type CallerAnswer =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly status: 401 | 403; readonly reason: string; readonly challenges: readonly string[] };

/** Finds out who sends requests, by certificate, password, or both. */
export function makeCallers(
  options: CallerOptions,
  authority: EstAuthority,
): { of(request: HttpRequest, now: Date): Promise<CallerAnswer> } {
  const { vendorAnchors, crls = [], realm, users, passwordAlone = false, certificateAlone = true } = options;
  const schemes = options.schemes ?? ["SHA-256", "basic"];
  const nonces = new Nonces();

  const challenges = (now: Date, stale: boolean): readonly string[] =>
    users === undefined
      ? []
      : schemes.map((scheme) =>
          scheme === "basic"
            ? `Basic realm="${realm}", charset="UTF-8"`
            : `Digest realm="${realm}", qop="auth", algorithm=${scheme}, nonce="${nonces.make(now)}"${stale ? ", stale=true" : ""}`,
        );

  const unauthorized = (reason: string, now: Date, stale = false): CallerAnswer => {
    const offered = challenges(now, stale);
    return { ok: false, status: offered.length > 0 ? 401 : 403, reason, challenges: offered };
  };

  const certified = async (request: HttpRequest, now: Date): Promise<CertifiedCaller | string> => {
    const [leaf, ...chain] = request.tls.chain;
    if (leaf === undefined) return "no client certificate was shown";
    const own = await authority.caCertificates();
    const common = { leaf, chain, crls, time: now, purpose: "client" } as const;
    const current = verifyChain({ ...common, anchors: own });
    if (current.ok) {
      if (await authority.isRevoked(leaf.facts.serialHex)) return revoked;
      const kind = leaf.facts.extendedKeyUsage?.includes(usageIds.registrar) === true ? "registrar" : "current";
      return { kind, certificate: leaf, anchor: current.chain.at(-1)?.facts.sha256 ?? "" };
    }
    const birth = verifyChain({ ...common, anchors: vendorAnchors });
    if (birth.ok) return { kind: "birth", certificate: leaf, anchor: birth.chain.at(-1)?.facts.sha256 ?? "" };
    const known = [current, birth].find(
      ({ code }) => code !== "trust/unknown-authority" && code !== "trust/self-signed",
    );
    return `the client certificate is refused (${known?.code ?? birth.code})`;
  };

  /** The user, or why there is none; `undefined` when no password was sent. */
  const passworded = async (request: HttpRequest, now: Date): Promise<PasswordAnswer | undefined> => {
    const header = request.headers["authorization"];
    if (header === undefined || users === undefined) return undefined;
    const basic = schemes.includes("basic") ? readBasic(header) : undefined;
    if (basic !== undefined) {
      const record = await users(basic.username);
      return (await isPassword(record, basic)) ? { user: basic.username } : { reason: wrongPassword };
    }
    const digest = readDigest(header);
    if (digest === undefined) return { reason: "the authorization scheme is not offered here" };
    const { username = "", nonce = "", nc = "", cnonce = "", uri = "", response = "", qop = "" } = digest;
    const algorithm = algorithmOf(digest["algorithm"]);
    if (algorithm === undefined || !schemes.includes(algorithm) || qop !== "auth")
      return { reason: "the Digest answer uses a hash or protection that is not offered here" };
    const ha1 = (await users(username))?.digest[algorithm];
    const { method } = request;
    const expected = digestResponse({ algorithm, ha1: ha1 ?? "", method, uri, nonce, nc, cnonce });
    if (ha1 === undefined || uri !== request.path || !same(expected, response)) return { reason: wrongPassword };
    const freshness = nonces.take(nonce, now);
    if (freshness !== "good") return { reason: "the Digest nonce is used up", stale: freshness === "stale" };
    return { user: username };
  };

  return {
    async of(request, now) {
      const certificate = await certified(request, now);
      const password = await passworded(request, now);
      if (password !== undefined && "reason" in password)
        return unauthorized(password.reason, now, password.stale === true);
      if (typeof certificate !== "string") {
        if (password !== undefined) return { ok: true, caller: { ...certificate, user: password.user } };
        return certificateAlone
          ? { ok: true, caller: certificate }
          : unauthorized("a password is needed beside the certificate", now);
      }
      if (certificate === revoked) return { ok: false, status: 403, reason: revoked, challenges: [] };
      if (password === undefined) {
        return passwordAlone
          ? unauthorized(`${certificate}, and no password was given`, now)
          : { ok: false, status: 403, reason: certificate, challenges: [] };
      }
      return passwordAlone
        ? { ok: true, caller: { kind: "password", user: password.user } }
        : { ok: false, status: 403, reason: `${certificate}; a password alone will not do here`, challenges: [] };
    },
  };
}

type PasswordAnswer = { readonly user: string } | { readonly reason: string; readonly stale?: boolean };

/** Whose certificate was taken back is not let in by a password either. */
const revoked = "the client certificate is revoked";
const wrongPassword = "the name or the password is wrong";
