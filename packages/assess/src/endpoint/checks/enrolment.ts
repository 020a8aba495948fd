import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  FileEncoding,
  FileObject,
  PullModelStatus,
  VerifyTarget,
} from "@cipsec/objects";
import { cipStatusOf, putFile, readFile, type Session } from "@cipsec/originator";
import { makeKeyPair, parseCsr, toPem, type Certificate } from "@cipsec/pki";
import { CertificateState, EtherNetIpSecurityState, isStackError, objectPath } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { abandon, mustRefuseRequest, quietly, removeFiles } from "../configuration.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Name of what the check makes on the device, and removes. */
const name = "assessment";

/** Making a key takes a small device some time. */
const keyMs = 30_000;

const csrWish = {
  commonName: name,
  organization: "",
  organizationalUnit: "",
  locality: "",
  state: "",
  country: "",
  email: "",
  serialNumber: "",
  subjectAltName: undefined,
} as const;

/** B-1.8, push: the device makes a key, asks for its certificate, and takes only one that fits. Nothing of it is made active. */
export const enrolment: Check<EndpointSubject> = {
  id: "B-1.8",
  version: "1.2",
  title: "The device enrols by push, and takes only its own certificate",
  requirements: ["CR 1.8"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.8_1"],
  needs: ["credentials", "trusted-authority", "administrator", "disruptive"],
  estimateMs: 4000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const { signer, posture } = subject;
    const now = new Date(subject.clock.wallNow() ?? 0);
    const observations: Observation[] = [];
    await using session = await subject.open();
    // A configuration session stops the pull model: it is looked at before.
    const pull = await pullModel(session, recorder, posture);
    // Before the configuration session, which a device ends when nothing is said in it.
    const { publicKey } = await makeKeyPair();
    await recorder.willChange({ made: name });
    try {
      await session.object(CipSecurity, 1).call("beginConfig");
      await session.object(EtherNetIpSecurity, 1).call("beginConfig");
      const instance = await session.class(CertificateManagement).call("create", name);
      const object = session.object(CertificateManagement, instance);
      observations.push(
        control({
          name: "a place for a certificate",
          expected: "made",
          observed: `instance ${instance}`,
          holds: instance > 1,
        }),
      );
      const path = await object.call("createCsr", csrWish, { timeoutMs: keyMs });
      const file = path.findLast(({ kind }) => kind === "instance");
      const bytes = await readFile(session, file?.kind === "instance" ? file.value : 0, { maxOctets: 64 * 1024 });
      // Parsing checks the request's own signature: the device has the key.
      const csr = parseCsr(bytes);
      const evidence = [await recorder.file("request.pem", csr.pem)];
      observations.push(
        capability({
          name: "a certificate request",
          expected: "sound, and signed by a key of the device",
          observed: "sound",
          holds: true,
          evidence,
        }),
        negative({
          name: "a request on the factory's own instance",
          expected: "refused (status 0x0C)",
          ...(await repeated(
            async (run) =>
              await mustRefuseRequest(
                recorder,
                `factory-instance-${run}`,
                "Create_CSR on instance 1",
                async () =>
                  await session.object(CertificateManagement, 1).call("createCsr", csrWish, { timeoutMs: keyMs }),
              ),
          )),
        }),
      );
      if (signer !== undefined) {
        const other = await signer.sign(publicKey, now);
        const own = await signer.sign(csr.publicKey, now);
        const altered = await signer.sign(csr.publicKey, now, true);
        await bring(session, instance, "caCertificate", signer.issuing);
        const judged = async (tag: string, sent: string, certificate: Certificate, isExpected: boolean) => {
          await bring(session, instance, "deviceCertificate", certificate, tag);
          return await repeated(async (run) => {
            const { isGood, words } = await judgedByDevice(session, instance);
            const evidence = [await recorder.exchange(`${tag}-${run}`, { sent, answer: words })];
            return { holds: isGood === isExpected, observed: words, evidence };
          });
        };
        observations.push(
          negative({
            name: "a certificate for another key",
            expected: "found bad (status 0xD0, or state invalid)",
            ...(await judged("other-key", "a certificate of the trusted authority for another key", other, false)),
          }),
          negative({
            name: "its own certificate, altered",
            expected: "found bad (status 0xD0, or state invalid)",
            ...(await judged(
              "altered",
              "one for the device's key, with one bit of its signature flipped",
              altered,
              false,
            )),
          }),
          capability({
            name: "its own certificate",
            expected: "found good",
            ...(await judged("own-key", "a certificate of the trusted authority for the device's key", own, true)),
          }),
        );
      }
    } finally {
      await remove(session);
      await recorder.restored();
    }
    const used = posture?.deviceCertificate;
    const isByKey = posture?.channel.peer?.kind === "psk";
    observations.push(
      capability({
        name: "the certificate in use",
        otherwise: isByKey ? "partial" : "fail",
        expected: "issued by the owner's authority, and proven in the handshake",
        observed:
          used === null || used === undefined
            ? "none"
            : `${used.subject}, issued by ${used.selfSigned ? "itself" : used.issuer}`,
        holds: isProven(posture),
      }),
      ...pull,
    );
    return {
      observations,
      howMet: "The device makes its own key, has it certified by the owner's authority, and checks what it is given.",
      limits: [
        "the new certificate was not made active",
        ...(pull.length === 0 ? ["pull was not asked about: the device does not claim it (class attribute 8)"] : []),
      ],
      userAction: "Renew certificates before they end; watch their dates.",
    };
  },
  async restore(subject) {
    await using session = await subject.open();
    await session.object(CipSecurity, 1).call("beginConfig");
    await session.object(EtherNetIpSecurity, 1).call("beginConfig");
    await remove(session);
  },
};

