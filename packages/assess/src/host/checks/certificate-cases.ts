import type { RequirementId } from "../../catalogue/catalogue.ts";
import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { openAccounts, type AccountBench } from "../accounts.ts";
import { openSshDoor, type SshDoor } from "../login.ts";
import { makeTestPki } from "../test-pki.ts";
import type { HostSubject } from "../subject.ts";

/** OpenSSL's numbers of errors, as `verify` prints them. */
const verifyErrors = {
  signature: 7,
  expired: 10,
  crlExpired: 12,
  noCrl: 3,
  noIssuer: 20,
  revoked: 23,
  notCa: 79,
  invalidCa: 24,
  pathLength: 25,
  weakKey: 66,
  weakDigest: 68,
} as const;

/** One input that the host's tools must take or refuse. */
interface Case {
  readonly name: string;
  readonly args: readonly string[];
  /** Numbers of which one must be given; none for a good input. */
  readonly errors?: readonly number[];
}

const entries: readonly RequirementId[] = ["CR 1.9"];

/** C-1.9: certificates are checked in the six ways, each by a good input and by one that is bad in that way alone. */
export const certificateCases: Check<HostSubject> = {
  id: "C-1.9",
  version: "1.0",
  title: "Certificates are checked: signature, chain, revocation, key, identity, algorithms",
  requirements: entries,
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.9_1", "TC_CR1.9_2", "TC_CR1.9_3", "TC_CR1.9_4", "TC_CR1.9_5", "TC_CR1.9_6"],
  needs: ["root"],
  estimateMs: 30_000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    if (!(await subject.has("openssl"))) return { observations: [missing("openssl")] };
    await makeTestPki(bench);
    await using door = await openSshDoor(bench);
    const observations = [
      ...(await verified(bench)),
      ...(await keyControl(bench)),
      ...(await identity(bench, door)),
      ...(await sshAlgorithms(door)),
    ];
    return {
      observations,
      howMet: "OpenSSL refuses a certificate that is bad in any of the six ways, and takes the good one beside it.",
      conditions: ["tried with an authority made for the check, in a private copy of the host"],
      limits: [
        ...(door === undefined ? ["SSH certificates: the host has no SSH server"] : []),
        "the product's own programs must ask OpenSSL for these checks: try each of them",
      ],
      userAction: "Let the product's programs use these checks, and document which authority they trust.",
    };
  },
};

function missing(program: string): Observation {
  return capability({ name: program, expected: "installed", observed: "it is not installed", holds: undefined });
}

/** Cases a, b, c, f, and expiry, which is none of the six but always asked. */
async function verified(bench: AccountBench): Promise<readonly Observation[]> {
  const root = ["-CAfile", "root.pem"];
  const chain = [...root, "-untrusted", "int.pem"];
  const crl = (file: string): readonly string[] => [...chain, "-crl_check", "-CRLfile", file];
  const strong = ["-auth_level", "2"];
  const cases: readonly Case[] = [
    { name: "a: a valid certificate", args: [...chain, "leaf.pem"] },
    {
      name: "a: one bit of the signature changed",
      args: [...chain, "-check_ss_sig", "bit.pem"],
      errors: [verifyErrors.signature],
    },
    { name: "b: the full chain", args: [...chain, "-x509_strict", "leaf.pem"] },
    { name: "b: an intermediate is missing", args: [...root, "leaf.pem"], errors: [verifyErrors.noIssuer] },
    {
      name: "b: an unknown root",
      args: ["-CAfile", "other.pem", "-untrusted", "int.pem", "leaf.pem"],
      errors: [verifyErrors.noIssuer, 2],
    },
    {
      name: "b: the issuer is no authority",
      args: [...chain, "-untrusted", "leaf.pem", "below-leaf.pem"],
      errors: [verifyErrors.notCa, verifyErrors.invalidCa, 32],
    },
    {
      name: "b: the chain is longer than allowed",
      args: [...chain, "-untrusted", "deep.pem", "below-deep.pem"],
      errors: [verifyErrors.pathLength],
    },
    { name: "c: not on the list", args: [...crl("crl.pem"), "leaf.pem"] },
    { name: "c: on the list", args: [...crl("crl.pem"), "revoked.pem"], errors: [verifyErrors.revoked] },
    {
      name: "c: the list is out of date",
      args: [...crl("old-crl.pem"), "leaf.pem"],
      errors: [verifyErrors.crlExpired],
    },
    { name: "c: there is no list", args: [...chain, "-crl_check", "leaf.pem"], errors: [verifyErrors.noCrl] },
    { name: "f: P-256 and SHA-256", args: [...strong, ...chain, "leaf.pem"] },
    { name: "f: RSA of 3072 bits", args: [...strong, ...chain, "rsa3072.pem"] },
    { name: "f: RSA of 1024 bits", args: [...strong, ...chain, "rsa1024.pem"], errors: [verifyErrors.weakKey] },
    {
      name: "f: SHA-1",
      args: [...strong, ...chain, "-untrusted", "int.pem", "sha1.pem"],
      errors: [verifyErrors.weakDigest],
    },
    { name: "expiry: now", args: [...chain, "leaf.pem"] },
    {
      name: "expiry: after the end",
      args: [...chain, "-attime", "4102444800", "leaf.pem"],
      errors: [verifyErrors.expired],
    },
    { name: "expiry: before the beginning", args: [...chain, "-attime", "946684800", "leaf.pem"], errors: [9] },
  ];
  const observations: Observation[] = [];
  for (const [at, { name, args, errors }] of cases.entries()) {
    const attempt = async (run: number) => {
      const seen = await bench.see(`verify-${at + 1}-${run}`, inPki("openssl", "verify", ...args));
      const number = Number(/^error (\d+) at/m.exec(seen.stdout + seen.stderr)?.[1] ?? 0);
      return { seen, number };
    };
    if (errors === undefined) {
      const { seen } = await attempt(1);
      observations.push(
        control({
          name,
          expected: "accepted",
          observed: seen.exit === 0 ? "accepted" : seen.stderr.trim().slice(0, 150),
          holds: seen.exit === 0,
          evidence: seen.evidence,
        }),
      );
    } else
      observations.push(
        negative({
          name,
          expected: `refused for that reason (OpenSSL error ${errors.join(" or ")})`,
          ...(await repeated(async (run) => {
            const { seen, number } = await attempt(run);
            const holds = seen.exit === 0 ? false : errors.includes(number) ? true : undefined;
            return { holds, observed: seen.exit === 0 ? "accepted" : `error ${number}`, evidence: seen.evidence };
          })),
        }),
      );
  }
  return observations;
}

