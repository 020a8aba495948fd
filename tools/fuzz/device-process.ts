import { readDescription, startTarget, type Target } from "@cipsec/target";
import type { Memory, OpenPortNumbers } from "./device.ts";

/*
 * The process that `device.ts` starts: runs devices and answers questions about itself. It ends with its parent.
 */

/** What the parent asks. */
export type ToDevice =
  | { readonly type: "start"; readonly devices: readonly { readonly folder: string; readonly description: unknown }[] }
  | { readonly type: "ports" | "memory" | "events" };

/** The answer has the question's type. */
export interface FromDevice {
  readonly type: ToDevice["type"] | "failed";
  readonly ports?: readonly OpenPortNumbers[];
  readonly memory?: Memory;
  readonly events?: Readonly<Record<string, number>>;
  readonly error?: string;
}

const mib = 1024 * 1024;

const targets: Target[] = [];
const events: Record<string, number> = {};

process.on("message", (message: ToDevice) => {
  obey(message).then(
    (answer) => process.send?.({ type: message.type, ...answer }),
    (error: unknown) => process.send?.({ type: "failed", error: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));

async function obey(message: ToDevice): Promise<Omit<FromDevice, "type">> {
  switch (message.type) {
    case "start":
      for (const { folder, description } of message.devices) {
        const onEvent = ({ name }: { readonly name: string }): void => void (events[name] = (events[name] ?? 0) + 1);
        targets.push(await startTarget({ description: readDescription(description), stateDir: folder, onEvent }));
      }
      return {};
    case "ports":
      return { ports: targets.map(({ ports }) => ports) };
    case "events":
      return { events };
    case "memory": {
      // The second collection takes what finalizers of the first let go.
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 50));
      globalThis.gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      return { memory: { rssMib: rss / mib, heapMib: heapUsed / mib } };
    }
  }
}
