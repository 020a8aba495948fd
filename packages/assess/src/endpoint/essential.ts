import { openIo, type IoConnection, type IoRequest, type Session } from "@cipsec/originator";
import { isStackError, timeoutFactor } from "@cipsec/wire";
import type { EndpointSubject } from "./subject.ts";
import { waitFor } from "./waiting.ts";
import { connectForIo } from "./way.ts";

/** The I/O connection that must go on while something is done to the device, with outputs of zeros. */
export interface Essential extends AsyncDisposable {
  /** The one whose way its packets go. */
  readonly session: Session;
  readonly connection: IoConnection;
}

/** The least time without packets that ends it, microseconds: a tester that is held up is no fault of the device. */
const leastTimeoutMicros = 2_000_000;

/** New packets that show that a connection goes on, and the least time they may take: a slow machine is no fault of the device. */
const somePackets = 3;
const leastMs = 5000;

/** Opens the I/O connection that was given. @returns Why there is none, where there is none. */
export async function openEssential(subject: EndpointSubject): Promise<Essential | string> {
  const { io } = subject;
  if (io === undefined) return "no I/O connection was given (--eds, or --o-to-t and --t-to-o)";
  let session: Session | undefined;
  try {
    session = await connectForIo(subject);
    const connection = await openIo(session, patient(io), { run: true });
    const opened = session;
    return {
      session,
      connection,
      async [Symbol.asyncDispose]() {
        await connection.close();
        await opened.close();
      },
    };
  } catch (error) {
    await session?.close();
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    return `the I/O connection was not opened: ${error.code}: ${error.message}`;
  }
}

/** A connection that outlasts a tester who is held up, as far as the greatest multiplier does. */
export function patient(io: IoRequest): IoRequest {
  const quicker = Math.min(io.oToT.rpiMicros, io.tToO.rpiMicros);
  const enough = [0, 1, 2, 3, 4, 5, 6].find((one) => quicker * (timeoutFactor(one) ?? 0) >= leastTimeoutMicros) ?? 7;
  return { ...io, timeoutMultiplier: Math.max(io.timeoutMultiplier ?? 0, enough) };
}

/** Whether a connection is open, and packets of the device still come. */
export async function goesOn(subject: EndpointSubject, { connection }: Essential): Promise<boolean> {
  const { received } = connection.statistics();
  const isHeard = (): boolean => connection.statistics().received >= received + somePackets;
  const limitMs = Math.max(leastMs, (10 * connection.granted.tToOApiMicros) / 1000);
  await waitFor(subject, limitMs, () => !connection.isOpen || isHeard());
  return connection.isOpen && isHeard();
}
