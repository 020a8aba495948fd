import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { openAccounts, type AccountBench } from "../accounts.ts";
import { openSshDoor, type SshDoor } from "../login.ts";
import { makeTestPki } from "../test-pki.ts";
import type { HostSubject } from "../subject.ts";

/** An operation may take this long, ms: the time that the seeds report for their platform. */
const limitMs = 500;

/** C-1.8: certificates are enrolled and renewed with the host's own tools, and keys open an account over SSH. */
export const publicKeyInfrastructure: Check<HostSubject> = {
  id: "C-1.8",
  version: "1.0",
  title: "The host works with a public key infrastructure",
  requirements: ["CR 1.8"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.8_1"],
  needs: ["root"],
  estimateMs: 15_000,
  needsQuiet: true,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    const observations: Observation[] = [];
    if (await subject.has("openssl")) {
      await makeTestPki(bench);
      observations.push(...(await enrolment(bench)));
    } else
      observations.push(
        capability({
          name: "enrolment",
          expected: "a client for CMP or EST",
          observed: "openssl is not installed",
          holds: undefined,
        }),
      );
    await using door = await openSshDoor(bench);
    if (door !== undefined) observations.push(...(await keyLogin(bench, door)));
    return {
      observations,
      howMet: "openssl cmp enrols, certifies and renews against an authority, and refuses one that is not trusted.",
      conditions: [
        "the authority was OpenSSL's own CMP responder inside the client, with certificates made for the check",
      ],
      limits: [
        ...(door === undefined ? ["SSH keys: the host has no SSH server"] : []),
        ...(subject.isLocal ? [] : ["times of operations are not judged over SSH"]),
      ],
      userAction: "Use these tools in the product and write the procedure down.",
    };
  },
};

async function enrolment(bench: AccountBench): Promise<readonly Observation[]> {
  const argv = (command: string, trusted: string): readonly string[] =>
    // The responder answers with a certificate that it was given: what counts is that request and answer are proven.
    ["env", "--chdir=/tmp/pki", "openssl", "cmp", "-config", "", "-cmd", command, "-use_mock_srv"].concat(
      ["-srv_cert", "ra.pem", "-srv_key", "ra.key", "-srv_trusted", "root.pem", "-srv_untrusted", "int.pem"],
      ["-rsp_cert", "leaf.pem", "-cert", "leaf.pem", "-key", "leaf.key", "-untrusted", "int.pem"],
      ["-newkey", "leaf.key", "-subject", "/CN=leaf", "-recipient", "/CN=ra", "-trusted", trusted],
      ["-certout", `got-${command}.pem`],
    );
  const observations: Observation[] = [];
  const times: Record<string, number[]> = {};
  for (const [command, what] of [
    ["ir", "enrol"],
    ["cr", "certify"],
    ["kur", "renew"],
  ] as const) {
    const start = bench.recorder.clock.now();
    const seen = await bench.see(`cmp-${command}`, argv(command, "root.pem"));
    times[command] = [bench.recorder.clock.now() - start];
    const got = await bench.see(`got-${command}`, [
      "openssl",
      "x509",
      "-in",
      `/tmp/pki/got-${command}.pem`,
      "-noout",
      "-subject",
    ]);
    const isDone = seen.exit === 0 && /leaf/.test(got.stdout);
    observations.push(
      control({
        name: what,
        expected: "a certificate is received and confirmed",
        observed: isDone ? "received" : (seen.stdout + seen.stderr).trim().slice(-150),
        holds: isDone,
        evidence: [...seen.evidence, ...got.evidence],
      }),
    );
  }
  const evidence = [
    await bench.recorder.timing("operations", {
      what: "one operation, with the start of the program",
      unit: "ms",
      samples: times,
    }),
  ];
  const slowest = Math.max(...Object.values(times).flat());
  return [
    ...observations,
    negative({
      name: "an authority that is not trusted",
      expected: "its answer is refused",
      ...(await repeated(async (run) => {
        const seen = await bench.see(`cmp-untrusted-${run}`, argv("ir", "other.pem"));
        return { holds: seen.exit !== 0, observed: seen.exit === 0 ? "taken" : "refused", evidence: seen.evidence };
      })),
    }),
    // Over SSH the way there would be measured too.
    ...(bench.subject.isLocal
      ? [
          capability({
            name: "time for an operation",
            expected: `below ${limitMs} ms`,
            observed: `${slowest.toFixed(0)} ms at most`,
            holds: slowest < limitMs,
            otherwise: "partial",
            evidence,
          }),
        ]
      : []),
  ];
}

async function keyLogin(bench: AccountBench, door: SshDoor): Promise<readonly Observation[]> {
  const { first } = bench;
  const script = `set -e
home=$(getent passwd "$1" | cut -d: -f6)
mkdir -p "$home/.ssh"
for key in mine strange; do ssh-keygen -q -t ed25519 -N '' -f "/tmp/ssh/$key"; done
cp /tmp/ssh/mine.pub "$home/.ssh/authorized_keys"
chown -R "$1" "$home/.ssh"; chmod 700 "$home/.ssh"; chmod 600 "$home/.ssh/authorized_keys"
`;
  await bench.see("ssh-keys", ["sh", "-c", script, "sh", first.name]);
  const attempt = async (name: string, options: readonly string[]) =>
    await bench.see(name, [
      ...door.client([...options, "BatchMode=yes", "PreferredAuthentications=publickey"], first.name),
      "id -un",
    ]);
  const key = (name: string): readonly string[] => [`IdentityFile=/tmp/ssh/${name}`, "IdentitiesOnly=yes"];
  const good = await attempt("ssh-key", key("mine"));
  const bad = async (name: string, options: readonly string[]): Promise<Observation> =>
    negative({
      name,
      expected: "refused",
      ...(await repeated(async (run) => {
        const seen = await attempt(`${name.replaceAll(" ", "-")}-${run}`, options);
        return { holds: seen.exit !== 0, observed: seen.exit === 0 ? "logged in" : "refused", evidence: seen.evidence };
      })),
    });
  return [
    control({
      name: "SSH with the account's key",
      expected: `logged in as ${first.name}`,
      observed: good.stdout.trim() || good.stderr.trim().slice(0, 150),
      holds: good.stdout.trim() === first.name,
      evidence: good.evidence,
    }),
    await bad("SSH with another key", key("strange")),
    await bad("SSH without a key", ["IdentityFile=none", "IdentitiesOnly=yes"]),
  ];
}
