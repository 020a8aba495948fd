// Brings a checkout to where its commands run: the locked npm packages with the project's own Node, and on Debian as
// root the programs that the interoperability tests talk to. Plain JavaScript that runs on Node 20, the oldest that a
// newcomer may have. Docs: docs/decisions/003-set-up.md.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { output, root, run, say } from "./process.mjs";

/** The Node that runs everything here: the dev dependency `node`. */
export const pinnedNode = join(root, "node_modules/node/bin/node");

/** The oldest Node that the packages support: the dev dependency `node-floor`. */
export const floorNode = join(root, "node_modules/node-floor/bin/node");

/**
 * Programs that interoperability tests talk to, each with the Debian package that has it; libraries are known by a file. A package
 * that `serves` would start a service that tells the network of this machine: see {@link installable}.
 */
const peers = [
  { program: "openssl", debian: "openssl" },
  { program: "curl", debian: "curl" },
  { program: "gnutls-cli", debian: "gnutls-bin" },
  { program: "stunnel", debian: "stunnel4" },
  { program: "tshark", debian: "tshark" },
  { program: "nmap", debian: "nmap" },
  { program: "chromium", debian: "chromium" },
  { program: "pdftotext", debian: "poppler-utils" },
  { program: "ip", debian: "iproute2" },
  { program: "dbus-daemon", debian: "dbus-daemon" },
  { program: "avahi-daemon", debian: "avahi-daemon", serves: true },
  { program: "avahi-browse", debian: "avahi-utils", serves: true },
  { program: "gcc", debian: "gcc" },
  { program: "libc6-dev", file: "/usr/include/stdio.h", debian: "libc6-dev" },
  { program: "libssl-dev", file: "/usr/include/openssl/ssl.h", debian: "libssl-dev" },
  { program: "libmbedtls-dev", file: "/usr/include/mbedtls/ssl.h", debian: "libmbedtls-dev" },
  { program: "libwolfssl-dev", file: "/usr/include/wolfssl/ssl.h", debian: "libwolfssl-dev" },
];

/**
 * Does what is missing, says so, and is quick when nothing is. Ends the process with exit code 1 and a sentence
 * when the npm packages cannot be had: nothing works without them. Missing peers are only reported.
 *
 * @param options.withPeers Also installs the interoperability peers, where this process may.
 */
export async function setUp({ withPeers = false } = {}) {
  if (!npmProblem() && !(withPeers && installable().length > 0)) {
    if (withPeers) reportMissingPeers();
    return;
  }
  const unlock = await lock();
  try {
    await setUpNpm();
    if (withPeers) await setUpPeers();
  } finally {
    unlock();
  }
}

async function setUpNpm() {
  const problem = npmProblem();
  if (!problem) return;
  say(`${problem}: running npm ci (about half a minute, once)`);
  // On an old Node every package's `engines` would warn; nothing runs on that Node but npm itself, so only errors are shown.
  const flags = ["--strict-allow-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  const code = await run("npm", ["ci", ...flags]);
  const still = code === 0 ? npmProblem() : `npm ci ended with exit code ${code}`;
  if (!still) return;
  say(`set-up failed: ${still}.`);
  say(
    "Fix: see npm's message above; it needs npm 11 and a reachable registry (npm ping), or a filled npm cache. Then run the command again.",
  );
  process.exit(1);
}

/** What is wrong with node_modules, or `undefined` when it holds what package-lock.json says and both Nodes run. */
function npmProblem() {
  const wanted = readJson("package-lock.json")?.packages;
  const present = readJson("node_modules/.package-lock.json")?.packages;
  if (!wanted) return "package-lock.json is missing or damaged";
  if (!present) return "npm packages are not installed";
  for (const [path, entry] of Object.entries(wanted)) {
    // Optional packages are those of other platforms; npm leaves them out.
    if (!path.startsWith("node_modules/") || entry.optional || entry.devOptional) continue;
    if (present[path] === undefined) return `${path} is missing`;
    if (present[path].version !== entry.version)
      return `${path} is ${present[path].version}, the lock says ${entry.version}`;
  }
  return (
    nodeProblem(pinnedNode, wanted["node_modules/node"].version) ??
    nodeProblem(floorNode, wanted["node_modules/node-floor"].version)
  );
}

function nodeProblem(path, version) {
  const found = output(path, ["--version"])?.trim();
  if (found === `v${version}`) return undefined;
  return found
    ? `${path} is ${found}, not v${version}`
    : `the project's own Node ${version} is missing or does not run`;
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8"));
  } catch {
    return undefined;
  }
}

async function setUpPeers() {
  const wanted = installable();
  if (wanted.length > 0) {
    const packages = wanted.map((peer) => peer.debian);
    say(`programs for the interoperability tests are missing: installing ${packages.join(" ")} with apt-get (once)`);
    const options = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"];
    const apt = (...args) => run("apt-get", [...options, ...args], { env: { DEBIAN_FRONTEND: "noninteractive" } });
    const install = () => apt("install", "-y", "--no-install-recommends", ...packages);
    // The package lists of a fresh machine are empty or old: refresh them once before giving up.
    const refresh = () => apt("update");
    if (!packagesKnown(packages)) await refresh();
    if ((await install()) !== 0) {
      await refresh();
      await install();
    }
  }
  reportMissingPeers();
}

/** Whether apt's lists name every package; `apt-cache show` fails for one that they don't. */
function packagesKnown(packages) {
  return output("apt-cache", ["show", "--no-all-versions", ...packages]) !== undefined;
}

function reportMissingPeers() {
  const missing = missingPeers();
  if (missing.length === 0) return;
  say(
    `not on this machine: ${missing.map((peer) => peer.program).join(", ")}; the interoperability cases that need them say so.`,
  );
  say(`Fix: as root on Debian, apt-get install ${missing.map((peer) => peer.debian).join(" ")}`);
}

function missingPeers() {
  return peers.filter(({ program, file }) => (file === undefined ? !onPath(program) : !existsSync(file)));
}

/** What is missing and may be installed unasked: no service where a service manager would start it, now and after each boot. */
function installable() {
  if (!mayInstallPeers()) return [];
  return missingPeers().filter(({ serves }) => !serves || !existsSync("/run/systemd/system"));
}

function mayInstallPeers() {
  return process.getuid?.() === 0 && existsSync("/etc/debian_version") && onPath("apt-get");
}

function onPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** How long one run waits for another's set-up, ms: longer than npm ci and apt-get take on a slow line. */
const maxWaitMs = 15 * 60_000;

/**
 * Two commands started together must not both install: the second waits for the first. A lock whose owner is gone is
 * taken over.
 *
 * @returns Gives the lock back.
 */
async function lock() {
  mkdirSync(join(root, ".setup"), { recursive: true });
  const file = join(root, ".setup/lock");
  const until = Date.now() + maxWaitMs;
  for (let waits = 0; ; waits++) {
    try {
      writeFileSync(file, `${process.pid}`, { flag: "wx" });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = lockOwner(file);
    if (owner === undefined || Date.now() > until) {
      rmSync(file, { force: true });
      continue;
    }
    if (waits === 0) say(`waiting for another set-up of this checkout (process ${owner})`);
    await sleep(500);
  }
}

/** The living process that holds the lock, or `undefined`. */
function lockOwner(file) {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    // An empty file is a lock being written at this moment.
    if (pid === 0) return "starting";
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}
