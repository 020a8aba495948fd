import { CertificateManagement, FileObject } from "@cipsec/objects";
import { connect, readFile, type Session } from "@cipsec/originator";
import { parseCertificates, verifyChain, type Certificate } from "@cipsec/pki";
import type { Segment } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { EvidenceRef } from "../../evidence/evidence.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { abandon, mustRefuseRequest, tryOut } from "../configuration.ts";
import type { EndpointSubject } from "../subject.ts";
import { sessionOptions } from "../way.ts";
import { withoutSecurity } from "../without-security.ts";

/** Certificate Management instance that the factory fills. @see CIP Vol 8, 5-5 */
const factoryInstance = 1;

const maxFileOctets = 64 * 1024;

/** B-3.12: the supplier's certificate is this unit's own, vouched for by the supplier, and not to be replaced. */
export const supplierRoot: Check<EndpointSubject> = {
  id: "B-3.12",
  version: "1.0",
  title: "The supplier's certificate is there to stay",
  requirements: ["EDR 3.12", "HDR 3.12", "NDR 3.12"],
  part: "protocol",
  method: "test",
  needs: ["credentials"],
  estimateMs: 3000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    if (subject.posture?.security === null) return behindAnother;
    await using session = await subject.open();
    const chain = await factoryChain(session);
    const evidence = [
      await recorder.settings("factory", {
        chain: chain.map(({ facts }) => ({ subject: facts.subject, issuer: facts.issuer, sha256: facts.sha256 })),
      }),
    ];
    const [own] = chain;
    const observations: Observation[] = [
      control({
        name: "the factory's certificate",
        expected: "read from Certificate Management, instance 1",
        observed: own === undefined ? "there is none" : own.facts.subject,
        holds: own !== undefined,
        evidence,
      }),
      vouchedFor(subject, chain, evidence),
      await ofThisUnit(subject, own, evidence),
    ];
    observations.push(...(await replaceable(subject, session, recorder)));
    return {
      observations,
      howMet:
        "The device has a certificate of its supplier from the factory, which no administrator can replace or delete.",
      limits: [
        "a reset to factory default, which it must survive, was not made",
        "possession of its key is proven in the handshake of a device at factory default only",
      ],
      userAction: "Ask the supplier for the root of its certificates, and by what process they are brought in.",
    };
  },
  async restore(subject) {
    await using session = await subject.open();
    await abandon(session);
  },
};

const behindAnother = {
  observations: [
    capability({
      name: "the factory's certificate",
      expected: "Certificate Management, instance 1",
      observed: "the device has no CIP Security objects: something in front of it offers the channel",
      holds: undefined,
      askedOf: "the maker: the product supplier's roots of trust in the device",
    }),
  ],
} as const;

/** Certificate and authority of the factory's instance, as far as files are there. */
async function factoryChain(session: Session): Promise<readonly Certificate[]> {
  const object = session.object(CertificateManagement, factoryInstance);
  const slots = [await object.get("deviceCertificate"), await object.get("caCertificate")];
  const chain: Certificate[] = [];
  for (const { path } of slots) {
    const file = fileOf(path);
    if (file === undefined) continue;
    chain.push(...parseCertificates(await readFile(session, file, { maxOctets: maxFileOctets })));
  }
  return chain;
}

function fileOf(path: readonly Segment[]): number | undefined {
  const isFile = path.some((one) => one.kind === "class" && one.value === FileObject.classId);
  const instance = path.findLast(({ kind }) => kind === "instance");
  return isFile && instance?.kind === "instance" ? instance.value : undefined;
}

function vouchedFor(
  { supplierRoots, clock }: EndpointSubject,
  [leaf, ...above]: readonly Certificate[],
  evidence: readonly EvidenceRef[],
): Observation {
  const common = { name: "who vouches for it", expected: "the supplier's published root", evidence };
  if (leaf === undefined) return capability({ ...common, observed: "there is no certificate", holds: false });
  if (leaf.facts.selfSigned) return capability({ ...common, observed: "nobody but the device itself", holds: false });
  if (supplierRoots === undefined)
    return capability({
      ...common,
      observed: `${leaf.facts.issuer}; the supplier's root was not given (--supplier-root)`,
      holds: undefined,
    });
  const verdict = verifyChain({
    leaf,
    chain: above,
    anchors: supplierRoots,
    purpose: "server",
    time: new Date(clock.wallNow() ?? 0),
  });
  return capability({
    ...common,
    observed: verdict.ok ? `${leaf.facts.issuer}, up to a root that was given` : verdict.message,
    holds: verdict.ok,
  });
}

async function ofThisUnit(
  subject: EndpointSubject,
  own: Certificate | undefined,
  evidence: readonly EvidenceRef[],
): Promise<Observation> {
  const { second, security } = subject;
  let other: Certificate | undefined;
  if (second !== undefined && security !== undefined) {
    await using session = await connect({ ...second, scheme: "eips" }, { ...sessionOptions(subject), security });
    other = (await factoryChain(session))[0];
  }
  return capability({
    name: "another unit's",
    expected: "another certificate and key",
    observed:
      own === undefined || other === undefined
        ? "there is no second unit to compare with (--second)"
        : `${own.facts.sha256} here, ${other.facts.sha256} there`,
    holds:
      own === undefined || other === undefined
        ? undefined
        : own.facts.sha256 !== other.facts.sha256 && !own.publicKey.equals(other.publicKey),
    evidence,
  });
}

/** Tries to replace and delete it, by one who may change all else. Nothing is made active. */
async function replaceable(
  { disruptive }: EndpointSubject,
  session: Session,
  recorder: Recorder,
): Promise<readonly Observation[]> {
  const object = session.object(CertificateManagement, factoryInstance);
  const attempts = [
    {
      name: "another certificate in its place",
      work: async () => await object.set("deviceCertificate", { status: 0, path: [] }),
    },
    { name: "deleting it", work: async () => await object.call("delete") },
  ];
  if (!disruptive)
    return attempts.map(({ name }) =>
      negative({
        name,
        expected: "refused",
        observed: "not tried: that takes a configuration session (--disruptive)",
        holds: undefined,
      }),
    );
  await recorder.willChange({ configurationSession: true });
  const observations: Observation[] = [];
  try {
    await tryOut(session, async () => {
      for (const { name, work } of attempts)
        observations.push(
          negative({
            name,
            expected: "refused",
            ...(await repeated(
              async (run) => await mustRefuseRequest(recorder, `${name.replaceAll(" ", "-")}-${run}`, name, work),
            )),
          }),
        );
    });
  } finally {
    await recorder.restored();
  }
  return observations;
}
