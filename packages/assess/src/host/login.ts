import { randomBytes } from "node:crypto";
import { repeated, type Observation, type Try } from "../observation.ts";
import { forgetFailures, loggedIn, type AccountBench, type TestAccount } from "./accounts.ts";
import type { Bench, Seen, Talked } from "./bench.ts";
import { parseSshd } from "./parse/settings.ts";

/** A way for a person to log in that can be tried on this host. */
export interface LoginPath {
  readonly name: "su" | "console" | "ssh";
  attempt(bench: AccountBench, name: string, user: string, secret: string): Promise<LoginResult>;
}

/** What came of one try to log in. */
export interface LoginResult extends Talked {
  readonly isIn: boolean;
  /** Whether a secret was asked for. */
  readonly wasAsked: boolean;
  /** Whether the secret was shown while it was typed. */
  readonly showsSecret: boolean;
  /** What a person was told, without the account's name. */
  readonly words: string;
}

/** The question for a secret, however it is put. */
const question = /(?:password|passphrase|passcode)[^\n]*: ?$/i;

/** What a login says when it has refused and would ask again. */
const refusal = /incorrect|failure|denied|locked|expired|(?:^|\n)[^\n]*login: ?$|try again/i;

/** Longer than the delays that programs add after a wrong password. */
const timeoutMs = 30_000;

/** Paths that every Debian-like host has: switching the user, and the console's login. */
export const localPaths: readonly LoginPath[] = [
  {
    name: "su",
    attempt: async (bench, name, user, secret) =>
      await attempt(bench, name, ["su", user], bench.second.name, user, secret),
  },
  {
    name: "console",
    attempt: async (bench, name, user, secret) => await attempt(bench, name, ["login", user], undefined, user, secret),
  },
];

async function attempt(
  bench: AccountBench,
  name: string,
  argv: readonly string[],
  as: string | undefined,
  user: string,
  secret: string,
): Promise<LoginResult> {
  const talked = await bench.talk(name, argv, [{ until: question, send: secret }], {
    timeoutMs,
    endAt: refusal,
    ...(as === undefined ? {} : { as }),
  });
  const { transcript, taken } = talked;
  return {
    ...talked,
    isIn: loggedIn.test(transcript),
    wasAsked: taken > 0,
    showsSecret: secret !== "" && transcript.includes(secret),
    words: wordsOf(transcript, user),
  };
}

/** The last thing that was said, without the name of the account, which differs from try to try. */
function wordsOf(transcript: string, user: string): string {
  const lines = transcript
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !question.test(line) && !/login: ?$/.test(line));
  return (lines.at(-1) ?? "nothing").replaceAll(user, "(user)").slice(0, 200);
}

/** An SSH server of the host's own program and settings, within the private view, on a loopback port of its own. */
export interface SshDoor extends AsyncDisposable {
  readonly path: LoginPath;
  readonly port: number;
  /** Words that start the SSH client so that it knows this server's key and asks for nothing else. */
  client(options: readonly string[], user: string): readonly string[];
  readonly settings: ReadonlyMap<string, readonly string[]>;
}

const sshKeeper = `set -e
mkdir -p /run/sshd /tmp/ssh
for file in /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf; do
  if [ -f "$file" ]; then sed -i -E '/^[[:space:]]*(ListenAddress|Port)[[:space:]=]/Id' "$file"; fi
done
ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 || ssh-keygen -A >/dev/null
for key in /etc/ssh/ssh_host_*_key.pub; do echo "[127.0.0.1]:$1 $(cut -d' ' -f1,2 "$key")"; done >/tmp/ssh/known_hosts
chmod 755 /tmp/ssh
"$(command -v sshd)" -D -p "$1" -o ListenAddress=127.0.0.1 -o PidFile=none </dev/null >/dev/null 2>/tmp/ssh/log &
child=$!
tries=0
until ss -Htln "sport = :$1" | grep -q .; do
  tries=$((tries + 1)); [ $tries -lt 50 ] || { cat /tmp/ssh/log >&2; exit 1; }
  sleep 0.1
done
echo started
cat >/dev/null
kill $child
`;

