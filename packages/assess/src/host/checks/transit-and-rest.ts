import type { Check } from "../../check.ts";
import { capability, type Observation } from "../../observation.ts";
import { makeBench, type Bench } from "../bench.ts";
import { seeSshd } from "../login.ts";
import { parseBlockDevices } from "../parse/block-devices.ts";
import { parseSshd } from "../parse/settings.ts";
import { parseSockets } from "../parse/sockets.ts";
import type { HostSubject } from "../subject.ts";
import { weakAlgorithms } from "./certificate-cases.ts";

/** Ports of services that send what they carry in clear. */
const clearPorts = new Map([
  [21, "FTP"],
  [23, "Telnet"],
  [25, "SMTP"],
  [69, "TFTP"],
  [80, "HTTP"],
  [110, "POP3"],
  [111, "RPC portmapper"],
  [143, "IMAP"],
  [161, "SNMP"],
  [389, "LDAP"],
  [512, "rexec"],
  [513, "rlogin"],
  [514, "rsh or syslog"],
  [502, "Modbus"],
  [1883, "MQTT"],
  [2222, "EtherNet/IP I/O"],
  [44818, "EtherNet/IP"],
]);

/** C-4.1: what leaves the host is encrypted, and what lies on it too. */
export const confidentialityOfHost: Check<HostSubject> = {
  id: "C-4.1",
  version: "1.0",
  title: "Data is confidential on the wire and on the disk",
  requirements: ["CR 4.1"],
  part: "whole",
  method: "examine",
  crossReferences: ["TC_CR4.1_1", "TC_CR4.1_2"],
  needs: ["root"],
  estimateMs: 3000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const version = await bench.see("openssl", ["openssl", "version", "-a"]);
    return {
      observations: [
        capability({
          name: "means to encrypt",
          expected: "OpenSSL 3 or another library that is still kept",
          observed: version.stdout.split("\n")[0] || "openssl is not installed",
          holds: version.exit === 0 ? /^OpenSSL [3-9]/.test(version.stdout) : undefined,
          otherwise: "partial",
          evidence: version.evidence,
        }),
        ...(await transit(bench)),
        ...(await rest(bench)),
      ],
      howMet:
        "Only encrypted protocols are served to the network; data partitions and swap are encrypted with a key bound to the TPM.",
      conditions: [`kernel's ciphers: ${(await ciphers(bench)) || "none"}`],
      limits: [
        "that a disk does not open with changed measurements, or in another machine, needs a restart: it was not tried",
        "protocols of the product were judged by their ports, not by a capture",
      ],
      userAction:
        "Close UDP 68 or let in the DHCP server only, for example with nftables; encrypt what the product stores.",
    };
  },
};

