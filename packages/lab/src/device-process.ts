import { startTarget, type Target } from "@cipsec/target";
import { isStackError } from "@cipsec/wire";
import type { FromDevice, ToDevice } from "./messages.ts";

/*
 * A process that runs virtual devices. Its parent tells it which ones and is told when they listen. When the parent goes,
 * by whatever death, the channel between them closes and the devices stop.
 */

const running: Target[] = [];

process.on("message", (message: ToDevice) => void obey(message));
process.on("disconnect", () => void stop());
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined);

async function obey(message: ToDevice): Promise<void> {
  if (message.type === "stop") return stop();
  try {
    for (const { description, stateDir } of message.devices) running.push(await startTarget({ description, stateDir }));
    tell({ type: "listening" });
  } catch (error) {
    const known = isStackError(error);
    tell({
      type: "failed",
      code: known ? error.code : "bug/unreachable",
      message: error instanceof Error ? error.message : String(error),
    });
    await stop();
  }
}

async function stop(): Promise<void> {
  await Promise.allSettled(running.splice(0).map((target) => target.stop()));
  process.exit(0);
}

function tell(message: FromDevice): void {
  process.send?.(message);
}
