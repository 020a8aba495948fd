import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  FileEncoding,
  FileObject,
  VerifyTarget,
} from "@cipsec/objects";
import { cipStatusOf, putFile, readFile, type Session } from "@cipsec/originator";
import { makeKeyPair, parseCsr, toPem, type Certificate } from "@cipsec/pki";
import { CertificateState, isStackError, objectPath } from "@cipsec/wire";
import type { Check } from "../../check.ts";
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
  version: "1.1",
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
          expected: "refused",
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
        const other = await signer.sign((await makeKeyPair()).publicKey, now);
        const own = await signer.sign(csr.publicKey, now);
        const wrong = await tryCertificate(session, instance, other, signer.issuing, "other");
        const right = await tryCertificate(session, instance, own, signer.issuing, "own");
        observations.push(
          negative({
            name: "a certificate for another key",
            expected: "found bad (status 0xD0, or state invalid)",
            observed: wrong.words,
            holds: !wrong.isGood,
            evidence: [
              await recorder.exchange("other-key", {
                sent: "a certificate of the trusted authority for another key",
                answer: wrong.words,
              }),
            ],
          }),
          capability({
            name: "its own certificate",
            expected: "found good",
            observed: right.words,
            holds: right.isGood,
            evidence: [
              await recorder.exchange("own-key", {
                sent: "a certificate of the trusted authority for the device's key",
                answer: right.words,
              }),
            ],
          }),
        );
      }
      const flags = await session.class(CertificateManagement).get("capabilityFlags");
      if ((flags & 2) !== 0)
        observations.push(
          capability({
            name: "pull",
            expected: "enrols at an EST server by itself, as it claims to",
            observed: "not tried: that needs an EST server in the device's own network",
            holds: undefined,
            askedOf: "the owner: the device's entry in the log of the plant's EST server",
          }),
        );
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
        holds: used !== null && used !== undefined && !used.selfSigned && posture?.channel.peer?.verified === true,
      }),
    );
    return {
      observations,
      howMet: "The device makes its own key, has it certified by the owner's authority, and checks what it is given.",
      limits: ["the new certificate was not made active; the one in use was brought in the same way"],
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

/** Brings a certificate and its authority into the instance and has the device judge them. */
async function tryCertificate(
  session: Session,
  instance: number,
  certificate: Certificate,
  authority: Certificate,
  tag: string,
): Promise<{ readonly isGood: boolean; readonly words: string }> {
  const object = session.object(CertificateManagement, instance);
  const bring = async (slot: "deviceCertificate" | "caCertificate", one: Certificate): Promise<void> => {
    const pem = new TextEncoder().encode(toPem(one));
    const file = await putFile(session, `${name}-${tag}-${slot}`, FileEncoding.pemCertificate, pem);
    await object.set(slot, { status: 0, path: objectPath(FileObject.classId, file) });
  };
  await bring("deviceCertificate", certificate);
  await bring("caCertificate", authority);
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