async function ciphers(bench: Bench): Promise<string> {
  const seen = await bench.see("crypto", ["cat", "/proc/crypto"]);
  const names = [...seen.stdout.matchAll(/^name\s*:\s*(\S+)/gm)].map(([, name = ""]) => name);
  return [...new Set(names)].filter((name) => /^(?:xts|gcm|cbc|ctr)\(/.test(name)).join(", ");
}

async function transit(bench: Bench): Promise<readonly Observation[]> {
  const seen = await bench.see("sockets", ["ss", "-Htulnp"]);
  const open = parseSockets(seen.stdout).filter(({ isLoopback }) => !isLoopback);
  const clear = open.filter(({ port }) => clearPorts.has(port));
  const dhcp = open.filter(({ protocol, port }) => protocol === "udp" && port === 68);
  const rules = (await bench.subject.has("nft")) ? await bench.see("nft", ["nft", "list", "ruleset"]) : undefined;
  const filtered = /dport (?:68|bootpc)\b|policy drop/.test(rules?.stdout ?? "");
  const observations: Observation[] = [
    capability({
      name: "services in clear that the network reaches",
      expected: "none",
      observed:
        clear.length === 0 ? "none" : clear.map(({ port }) => `${port} (${clearPorts.get(port) ?? ""})`).join(", "),
      holds: seen.exit === 0 ? clear.length === 0 : undefined,
      evidence: seen.evidence,
    }),
    capability({
      name: "UDP port 68",
      expected: "closed, or filtered to the DHCP server",
      observed: dhcp.length === 0 ? "closed" : filtered ? "open, with a rule for it" : "open",
      holds: seen.exit === 0 ? dhcp.length === 0 || filtered : undefined,
      otherwise: "partial",
      evidence: [...seen.evidence, ...(rules?.evidence ?? [])],
    }),
  ];
  if (!(await bench.subject.has("sshd"))) return observations;
  const sshd = await seeSshd(bench, "sshd");
  const weak = weakAlgorithms(parseSshd(sshd.stdout));
  observations.push(
    capability({
      name: "algorithms of the SSH server",
      expected: "no SHA-1, MD5, CBC, RC4, 3DES or 64-bit tags",
      observed: weak.length === 0 ? "none of them" : weak.join(", "),
      holds: sshd.exit === 0 ? weak.length === 0 : undefined,
      otherwise: "partial",
      evidence: sshd.evidence,
    }),
  );
  return observations;
}

async function rest(bench: Bench): Promise<readonly Observation[]> {
  const devices = await bench.see("lsblk", ["lsblk", "--json", "--bytes", "--output", "NAME,TYPE,FSTYPE,MOUNTPOINT"]);
  const homes = await bench.see("mounts", [
    "findmnt",
    "--noheadings",
    "--output",
    "TARGET,SOURCE,FSTYPE",
    "--target",
    "/home",
  ]);
  const state = await bench.see("mounts-var", [
    "findmnt",
    "--noheadings",
    "--output",
    "TARGET,SOURCE,FSTYPE",
    "--target",
    "/var",
  ]);
  const swaps = await bench.see("swaps", ["cat", "/proc/swaps"]);
  const core = await bench.see("core-pattern", ["sh", "-c", "cat /proc/sys/kernel/core_pattern; ulimit -c"]);
  const tpm = await bench.see("tpm", ["sh", "-c", "cat /sys/class/tpm/tpm0/tpm_version_major 2>/dev/null; true"]);
  const tree = parseBlockDevices(devices.stdout);
  const isEncrypted = (line: string): boolean | undefined => {
    const [target] = line.trim().split(/\s+/);
    if (tree === undefined || target === undefined || target === "") return undefined;
    return tree.find(({ mountpoint }) => mountpoint === target)?.isEncrypted ?? false;
  };
  const where = [isEncrypted(homes.stdout), isEncrypted(state.stdout)];
  const swapLines = swaps.stdout.split("\n").slice(1).filter(Boolean);
  const plainSwap = swapLines.filter((line) => !/\/dev\/(?:dm-|mapper)|zram/.test(line));
  const evidence = [...devices.evidence, ...homes.evidence, ...state.evidence];
  return [
    capability({
      name: "partitions of /home and /var",
      expected: "inside LUKS",
      observed: where
        .map(
          (is, at) =>
            `${at === 0 ? "/home" : "/var"} ${is === true ? "encrypted" : is === false ? "plain" : "unknown"}`,
        )
        .join(", "),
      holds: where.includes(undefined) ? undefined : where.every((is) => is === true),
      evidence,
    }),
    capability({
      name: "the key of the disk",
      expected: "bound to a TPM 2",
      observed:
        tpm.stdout.trim() === "" ? "no TPM" : `TPM ${tpm.stdout.trim()}: whether the key is bound to it was not read`,
      holds: tpm.stdout.trim() === "" ? false : undefined,
      otherwise: "partial",
      evidence: tpm.evidence,
    }),
    capability({
      name: "swap",
      expected: "encrypted, or none",
      observed:
        plainSwap.length === 0 ? (swapLines.length === 0 ? "none" : "encrypted") : plainSwap.join("; ").slice(0, 100),
      holds: plainSwap.length === 0,
      evidence: swaps.evidence,
    }),
    capability({
      name: "core dumps",
      expected: "off",
      observed: core.stdout.trim().replaceAll("\n", ", limit "),
      holds: /\n0\s*$/.test(core.stdout) || core.stdout.startsWith("|/bin/false"),
      otherwise: "partial",
      evidence: core.evidence,
    }),
  ];
}
