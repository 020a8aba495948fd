import { EtherNetIpSecurity, FileEncoding } from "@cipsec/objects";
import type { SecurityOptions } from "@cipsec/originator";
import { toPem } from "@cipsec/pki";
import { encode, PathList } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { control, negative, repeated, type Observation } from "../../observation.ts";
import { withoutCertificates } from "../allowed.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { bring, configure } from "../configuration.ts";
import type { EndpointSubject } from "../subject.ts";
import { identityFile, restoreIdentities, savedIdentities, setIdentities } from "../trusted-identities.ts";
import { withoutSecurity } from "../without-security.ts";

/** B-1.9, case b: where the device has a list of the peers it accepts, a good certificate that is not on it is refused. */
export const pinning: Check<EndpointSubject> = {
  id: "B-1.9p",
  version: "1.0",
  title: "Where peers are listed, others are refused",
  requirements: ["CR 1.9"],
  part: "protocol",
  method: "test",
  needs: ["credentials", "trusted-authority", "administrator", "disruptive"],
  estimateMs: 4000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject) ?? (await withoutCertificates(subject));
    if (without !== undefined) return without;
    const { signer, security = {} } = subject;
    const [own] = security.certificate?.chain ?? [];
    const good = await signer?.make("none", new Date(subject.clock.wallNow() ?? 0));
    const asUnlisted: SecurityOptions = { acceptAny: true, ...(good === undefined ? {} : { certificate: good }) };
    const unlisted = async (name: string) =>
      await tryIn(subject, recorder, name, { sent: "a good certificate that is not listed", security: asUnlisted });
    await using session = await subject.open();
    const before = await session.object(EtherNetIpSecurity, 1).get("trustedIdentities");
    const observations: Observation[] = [];
    if (before.length === 0)
      observations.push(
        control({ name: "before there is a list", expected: "let in", ...mustAccept(await unlisted("before")) }),
      );
    await recorder.willChange(savedIdentities(before));
    try {
      if (own !== undefined)
        await configure(session, async () => {
          const path = await bring(session, identityFile, FileEncoding.pemCertificate, toPem(own));
          await session.object(EtherNetIpSecurity, 1).set("trustedIdentities", [...before, path]);
        });
      observations.push(
        control({
          name: "a certificate that is listed",
          expected: "let in",
          ...mustAccept(
            await tryIn(subject, recorder, "listed", { sent: "the trusted caller's certificate", security }),
          ),
        }),
        negative({
          name: "b chain: a good certificate that is not listed",
          expected: "refused",
          ...(await repeated(async (run) => mustRefuse(await unlisted(`unlisted-${run}`)))),
        }),
      );
    } finally {
      await setIdentities(session, before);
      await recorder.restored();
    }
    await using later = await subject.open();
    const after = await later.object(EtherNetIpSecurity, 1).get("trustedIdentities");
    const isSame = Buffer.from(encode(PathList, after)).equals(encode(PathList, before));
    observations.push(
      control({
        name: "put back",
        expected: "the list that was there",
        observed: isSame ? "it is there" : "another one is there",
        holds: isSame,
      }),
    );
    return {
      observations,
      howMet: "Beside the chain the device looks at a list of the only peers it accepts, where there is one.",
      conditions: [
        before.length === 0
          ? "the device accepts every trusted peer (EtherNet/IP Security attribute 12 is empty)"
          : `the device accepts ${before.length} listed peers only (EtherNet/IP Security attribute 12)`,
      ],
    };
  },
  restore: restoreIdentities,
};
