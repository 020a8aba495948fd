import { EtherNetIpSecurity } from "@cipsec/objects";
import type { Session } from "@cipsec/originator";
import { decode, encode, PathList, type Value } from "@cipsec/wire";
import type { Recorder } from "../evidence/recorder.ts";
import { configure, removeFiles } from "./configuration.ts";
import type { EndpointSubject } from "./subject.ts";

/** Name of the file that brings our own certificate; nobody else's is called so. */
export const identityFile = "assessment-identity";

/** The list of the only peers that a device accepts. */
export type TrustedIdentities = Value<typeof PathList>;

/** The list in a form that a run's folder keeps. */
export function savedIdentities(identities: TrustedIdentities): { readonly identitiesHex: string } {
  return { identitiesHex: Buffer.from(encode(PathList, identities)).toString("hex") };
}

/** Makes this the list, and takes away what was brought for another one. */
export async function setIdentities(session: Session, identities: TrustedIdentities): Promise<void> {
  await configure(
    session,
    async () => await session.object(EtherNetIpSecurity, 1).set("trustedIdentities", identities),
    async () => await removeFiles(session, (name) => name === identityFile),
  );
}

/** Puts a list back that {@link savedIdentities} has kept. */
export async function restoreIdentities(subject: EndpointSubject, saved: unknown): Promise<void> {
  const hex =
    typeof saved === "object" && saved !== null && "identitiesHex" in saved ? String(saved.identitiesHex) : "";
  if (hex === "") return;
  await using session = await subject.open();
  await setIdentities(session, decode(PathList, Buffer.from(hex, "hex")));
}

/** Does something while the device accepts every trusted peer, and puts its list back. */
export async function withoutList<T>(subject: EndpointSubject, recorder: Recorder, work: () => Promise<T>): Promise<T> {
  await using session = await subject.open();
  const before = await session.object(EtherNetIpSecurity, 1).get("trustedIdentities");
  await recorder.willChange(savedIdentities(before));
  try {
    await setIdentities(session, []);
    return await work();
  } finally {
    await setIdentities(session, before);
    await recorder.restored();
  }
}
