import { startDevice } from "./real-target.ts";

/** A device in a process of its own, so that a test can cut its power. Arguments: address, state folder. */
const [address, stateDir] = process.argv.slice(2);
await startDevice({ address: address!, stateDir: stateDir!, security: { configTimerS: 2 } });
process.send?.("up");
