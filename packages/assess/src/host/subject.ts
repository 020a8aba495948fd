import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "@cipsec/transport";
import { TransportError } from "@cipsec/wire";
import type { Subject } from "../check.ts";
import type { Need } from "../need.ts";
import { componentKey, type SubjectFacts } from "../run/plan.ts";
import { endSharedConnection, launchHere, launchOverSsh } from "./launch.ts";
import { runProcess } from "./process.ts";
import { makeRunner, type Runner } from "./runner.ts";
import { parseSettings } from "./parse/settings.ts";

/** How a host is assessed. */
export interface HostOptions {
  /** SSH destination; this machine without it. */
  readonly ssh?: string;
  /** Words before each command, to reach into a container or a root folder: `["nsenter", "--all", "--target=4711", "--"]`. */
  readonly through?: readonly string[];
  /** A second unit of the same product. */
  readonly second?: HostSubject;
  readonly disruptive: boolean;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** Tries of each kind when logins are timed; 200 unless fewer will do. */
  readonly loginSamples?: number;
  /** What two kinds of login may differ by, ms; 3 by default. */
  readonly loginLimitMs?: number;
}

/** A host under assessment. */
export interface HostSubject extends Subject, Runner, AsyncDisposable {
  readonly clock: Clock;
  readonly facts: SubjectFacts;
  readonly isLocal: boolean;
  readonly isRoot: boolean;
  readonly disruptive: boolean;
  readonly second: HostSubject | undefined;
  readonly loginSamples: number;
  readonly loginLimitMs: number;
  /** Whether a program is on the search path. */
  has(program: string): Promise<boolean>;
  /** Package and version that a program comes from, as its package manager says; nothing where it does not know. */
  packageOf(program: string): Promise<string | undefined>;
}

/**
 * Reaches a host and finds out who it is and whether we are root there, by `sudo -n` if need be.
 *
 * @throws {TransportError} `transport/closed` when no command runs there; the message holds what SSH said.
 * @throws {UsageError} `usage/argument` for an SSH destination that is not one.
 */
export async function openHost(options: HostOptions): Promise<HostSubject> {
  const { ssh, through = [], signal, clock = systemClock } = options;
  const folder = ssh === undefined ? undefined : await mkdtemp(join(tmpdir(), "cipsec-ssh-"));
  const close = async (): Promise<void> => {
    if (ssh === undefined || folder === undefined) return;
    const { file, args } = endSharedConnection(ssh, join(folder, "c"));
    await runProcess(file, args, undefined, { clock, signal: AbortSignal.timeout(5000), timeoutMs: 5000 });
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const launch = ssh === undefined || folder === undefined ? launchHere : launchOverSsh(ssh, join(folder, "c"));
    const plain = makeRunner(launch, through, { clock, signal });
    const who = await plain.run(["id", "-u"]);
    if (who.exit !== 0)
      throw new TransportError(
        "transport/closed",
        `no command runs on ${ssh ?? "this machine"}: ${who.stderr.trim().slice(0, 300)}`,
        {
          fix: "Check the address and the key; the host's own key must be in your known_hosts already.",
        },
      );
    const isRootItself = who.stdout.trim() === "0";
    const bySudo = !isRootItself && (await plain.run(["sudo", "-n", "true"])).exit === 0;
    const runner = bySudo ? makeRunner(launch, [...through, "sudo", "-n", "--"], { clock, signal }) : plain;
    const isRoot = isRootItself || bySudo;
    return {
      ...runner,
      clock,
      signal,
      isRoot,
      isLocal: ssh === undefined,
      disruptive: options.disruptive,
      second: options.second,
      loginSamples: options.loginSamples ?? 200,
      loginLimitMs: options.loginLimitMs ?? 3,
      facts: await factsOf(runner, ssh ?? "this machine"),
      ...inventoryOf(runner),
      lacks: (need) => lack(need, isRoot, options),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function lack(need: Need, isRoot: boolean, { disruptive, second }: HostOptions): string | undefined {
  switch (need) {
    case "root":
      return isRoot ? undefined : "log in as root, or let the account use sudo without a password";
    case "disruptive":
      return disruptive ? undefined : "";
    case "second-unit":
      return second === undefined ? "" : undefined;
    default:
      return "";
  }
}

/** Looks programs up once each. */
function inventoryOf(runner: Runner): Pick<HostSubject, "has" | "packageOf"> {
  const paths = new Map<string, Promise<string | undefined>>();
  const packages = new Map<string, Promise<string | undefined>>();
  const find = async (program: string): Promise<string | undefined> => {
    const { exit, stdout } = await runner.run(["sh", "-c", 'command -v "$1"', "sh", program]);
    return exit === 0 ? stdout.trim() : undefined;
  };
  const owner = async (program: string): Promise<string | undefined> => {
    const path = await once(paths, program, find);
    if (path === undefined || !path.startsWith("/")) return undefined;
    const name = path.split("/").at(-1) ?? program;
    const { stdout } = await runner.run(["dpkg-query", "--search", `*/${name}`]);
    const line = stdout.split("\n").find((one) => /\/s?bin\//.test(one) && one.endsWith(`/${name}`));
    const [packageName = ""] = line?.split(": ") ?? [];
    if (packageName === "") return undefined;
    const { stdout: version } = await runner.run(["dpkg-query", "--show", packageName]);
    return version.trim().replaceAll(/\s+/g, " ") || undefined;
  };
  return {
    has: async (program) => (await once(paths, program, find)) !== undefined,
    packageOf: async (program) => await once(packages, program, owner),
  };
}

async function once<T>(known: Map<string, Promise<T>>, name: string, find: (name: string) => Promise<T>): Promise<T> {
  const found = known.get(name) ?? find(name);
  known.set(name, found);
  return await found;
}

async function factsOf(runner: Runner, address: string): Promise<SubjectFacts> {
  const release = parseSettings((await runner.run(["cat", "/etc/os-release"])).stdout);
  const kernel = (await runner.run(["uname", "-srm"])).stdout.trim();
  const machine = (await runner.run(["cat", "/etc/machine-id"])).stdout.trim();
  const host = (await runner.run(["uname", "-n"])).stdout.trim();
  const name = release.get("ID") ?? "unknown";
  const version = release.get("VERSION_ID") ?? "";
  return {
    address,
    component: componentKey("host", release.get("IMAGE_ID") ?? name, release.get("IMAGE_VERSION") ?? version),
    facts: {
      host,
      system: release.get("PRETTY_NAME") ?? name,
      kernel,
      ...(machine === "" ? {} : { machineId: machine }),
    },
  };
}
