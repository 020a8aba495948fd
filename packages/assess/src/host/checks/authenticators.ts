import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { forgetFailures, newPassword, openAccounts, withoutDelays, type AccountBench } from "../accounts.ts";
import { makeBench, type Bench, type Talked } from "../bench.ts";
import { hashType, parsePasswd, parseShadow } from "../parse/accounts.ts";
import { parseSockets } from "../parse/sockets.ts";
import { changePassword } from "../password-change.ts";
import type { HostSubject } from "../subject.ts";

/** Services that carry passwords in clear, by their ports. */
const clearServices = new Map([
  [21, "FTP"],
  [23, "Telnet"],
  [512, "rexec"],
  [513, "rlogin"],
  [514, "rsh"],
]);

/** Passwords that products are delivered with; the account's own name is tried too. */
const defaults = ["password", "admin", "root", "toor", "123456", "changeme", "default"];

/** Accounts whose delivered password is tried; more are no product's. */
const maxTried = 8;

/** C-1.5: authenticators are kept so that nobody else reads or changes them, can be changed, and are not those of the delivery. */
export const authenticators: Check<HostSubject> = {
  id: "C-1.5",
  version: "1.0",
  title: "Authenticators are protected, changed and not those of the delivery",
  requirements: ["CR 1.5"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.5", "TC_CR1.5_2", "TC_CR1.5_3"],
  needs: ["root"],
  estimateMs: 45_000,
  async run(subject, recorder) {
    const host = makeBench(subject, recorder);
    const observations: Observation[] = [
      ...(await modes(host)),
      ...(await privateKeys(host)),
      ...(await clearPorts(host)),
    ];
    await using bench = await openAccounts(subject, recorder);
    observations.push(
      ...(await strangers(bench)),
      ...(await hashes(bench)),
      ...(await ownChange(bench)),
      ...(await delivered(bench)),
    );
    return {
      observations,
      howMet:
        "Password hashes lie in files that only root and the shadow group read; users change their own with passwd, and an administrator can force a change.",
      conditions: ["tried in a private copy of the host's accounts"],
      limits: [
        "passwords of the product's own documentation were not tried",
        "logins were not captured: which services listen was read",
      ],
      userAction: "Write down when each kind of authenticator is changed, and apply it.",
    };
  },
};

async function modes(host: Bench): Promise<readonly Observation[]> {
  const observations: Observation[] = [];
  for (const file of ["/etc/shadow", "/etc/gshadow"]) {
    const seen = await host.see(`stat-${file.slice(5)}`, ["stat", "-c", "%a %U:%G", file]);
    const [mode = "", owner = ""] = seen.stdout.trim().split(" ");
    const bits = /^[0-7]{1,4}$/.test(mode) ? Number.parseInt(mode, 8) : undefined;
    observations.push(
      capability({
        name: `mode of ${file}`,
        expected: "at most 640 root:shadow",
        observed: `${mode} ${owner}`.trim() || "it is not there",
        // Nothing beyond read and write of the owner and read of the group.
        holds: bits === undefined ? undefined : (bits & ~0o640) === 0 && /^root:(?:root|shadow)$/.test(owner),
        evidence: seen.evidence,
      }),
    );
  }
  return observations;
}

async function privateKeys(host: Bench): Promise<readonly Observation[]> {
  const argv = [
    "find",
    "/etc",
    "/root",
    "/home",
    "/var/lib",
    "/opt",
    "-xdev",
    "-type",
    "f",
    "-name",
    "*_key",
    "-perm",
    "/077",
  ];
  const seen = await host.see("key-modes", argv, { timeoutMs: 60_000 });
  const found = seen.stdout.split("\n").filter((line) => line !== "");
  return [
    capability({
      name: "private keys that others can read",
      expected: "none",
      observed: found.length === 0 ? "none" : found.slice(0, 5).join(", "),
      holds: found.length === 0,
      evidence: seen.evidence,
    }),
  ];
}

async function clearPorts(host: Bench): Promise<readonly Observation[]> {
  const seen = await host.see("sockets", ["ss", "-Htulnp"]);
  const clear = parseSockets(seen.stdout).flatMap(({ protocol, port }) =>
    protocol === "tcp" ? (clearServices.get(port) ?? []) : [],
  );
  return [
    capability({
      name: "services that carry passwords in clear",
      expected: "none of Telnet, FTP, rexec, rlogin, rsh",
      observed: clear.length === 0 ? "none" : clear.join(", "),
      holds: seen.exit === 0 ? clear.length === 0 : undefined,
      evidence: seen.evidence,
    }),
  ];
}

/** What an ordinary user can do to the files, and to another's password. */
async function strangers(bench: AccountBench): Promise<readonly Observation[]> {
  const as = (name: string, ...argv: readonly string[]) =>
    bench.see(name, ["runuser", "-u", bench.first.name, "--", ...argv]);
  const open = await as("user-passwd", "cat", "/etc/passwd");
  const refused = async (name: string, what: string, ...argv: readonly string[]): Promise<Observation> =>
    negative({
      name: what,
      expected: "refused",
      ...(await repeated(async (run) => {
        const seen = await as(`${name}-${run}`, ...argv);
        return { holds: seen.exit !== 0, observed: seen.exit === 0 ? "done" : "refused", evidence: seen.evidence };
      })),
    });
  return [
    control({
      name: "an ordinary user reads what is for all",
      expected: "reads the list of accounts",
      observed: `exit ${open.exit}`,
      holds: open.exit === 0,
      evidence: open.evidence,
    }),
    await refused("read-shadow", "an ordinary user reads the hashes", "cat", "/etc/shadow"),
    await refused("write-shadow", "an ordinary user writes the hashes", "tee", "--append", "/etc/shadow"),
    await refused("other-password", "an ordinary user changes another's password", "passwd", bench.second.name),
  ];
}

/** How passwords are kept: those that are there, and one that is made now by either way. */
async function hashes(bench: AccountBench): Promise<readonly Observation[]> {
  const shadow = parseShadow(await bench.readSecretly(["cat", "/etc/shadow"]));
  const evidence = [await bench.recorder.settings("hash-types", shadow)];
  const weak = shadow.filter(({ state }) => state === "weak-hash").map(({ name, hash }) => `${name} (${hash})`);
  const fresh = shadow.find(({ name }) => name === bench.first.name);
  return [
    capability({
      name: "passwords kept in a weak form",
      expected: "none: yescrypt, SHA-512 crypt, scrypt or bcrypt",
      observed: weak.length === 0 ? "none" : weak.join(", "),
      holds: fresh === undefined ? undefined : weak.length === 0,
      evidence,
    }),
    capability({
      name: "a new password",
      expected: "kept as yescrypt, SHA-512 crypt, scrypt or bcrypt",
      observed: fresh?.hash ?? "could not be read",
      holds: fresh?.hash === undefined ? undefined : fresh.state === "hash",
      evidence,
    }),
  ];
}

/** The user's own change of the password, and a change that an administrator forces. */
async function ownChange(bench: AccountBench): Promise<readonly Observation[]> {
  const next = newPassword(bench.recorder);
  const change = await changePassword(bench, "own-change", bench.first, next);
  const field = (await bench.readSecretly(["getent", "shadow", bench.first.name])).split(":")[1] ?? "";
  const forced = await bench.see("force-change", ["chage", "--lastday", "0", bench.second.name]);
  const attempt = await bench.talk(
    "forced-login",
    ["su", bench.second.name],
    [{ until: /assword: ?$/, send: bench.second.password }],
    { as: bench.first.name, timeoutMs: 15_000, endAt: /current password|new password|cipsec-in|failure/i },
  );
  const isAsked = /change|expired/i.test(attempt.transcript) && !/cipsec-in/.test(attempt.transcript);
  return [
    capability({
      name: "a user changes the own password",
      expected: "changed",
      observed: change.words,
      holds: change.isChanged,
      evidence: change.evidence,
    }),
    capability({
      name: "how the user's change is kept",
      expected: "yescrypt, SHA-512 crypt, scrypt or bcrypt",
      observed: change.isChanged ? hashType(field).name : "the change was refused",
      holds: change.isChanged ? hashType(field).isStrong : undefined,
    }),
    capability({
      name: "an administrator forces a change",
      expected: "the next login asks for a new password before anything else",
      observed: isAsked ? "asked for a new one" : "not asked",
      holds: forced.exit === 0 ? isAsked : undefined,
      evidence: [...forced.evidence, ...attempt.evidence],
    }),
  ];
}

/** Passwords that products are often delivered with, against each person's account that has one. */
async function delivered(bench: AccountBench): Promise<readonly Observation[]> {
  const shadow = parseShadow(await bench.readSecretly(["cat", "/etc/shadow"]));
  const accounts = parsePasswd((await bench.see("accounts", ["getent", "passwd"])).stdout);
  const tests: readonly string[] = [bench.first.name, bench.second.name];
  const open = accounts
    .filter(({ name }) => !tests.includes(name))
    .filter(({ name }) => shadow.some((entry) => entry.name === name && /hash/.test(entry.state)))
    .slice(0, maxTried);
  if (open.length === 0)
    return [
      capability({
        name: "passwords of the delivery",
        expected: "dead, or to be changed at once",
        observed: "no account of the host has a password",
        holds: true,
      }),
    ];
  await withoutDelays(bench);
  // The one who tries must not be asked for a change itself.
  await bench.see("no-forced-change", ["chage", "--lastday", "-1", bench.second.name]);
  const observations: Observation[] = [];
  for (const { name } of open) {
    const tries: Talked[] = [];
    for (const [at, secret] of [name, ...defaults].entries()) {
      await forgetFailures(bench, name);
      tries.push(
        await bench.talk(
          `default-${observations.length + 1}-${at + 1}`,
          ["su", name, "-c", "echo cipsec-in"],
          [{ until: /assword: ?$/, send: secret }],
          { as: bench.second.name, timeoutMs: 30_000, endAt: /failure|new password/i },
        ),
      );
    }
    const lets = tries.filter(({ transcript }) => transcript.includes("cipsec-in"));
    observations.push(
      capability({
        name: `passwords of the delivery for ${name}`,
        expected: "dead, or to be changed at once",
        observed: lets.length === 0 ? `${tries.length} refused` : `${lets.length} let in`,
        holds: lets.length === 0,
        evidence: lets.flatMap(({ evidence }) => evidence),
      }),
    );
  }
  return observations;
}
