import { TransportError } from "@cipsec/wire";
import type { Runner } from "./runner.ts";

/** The host as its programs see it, with files of its own where accounts, policies, homes and logs lie. */
export interface PrivateView extends Runner, AsyncDisposable {
  /** Words that bring a command into it. */
  readonly words: readonly string[];
}

/**
 * A mount namespace in which the folders that account tests touch are copies in memory. It lives as long as the process that reads
 * our standard input: when the check is done, dies or loses its connection, the kernel takes it all away, and there is nothing to
 * put back. `/mnt` holds the copy.
 */
const keeper = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/etc
cp -a /etc/. /mnt/etc/
mount --bind /mnt/etc /etc
mkdir -p /run/faillock
for folder in /home /var/log /var/mail /run/faillock; do
  if [ -d "$folder" ]; then mount -t tmpfs -o mode=0755 tmpfs "$folder"; fi
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
touch /var/log/lastlog /var/log/wtmp /var/log/btmp
echo "$$"
exec cat >/dev/null
`;

/**
 * Opens a private view of a host.
 *
 * @throws {TransportError} `transport/closed` when the host does not allow it: not root, or a container without the right to mount.
 */
export async function openPrivateView(host: Runner): Promise<PrivateView> {
  const kept = await host.keep(["unshare", "--mount", "sh", "-c", keeper]);
  const pid = Number(kept.firstLine);
  if (!Number.isInteger(pid) || pid < 2) {
    await kept.close();
    throw new TransportError("transport/closed", "the private view of the host did not start");
  }
  const words = ["nsenter", "--mount", `--target=${pid}`, "--"];
  return { ...host.through(words), words, [Symbol.asyncDispose]: async () => await kept.close() };
}
