import { CipSecurity, EtherNetIpSecurity, FileEncoding, FileObject } from "@cipsec/objects";
import { listFiles, putFile, type SecurityOptions, type Session } from "@cipsec/originator";
import { crlToPem } from "@cipsec/pki";
import { decode, encode, isStackError, objectPath, CrlPaths } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { control, negative, repeated, type Observation } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { withoutCertificates } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Above any number that a plant's own lists have reached; small enough for every reader. */
const listNumber = 1_000_000;

/** Name of the file that brings the list; nobody else's is called so. */
const listName = "assessment-crl";

/** Connections of ours that end with the change get this long. */
const closeDelayMs = 0;

type Paths = Awaited<ReturnType<typeof readPaths>>;

/** B-1.9, case c: a certificate that is on the device's list is refused, one that is not is let in. */
export const revocation: Check<EndpointSubject> = {
  id: "B-1.9c",
  version: "1.0",
  title: "Revoked certificates are refused",
  requirements: ["CR 1.9"],
  part: "protocol",
  method: "test",
  crossReferences: ["TC_CR1.9_3"],
  needs: ["credentials", "trusted-authority", "administrator", "disruptive"],
  estimateMs: 8000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject) ?? (await withoutCertificates(subject));
    if (without !== undefined) return without;
    const { signer } = subject;
    const now = new Date(subject.clock.wallNow() ?? 0);
    const good = await signer?.make("none", now);
    const revoked = await signer?.make("none", now);
    const [leaf] = revoked?.chain ?? [];
    const list = leaf === undefined ? undefined : await signer?.revoke([leaf], listNumber, now);
    const as = (certificate: SecurityOptions["certificate"]): SecurityOptions => ({
      acceptAny: true,
      ...(certificate === undefined ? {} : { certificate }),
    });
    await using session = await subject.open();
    const before = await readPaths(session);
    const observations: Observation[] = [
      control({
        name: "before it is revoked",
        expected: "let in",
        ...mustAccept(await tryIn(subject, recorder, "before", { sent: "a good certificate", security: as(revoked) })),
      }),
    ];
    await recorder.willChange({ crlPathsHex: Buffer.from(encode(CrlPaths, before)).toString("hex") });
    try {
      if (list !== undefined) await install(session, new TextEncoder().encode(crlToPem(list)));
      observations.push(
        control({
          name: "a certificate that is not on the list",
          expected: "let in",
          ...mustAccept(await tryIn(subject, recorder, "good", { sent: "a good certificate", security: as(good) })),
        }),
        negative({
          name: "c revocation: a certificate that is on the list",
          expected: "refused",
          ...(await repeated(async (run) =>
            mustRefuse(
              await tryIn(subject, recorder, `revoked-${run}`, { sent: "the same certificate", security: as(revoked) }),
            ),
          )),
        }),
      );
    } finally {
      await setPaths(subject, before);
      await recorder.restored();
    }
    await using later = await subject.open();
    const after = await readPaths(later);
    observations.push(
      control({
        name: "put back",
        expected: "the list that was there",
        observed: same(before, after) ? "it is there" : "another one is there",
        holds: same(before, after),
      }),
    );
    return {
      observations,
      howMet: "The device looks each caller's certificate up in its revocation list.",
      conditions: ["a current revocation list is installed (EtherNet/IP Security attribute 8)"],
      limits: ["what the device does when its list is out of date was not tried"],
    };
  },
  async restore(subject, saved) {
    const hex = typeof saved === "object" && saved !== null && "crlPathsHex" in saved ? String(saved.crlPathsHex) : "";
    if (hex !== "") await setPaths(subject, decode(CrlPaths, Buffer.from(hex, "hex")));
  },
};

async function readPaths(session: Session) {
  return await session.object(EtherNetIpSecurity, 1).get("certificateRevocationList");
}

function same(a: Paths, b: Paths): boolean {
  return Buffer.from(encode(CrlPaths, a)).equals(encode(CrlPaths, b));
}

/** Brings a list into the device and makes it the only one. */
async function install(session: Session, pem: Uint8Array): Promise<void> {
  await configure(session, async () => {
    const file = await putFile(session, listName, FileEncoding.pemCrl, pem);
    await session
      .object(EtherNetIpSecurity, 1)
      .set("certificateRevocationList", [objectPath(FileObject.classId, file)]);
  });
}

/** Puts the old lists back; the files of ours, to which nothing refers any more, are deleted by name. */
async function setPaths(subject: EndpointSubject, paths: Paths): Promise<void> {
  await using session = await subject.open();
  const removeOurs = async (): Promise<void> => {
    for (const { instance, instanceName } of await listFiles(session))
      if (instanceName === listName) await session.object(FileObject, instance).call("delete");
  };
  const setBack = async (): Promise<void> =>
    await session.object(EtherNetIpSecurity, 1).set("certificateRevocationList", paths);
  await configure(session, setBack, removeOurs);
}

/** One configuration session around a change; ended by an abort when the change fails, so that nothing of it stays. */
async function configure(
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
    await ethernetIp.call("abortConfig").catch(() => undefined);
    await cip.call("endConfig").catch(() => undefined);
    throw error;
  }
  await afterwards();
  await cip.call("endConfig");
}
