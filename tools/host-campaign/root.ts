import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { spawn } from "node:child_process";
import { TransportError } from "@cipsec/wire";

/** What a plant's host needs for the checks, beyond Debian's smallest system. */
const packages = [
  "auditd",
  "ca-certificates",
  "cracklib-runtime",
  "ethtool",
  "iproute2",
  "kmod",
  "libpam-pwquality",
  "login",
  "nftables",
  "openssh-client",
  "openssh-server",
  "openssl",
  "passwd",
  "procps",
  "rsyslog",
  "sudo",
  "tpm2-tools",
  "util-linux",
  "wamerican",
];

const mirror = "http://deb.debian.org/debian";

/**
 * A Debian root folder, made by `debootstrap` (some minutes, about 310 MB) unless a whole one is there already.
 *
 * @throws {TransportError} `transport/closed` with the end of what debootstrap said.
 */
export async function ensureRoot(folder: string, tell: (text: string) => void): Promise<void> {
  if (existsSync(folder)) return;
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true, mode: 0o755 });
  tell("making a Debian root with debootstrap: some minutes");
  const said: string[] = [];
  const args = ["--variant=minbase", `--include=${packages.join(",")}`, "bookworm", partial, mirror];
  const child = spawn("debootstrap", args, { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once("error", reject).once("close", resolve),
  );
  if (code !== 0) {
    throw new TransportError("transport/closed", `debootstrap ended with ${code}: ${said.join("").slice(-500)}`, {
      fix: "Run it as root on Debian, with the package debootstrap installed and Debian's packages within reach.",
    });
  }
  await rename(partial, folder);
}
