import type { EvidenceRef } from "../evidence/evidence.ts";
import type { Recorder } from "../evidence/recorder.ts";
import { shellLine } from "./launch.ts";
import type { Dialogue, Ran, Turn } from "./process.ts";
import type { RunCommand, Runner } from "./runner.ts";
import type { HostSubject } from "./subject.ts";

/** What a command gave, and where it is written down. */
export interface Seen extends Ran {
  readonly evidence: readonly EvidenceRef[];
}

/** What came of a dialogue, and where it is written down. */
export interface Talked extends Dialogue {
  readonly evidence: readonly EvidenceRef[];
}

/** Where a check works: each command that it runs is recorded, with the package that it comes from. */
export interface Bench {
  readonly subject: HostSubject;
  readonly recorder: Recorder;
  readonly runner: Runner;
  /** Runs a command and records all of it. Not for output that holds password hashes in old forms: see `readSecretly`. */
  see(name: string, argv: readonly string[], options?: RunCommand): Promise<Seen>;
  /** Runs a command on a terminal of its own, as `script` makes one, and types the answers. */
  talk(
    name: string,
    argv: readonly string[],
    turns: readonly Turn[],
    options?: { readonly as?: string; readonly timeoutMs?: number; readonly endAt?: RegExp },
  ): Promise<Talked>;
  /** The same, for tries that are too many to record one by one. */
  readonly talkUnrecorded: Bench["talk"];
  /** Output that is not recorded; empty where the command fails. */
  readSecretly(argv: readonly string[]): Promise<string>;
}

/** A bench on the host as it is, or on a private view of it. */
export function makeBench(subject: HostSubject, recorder: Recorder, runner: Runner = subject): Bench {
  const times = new Map<string, number>();
  const unique = (name: string): string => {
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    return time === 1 ? name : `${name}-${time}`;
  };
  const keep = async (name: string, argv: readonly string[], ran: Ran): Promise<readonly EvidenceRef[]> => {
    const { exit, stdout, stderr, isCut } = ran;
    const source = await subject.packageOf(programOf(argv));
    const more = source === undefined ? {} : { package: source };
    const note = isCut ? "\n[cut off: more output than is kept]" : "";
    return [await recorder.command(unique(name), { argv, exit, stdout: stdout + note, stderr, ...more })];
  };
  const converse = async (
    argv: readonly string[],
    turns: readonly Turn[],
    { as, ...options }: NonNullable<Parameters<Bench["talk"]>[3]> = {},
  ): Promise<Dialogue> => {
    const terminal = ["script", "--quiet", "--flush", "--return", "--command", shellLine(argv), "/dev/null"];
    return await runner.converse(
      as === undefined ? terminal : ["runuser", "-u", as, "--", ...terminal],
      turns,
      options,
    );
  };
  return {
    subject,
    recorder,
    runner,
    async see(name, argv, options) {
      const ran = await runner.run(argv, options);
      return { ...ran, evidence: await keep(name, argv, ran) };
    },
    async talk(name, argv, turns, options) {
      const dialogue = await converse(argv, turns, options);
      const { exit, transcript } = dialogue;
      return { ...dialogue, evidence: await keep(name, argv, { exit, stdout: transcript, stderr: "", isCut: false }) };
    },
    talkUnrecorded: async (_name, argv, turns, options) => ({
      ...(await converse(argv, turns, options)),
      evidence: [],
    }),
    async readSecretly(argv) {
      const { exit, stdout } = await runner.run(argv);
      return exit === 0 ? stdout : "";
    },
  };
}

/** The program that a command is about: not the one that only changes the user. */
function programOf(argv: readonly string[]): string {
  const at = argv[0] === "runuser" ? argv.indexOf("--") + 1 : 0;
  return argv[at] ?? "";
}
