import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { UsageError } from "@cipsec/wire";

/** Names that the browser has on Debian and elsewhere. */
const browsers = ["chromium", "chromium-browser", "google-chrome", "chrome"] as const;

/** A report of a hundred pages takes a few seconds. */
const limitMs = 60_000;

const run = promisify(execFile);

/**
 * Prints an HTML report as PDF by the machine's own Chromium, so that the paper looks like the screen.
 *
 * @throws {UsageError} `usage/state` where there is no such browser, or it does not print.
 */
export async function pdfReport(html: string): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-report-"));
  try {
    const [page, pdf] = [join(folder, "report.html"), join(folder, "report.pdf")];
    await writeFile(page, html, { mode: 0o600 });
    let failure: unknown;
    for (const browser of browsers) {
      try {
        // The page is our own, has no scripts, and may load nothing; as root the browser has no sandbox to start.
        const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
        const words = [
          "--headless",
          "--disable-gpu",
          "--no-pdf-header-footer",
          ...root,
          `--user-data-dir=${join(folder, "profile")}`,
          `--print-to-pdf=${pdf}`,
          page,
        ];
        await run(browser, words, { timeout: limitMs });
        return await readFile(pdf);
      } catch (error) {
        failure = error;
      }
    }
    throw new UsageError("usage/state", "no browser on this machine could print the report", {
      fix: "Install Debian's 'chromium', or print the HTML report from a browser of your own.",
      cause: failure,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
