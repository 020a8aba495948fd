import { Identity } from "@cipsec/objects";
import { connect, type SecurityOptions, type Session } from "@cipsec/originator";
import type { SecurityFacts } from "@cipsec/transport";
import { cipherSuiteText, isStackError } from "@cipsec/wire";
import type { EvidenceRef } from "../evidence/evidence.ts";
import type { Recorder } from "../evidence/recorder.ts";
import type { Try } from "../observation.ts";
import type { EndpointSubject } from "./subject.ts";
import { connectThrough, openRelay, sessionOptions } from "./way.ts";

/** How somebody tries to get in. */
export interface Attempt {
  /** What is special about it, in words that a report prints. */
  readonly sent: string;
  readonly security: SecurityOptions;
  /** TLS over TCP unless said otherwise. */
  readonly over?: "tls" | "dtls";
}

/** What became of it. `unknown`: neither let in nor told no, such as silence or a fault of our own. */
export interface Outcome {
  readonly result: "accepted" | "refused" | "unknown";
  readonly words: string;
  readonly security?: SecurityFacts;
  readonly evidence: readonly EvidenceRef[];
}

/** Families of errors by which the other side says no. */
const refusals: ReadonlySet<string> = new Set([
  "tls/alert",
  "tls/handshake",
  "trust/refused",
  "transport/closed",
  "transport/refused",
]);

/**
 * Tries to get in, and counts it as in only when the device has registered a session and answered a read: in TLS 1.3 a client that
 * is refused believes at first that it is connected. The handshake and all that followed is captured.
 */
export async function tryIn(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  attempt: Attempt,
): Promise<Outcome> {
  subject.signal.throwIfAborted();
  const outcome = await overWay(subject, recorder, name, attempt);
  const record = await recorder.exchange(name, {
    sent: attempt.sent,
    answer: `${outcome.result}: ${outcome.words}`,
    decoded: inputs(attempt, outcome.security),
  });
  return { ...outcome, evidence: [record, ...outcome.evidence] };
}

/** An outcome as a try that must be refused. */
export function mustRefuse({ result, words, evidence }: Outcome): Try {
  return { holds: result === "unknown" ? undefined : result === "refused", observed: `${result}: ${words}`, evidence };
}

/** An outcome as a try that must be let in. */
export function mustAccept({ result, words, evidence }: Outcome): Try {
  return { holds: result === "accepted", observed: `${result}: ${words}`, evidence };
}

async function overWay(subject: EndpointSubject, recorder: Recorder, name: string, attempt: Attempt): Promise<Outcome> {
  const { security, over = "tls" } = attempt;
  await using relay = await openRelay(subject, over);
  if (relay === undefined)
    return await enter(subject, async () => {
      const target = { scheme: "eipd", host: subject.host, port: subject.eips } as const;
      return await connect(target, { ...sessionOptions(subject), security });
    });
  const outcome = await enter(subject, async () => await connectThrough(subject, relay, { security, over }));
  const words = outcome.words.replaceAll(`127.0.0.1:${relay.port}`, `${subject.host}:${subject.eips}`);
  return { ...outcome, words, evidence: [await recorder.capture(name, relay.capture())] };
}

async function enter(subject: EndpointSubject, open: () => Promise<Session>): Promise<Outcome> {
  try {
    await using session = await open();
    const serial = await session.object(Identity, 1).get("serialNumber");
    const facts = session.facts.security;
    const words = `serial number ${serial.toString(16).padStart(8, "0")} read over ${facts?.version ?? ""} ${facts?.suiteName ?? ""}`;
    return { result: "accepted", words, evidence: [], ...(facts === undefined ? {} : { security: facts }) };
  } catch (error) {
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    return {
      result: refusals.has(error.code) ? "refused" : "unknown",
      words: `${error.code}: ${error.message}`,
      evidence: [],
    };
  }
}

/** What the attempt was made with: fingerprints and names, never a key. */
function inputs({ security, over = "tls" }: Attempt, facts: SecurityFacts | undefined): unknown {
  const [leaf] = security.certificate?.chain ?? [];
  return {
    over,
    certificate:
      leaf === undefined
        ? null
        : {
            subject: leaf.facts.subject,
            issuer: leaf.facts.issuer,
            sha256: leaf.facts.sha256,
            notAfter: leaf.facts.notAfter,
          },
    chainLength: security.certificate?.chain.length ?? 0,
    pskIdentity: security.psk === undefined ? null : Buffer.from(security.psk.identity).toString("latin1"),
    suites: security.suites?.map(cipherSuiteText) ?? "all that are known",
    negotiated: facts === undefined ? null : { version: facts.version, suite: facts.suiteName, peer: facts.peer.kind },
  };
}
