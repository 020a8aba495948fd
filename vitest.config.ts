import { defineConfig } from "vitest/config";

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
    testTimeout: 30_000,
    hookTimeout: 60_000,
    globalSetup: "tools/test-folder.ts",
    pool: "forks",
    maxWorkers: 2,
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
