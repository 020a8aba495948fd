import type { Check } from "../../check.ts";
import { capability, control, negative, repeated } from "../../observation.ts";
import { makeBench } from "../bench.ts";
import { openAccounts } from "../accounts.ts";
import type { HostSubject } from "../subject.ts";

/** Folders that an ordinary user writes to on most systems. */
const writable = ["/tmp", "/var/tmp", "/dev/shm", "/home"];

/** C-3.2: code that nobody approved does not run, or is noticed. */
export const foreignCode: Check<HostSubject> = {
  id: "C-3.2",
  version: "1.0",
  title: "Code that is not part of the product does not run",
  requirements: ["EDR 3.2", "NDR 3.2"],
  part: "whole",
  method: "test",
  needs: ["root"],
  estimateMs: 5000,
  async run(subject, recorder) {
    const host = makeBench(subject, recorder);
    const aslr = await host.see("aslr", ["cat", "/proc/sys/kernel/randomize_va_space"]);
    const mounts = await host.see("mounts", ["cat", "/proc/mounts"]);
    const open = writable.filter((folder) => !hasOption(mounts.stdout, folder, "noexec"));
    const usb = await host.see("usb-storage", [
      "sh",
      "-c",
      "modprobe -n -v usb_storage 2>&1; ls -d /sys/bus/usb 2>/dev/null; true",
    ]);
    const isUsbBlocked =
      /install \/bin\/(?:false|true)|not found/i.test(usb.stdout) || !usb.stdout.includes("/sys/bus/usb");
    const integrity = await host.see("integrity", [
      "sh",
      "-c",
      "head -c 2000 /sys/kernel/security/ima/policy 2>/dev/null; dmsetup table 2>/dev/null | grep verity; command -v aide usbguard fapolicyd; cat /sys/kernel/security/lsm 2>/dev/null; true",
    ]);
    const watches = /verity|appraise|aide|fapolicyd/.test(integrity.stdout);
    const binaries = await host.see("elf-types", [
      "sh",
      "-c",
      'for file in /bin/su /usr/bin/passwd /usr/bin/openssl /usr/sbin/sshd; do [ -f "$file" ] && readelf -hlW "$file" | grep -E "Type:|GNU_STACK|GNU_RELRO"; done; true',
    ]);
    const isFixed = /Type:\s+EXEC/.test(binaries.stdout);
    const isStackExecutable = /GNU_STACK.*RWE/.test(binaries.stdout);
    // The real folders, not those of a private view: their mount options are what is tried.
    await using bench = await openAccounts(subject, recorder);
    const allowed = await bench.see("own-program", ["runuser", "-u", bench.first.name, "--", "/bin/true"]);
    const script =
      'dir=$(mktemp -d /var/tmp/cipsec-XXXXXX); chmod 755 "$dir"; cp /bin/true "$dir/foreign"; printf x >>"$dir/foreign"; chmod 755 "$dir/foreign"; runuser -u "$1" -- "$dir/foreign"; result=$?; rm -rf "$dir"; exit $result';
    const tried = await repeated(async (run) => {
      const seen = await bench.see(`foreign-${run}`, ["sh", "-c", script, "sh", bench.first.name]);
      return {
        holds: seen.exit !== 0,
        observed: seen.exit === 0 ? "it ran" : `refused (exit ${seen.exit})`,
        evidence: seen.evidence,
      };
    });
    return {
      observations: [
        control({
          name: "a program of the system",
          expected: "runs for an ordinary user",
          observed: `exit ${allowed.exit}`,
          holds: allowed.exit === 0,
          evidence: allowed.evidence,
        }),
        negative({
          name: "a changed copy of a program in a writable folder",
          expected: "does not run, or is detected",
          // Detection without prevention needs a person's decision on the risk.
          otherwise: watches ? "partial" : "fail",
          ...tried,
        }),
        capability({
          name: "writable folders that code can be run from",
          expected: "none: mounted noexec",
          observed: open.length === 0 ? "none" : open.join(", "),
          holds: open.length === 0,
          otherwise: "partial",
          evidence: mounts.evidence,
        }),
        capability({
          name: "address space randomisation",
          expected: "2",
          observed: aslr.stdout.trim() || "could not be read",
          holds: aslr.exit === 0 ? aslr.stdout.trim() === "2" : undefined,
          evidence: aslr.evidence,
        }),
        capability({
          name: "programs",
          expected: "position independent, without an executable stack",
          observed:
            binaries.stdout.trim() === ""
              ? "readelf is not installed"
              : `${isFixed ? "some at fixed addresses" : "position independent"}, ${isStackExecutable ? "executable stack" : "no executable stack"}`,
          holds: binaries.stdout.trim() === "" ? undefined : !isFixed && !isStackExecutable,
          otherwise: "partial",
          evidence: binaries.evidence,
        }),
        capability({
          name: "USB storage",
          expected: "blocked, or no USB host",
          observed: isUsbBlocked ? "blocked or not there" : "it can be loaded",
          holds: isUsbBlocked,
          otherwise: "partial",
          evidence: usb.evidence,
        }),
        capability({
          name: "integrity of programs",
          expected: "IMA appraisal, dm-verity, fapolicyd or AIDE",
          observed: watches ? "watched" : "none of them",
          holds: watches,
          otherwise: "partial",
          evidence: integrity.evidence,
        }),
      ],
      howMet: "A changed program does not run from where users can write.",
      userAction: "Judge the risk; cover USB and integrity of programs; allow only listed or signed programs.",
    };
  },
};

/** Whether the file system that a folder lies in is mounted with an option. */
export function hasOption(mounts: string, folder: string, option: string): boolean {
  const best = mounts
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, at = ""]) => at !== "" && (folder === at || folder.startsWith(at === "/" ? "/" : `${at}/`)))
    .sort(([, a = ""], [, b = ""]) => a.length - b.length)
    .at(-1);
  return best?.[3]?.split(",").includes(option) === true;
}
