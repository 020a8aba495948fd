import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { openAccounts, type AccountBench } from "../accounts.ts";
import type { HostSubject } from "../subject.ts";

/** Makes a disk of a file, puts a marker on it, takes it off in one way, and counts what is left on the raw disk. */
const script = `set -e
how=$1; marker=$2; disk=/tmp/erase-$how.img
[ -d /tmp/erase ] || mkdir /tmp/erase
rm -f "$disk"; dd if=/dev/zero of="$disk" bs=1M count=8 2>/dev/null
mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=0 "$disk"
mount -o loop "$disk" /tmp/erase
i=0; while [ $i -lt 200 ]; do printf '%s' "$marker"; i=$((i + 1)); done >/tmp/erase/secret
sync -f /tmp/erase/secret
echo "before $(grep -aoF "$marker" "$disk" | wc -l)"
case $how in
  keep) ;;
  rm) rm /tmp/erase/secret ;;
  shred) shred --remove --iterations=3 --zero --verbose /tmp/erase/secret 2>&1 ;;
esac
sync -f /tmp/erase; umount /tmp/erase
if [ "$how" = dd ]; then dd if=/dev/zero of="$disk" bs=1M count=8 conv=notrunc 2>/dev/null; fi
echo "after $(grep -aoF "$marker" "$disk" | wc -l)"
rm -f "$disk"
`;

/** C-4.2: what is erased is gone from the disk, and from shared memory. */
export const erasure: Check<HostSubject> = {
  id: "C-4.2",
  version: "1.0",
  title: "Erased information cannot be read again",
  requirements: ["CR 4.2", "CR 4.2 RE(1)", "CR 4.2 RE(2)"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR4.2-RE1_1", "TC_CR4.2-RE2_1"],
  needs: ["root"],
  estimateMs: 10_000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    return {
      observations: [...(await disk(bench)), ...(await memory(bench))],
      howMet: "shred and dd leave nothing of a marker on a raw disk.",
      conditions: ["tried on a disk image in memory with ext4 without a journal; markers were found there before"],
      limits: ["the product's own procedure to decommission it, and its real disk, were not tried"],
      userAction:
        "Overwriting is not reliable on flash with wear levelling or on file systems that copy on write or keep a journal: destroy the key of an encrypted disk, or use the device's own erase.",
    };
  },
};

async function disk(bench: AccountBench): Promise<readonly Observation[]> {
  const marker = `marker-${bench.first.password.slice(-12)}`;
  const attempt = async (how: string, run: number) => {
    const seen = await bench.see(`erase-${how}-${run}`, ["sh", "-c", script, "sh", how, marker], { timeoutMs: 60_000 });
    const count = (when: string): number | undefined => {
      const found = new RegExp(`^${when} (\\d+)$`, "m").exec(seen.stdout)?.[1];
      return found === undefined ? undefined : Number(found);
    };
    return { before: count("before"), after: count("after"), seen };
  };
  const kept = await attempt("keep", 1);
  const removed = await attempt("rm", 1);
  const gone = async (how: string): Promise<Observation> =>
    negative({
      name: `the marker after ${how}`,
      expected: "nowhere on the raw disk",
      requirements: ["CR 4.2"],
      ...(await repeated(async (run) => {
        const { before, after, seen } = await attempt(how, run);
        const holds = before === undefined || before === 0 || after === undefined ? undefined : after === 0;
        return {
          holds,
          observed: after === undefined ? seen.stderr.trim().slice(0, 150) : `${after} times`,
          evidence: seen.evidence,
        };
      })),
    });
  const shredded = await attempt("shred", 4);
  const readsBack = /verif|read back/i.test(shredded.seen.stdout);
  return [
    control({
      name: "the search finds a marker",
      expected: "found on the raw disk before it is erased, and after it was only removed",
      observed: `${kept.after ?? "not tried:"} and ${removed.after ?? kept.seen.stderr.trim().slice(0, 120)} times`,
      holds: (kept.after ?? 0) > 0 && (removed.after ?? 0) > 0,
      requirements: ["CR 4.2"],
      evidence: [...kept.seen.evidence, ...removed.seen.evidence],
    }),
    await gone("shred"),
    await gone("dd"),
    capability({
      name: "the erasure tells what it did",
      expected: "each pass is told, and reading back is told",
      observed: `${/pass \d/.test(shredded.seen.stdout) ? "shred tells its passes" : "it tells nothing"}${readsBack ? " and reads back" : " and does not read back"}`,
      holds: readsBack,
      otherwise: "partial",
      requirements: ["CR 4.2 RE(2)"],
      evidence: shredded.seen.evidence,
    }),
  ];
}

