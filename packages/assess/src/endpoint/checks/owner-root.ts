import { CipSecurity, EtherNetIpSecurity, FileEncoding } from "@cipsec/objects";
import type { SecurityOptions, Session } from "@cipsec/originator";
import { toPem } from "@cipsec/pki";
import { decode, encode, PathList, type Value } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { withoutCertificates } from "../allowed.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { bring, configure, forbiddenWays, mustRefuseOver, removeFiles } from "../configuration.ts";
import { needs } from "../../need.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Name of the file that brings the other authority; nobody else's is called so. */
const fileName = "assessment-authority";

/** B-3.13: the owner brings in a root of trust, and takes it out again; nobody else does. */
export const ownerRoot: Check<EndpointSubject> = {
  id: "B-3.13",
  version: "1.0",
  title: "The owner decides whom the device trusts, and nobody else",
  requirements: ["EDR 3.13", "HDR 3.13", "NDR 3.13"],
  part: "protocol",
  method: "test",
  needs: ["credentials", "trusted-authority", "administrator", "disruptive"],
  estimateMs: 5000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject) ?? (await withoutCertificates(subject));
    if (without !== undefined) return without;
    const { signer, security = {} } = subject;
    const other = await signer?.makeOther(new Date(subject.clock.wallNow() ?? 0));
    const asOther: SecurityOptions = {
      acceptAny: true,
      ...(other === undefined ? {} : { certificate: other.identity }),
    };
    const refusedOther = async (when: string): Promise<Awaited<ReturnType<typeof repeated>>> =>
      await repeated(async (run) =>
        mustRefuse(
          await tryIn(subject, recorder, `${when}-${run}`, {
            sent: "a certificate of another authority",
            security: asOther,
          }),
        ),
      );
    await using session = await subject.open();
    const before = await session.object(EtherNetIpSecurity, 1).get("trustedAuthorities");
    const observations: Observation[] = [
      negative({ name: "before it is trusted", expected: "refused", ...(await refusedOther("before")) }),
    ];
    await recorder.willChange({ authoritiesHex: Buffer.from(encode(PathList, before)).toString("hex") });
    try {
      if (other !== undefined)
        await configure(session, async () => {
          const path = await bring(session, fileName, FileEncoding.pemCertificate, toPem(other.authority));
          await session.object(EtherNetIpSecurity, 1).set("trustedAuthorities", [...before, path]);
        });
      observations.push(
        capability({
          name: "another authority is brought in",
          expected: "who it vouches for is let in",
          ...mustAccept(
            await tryIn(subject, recorder, "trusted", {
              sent: "a certificate of the other authority, which is trusted now",
              security: asOther,
            }),
          ),
        }),
        control({
          name: "the trusted caller beside it",
          expected: "let in",
          ...mustAccept(
            await tryIn(subject, recorder, "owner", { sent: "the trusted caller's credentials", security }),
          ),
        }),
      );
    } finally {
      await setAuthorities(session, before);
      await recorder.restored();
    }
    await using later = await subject.open();
    const after = await later.object(EtherNetIpSecurity, 1).get("trustedAuthorities");
    const isSame = Buffer.from(encode(PathList, after)).equals(encode(PathList, before));
    observations.push(
      negative({ name: "after it is taken out", expected: "refused", ...(await refusedOther("after")) }),
      control({
        name: "put back",
        expected: "the authorities that were there",
        observed: isSame ? "they are there" : "others are there",
        holds: isSame,
      }),
    );
    for (const { name, way } of forbiddenWays)
      observations.push(
        negative({
          name,
          expected: "no way to begin a configuration session",
          ...(await repeated(
            async (run) =>
              await mustRefuseOver(
                subject,
                recorder,
                `${way[0]}-${run}`,
                way,
                `Begin_Config over ${way[0]}`,
                async (over) => await over.object(CipSecurity, 1).call("beginConfig"),
              ),
          )),
        }),
      );
    if (subject.posture?.security?.profiles.some((profile) => /user/i.test(profile)) === true)
      observations.push(
        capability({
          name: "by an operator",
          expected: "refused",
          observed: needs.users,
          holds: undefined,
          askedOf: "the maker: which role may change roots of trust",
        }),
      );
    return {
      observations,
      howMet:
        "An administrator brings roots of trust in by the device's own objects, without anybody else's service, and takes them out; a caller who proves nothing cannot.",
      limits: ["whether the device speaks to anybody outside meanwhile is seen on its own link only"],
    };
  },
  async restore(subject, saved) {
    const hex =
      typeof saved === "object" && saved !== null && "authoritiesHex" in saved ? String(saved.authoritiesHex) : "";
    if (hex === "") return;
    await using session = await subject.open();
    await setAuthorities(session, decode(PathList, Buffer.from(hex, "hex")));
  },
};

async function setAuthorities(session: Session, paths: Value<typeof PathList>): Promise<void> {
  await configure(
    session,
    async () => await session.object(EtherNetIpSecurity, 1).set("trustedAuthorities", paths),
    async () => await removeFiles(session, (name) => name === fileName),
  );
}
