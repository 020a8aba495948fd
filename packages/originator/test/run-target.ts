import { startDevice } from "./real-target.ts";

/** A device in a process of its own, so that a test can cut its power. Arguments: address, state folder, config timer. */
const [address, stateDir, configTimerS = "2"] = process.argv.slice(2);
await startDevice({ address: address!, stateDir: stateDir!, security: { configTimerS: Number(configTimerS) } });
process.send?.("up");
