import { connect, parseTarget, type ConnectOptions, type SecurityOptions } from "@cipsec/originator";
import { Identity } from "@cipsec/objects";
import { isStackError } from "@cipsec/wire";

/** One statement about a device, tried out with real connections. */
export interface Proof {
  readonly name: string;
  /** What has to happen, in plain words. */
  readonly expected: string;
  /** What did happen. */
  readonly observed: string;
  readonly holds: boolean;
}

/** Where secrets of sessions go, if anywhere. */
export type KeyLogging = Pick<ConnectOptions, "keyLog">;

/** How somebody tries to get in. */
export type Attempt = { readonly plain: true } | ({ readonly security: SecurityOptions } & KeyLogging);

/** What became of an attempt: the device's serial number was read, or why not. */
export type Outcome =
  | { readonly accepted: true; readonly words: string }
  | { readonly accepted: false; readonly code: string; readonly words: string };

/** Families of errors that mean "the device refused", as against a fault on the way. */
const refusals: readonly string[] = [
  "tls/alert",
  "tls/handshake",
  "trust/refused",
  "transport/refused",
  "transport/closed",
];

/** Milliseconds for a connection on loopback: far above what it takes. */
const patienceMs = 10_000;

/** Tries to connect and to read the device's serial number, which must be the right one. */
export async function tryOut(
  address: string,
  attempt: Attempt,
  serialNumber: number,
  timeoutMs = patienceMs,
): Promise<Outcome> {
  const isPlain = "plain" in attempt;
  const options = { connectTimeoutMs: timeoutMs, requestTimeoutMs: timeoutMs, reconnect: false as const };
  try {
    await using session = await connect(
      parseTarget(`${isPlain ? "eip" : "eips"}://${address}`),
      isPlain ? options : { ...options, ...attempt },
    );
    const read = await session.object(Identity, 1).get("serialNumber");
    const { security } = session.facts;
    const over = security === undefined ? "in the clear" : `over ${security.version} with ${security.suiteName}`;
    if (read !== serialNumber)
      return { accepted: false, code: "bug/unreachable", words: `another device answered: serial number ${read}` };
    return { accepted: true, words: `accepted ${over}` };
  } catch (error) {
    if (!isStackError(error)) throw error;
    return { accepted: false, code: error.code, words: `refused: ${error.message}` };
  }
}

/** Proves that an attempt is refused while the control, right before and after it, is accepted. */
export async function proveRefused(
  name: string,
  expected: string,
  address: string,
  attempt: Attempt,
  control: Attempt,
  serialNumber: number,
): Promise<Proof> {
  const before = await tryOut(address, control, serialNumber);
  const outcome = await tryOut(address, attempt, serialNumber);
  const after = await tryOut(address, control, serialNumber);
  const controlHolds = before.accepted && after.accepted;
  const isRefused = !outcome.accepted && refusals.includes(outcome.code);
  const observed = controlHolds ? outcome.words : `the control failed: ${before.accepted ? after.words : before.words}`;
  return { name, expected, observed, holds: controlHolds && isRefused };
}

/** Proves that an attempt is accepted. */
export async function proveAccepted(
  name: string,
  expected: string,
  address: string,
  attempt: Attempt,
  serialNumber: number,
): Promise<Proof> {
  const outcome = await tryOut(address, attempt, serialNumber);
  return { name, expected, observed: outcome.words, holds: outcome.accepted };
}
