import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Gives a run of tests a folder for its temporary files, and takes it away with all that is in it: test processes are ended
 * before they could tidy up themselves.
 *
 * @returns Vitest calls it when all tests are done.
 */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-tests-"));
  process.env["TMPDIR"] = folder;
  // Hundreds of processes load the same sources: the first compiles them for the others. Processes that end write to it when the
  // run's own folder is being deleted, so it stands elsewhere.
  process.env["NODE_COMPILE_CACHE"] = join(import.meta.dirname, "..", ".setup", "compiled");
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
