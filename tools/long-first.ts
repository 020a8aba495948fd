import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Test files that take long for their size, longest first. Where no former run is known vitest begins with large files; one of
 * these that began last would leave all processors but one idle.
 */
export const longFiles = [
  "apps/cli/test/demo.test.ts",
  "tools/test/kill-campaign.test.ts",
  "interop/dtls.test.ts",
  "packages/assess/test/mutations.test.ts",
  "apps/cli/test/signals.test.ts",
  "tools/test/ten-years.test.ts",
  "packages/assess/test/host/accounts.test.ts",
  "packages/lab/test/lab.test.ts",
  "interop/package.test.ts",
  "packages/originator/test/power-cut.test.ts",
  "packages/target/test/fuzz-live.test.ts",
  "interop/captures.test.ts",
  "packages/capture/test/captures.test.ts",
  "interop/assess.test.ts",
  "interop/io-faults.test.ts",
  "packages/target/test/store.test.ts",
] as const;

/** Begins with {@link longFiles}, and goes on as vitest does. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    const first = longFiles.flatMap((name) => others.filter(({ moduleId }) => moduleId.endsWith(`/${name}`)));
    return [...first, ...others.filter((file) => !first.includes(file))];
  }
}
