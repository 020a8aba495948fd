import { startLab } from "../src/index.ts";
import { plannedAt } from "./support.ts";

// A program with a plant that a test kills: argv holds the plant's folder, then addresses.
const [folder = "", ...addresses] = process.argv.slice(2);
await startLab({ dataDir: folder, devices: plannedAt(addresses) });
process.stdout.write("running\n");
setInterval(() => undefined, 1000);
