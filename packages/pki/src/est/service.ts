import { randomBytes } from "node:crypto";
import { parseCsr } from "../csr.ts";
import { PeerError, PkiError, StateError, TransportError, TrustError, UsageError } from "../errors.ts";
import { printable } from "../names.ts";
import { writePkcs7 } from "../pkcs7.ts";
import { writeCsrAttributes } from "./attributes.ts";
import type { EstAuthority } from "./authority.ts";
import { makeCallers, type CallerOptions } from "./callers.ts";
import { answerDocument, type Documents } from "./documents.ts";
import { readBody, writeBody } from "./encoding.ts";
import { enrol, type EnrolResult, type EnrolTools } from "./enrol.ts";
import { media, readPath, type HttpAnswer, type HttpRequest, type Operation } from "./http.ts";
import { keyParts, type KeyDelivery } from "./key-delivery.ts";
import { defaultEstLimits, RateLimiter, type EstLimits } from "./limits.ts";
import { writeMultipart } from "./multipart.ts";
import { same } from "./auth.ts";
import { ruleFor, type Caller } from "./policy.ts";

/** What an EST server is made of. */
export interface EstServiceOptions extends EnrolTools {
  /** The authority without a label. */
  readonly authority: EstAuthority;
  /** Further authorities (or the same one again) by label. */
  readonly labels?: Readonly<Record<string, EstAuthority>>;
  readonly callers: CallerOptions;
  /** `required`: a request that is not linked to its TLS session is refused; default `checked`: only a wrong link is. */
  readonly linking?: "required" | "checked";
  /** Absent: keys are not made here. */
  readonly keyDelivery?: KeyDelivery;
  readonly limits?: Partial<EstLimits>;
  /** What else is handed out at this server, to everybody: revocation lists. */
  readonly documents?: Documents;
  /** Told what happened; its errors are the caller's. */
  readonly onEvent?: (event: EstEvent) => void;
}

/** One line of what an EST server did. Nothing in it is secret. */
export interface EstEvent {
  readonly at: Date;
  readonly address: string;
  readonly operation: Operation;
  readonly label: string | undefined;
  readonly outcome: "issued" | "pending" | "refused" | "failed";
  readonly identity?: string;
  readonly id?: string;
  readonly serial?: string;
  readonly reason?: string;
  /** What failed, for the operator: the client is told less. */
  readonly error?: unknown;
}

/** An EST server without its sockets: answers whole requests. */
export interface EstService {
  readonly limits: EstLimits;
  handle(request: HttpRequest): Promise<HttpAnswer>;
}

/**
 * Makes an EST server.
 *
 * @see RFC 7030; RFC 8951; RFC 9908
 */
export function makeEstService(options: EstServiceOptions): EstService {
  const { now, authority, labels = {}, linking = "checked", onEvent } = options;
  const limits = { ...defaultEstLimits, ...options.limits };
  const rate = new RateLimiter(limits.burst, limits.perMinute);
  const failures = new RateLimiter(limits.failures, limits.failures);
  const byLabel = new Map(
    [["", authority] as const, ...Object.entries(labels)].map(([label, one]) => [
      label,
      { authority: one, callers: makeCallers(options.callers, one) },
    ]),
  );

  const enrolment = async (
    request: HttpRequest,
    operation: Operation,
    label: string | undefined,
    { authority: above, callers }: Served,
  ): Promise<HttpAnswer> => {
    const at = now();
    const tell = (outcome: EstEvent["outcome"], more: Partial<EstEvent> = {}): void =>
      onEvent?.({ at, address: request.address, operation, label, outcome, ...more });
    if (!failures.has(request.address, at)) return tooMany(failures.take(request.address, at));
    try {
      const who = await callers.of(request, at);
      if (!who.ok) {
        const { status, reason, challenges } = who;
        const isAttempt = request.headers["authorization"] !== undefined || status === 403;
        if (isAttempt) failures.take(request.address, at);
        tell("refused", { reason });
        return text(status, reason, challenges.length === 0 ? {} : { "www-authenticate": challenges });
      }
      const csr = parseCsr(readBody(request.body).der);
      const unlinked = linkProblem(who.caller, csr.challengePassword, request.tls.binding, linking);
      if (unlinked !== undefined) {
        tell("refused", { reason: unlinked });
        return text(403, unlinked);
      }
      const deliver =
        operation === "serverkeygen" ? keyParts(options.keyDelivery, csr, request.tls.chain[0]) : undefined;
      const asked = { operation, label, caller: who.caller, request: csr, address: request.address };
      const result = await enrol(options, above, asked);
      tell(result.status, eventOf(result));
      if (result.status === "refused") return text(403, result.reason);
      if (result.status === "pending") {
        const { retryAfterS } = result;
        return text(202, "the request waits to be approved", { "retry-after": `${retryAfterS}` });
      }
      const body = writeBody(writePkcs7({ certificates: result.chain.slice(0, 1).map(({ der }) => der) }));
      if (deliver === undefined || result.keys === undefined) return answer(200, media.certificates, body);
      const parts = [deliver(result.keys.privateKey), { type: media.certificates, body }];
      const multipart = writeMultipart(parts, `cipsec-${randomBytes(12).toString("hex")}`);
      return answer(200, multipart.type, multipart.body, { "cache-control": "no-store" });
    } catch (error) {
      const failed = failure(error);
      tell("failed", { reason: failed.reason, error });
      return text(failed.status, failed.reason, failed.status === 503 ? { "retry-after": "30" } : {});
    }
  };

  return {
    limits,
    async handle(request) {
      const wait = rate.take(request.address, now());
      if (wait > 0) return tooMany(wait);
      const { operation, label } = readPath(request.path) ?? { operation: "other", label: undefined };
      const chosen = byLabel.get(label ?? "");
      if (operation === "other" || chosen === undefined) return await publicOr404(options.documents, request);
      const isRead = operation === "cacerts" || operation === "csrattrs";
      const allowed = isRead ? ["GET", "HEAD"] : ["POST"];
      if (!allowed.includes(request.method))
        return text(405, `${operation} takes ${allowed.join(" or ")}`, { allow: allowed.join(", ") });
      if (operation === "serverkeygen" && options.keyDelivery === undefined)
        return text(404, "keys are not made by this server");
      try {
        if (operation === "cacerts") {
          const certificates = await chosen.authority.caCertificates();
          const body = writeBody(writePkcs7({ certificates: certificates.map(({ der }) => der) }));
          return answer(200, media.caCertificates, body);
        }
        if (operation === "csrattrs") {
          const at = now();
          // A wish may tell whether a password was right: guesses count here as they do where something is asked for.
          const isGuess = request.headers["authorization"] !== undefined;
          if (isGuess && !failures.has(request.address, at)) return tooMany(failures.take(request.address, at));
          const who = await chosen.callers.of(request, at);
          if (isGuess && !who.ok) failures.take(request.address, at);
          const rule = who.ok ? ruleFor(options.policy(), { operation, label, caller: who.caller }) : undefined;
          const keyKind = rule?.keyKind;
          const wish = writeCsrAttributes({
            challenge: linking === "required",
            template: options.policy().templates === true,
            ...(keyKind === undefined ? {} : { keyKind }),
          });
          return wish === undefined
            ? { status: 204, headers: {}, body: "" }
            : answer(200, media.attributes, writeBody(wish));
        }
      } catch (error) {
        const { status, reason } = failure(error);
        return text(status, reason);
      }
      return await enrolment(request, operation, label, chosen);
    },
  };
}

