import { monotonicMs, type Memory, type Question, type Stall, type Start } from "./messages.ts";

const beatMs = 5;

/** A process of this tool: starts with its first message, then answers each question. It ends with its parent. */
export function answering(start: (start: Start) => Promise<(question: Question) => object>): void {
  let answer: Promise<(question: Question) => object> | undefined;
  // A process that the machine holds up sends nothing meanwhile, and its peers time out as they should.
  let [lastBeatMs, stalledMs] = [monotonicMs(), 0];
  setInterval(() => {
    const now = monotonicMs();
    stalledMs = Math.max(stalledMs, now - lastBeatMs - beatMs);
    lastBeatMs = now;
  }, beatMs);
  process.on("disconnect", () => process.exit(0));
  process.on("message", (message: Start | Question) => {
    tell(message).then(
      (value) => process.send?.(value),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  });
  async function tell(message: Start | Question): Promise<object> {
    if ("addresses" in message) {
      answer = start(message);
      await answer;
      return {};
    }
    if (message.ask === "memory") return await memory();
    if (message.ask === "stall") {
      const stall: Stall = { stalledMs: Math.max(stalledMs, monotonicMs() - lastBeatMs - beatMs) };
      stalledMs = 0;
      return stall;
    }
    return (await answer)?.(message) ?? {};
  }
}

/** The second collection takes what finalizers of the first let go. */
async function memory(): Promise<Memory> {
  for (let i = 0; i < 2; i += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo())
    if (kind !== "Timeout" && kind !== "Immediate") handles[kind] = (handles[kind] ?? 0) + 1;
  return { heapBytes: process.memoryUsage().heapUsed, handles };
}
