export { run } from "./program.ts";
export type { Shell } from "./command.ts";
