import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { TransportError } from "@cipsec/wire";

/** A Linux host of our own: its own mounts, processes, network, host name. */
export interface OwnHost extends AsyncDisposable {
  /** Words before a command that bring it into the host. */
  readonly through: readonly string[];
}

/**
 * `$1` is the root, which stays as it is: what is written goes into memory above it. `$2` is run in the new host as root. Our
 * standard input keeps it alive.
 */
const starter = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=0755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=0755 tmpfs run
pivot_root . mnt
cd /
umount -l /mnt
hostname plant-host
ip link set lo up
sh -e -c "$2"
echo ready
exec cat >/dev/null
`;

/**
 * Starts a host from a root folder, in namespaces that go when it ends.
 *
 * @param script What is set up in it, as root.
 * @throws {TransportError} `transport/closed` with what the script said where it fails.
 */
export async function startHost(root: string, script: string): Promise<OwnHost> {
  const namespaces = ["--mount", "--pid", "--uts", "--ipc", "--net"];
  const child = spawn("unshare", [...namespaces, "--fork", "--kill-child", "sh", "-c", starter, "sh", root, script], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const said: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  const gone = new Promise<undefined>((resolve) => void child.once("close", () => resolve(undefined)));
  const ready = new Promise<true>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "ready") resolve(true);
    });
  });
  const close = async (): Promise<void> => {
    child.stdin.end();
    await gone;
  };
  if ((await Promise.race([ready, gone])) === undefined)
    throw new TransportError("transport/closed", `the host did not start: ${said.join("").slice(-500)}`, {
      fix: "Run it as root where the kernel lets root mount and make namespaces.",
    });
  const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
  const words = ["nsenter", ...namespaces, `--target=${Number(children.trim())}`, "--"];
  return { through: words, [Symbol.asyncDispose]: close };
}
