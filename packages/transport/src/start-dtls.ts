import { randomBytes } from "node:crypto";
import type { DtlsEndpoint, Remote } from "@cipsec/dtls";
import { Command, Encapsulation, EncapsulationStatus, PeerError, TransportError, decode, frame } from "@cipsec/wire";
import type { Frame } from "@cipsec/wire";
import { systemClock } from "./clock.ts";
import type { Cancel } from "./clock.ts";

/** Milliseconds from one request to the next, while none is answered; doubled each time. */
const firstWaitMs = 250;

/** Who is asked, and how long. */
export interface StartDtlsOptions {
  readonly endpoint: Pick<DtlsEndpoint, "sendPlain">;
  readonly remote: Remote;
  readonly where: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Sets who gets datagrams that are no DTLS. */
  readonly listen: (receive: (bytes: Uint8Array, from: Remote) => void) => void;
}

/**
 * Sends StartDTLS until it is answered; what the two ends say from then on is DTLS. Anybody can forge the answer, which then leads
 * to a handshake that fails, and nothing else.
 *
 * @throws {PeerError} `encap/status` when the other side does not do it.
 * @throws {TransportError} `transport/timeout` without an answer.
 * @see reference cip-security.md 2.1
 */
export async function startDtls(options: StartDtlsOptions): Promise<void> {
  const { endpoint, remote, where, timeoutMs, signal, listen } = options;
  const context = new Uint8Array(randomBytes(8));
  const request = frame(Command.startDtls, { session: 0, context });
  let cancelResend: Cancel = () => undefined;
  const send = (waitMs: number): void => {
    endpoint.sendPlain(request, remote);
    cancelResend = systemClock.after(waitMs, () => send(waitMs * 2));
  };
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const cancel = systemClock.after(timeoutMs, () =>
    reject(
      new TransportError("transport/timeout", `${where}: no answer to StartDTLS within ${timeoutMs} ms`, {
        facts: { where, phase: "start-dtls", timeoutMs },
        fix: "Ask whether the device does StartDTLS on UDP 44818; most take DTLS on UDP 2221 (eipd://HOST).",
      }),
    ),
  );
  const aborted = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", aborted, { once: true });
  listen((bytes, from) => {
    if (from.address !== remote.address || from.port !== remote.port) return;
    const reply = parse(bytes);
    const isAnswer = reply?.command === Command.startDtls && Buffer.compare(reply.context, context) === 0;
    if (isAnswer) resolve(reply.status);
  });
  try {
    send(firstWaitMs);
    const status = await promise;
    if (status === EncapsulationStatus.success) return;
    throw new PeerError("encap/status", `${where}: StartDTLS is refused with encapsulation status ${status}`, {
      facts: { where, status },
      fix: "Take DTLS on UDP 2221 (eipd://HOST), or switch StartDTLS on in the device.",
    });
  } finally {
    cancel();
    cancelResend();
    signal?.removeEventListener("abort", aborted);
    listen(() => undefined);
  }
}

function parse(bytes: Uint8Array): Frame | undefined {
  try {
    return decode(Encapsulation, bytes);
  } catch {
    return undefined;
  }
}
