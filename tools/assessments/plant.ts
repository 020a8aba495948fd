import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { openRun, readAssessment, runPath, type Assessment } from "@cipsec/assess";
import { mixedPlant, startLab } from "@cipsec/lab";
import { UsageError } from "@cipsec/wire";
import { run } from "../../apps/cli/src/program.ts";

/** A device whose assessment is written down. */
export interface DeviceSubject {
  readonly file: string;
  readonly title: string;
  /** What it is and how it was commissioned. */
  readonly about: string;
  /** `cipsec assess` and what follows; files are named relative to the plant's folder. */
  readonly words: readonly string[];
}

/** Of a mixed plant of five: a modern device, its twin, one of the generation of CBC suites and shared keys, a legacy one. */
const wanted = [0, 1, 3, 4] as const;

const addresses = ["127.10.9.1", "127.10.9.2", "127.10.9.3", "127.10.9.4"] as const;

/** The assemblies that devices of the lab have. */
const io = ["--o-to-t", "101:8", "--t-to-o", "100:8"] as const;

/** Checks that change or flood something are allowed: nobody's plant depends on a lab. */
const allowed = ["--disruptive", "--supplier-root", "supplier.pem", ...io] as const;

export const deviceSubjects: readonly DeviceSubject[] = [
  {
    file: "modern.md",
    title: "A modern device",
    about:
      "CIP Security with AES-GCM suites, commissioned by certificate: clients are verified, expiry is checked, a revocation list is installed, the plaintext ports are closed. A second unit of the product stands beside it.",
    words: ["endpoint", addresses[0], "--second", addresses[1], ...allowed],
  },
  {
    file: "cbc-psk.md",
    title: "A device of the CBC/PSK generation",
    about:
      "CIP Security with CBC suites and pre-shared keys, commissioned by a pre-shared key of 256 bits; the plaintext ports are closed.",
    words: ["endpoint", addresses[2], "--psk-identity", "cell4", "--psk-file", "cell4.hex", ...allowed],
  },
  {
    file: "legacy.md",
    title: "A legacy device",
    about: "A device from before CIP Security: plaintext ports only. There is nothing to commission.",
    words: ["endpoint", addresses[3], ...allowed],
  },
];

/** A running plant, and the command that assesses what is in it. */
export interface AssessedPlant extends AsyncDisposable {
  /** Runs `cipsec assess` with these words and reads the run that it made. */
  assess(words: readonly string[]): Promise<Assessment>;
}

/** Starts the devices below a folder and commissions them, all by commands. */
export async function startPlant(folder: string): Promise<AssessedPlant> {
  const planned = mixedPlant(5);
  const devices = wanted.flatMap((at, i) => {
    const device = planned[at];
    const address = addresses[i];
    if (device === undefined || address === undefined) return [];
    return [{ ...device, description: { ...device.description, address } }];
  });
  const lab = await startLab({ dataDir: join(folder, "lab"), devices });
  await writeFile(join(folder, "supplier.pem"), lab.vendorRootPem);
  await writeFile(join(folder, "cell4.hex"), randomBytes(32).toString("hex"), { mode: 0o600 });
  const cipsec = async (words: readonly string[]): Promise<string> => await command(folder, words);
  for (const address of addresses.slice(0, 2)) await cipsec(["commission", address, "--insecure-accept-any"]);
  const key = ["--psk-identity", "cell4", "--psk-file", "cell4.hex"];
  await cipsec([
    "commission",
    addresses[2],
    "--psk",
    ...key,
    "--suites",
    "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256",
    "--insecure-accept-any",
  ]);
  return {
    async assess(words) {
      const told: unknown = JSON.parse(
        await cipsec(["assess", ...words, "--operator", "npm run assessments", "--json"]),
      );
      const id = typeof told === "object" && told !== null && "run" in told ? String(told.run) : "";
      return await readAssessment(await openRun(runPath(join(folder, "data", "assess", "runs"), id)));
    },
    [Symbol.asyncDispose]: () => lab.close(),
  };
}

/** Runs a command of ours in this process; its progress goes to standard error. */
async function command(folder: string, words: readonly string[]): Promise<string> {
  const whole = words.map((word) => (/^[\w]+\.(pem|hex)$/.test(word) ? join(folder, word) : word));
  let printed = "";
  const out = new Writable({
    write(chunk: Buffer | string, _encoding, done) {
      printed += chunk.toString();
      done();
    },
  });
  let exit = -1;
  await run(whole, {
    streams: { out, err: process.stderr },
    environment: { CIPSEC_DATA: join(folder, "data") },
    signal: new AbortController().signal,
    exit: (code) => void (exit = code),
  });
  // 1: done, and something is open, as always.
  if (exit === 0 || exit === 1) return printed;
  throw new UsageError("usage/state", `cipsec ${words.join(" ")} ended with ${exit}: ${printed}`);
}
