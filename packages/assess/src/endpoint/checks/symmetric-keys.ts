import { randomBytes } from "node:crypto";
import { EtherNetIpSecurity } from "@cipsec/objects";
import type { Check, Findings } from "../../check.ts";
import { absence, capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn, type Outcome } from "../attempt.ts";
import { allowedSuites, knownSuites } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";

/** B-1.14: only the right pair of identity and key gets in, and the key never comes back. */
export const symmetricKeys: Check<EndpointSubject> = {
  id: "B-1.14",
  version: "1.0",
  title: "Pre-shared keys are proven and never shown",
  requirements: ["CR 1.14"],
  part: "protocol",
  method: "test",
  needs: ["credentials"],
  estimateMs: 4000,
  async run(subject, recorder) {
    if (subject.isSecured === false) return noKeysAtAll;
    const allowed = await allowedSuites(subject);
    if (allowed === undefined) return notTold;
    const suites = knownSuites(allowed).filter(({ auth }) => auth === "psk");
    await using session = await subject.open();
    const keys = await session.object(EtherNetIpSecurity, 1).get("preSharedKeys");
    const evidence = [
      await recorder.settings("keys", {
        suites: suites.map(({ name }) => name),
        identities: keys.length,
        keyOctets: keys.map(({ key }) => key.length),
      }),
    ];
    const read = control({
      name: "settings read",
      expected: "suites and keys",
      observed: `${keys.length} pre-shared keys`,
      holds: true,
      evidence,
    });
    const unused = absence({
      name: "no pre-shared keys in use",
      expected: "no suite for them is allowed",
      observed: suites.length === 0 ? "none is allowed" : suites.map(({ name }) => name).join(", "),
      holds: suites.length === 0,
      evidence,
    });
    const hidden = capability({
      name: "keys read back",
      expected: "empty",
      observed: keys.every(({ key }) => key.length === 0) ? "empty" : "with their octets",
      holds: keys.every(({ key }) => key.length === 0),
      evidence,
    });
    if (suites.length === 0) return { observations: [read, unused, hidden] };
    const { psk } = subject.security ?? {};
    const ids = suites.map(({ id }) => id);
    const attempt = (sent: string, identity: Uint8Array, key: Uint8Array) => ({
      sent,
      security: { psk: { identity, key }, suites: ids },
    });
    const observations: Observation[] = [read, unused, hidden];
    if (psk === undefined) {
      observations.push(
        capability({
          name: "right pair",
          expected: "let in",
          observed: "no pre-shared key was given (--psk-identity and --psk-file)",
          holds: undefined,
        }),
      );
      return { observations };
    }
    recorder.secret(psk.key);
    const wrongKey = randomBytes(psk.key.length);
    const unknown = Buffer.from("nobody-by-this-name");
    const refused = async (name: string, identity: Uint8Array, key: Uint8Array) =>
      await repeated(async (run) =>
        silentIsRefused(await tryIn(subject, recorder, `${name}-${run}`, attempt(name, identity, key))),
      );
    observations.push(
      control({
        name: "right pair",
        expected: "let in",
        ...mustAccept(
          await tryIn(subject, recorder, "right", attempt("right identity and key", psk.identity, psk.key)),
        ),
      }),
      negative({ name: "wrong key", expected: "refused", ...(await refused("wrong-key", psk.identity, wrongKey)) }),
      negative({
        name: "unknown identity",
        expected: "refused",
        ...(await refused("unknown-identity", unknown, psk.key)),
      }),
    );
    return {
      observations,
      howMet: "The handshake proves possession of the key on both sides; the key cannot be read back.",
      conditions: ["keys of at least 128 bits, made at random"],
      limits: ["how the device stores keys cannot be seen on the wire"],
      userAction: "Use certificates where the device can; else one key for each pair of devices.",
    };
  },
};

function silentIsRefused(outcome: Outcome): ReturnType<typeof mustRefuse> {
  return outcome.words.startsWith("transport/timeout") ? { ...mustRefuse(outcome), holds: true } : mustRefuse(outcome);
}

const notTold: Findings = {
  observations: [
    capability({
      name: "pre-shared keys",
      expected: "the device tells its suites and keys",
      observed: "it has no CIP Security objects: something in front of it offers the channel",
      holds: undefined,
      askedOf: "who set up the secure channel: whether it uses pre-shared keys, and how strong they are",
    }),
  ],
};

const noKeysAtAll: Findings = {
  observations: [
    absence({
      name: "no keys at all",
      expected: "the device authenticates nobody by a symmetric key",
      observed: "it has no CIP Security: it authenticates nobody",
      holds: true,
    }),
  ],
};
