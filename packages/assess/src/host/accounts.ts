import { randomBytes } from "node:crypto";
import { UsageError } from "@cipsec/wire";
import type { Recorder } from "../evidence/recorder.ts";
import { makeBench, type Bench } from "./bench.ts";
import { openPrivateView, type PrivateView } from "./private-view.ts";
import type { HostSubject } from "./subject.ts";

/** An account that exists for a check alone. */
export interface TestAccount {
  readonly name: string;
  readonly password: string;
}

/** A private view of the host with two accounts in it. */
export interface AccountBench extends Bench, AsyncDisposable {
  readonly first: TestAccount;
  readonly second: TestAccount;
  readonly view: PrivateView;
}

/** What a login prints when it succeeded, with the user's number and the login number that the kernel audits by. */
export const loggedIn = /cipsec-in-(\d+)-(\d+)/;

/** Shell of the accounts: says who is there and ends. It runs a command like any shell when it is given one. */
const shellPath = "/etc/cipsec-shell";
const shell = `#!/bin/sh
if [ "$1" = "-c" ]; then exec /bin/sh "$@"; fi
printf cipsec-in-
echo "$(id -u)-$(cat /proc/self/loginuid 2>/dev/null || echo 0)"
`;

/** Names that no product uses. */
const names = ["iec_t1", "iec_t2"] as const;

/**
 * Opens a private view and makes the accounts there. Nothing of it is seen by the host.
 *
 * @throws {UsageError} `usage/state` when the host has accounts of these names already, or makes none.
 * @throws {TransportError} `transport/closed` when the host allows no private view.
 */
export async function openAccounts(subject: HostSubject, recorder: Recorder): Promise<AccountBench> {
  const view = await openPrivateView(subject);
  try {
    const bench = makeBench(subject, recorder, view);
    await view.run(["tee", shellPath], { input: shell });
    await view.run(["chmod", "755", shellPath]);
    await view.run(["tee", "--append", "/etc/shells"], { input: `${shellPath}\n` });
    const [first, second] = [await makeAccount(bench, names[0]), await makeAccount(bench, names[1])];
    return { ...bench, view, first, second, [Symbol.asyncDispose]: async () => await view[Symbol.asyncDispose]() };
  } catch (error) {
    await view[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Makes an account with the host's own tools and a random password.
 *
 * @throws {UsageError} `usage/state`
 */
export async function makeAccount(bench: Bench, name: string): Promise<TestAccount> {
  const made = await bench.see(`useradd-${name}`, ["useradd", "--create-home", "--shell", shellPath, name]);
  if (made.exit !== 0)
    throw new UsageError("usage/state", `the account ${name} could not be made: ${made.stderr.trim().slice(0, 200)}`, {
      fix: "Remove an account of that name, or look into the message.",
    });
  const account = { name, password: newPassword(bench.recorder) };
  await setPassword(bench, account);
  return account;
}

/** Sets a password as an administrator does, over a pipe. */
export async function setPassword({ runner }: Bench, { name, password }: TestAccount): Promise<void> {
  const { exit, stderr } = await runner.run(["chpasswd"], { input: `${name}:${password}\n` });
  if (exit !== 0)
    throw new UsageError("usage/state", `the password of ${name} could not be set: ${stderr.trim().slice(0, 200)}`);
}

/**
 * Clears what was counted against an account: the next try is then refused for its own reason, not because wrong ones came before
 * it. The count lies in the private view.
 */
export async function forgetFailures({ subject, runner }: Bench, user: string): Promise<void> {
  if (await subject.has("faillock")) await runner.run(["faillock", "--user", user, "--reset"]);
}

/** Takes the delays out that modules add after a refusal, in the private view; locks stay. */
export async function withoutDelays(bench: Bench): Promise<void> {
  const edit = "s/pam_(unix|faillock)\\.so/& nodelay/; /pam_faildelay/d";
  await bench.see("without-delays", ["sh", "-c", 'sed -i -E "$1" /etc/pam.d/*', "sh", edit]);
}

/** A password that any policy should take: 24 characters of all four classes, random; secret from now on. */
export function newPassword(recorder: Recorder): string {
  const password = `Vg7-${randomBytes(15).toString("base64url")}`;
  recorder.secret(password);
  return password;
}
