import type { Check } from "../../check.ts";
import { capability, type Observation } from "../../observation.ts";
import { makeBench, type Bench } from "../bench.ts";
import { seeSshd } from "../login.ts";
import { numberOf, parseSshd } from "../parse/settings.ts";
import type { HostSubject } from "../subject.ts";

/** C-7.1: the host limits what a flood can take. */
export const floodLimits: Check<HostSubject> = {
  id: "C-7.1",
  version: "1.0",
  title: "Floods meet limits",
  requirements: ["CR 7.1"],
  part: "whole",
  method: "examine",
  crossReferences: ["TC_CR7.1_1"],
  needs: ["root"],
  estimateMs: 2000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const cookies = await bench.see("syncookies", ["cat", "/proc/sys/net/ipv4/tcp_syncookies"]);
    const units = await bench.see("units", [
      "sh",
      "-c",
      "systemctl show '*.service' --property=Id,MemoryMax,TasksMax,CPUQuotaPerSecUSec 2>/dev/null | head -n 2000; true",
    ]);
    const limited = /(?:MemoryMax|TasksMax)=\d/.test(units.stdout);
    const observations: Observation[] = [
      capability({
        name: "SYN cookies",
        expected: "on (1)",
        observed: cookies.stdout.trim() || "could not be read",
        holds: cookies.exit === 0 ? /^[12]$/.test(cookies.stdout.trim()) : undefined,
        evidence: cookies.evidence,
      }),
      capability({
        name: "limits of services",
        expected: "memory or tasks are limited",
        observed: units.stdout.trim() === "" ? "systemd does not run here" : limited ? "limited" : "not limited",
        holds: units.stdout.trim() === "" ? undefined : limited,
        otherwise: "partial",
        evidence: units.evidence,
      }),
      ...(await sshLimits(bench)),
      capability({
        name: "the essential function under load",
        expected: "goes on within its limits, and recovers",
        observed: "not tried: it needs the product in a laboratory, its function watched, and load on each protocol",
        holds: undefined,
      }),
    ];
    return {
      observations,
      howMet: "The kernel and the services limit what a flood can take.",
      limits: ["load on EtherNet/IP itself is B-7.1, of the endpoint"],
      userAction: "Run communication robustness tests on the end device.",
    };
  },
};

async function sshLimits(bench: Bench): Promise<readonly Observation[]> {
  if (!(await bench.subject.has("sshd"))) return [];
  const seen = await seeSshd(bench, "sshd");
  const [start] = parseSshd(seen.stdout).get("maxstartups")?.[0]?.split(":") ?? [];
  return [
    capability({
      name: "logins that SSH begins at once",
      expected: "limited by MaxStartups to 100 or fewer",
      observed: start ?? "could not be read",
      holds: start === undefined ? undefined : (numberOf(start) ?? Infinity) <= 100,
      otherwise: "partial",
      evidence: seen.evidence,
    }),
  ];
}

/** C-7.3: state can be saved and put back. */
export const hostBackup: Check<HostSubject> = {
  id: "C-7.3",
  version: "1.0",
  title: "The state of the host is backed up",
  requirements: ["CR 7.3"],
  part: "whole",
  method: "examine",
  needs: ["root"],
  estimateMs: 1000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const tools = await bench.see("tools", [
      "sh",
      "-c",
      "command -v borg restic rsnapshot duplicity bacula-fd amanda timeshift snapper; true",
    ]);
    const found = tools.stdout
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((path) => path.split("/").at(-1));
    return {
      observations: [
        capability({
          name: "a tool to back up with",
          expected: "installed and set up",
          observed: found.length === 0 ? "none of the known ones" : found.join(", "),
          holds: found.length === 0 ? undefined : true,
          evidence: tools.evidence,
        }),
        capability({
          name: "a backup under load, put back on a second unit",
          expected: "the same settings, and the operation undisturbed",
          observed: "not tried: it needs a second unit and the product's procedure",
          holds: undefined,
        }),
      ],
      userAction: "Choose what is backed up remotely; try to restore regularly.",
    };
  },
};

/** C-6.2: what happens on the host is watched. */
export const hostMonitoring: Check<HostSubject> = {
  id: "C-6.2",
  version: "1.0",
  title: "The host is watched without a break",
  requirements: ["CR 6.2"],
  part: "whole",
  method: "examine",
  crossReferences: ["TC_CR6.2_1"],
  needs: ["root"],
  estimateMs: 5000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const observations: Observation[] = [];
    const audit = (await subject.has("auditctl")) ? await bench.see("audit", ["auditctl", "-s"]) : undefined;
    const isOn = /enabled\s+[12]/.test(audit?.stdout ?? "");
    const lost = /lost\s+(\d+)/.exec(audit?.stdout ?? "")?.[1];
    observations.push(
      capability({
        name: "the kernel's audit",
        expected: "enabled, nothing lost",
        observed:
          audit === undefined
            ? "auditctl is not installed"
            : `${isOn ? "enabled" : "not enabled"}, ${lost ?? "?"} lost`,
        holds: audit === undefined ? undefined : isOn && lost === "0",
        otherwise: "partial",
        evidence: audit?.evidence ?? [],
      }),
    );
    const collectors = await bench.see("collectors", [
      "sh",
      "-c",
      "ps -eo comm= | grep -E '^(syslog-ng|rsyslogd|systemd-journal|auditd|aide)' | sort -u; true",
    ]);
    const running = collectors.stdout.trim().split("\n").filter(Boolean);
    const logs = await bench.see("logs", [
      "sh",
      "-c",
      "stat -c '%a %s %n' /var/log/syslog /var/log/auth.log /var/log/boot.log /var/log/dmesg /var/log/faillog 2>/dev/null; ls -d /var/log/journal /run/log/journal 2>/dev/null; true",
    ]);
    const lines = logs.stdout.split("\n").filter(Boolean);
    const readable = lines.filter(
      (line) => (Number.parseInt(/^(\d{3,4}) /.exec(line)?.[1] ?? "0", 8) & 0o004) !== 0 && /auth|syslog/.test(line),
    );
    const token = `cipsec-${bench.recorder.clock.wallNow() ?? 0}`;
    await bench.see("event", ["logger", "-p", "auth.notice", "-t", "cipsec", token]);
    const arrived = await bench.see("event-found", [
      "sh",
      "-c",
      'sleep 1; grep -ls -- "$1" /var/log/auth.log /var/log/syslog /var/log/messages; journalctl -t cipsec --no-pager -n 20 2>/dev/null | grep -F -- "$1"; true',
      "sh",
      token,
    ]);
    observations.push(
      capability({
        name: "a collector of logs",
        expected: "runs",
        observed: running.join(", ") || "none",
        holds: running.length > 0,
        evidence: collectors.evidence,
      }),
      capability({
        name: "a planted event",
        expected: "arrives in the log",
        observed: arrived.stdout.trim() === "" ? "not found" : "found",
        holds: arrived.stdout.trim() !== "",
        evidence: arrived.evidence,
      }),
      capability({
        name: "logs that everybody can read",
        expected: "none",
        observed: readable.length === 0 ? "none" : readable.join("; "),
        holds: lines.length === 0 ? undefined : readable.length === 0,
        otherwise: "partial",
        evidence: logs.evidence,
      }),
    );
    return {
      observations,
      howMet: "Events are collected; a planted one arrives.",
      limits: ["forwarding to another machine, and the alarm when the collector stops, were not tried"],
      userAction: "Choose AIDE, syslog-ng, auditd or others for the use.",
    };
  },
};
