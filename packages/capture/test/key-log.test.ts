import { inspect } from "node:util";
import { expect, test } from "vitest";
import { KeyLog } from "../src/key-log.ts";
import { hex, toHex } from "./frames.ts";

const random = "0123456789abcdef".repeat(4);
const master = "5a".repeat(48);

test("secrets are found by label and client random, whatever the case of the digits", () => {
  const log = new KeyLog(
    `# a comment\r\n\nCLIENT_RANDOM ${random.toUpperCase()} ${master}\nSERVER_TRAFFIC_SECRET_0 ${random} ${"11".repeat(32)}\n`,
  );
  expect(log.size).toBe(2);
  expect(toHex(log.secret("CLIENT_RANDOM", hex(random)) ?? hex(""))).toBe(master);
  expect(log.secret("CLIENT_TRAFFIC_SECRET_0", hex(random))).toBeUndefined();
  expect(log.secret("CLIENT_RANDOM", new Uint8Array(32))).toBeUndefined();
  expect(log.problemCount).toBe(0);
});

test("the first secret of a session stays", () => {
  const log = new KeyLog(`CLIENT_RANDOM ${random} ${master}`);
  log.add(new TextEncoder().encode(`CLIENT_RANDOM ${random} ${"00".repeat(48)}`));
  expect(toHex(log.secret("CLIENT_RANDOM", hex(random)) ?? hex(""))).toBe(master);
});

test.each([
  { line: `EXPORTER_SECRET ${random} ${"22".repeat(32)}`, reason: undefined },
  { line: `CLIENT_RANDOM ${random}`, reason: "a label and two values are needed, 1 values are there" },
  { line: `CLIENT_RANDOM ${random.slice(2)} ${master}`, reason: "the client random is not 64 hexadecimal digits" },
  { line: `CLIENT_RANDOM ${random} ${master}00`, reason: "the secret is not 96 hexadecimal digits" },
  {
    line: `CLIENT_TRAFFIC_SECRET_0 ${random} ${"zz".repeat(32)}`,
    reason: "the secret is not 64 or 96 hexadecimal digits",
  },
  { line: `FRESH_LABEL ${random} ${master}`, reason: "the label is not known" },
  { line: "x".repeat(600), reason: "the line is longer than 512 characters" },
])("line: $line", ({ line, reason }) => {
  const log = new KeyLog(`\n${line}`);
  expect(log.size).toBe(0);
  expect(log.problems).toEqual(reason === undefined ? [] : [{ line: 2, reason }]);
});

test("secrets show in no text of the object, and problems are bounded", () => {
  const log = new KeyLog(`CLIENT_RANDOM ${random} ${master}\n${`CLIENT_RANDOM ${random} ${master}x\n`.repeat(50)}`);
  expect(log.problemCount).toBe(50);
  expect(log.problems).toHaveLength(20);
  for (const text of [JSON.stringify(log), inspect(log, { depth: 9, showHidden: true })])
    expect(text).not.toContain("5a5a");
});