/** Starts the host's SSH server inside the view; nothing where the host has none. */
export async function openSshDoor(bench: AccountBench): Promise<SshDoor | undefined> {
  if (!(await bench.subject.has("sshd"))) return undefined;
  const port = 20_000 + (randomBytes(2).readUInt16BE() % 20_000);
  const kept = await bench.view.keep(["sh", "-c", sshKeeper, "sh", String(port)]);
  const settings = parseSshd((await seeSshd(bench, "sshd-settings")).stdout);
  const fixed = [
    "UserKnownHostsFile=/tmp/ssh/known_hosts",
    "StrictHostKeyChecking=yes",
    "NumberOfPasswordPrompts=1",
    "ConnectTimeout=10",
  ];
  const client = (options: readonly string[], user: string): readonly string[] =>
    ["ssh", "-F", "none", "-p", String(port)].concat(
      [...fixed, ...options].flatMap((option) => ["-o", option]),
      `${user}@127.0.0.1`,
    );
  const passwords = ["PubkeyAuthentication=no", "PreferredAuthentications=keyboard-interactive,password"];
  return {
    port,
    client,
    settings,
    path: {
      name: "ssh",
      attempt: async (own, name, user, secret) =>
        await attempt(own, name, client(passwords, user), own.second.name, user, secret),
    },
    [Symbol.asyncDispose]: async () => await kept.close(),
  };
}

/** The SSH server's settings as they are in effect. It reads none without its folder, which the service makes when it starts. */
export async function seeSshd(bench: Bench, name: string): Promise<Seen> {
  return await bench.see(name, ["sh", "-c", "mkdir -p /run/sshd && exec sshd -T"]);
}

/** Whether an SSH server takes passwords. */
export function takesPasswords(settings: SshDoor["settings"]): boolean {
  const isOn = (name: string): boolean => settings.get(name)?.[0] === "yes";
  return isOn("passwordauthentication") || (isOn("kbdinteractiveauthentication") && isOn("usepam"));
}

/** The paths on which a password can be tried, and the SSH server that must be closed after. */
export async function openPaths(bench: AccountBench): Promise<{
  readonly paths: readonly LoginPath[];
  readonly door: SshDoor | undefined;
  readonly limits: readonly string[];
}> {
  const door = await openSshDoor(bench);
  if (door === undefined) return { paths: localPaths, door, limits: ["SSH: the host has no SSH server"] };
  if (!takesPasswords(door.settings))
    return { paths: localPaths, door, limits: ["SSH takes no passwords: its keys are tried in C-1.8"] };
  return { paths: [...localPaths, door.path], door, limits: [] };
}

/** A try that must succeed. */
export async function mustLogIn(
  bench: AccountBench,
  path: LoginPath,
  name: string,
  { name: user, password }: TestAccount,
): Promise<Try> {
  await forgetFailures(bench, user);
  const result = await path.attempt(bench, name, user, password);
  return {
    holds: result.isIn,
    observed: result.isIn ? "logged in" : `refused: ${result.words}`,
    evidence: result.evidence,
  };
}

/** A try that must be refused, three times, for its own reason and not for those before it. The words that a refusal comes with are those of the first. */
export async function mustBeRefused(
  bench: AccountBench,
  path: LoginPath,
  name: string,
  user: string,
  secret: string,
): Promise<Pick<Observation, "observed" | "holds" | "runs" | "agrees" | "evidence">> {
  return await repeated(async (run) => {
    await forgetFailures(bench, user);
    const result = await path.attempt(bench, `${name}-${run}`, user, secret);
    return { holds: !result.isIn, observed: result.isIn ? "logged in" : "refused", evidence: result.evidence };
  });
}
