// `npm start`: sets up what is missing, then runs the main job, `cipsec demo`, with the arguments given here.
import { run } from "./process.mjs";
import { pinnedNode, setUp } from "./setup.mjs";

await setUp();
const cipsec = ["--conditions=@cipsec/source", "--no-warnings", "apps/cli/src/main.ts"];
process.exitCode = await run(pinnedNode, [...cipsec, "demo", ...process.argv.slice(2)], { stdin: "inherit" });