async function publicOr404(documents: Documents | undefined, request: HttpRequest): Promise<HttpAnswer> {
  try {
    const found = await answerDocument(documents, request);
    return found ?? text(404, "there is no such EST operation or label here");
  } catch (error) {
    const { status, reason } = failure(error);
    return text(status, reason);
  }
}

/** What stands behind a label. */
interface Served {
  readonly authority: EstAuthority;
  readonly callers: ReturnType<typeof makeCallers>;
}

/** A request may be linked to the TLS session that carries it; a registrar's was made in another one. @see RFC 7030 3.5, 3.7 */
function linkProblem(
  caller: Caller,
  challenge: string | undefined,
  binding: string | undefined,
  linking: "required" | "checked",
): string | undefined {
  if (caller.kind === "registrar") return undefined;
  if (challenge === undefined)
    return linking === "required"
      ? "the request has to be linked to the TLS session: put its channel binding into the challenge password"
      : undefined;
  return binding !== undefined && same(challenge, binding)
    ? undefined
    : "the request is linked to another TLS session: its challenge password is not this session's channel binding";
}

function eventOf(result: EnrolResult): Partial<EstEvent> {
  const { identity } = result;
  if (result.status === "refused") return { identity, reason: result.reason };
  if (result.status === "pending") return { identity, id: result.id };
  const [leaf] = result.chain;
  return { identity, ...(leaf === undefined ? {} : { serial: leaf.facts.serialHex }) };
}

/** What is wrong with a request; other errors may speak of the server's folders. */
const clientsFault: readonly string[] = ["usage/csr", "usage/encoding", "usage/argument", "usage/key", "trust/weak"];

/** Who has to act: the client with 400, the operator with 500 and 503, the authority above with 502. */
function failure(error: unknown): { readonly status: number; readonly reason: string } {
  if (error instanceof StateError) return { status: 503, reason: "the server cannot store anything at the moment" };
  if (error instanceof PeerError || error instanceof TransportError)
    return { status: 502, reason: "the authority behind this server refuses or does not answer" };
  if (error instanceof PkiError && clientsFault.includes(error.code)) return { status: 400, reason: error.message };
  if (error instanceof UsageError && error.code === "usage/est") return { status: 503, reason: error.message };
  return { status: 500, reason: error instanceof TrustError ? error.message : "a fault of the server" };
}

function tooMany(seconds: number): HttpAnswer {
  return text(429, "too many requests from this address", { "retry-after": `${Math.max(1, seconds)}` });
}

/** Content-Transfer-Encoding means nothing in HTTP (RFC 8951 3.1), and some clients do not read base64 without it. */
function answer(
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  const encoding = type.startsWith("multipart/") ? {} : { "content-transfer-encoding": "base64" };
  return { status, headers: { "content-type": type, ...encoding, ...headers }, body };
}

function text(status: number, reason: string, headers: HttpAnswer["headers"] = {}): HttpAnswer {
  return { status, headers: { "content-type": media.text, ...headers }, body: `${printable(reason, 500)}\n` };
}
