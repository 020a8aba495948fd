import { UsageError } from "@cipsec/wire";

/** The program to start on this machine so that a command runs on the host. */
export type Launcher = (argv: readonly string[]) => { readonly file: string; readonly args: readonly string[] };

/** Commands of this machine. */
export const launchHere: Launcher = ([file = "", ...args]) => ({ file, args });

/** `user@host`, `host` or `ssh://user@host:port`: nothing that the client could take for an option or that a shell would expand. */
const destinationForm =
  /^(?:ssh:\/\/)?(?:[A-Za-z0-9_][\w.-]{0,63}@)?(?:[A-Za-z0-9][\w.-]{0,252}|\[[0-9a-fA-F:]{2,45}\])(?::\d{1,5})?$/;

/**
 * Commands of another machine, by the OpenSSH client over one shared connection. The host's key must be known already
 * (`StrictHostKeyChecking=yes`), and nothing is ever asked: keys, agents, jump hosts and the like come from the person's own SSH
 * configuration.
 *
 * @param controlPath Socket of the shared connection, in a folder of our own.
 * @throws {UsageError} `usage/argument` for a destination that is not one.
 */
export function launchOverSsh(destination: string, controlPath: string): Launcher {
  if (!destinationForm.test(destination))
    throw new UsageError("usage/argument", `'${destination.slice(0, 100)}' is no SSH destination`, {
      fix: "Write user@host, or ssh://user@host:port, or a Host of your SSH configuration.",
    });
  const options = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ControlMaster=auto",
    `ControlPath=${controlPath}`,
    "ControlPersist=60",
    "ConnectTimeout=10",
    "ServerAliveInterval=15",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
  ];
  return (argv) => ({
    file: "ssh",
    args: ["-T", ...options.flatMap((option) => ["-o", option]), "--", destination, argv.map(shellWord).join(" ")],
  });
}

/** Ends the shared connection of {@link launchOverSsh}. */
export function endSharedConnection(destination: string, controlPath: string): ReturnType<Launcher> {
  return { file: "ssh", args: ["-o", `ControlPath=${controlPath}`, "-O", "exit", "--", destination] };
}

/** One word for a POSIX shell, whatever is in it: the far side of SSH and `script -c` hand their text to one. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Words as one line for a POSIX shell. */
export function shellLine(argv: readonly string[]): string {
  return argv.map(shellWord).join(" ");
}