/** CR 4.2 RE(1): memory that users share holds nothing of the one before. */
async function memory(bench: AccountBench): Promise<readonly Observation[]> {
  const marker = `shared-${bench.first.password.slice(-12)}`;
  const as = (name: string, user: string, ...argv: readonly string[]) =>
    bench.see(name, ["runuser", "-u", user, "--", ...argv]);
  await bench.see("own-shm", ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"]);
  const plant = await as(
    "plant",
    bench.first.name,
    "sh",
    "-c",
    'umask 077; printf %s "$1" >/dev/shm/segment',
    "sh",
    marker,
  );
  const own = await as("own-read", bench.first.name, "cat", "/dev/shm/segment");
  const others = await repeated(async (run) => {
    const seen = await as(`other-read-${run}`, bench.second.name, "cat", "/dev/shm/segment");
    return { holds: seen.exit !== 0, observed: seen.exit === 0 ? "read" : "refused", evidence: seen.evidence };
  });
  await as("remove", bench.first.name, "rm", "/dev/shm/segment");
  const fresh = await as(
    "new-segment",
    bench.second.name,
    "sh",
    "-c",
    `truncate -s 1M /dev/shm/new; grep -aocF "$1" /dev/shm/new; true`,
    "sh",
    marker,
  );
  const flags = await bench.see("init-on-alloc", [
    "sh",
    "-c",
    "cat /proc/cmdline; grep -sE 'CONFIG_INIT_ON_(ALLOC|FREE)_DEFAULT_ON' /boot/config-$(uname -r); zcat /proc/config.gz 2>/dev/null | grep -E 'CONFIG_INIT_ON_(ALLOC|FREE)_DEFAULT_ON'; true",
  ]);
  const isCleared =
    /init_on_(?:alloc|free)=1|CONFIG_INIT_ON_(?:ALLOC|FREE)_DEFAULT_ON=y/.test(flags.stdout) &&
    !/init_on_alloc=0/.test(flags.stdout);
  return [
    control({
      name: "a user's marker in shared memory",
      expected: "the user reads it back",
      observed: own.stdout === marker ? "read" : "not read",
      holds: plant.exit === 0 && own.stdout === marker,
      requirements: ["CR 4.2 RE(1)"],
      evidence: [...plant.evidence, ...own.evidence],
    }),
    negative({ name: "another user reads it", expected: "refused", requirements: ["CR 4.2 RE(1)"], ...others }),
    capability({
      name: "new memory of another user",
      expected: "holds nothing of it",
      observed: fresh.stdout.trim() === "0" ? "nothing" : fresh.stdout.trim() || fresh.stderr.trim().slice(0, 100),
      holds: fresh.stdout.trim() === "0",
      requirements: ["CR 4.2 RE(1)"],
      evidence: fresh.evidence,
    }),
    capability({
      name: "the kernel clears memory",
      expected: "init_on_alloc or init_on_free",
      observed: isCleared ? "on" : "off, or it could not be read",
      holds: isCleared,
      otherwise: "partial",
      requirements: ["CR 4.2 RE(1)"],
      evidence: flags.evidence,
    }),
  ];
}
