import { defineConfig } from "vitest/config";
import { LongFirst } from "./tools/long-first.ts";

/** Tests run on sources: the `@cipsec/source` export condition resolves every workspace package to its `src`. */
export default defineConfig({
  resolve: { conditions: ["@cipsec/source"] },
  ssr: { resolve: { conditions: ["@cipsec/source"], externalConditions: ["@cipsec/source"] } },
  test: {
    include: [
      "packages/*/test/**/*.test.ts",
      "apps/*/test/**/*.test.ts",
      "interop/**/*.test.ts",
      "tools/test/**/*.test.ts",
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What is polled for comes; a machine that is held up for a second is no reason to fail.
    expect: { poll: { timeout: 15_000 } },
    globalSetup: "tools/test-folder.ts",
    pool: "forks",
    // One more than the processors that two cores have: tests wait a good part of their time.
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
    coverage: {
      provider: "v8",
      reporter: [["text", { skipFull: true }]],
      include: ["packages/*/src/**"],
      thresholds: {
        "packages/wire/src/**": { branches: 100 },
        "packages/objects/src/**": { branches: 100 },
        "packages/dtls/src/**": { branches: 95 },
        "packages/pki/src/**": { branches: 95 },
      },
    },
  },
});
