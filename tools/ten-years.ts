import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "@cipsec/wire";
import { tenYears } from "./ten-years/story.ts";

/*
 * Ten years in minutes: a plant of real devices on a calendar that somebody turns. Certificates are renewed, the issuing authority and the
 * root change, two certificates are revoked, the EST server is gone for a week, power is cut; I/O over DTLS runs on through it all, by the
 * machine's own clock. Ends with 1 when anything lived that should not, or did not live that should.
 */

const { values } = parseArgs({
  options: { devices: { type: "string", default: "20" }, "day-ms": { type: "string", default: "25" } },
});

function whole(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new UsageError("usage/argument", `--${name}: '${text}' is not a whole number from ${least} to ${most}`);
}

const folder = await mkdtemp(join(tmpdir(), "cipsec-ten-years-"));
try {
  const { faults, figures } = await tenYears({
    devices: whole("devices", values.devices, 3, 100),
    dayTakesMs: whole("day-ms", values["day-ms"], 0, 10_000),
    folder,
    network: "127.32.30",
    lookEvery: 90,
    deliverEvery: 180,
    tell: ({ day, date, what }) => process.stdout.write(`${date}  day ${String(day).padStart(4)}  ${what}\n`),
  });
  process.stdout.write("\n");
  for (const [what, figure] of Object.entries(figures)) process.stdout.write(`${what.padEnd(36)} ${figure}\n`);
  for (const fault of faults) process.stdout.write(`FAULT: ${fault}\n`);
  process.stdout.write(faults.length === 0 ? "Everything held.\n" : `${faults.length} faults.\n`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
