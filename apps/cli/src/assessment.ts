import { createRequire } from "node:module";
import { arch, release, type, userInfo } from "node:os";
import {
  componentTypes,
  keyFingerprint,
  openRun,
  parseAttestations,
  readAssessment,
  runPath,
  securityLevels,
  signingKey,
  verifyRun,
  type Assessment,
  type Attestation,
  type ComponentType,
  type SecurityLevel,
  type ToolFacts,
  type Verification,
} from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { textOption, type Context } from "./command.ts";
import { readInput } from "./data-folder.ts";

/** Options of a command, or of a run that is repeated. */
export type Options = Readonly<Record<string, unknown>>;

/** Where assessments lie in the data folder: the key that signs them, and a folder for each run. */
export function assessFolder(context: Context): { readonly folder: string; readonly runs: string } {
  return { folder: context.data.file("assess"), runs: context.data.file("assess", "runs") };
}

/** The level that was asked for. @throws {UsageError} `usage/argument` */
export function levelOf(options: Options, otherwise: SecurityLevel = 2): SecurityLevel {
  const text = textOption(options, "level");
  if (text === undefined) return otherwise;
  const level = securityLevels.find((one) => String(one) === text);
  if (level !== undefined) return level;
  throw new UsageError("usage/argument", `--level: '${text}' is no security level`, { fix: "Use 1, 2, 3 or 4." });
}

/** The type of component that was asked for. @throws {UsageError} `usage/argument` */
export function typeOf(options: Options, otherwise: ComponentType): ComponentType {
  const text = textOption(options, "type");
  if (text === undefined) return otherwise;
  const found = componentTypes.find((one) => one === text);
  if (found !== undefined) return found;
  throw new UsageError("usage/argument", `--type: '${text}' is no type of component`, {
    fix: `Use ${componentTypes.join(", ")}.`,
  });
}

/** Statements of people, from `--attestations FILE`. */
export async function attestationsOf(options: Options): Promise<readonly Attestation[]> {
  const file = textOption(options, "attestations");
  if (file === undefined) return [];
  const text = Buffer.from(await readInput(file)).toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError("usage/file", `${file} is not JSON`, { cause: error });
  }
  return parseAttestations(value);
}

/** What makes a run, for its plan. */
export function toolFacts(): ToolFacts {
  const read: unknown = createRequire(import.meta.url)("../package.json");
  const version = typeof read === "object" && read !== null && "version" in read ? String(read.version) : "unknown";
  return {
    name: "cipsec",
    version,
    runtime: `Node.js ${process.versions.node}`,
    crypto: `OpenSSL ${process.versions.openssl}`,
    system: `${type()} ${release()} ${arch()}`,
  };
}

/** Who runs it: `--operator`, else the account. */
export function operatorOf(options: Options): string {
  return textOption(options, "operator") ?? userInfo().username;
}

/** A finished run of the data folder. Its folder is verified first: a report of altered records would be worth nothing. */
export async function finishedRun(
  context: Context,
  id: string,
): Promise<{ readonly assessment: Assessment; readonly verification: Verification }> {
  const { runs } = assessFolder(context);
  const folder = await openRun(runPath(runs, id));
  return { assessment: await readAssessment(folder), verification: await verified(context, id) };
}

/** Verifies a run with the key of this installation, and others whose fingerprints are trusted. */
export async function verified(context: Context, id: string, signers: readonly string[] = []): Promise<Verification> {
  const { folder, runs } = assessFolder(context);
  const path = runPath(runs, id);
  await openRun(path);
  return await verifyRun(path, [keyFingerprint(await signingKey(folder)), ...signers]);
}