/** Case d: the key belongs to its owner and to its certificate. */
async function keyControl(bench: AccountBench): Promise<readonly Observation[]> {
  const owner = ["runuser", "-u", bench.first.name, "--"];
  const other = ["runuser", "-u", bench.second.name, "--"];
  await bench.see("key-owner", [
    "sh",
    "-c",
    'chown "$1" /tmp/pki/leaf.key && chmod 600 /tmp/pki/leaf.key',
    "sh",
    bench.first.name,
  ]);
  const sign = ["openssl", "dgst", "-sha256", "-sign", "/tmp/pki/leaf.key", "-hex", "/tmp/pki/root.pem"];
  const own = await bench.see("owner-signs", [...owner, ...sign]);
  const serve = (key: string): readonly string[] =>
    inPki(
      "sh",
      "-c",
      // Emptied first: what the server before said would be taken for this one's.
      `: >served
openssl s_server -accept 127.0.0.1:0 -cert leaf.pem -key ${key} -www </dev/null >served 2>&1 & child=$!
for turn in $(seq 100); do
  if grep -qE 'ACCEPT|mismatch' served || ! kill -0 $child 2>/dev/null; then break; fi
  sleep 0.1
done
kill $child 2>/dev/null
wait $child
cat served`,
    );
  const matching = await bench.see("matching-key", serve("leaf.key"));
  return [
    control({
      name: "d: the owner signs with the key",
      expected: "signed",
      observed: own.exit === 0 ? "signed" : own.stderr.trim().slice(0, 150),
      holds: own.exit === 0,
      evidence: own.evidence,
    }),
    negative({
      name: "d: another user signs with the key",
      expected: "refused: permission denied",
      ...(await repeated(async (run) => {
        const seen = await bench.see(`other-signs-${run}`, [...other, ...sign]);
        return { holds: seen.exit !== 0, observed: seen.exit === 0 ? "signed" : "refused", evidence: seen.evidence };
      })),
    }),
    control({
      name: "d: a server with its certificate and key",
      expected: "it starts",
      observed: /ACCEPT/.test(matching.stdout) ? "started" : matching.stdout.trim().slice(0, 150),
      holds: /ACCEPT/.test(matching.stdout),
      evidence: matching.evidence,
    }),
    negative({
      name: "d: a certificate with another's key",
      expected: "refused: they do not match",
      ...(await repeated(async (run) => {
        const seen = await bench.see(`wrong-key-${run}`, serve("revoked.key"));
        return { ...startOf(seen.stdout), evidence: seen.evidence };
      })),
    }),
  ];
}

/** What a server with a key of another says; a server that says neither within the time tells nothing. */
function startOf(said: string): Pick<Try, "holds" | "observed"> {
  if (/mismatch/i.test(said)) return { holds: true, observed: "key values mismatch" };
  if (/ACCEPT/.test(said)) return { holds: false, observed: "started" };
  return { holds: undefined, observed: said.trim().slice(0, 150) || "it said nothing in 10 s" };
}