/** Whether the certificate in use is of an authority that the caller trusts, and was proven in the handshake. */
function isProven(posture: EndpointSubject["posture"]): boolean {
  return posture?.deviceCertificate?.selfSigned === false && posture.channel.peer?.verified === true;
}

/** Bit of class attribute 8 of Certificate Management. @see CIP Vol 8, 5-5 */
const pullCapability = 2;

/**
 * What can be told of the pull model without a device in its factory state, whose settings would be lost, and an EST server that it finds
 * in its own network.
 */
async function pullModel(
  session: Session,
  recorder: Recorder,
  posture: EndpointSubject["posture"],
): Promise<readonly Observation[]> {
  const flags = await session.class(CertificateManagement).get("capabilityFlags");
  if ((flags & pullCapability) === 0) return [];
  const object = session.object(EtherNetIpSecurity, 1);
  const state = await object.get("state");
  const enabled = await object.get("pullModelEnable");
  const status = await object.get("pullModelStatus");
  const evidence = [await recorder.settings("pull", { flags, state, enabled, status })];
  const words = `state ${state}, enabled ${enabled}, status 0x${status.toString(16).toUpperCase().padStart(4, "0")}`;
  const hasPulled = state === EtherNetIpSecurityState.pullCompleted && isProven(posture);
  return [
    capability({
      name: "pull: attributes 13 and 14",
      expected: "status 0xFFFF where it is disabled, and only there; state 5 only where it is disabled",
      observed: words,
      holds:
        enabled !== (status === PullModelStatus.disabled) &&
        (state !== EtherNetIpSecurityState.pullDisabled || !enabled),
      otherwise: "partial",
      evidence,
    }),
    capability({
      name: "pull: enrolment",
      expected: "enrols at an EST server by itself, as it claims to",
      observed: hasPulled
        ? `${words}: it has; its certificate is of ${posture?.deviceCertificate?.issuer}`
        : `${words}: not tried, as that takes a device in its factory state, and an EST server in the device's own network`,
      holds: hasPulled ? true : undefined,
      ...(hasPulled ? {} : { askedOf: "the owner: the device's entry in the log of the plant's EST server" }),
      evidence,
    }),
    capability({
      name: "pull: a server that is not to be believed",
      expected: "refused",
      observed: "not tried, for the same reasons",
      holds: undefined,
      askedOf: "the maker: a test with an EST server of an authority that the device does not know, and one of renewal",
    }),
  ];
}

/** Brings a certificate into a slot of the instance. */
async function bring(
  session: Session,
  instance: number,
  slot: "deviceCertificate" | "caCertificate",
  certificate: Certificate,
  tag: string = slot,
): Promise<void> {
  const pem = new TextEncoder().encode(toPem(certificate));
  const file = await putFile(session, `${name}-${tag}`, FileEncoding.pemCertificate, pem);
  const path = objectPath(FileObject.classId, file);
  await session.object(CertificateManagement, instance).set(slot, { status: 0, path });
}

/** Has the device judge what is in the instance. */
async function judgedByDevice(
  session: Session,
  instance: number,
): Promise<{ readonly isGood: boolean; readonly words: string }> {
  const object = session.object(CertificateManagement, instance);
  // Only the device's verdict counts as one: a file that it does not take is a fault of the check.
  try {
    await object.call("verifyCertificate", VerifyTarget.deviceCertificate);
    await object.call("verifyCertificate", VerifyTarget.caCertificate);
    const state = await object.get("state");
    return { isGood: state === CertificateState.verified, words: `state ${state}` };
  } catch (error) {
    if (!isStackError(error) || cipStatusOf(error) === undefined) throw error;
    return { isGood: false, words: error.message };
  }
}

/** Removes what the check has made, and ends the configuration session without making anything active. */
async function remove(session: Session): Promise<void> {
  for (const entry of await session.class(CertificateManagement).get("certificateList")) {
    const at = entry.path.findLast(({ kind }) => kind === "instance");
    if (entry.name === name && at?.kind === "instance")
      await quietly(session.object(CertificateManagement, at.value).call("delete"));
  }
  await removeFiles(session, (file) => file.startsWith(`${name}-`));
  await abandon(session);
}
