import { CipSecurity, EtherNetIpSecurity, FileObject, type FileEncoding } from "@cipsec/objects";
import { cipStatusOf, connect, listFiles, putFile, type SecurityOptions, type Session } from "@cipsec/originator";
import { isStackError, objectPath, type Segment } from "@cipsec/wire";
import type { Recorder } from "../evidence/recorder.ts";
import type { Try } from "../observation.ts";
import type { EndpointSubject } from "./subject.ts";
import { sessionOptions } from "./way.ts";

/** Connections of ours that end with the change get this long. */
const closeDelayMs = 0;

/** One configuration session around a change; ended by an abort when the change fails, so that nothing of it stays. */
export async function configure(
  session: Session,
  change: () => Promise<void>,
  afterwards: () => Promise<void> = async () => undefined,
): Promise<void> {
  const cip = session.object(CipSecurity, 1);
  const ethernetIp = session.object(EtherNetIpSecurity, 1);
  await cip.call("beginConfig");
  try {
    await ethernetIp.call("beginConfig");
    await change();
    await ethernetIp.call("applyConfig", { flags: 0, closeDelayMs });
  } catch (error) {
    if (!isStackError(error)) throw error;
    await abandon(session);
    throw error;
  }
  await afterwards();
  await cip.call("endConfig");
}

/** One configuration session whose changes are dropped, whatever comes of them. */
export async function tryOut<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.object(CipSecurity, 1).call("beginConfig");
  try {
    await session.object(EtherNetIpSecurity, 1).call("beginConfig");
    return await work();
  } finally {
    await abandon(session);
  }
}

/** Drops what is pending and ends the configuration session; harmless where there is none. */
export async function abandon(session: Session): Promise<void> {
  await quietly(session.object(EtherNetIpSecurity, 1).call("abortConfig"));
  await quietly(session.object(CipSecurity, 1).call("endConfig"));
}

/** Waits for a request that a device may refuse. */
export async function quietly(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!isStackError(error)) throw error;
  });
}

/** Brings a file into the device, inside a configuration session. @returns The path of its instance. */
export async function bring(
  session: Session,
  name: string,
  encoding: (typeof FileEncoding)[keyof typeof FileEncoding],
  text: string,
): Promise<readonly Segment[]> {
  return objectPath(FileObject.classId, await putFile(session, name, encoding, new TextEncoder().encode(text)));
}

/** Deletes the files of ours, to which nothing refers any more, by name. */
export async function removeFiles(session: Session, isOurs: (name: string) => boolean): Promise<void> {
  for (const { instance, instanceName } of await listFiles(session))
    if (isOurs(instanceName)) await quietly(session.object(FileObject, instance).call("delete"));
}

/** Asks for something that the device must refuse by a CIP status. Anything else that goes wrong says nothing. */
export async function mustRefuseRequest(
  recorder: Recorder,
  name: string,
  sent: string,
  attempt: () => Promise<unknown>,
): Promise<Try> {
  let observed = "it was done";
  let holds: boolean | undefined = false;
  try {
    await attempt();
  } catch (error) {
    if (!isStackError(error)) throw error;
    observed = error.message;
    holds = cipStatusOf(error) === undefined ? undefined : true;
  }
  return { holds, observed, evidence: [await recorder.exchange(name, { sent, answer: observed })] };
}

/**
 * Asks for a change over a channel that must not allow it: by one who proves nothing, or over the plain port. Holds when there is no
 * session at all, and when the device answers no.
 */
export async function mustRefuseOver(
  subject: EndpointSubject,
  recorder: Recorder,
  name: string,
  [scheme, security]: readonly ["eip"] | readonly ["eips", SecurityOptions],
  sent: string,
  change: (session: Session) => Promise<unknown>,
): Promise<Try> {
  const { host, eip, eips } = subject;
  let session: Session;
  try {
    session = await connect(
      { scheme, host, port: scheme === "eip" ? eip : eips },
      { ...sessionOptions(subject), ...(security === undefined ? {} : { security }) },
    );
  } catch (error) {
    subject.signal.throwIfAborted();
    if (!isStackError(error)) throw error;
    const observed = `no session: ${error.code}`;
    const holds = error.code === "transport/timeout" ? undefined : true;
    return { holds, observed, evidence: [await recorder.exchange(name, { sent, answer: observed })] };
  }
  await using opened = session;
  try {
    return await mustRefuseRequest(recorder, name, sent, async () => await change(opened));
  } finally {
    await abandon(opened);
  }
}

/** The channels that must not allow a change, in words. */
export const forbiddenWays = [
  { name: "by one who proves nothing, over TLS", way: ["eips", { acceptAny: true }] },
  { name: "over the plain port", way: ["eip"] },
] as const;
