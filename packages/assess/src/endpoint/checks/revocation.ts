import { EtherNetIpSecurity, FileEncoding } from "@cipsec/objects";
import type { SecurityOptions, Session } from "@cipsec/originator";
import { crlToPem } from "@cipsec/pki";
import { decode, encode, CrlPaths } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { control, negative, repeated, type Observation } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { withoutCertificates } from "../allowed.ts";
import { bring, configure, removeFiles } from "../configuration.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Above any number that a plant's own lists have reached; small enough for every reader. */
const listNumber = 1_000_000;

/** Names of the files that bring lists begin so; nobody else's do. */
const listName = "assessment-crl";

type Paths = Awaited<ReturnType<typeof readPaths>>;

/** B-1.9, case c: a certificate that is on the device's list is refused, one that is not is let in. */
export const revocation: Check<EndpointSubject> = {
  id: "B-1.9c",
  version: "1.1",
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
    let withOldList = "a list whose next issue is overdue was not tried";
    await recorder.willChange({ crlPathsHex: Buffer.from(encode(CrlPaths, before)).toString("hex") });
    try {
      if (list !== undefined) await install(session, crlToPem(list));
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
      const outdated = leaf === undefined ? undefined : await signer?.revoke([leaf], listNumber + 1, now, true);
      if (outdated !== undefined) await install(session, crlToPem(outdated), `${listName}-overdue`);
      const stale = await tryIn(subject, recorder, "good-stale", {
        sent: "a good certificate, where the list's next issue is overdue",
        security: as(good),
      });
      withOldList = `with a list whose next issue is overdue, a good certificate is ${stale.result}`;
      observations.push(
        negative({
          name: "c revocation: a certificate on a list that is overdue",
          expected: "refused",
          ...(await repeated(async (run) =>
            mustRefuse(
              await tryIn(subject, recorder, `revoked-stale-${run}`, {
                sent: "the revoked certificate, where the list's next issue is overdue",
                security: as(revoked),
              }),
            ),
          )),
        }),
      );
    } finally {
      // A device may let nobody in while its list is overdue: the session that is open is the way back.
      await setPaths(session, before).catch(async () => await setAnew(subject, before));
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
      limits: [withOldList],
    };
  },
  async restore(subject, saved) {
    const hex = typeof saved === "object" && saved !== null && "crlPathsHex" in saved ? String(saved.crlPathsHex) : "";
    if (hex !== "") await setAnew(subject, decode(CrlPaths, Buffer.from(hex, "hex")));
  },
};

async function readPaths(session: Session) {
  return await session.object(EtherNetIpSecurity, 1).get("certificateRevocationList");
}

function same(a: Paths, b: Paths): boolean {
  return Buffer.from(encode(CrlPaths, a)).equals(encode(CrlPaths, b));
}

/** Brings a list into the device and makes it the only one. */
async function install(session: Session, pem: string, name = listName): Promise<void> {
  await configure(session, async () => {
    const path = await bring(session, name, FileEncoding.pemCrl, pem);
    await session.object(EtherNetIpSecurity, 1).set("certificateRevocationList", [path]);
  });
}

/** Puts the old lists back, and removes ours. */
async function setPaths(session: Session, paths: Paths): Promise<void> {
  await configure(
    session,
    async () => await session.object(EtherNetIpSecurity, 1).set("certificateRevocationList", paths),
    async () => await removeFiles(session, (name) => name.startsWith(listName)),
  );
}

async function setAnew(subject: EndpointSubject, paths: Paths): Promise<void> {
  await using session = await subject.open();
  await setPaths(session, paths);
}