/** Case e: a certificate opens the account that it is for and no other; by SSH certificates, where the host has an SSH server. */
async function identity(bench: AccountBench, door: SshDoor | undefined): Promise<readonly Observation[]> {
  const name = "e: a certificate lets its subject in";
  if (door === undefined) {
    const match = async (run: string, host: string) =>
      await bench.see(
        run,
        inPki(
          "openssl",
          "verify",
          "-CAfile",
          "root.pem",
          "-untrusted",
          "int.pem",
          "-verify_hostname",
          host,
          "leaf.pem",
        ),
      );
    const good = await match("name-match", "device.test");
    return [
      control({
        name: "e: a certificate is taken for the name in it",
        expected: "accepted",
        observed: good.exit === 0 ? "accepted" : "refused",
        holds: good.exit === 0,
        evidence: good.evidence,
      }),
      negative({
        name: "e: a certificate for another's name",
        expected: "refused: hostname mismatch",
        ...(await repeated(async (run) => {
          const seen = await match(`name-mismatch-${run}`, "other.test");
          return {
            holds: seen.exit !== 0,
            observed: seen.exit === 0 ? "accepted" : "refused",
            evidence: seen.evidence,
          };
        })),
      }),
    ];
  }
  const { first, second } = bench;
  const script = `set -e
cd /tmp/ssh
ssh-keygen -q -t ed25519 -N '' -f ca
for user in "$1" "$2" nobody_else; do
  ssh-keygen -q -t ed25519 -N '' -f "$user"
  ssh-keygen -q -s ca -I "$user" -n "$user" "$user.pub"
done
for user in "$1" "$2"; do
  home=$(getent passwd "$user" | cut -d: -f6)
  mkdir -p "$home/.ssh"
  echo "cert-authority $(cat ca.pub)" >"$home/.ssh/authorized_keys"
  chown -R "$user" "$home/.ssh"; chmod 700 "$home/.ssh"; chmod 600 "$home/.ssh/authorized_keys"
done
`;
  await bench.see("ssh-certificates", ["sh", "-c", script, "sh", first.name, second.name]);
  const attempt = async (run: string, key: string) =>
    await bench.see(run, [
      ...door.client([`IdentityFile=/tmp/ssh/${key}`, "IdentitiesOnly=yes", "BatchMode=yes"], first.name),
      "id -un",
    ]);
  const good = await attempt("ssh-own", first.name);
  const bad = async (what: string, key: string): Promise<Observation> =>
    negative({
      name: what,
      expected: "refused",
      ...(await repeated(async (run) => {
        const seen = await attempt(`ssh-${key}-${run}`, key);
        return { holds: seen.exit !== 0, observed: seen.exit === 0 ? "logged in" : "refused", evidence: seen.evidence };
      })),
    });
  return [
    control({
      name,
      expected: `logged in as ${first.name}`,
      observed: good.stdout.trim() || good.stderr.trim().slice(0, 150),
      holds: good.stdout.trim() === first.name,
      evidence: good.evidence,
    }),
    await bad("e: a certificate of user 2 for the account of user 1", second.name),
    await bad("e: a certificate of a subject without an account", "nobody_else"),
  ];
}

/** What an SSH server may offer; by substring, as names carry suffixes. */
const weakSsh =
  /(?:^|[-@])(?:3des|arcfour|rc4|blowfish|cast128|des)|-cbc|hmac-md5|hmac-sha1|umac-64|group1-|group-exchange-sha1|group14-sha1|^ssh-dss|^ssh-rsa$/;

/** Case f for SSH: what the server offers, against a list of what it must not. */
async function sshAlgorithms(door: SshDoor | undefined): Promise<readonly Observation[]> {
  if (door === undefined) return [];
  const weak = weakAlgorithms(door.settings);
  return [
    capability({
      name: "f: algorithms of the SSH server",
      expected: "no SHA-1, MD5, CBC, RC4, 3DES or 64-bit tags",
      observed: weak.length === 0 ? "none of them" : weak.join(", "),
      holds: weak.length === 0,
      otherwise: "partial",
    }),
  ];
}

/** Algorithms that an SSH server should not offer any more. */
export function weakAlgorithms(settings: SshDoor["settings"]): readonly string[] {
  return ["ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms"].flatMap((name) =>
    (settings.get(name)?.[0] ?? "").split(",").filter((one) => weakSsh.test(one)),
  );
}

/** A command in the folder of the test authority. */
function inPki(...argv: readonly string[]): readonly string[] {
  return ["env", "--chdir=/tmp/pki", ...argv];
}
