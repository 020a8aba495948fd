import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { longFiles } from "../long-first.ts";

test.each(longFiles)("%s, which is to begin early, is there", (name) => {
  expect(existsSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)))).toBe(true);
});
