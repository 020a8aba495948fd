import { PassThrough } from "node:stream";
import { BugError, PeerError, StateError, TransportError, TrustError, UsageError, WireError } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { addCommand, notesOf } from "../src/command.ts";
import { exitCodeOf, told } from "../src/exit-codes.ts";
import { formatTable, printable } from "../src/output.ts";
import { makeProgram } from "../src/program.ts";
import { commandReference } from "../src/reference.ts";
import { cipsec, document } from "./support.ts";

const wrong: readonly { words: readonly string[]; names: string; fix: string }[] = [
  { words: [], names: "", fix: "" },
  { words: ["frobnicate"], names: "unknown command 'frobnicate'", fix: "cipsec --help" },
  { words: ["discovr"], names: "Did you mean discover?", fix: "cipsec --help" },
  { words: ["get"], names: "'target'", fix: "cipsec get --help" },
  { words: ["get", "127.28.10.1"], names: "'path'", fix: "cipsec get --help" },
  { words: ["get", "a", "b", "--bogus"], names: "'--bogus'", fix: "cipsec get --help" },
  { words: ["get", "a", "1/1/1", "--timeout", "soon"], names: "'--timeout <ms>' argument 'soon'", fix: "get --help" },
  { words: ["get", "a", "1/1/1", "--timeout", "0"], names: "a whole number from 1 to 86400000", fix: "get --help" },
  { words: ["get", "a", "1/1/1", "--password", "x"], names: "'--password'", fix: "cipsec get --help" },
  { words: ["get", "a", "Banana/1/1"], names: "no class 'Banana'", fix: "Identity" },
  { words: ["get", "a", "Identity/1/colour"], names: "'colour'", fix: "productName" },
  { words: ["get", "a", "Identity/1"], names: "Identity/1 names no attribute", fix: "--all" },
  { words: ["get", "a", "Identity/1/1", "--all"], names: "--all reads a whole object", fix: "CLASS/INSTANCE" },
  { words: ["get", "a", "0x64/1", "--all"], names: "--all needs a class that cipsec knows", fix: "by number" },
  { words: ["get", "a:99999", "1/1/1"], names: "port '99999'", fix: "HOST:PORT" },
  { words: ["get", "http://a", "1/1/1"], names: "'http://' is not a scheme", fix: "eips://" },
  { words: ["get", "eipd://127.28.10.1", "1/1/1"], names: "eipd://127.28.10.1", fix: "--ca" },
  { words: ["get", "a", "1/1/1", "--cert", "x.pem"], names: "--cert and --key go together", fix: "both" },
  { words: ["get", "a", "1/1/1", "--psk-identity", "x"], names: "--psk-identity and --psk-file", fix: "both" },
  {
    words: ["get", "a", "1/1/1", "--ca", "/nowhere.pem"],
    names: "cannot read /nowhere.pem: there is no such file",
    fix: "path",
  },
  { words: ["set", "a", "Identity/1"], names: "names no attribute", fix: "ATTRIBUTE" },
  { words: ["set", "a", "0x5E/1/15"], names: "VALUE is missing", fix: "--raw" },
  { words: ["set", "a", "0x5E/1/15", "soon"], names: "soon", fix: "" },
  { words: ["set", "a", "0x64/1/1", "5"], names: "type of 0x64/1/1 is not known", fix: "--raw" },
  { words: ["set", "a", "0x64/1/1", "--raw", "123"], names: "--raw takes octets", fix: "two digits" },
  { words: ["call", "a", "Identity/1", "dance"], names: "'dance'", fix: "reset" },
  { words: ["call", "a", "0x64/1", "0x4B", "1"], names: "takes no request data", fix: "--raw" },
  { words: ["call", "a", "0x5F/0", "create"], names: "needs request data", fix: "JSON" },
  { words: ["file", "a", "burn"], names: "'burn' is not list, get or put", fix: "cipsec file TARGET" },
  { words: ["file", "a", "get", "x"], names: "'x' is not a File instance", fix: "list" },
  { words: ["file", "a", "get"], names: "INSTANCE is missing", fix: "--help" },
  { words: ["file", "a", "put", "300"], names: "FILE is missing", fix: "--help" },
  { words: ["posture", "a", "--fail-on", "some"], names: "'some' is no severity", fix: "high, medium or low" },
  { words: ["discover", "10.0.0.0/8"], names: "/8 is wider", fix: "" },
  { words: ["discover", "--broadcast", "nosuch0"], names: "'nosuch0' is no interface", fix: "Use one of" },
  { words: ["discover", "--broadcast", "a>b"], names: "'a>b' is not ADDRESS>TO", fix: "192.0.2.255" },
  { words: ["lab"], names: "FILE or --devices N", fix: "cipsec lab --devices 5" },
  { words: ["lab", "x", "--devices", "5"], names: "FILE or --devices N", fix: "cipsec lab" },
  { words: ["lab", "/nowhere.json"], names: "cannot read /nowhere.json", fix: "path" },
  { words: ["target", "/nowhere.json"], names: "cannot read /nowhere.json", fix: "path" },
  { words: ["target", "/"], names: "it is a folder", fix: "path" },
  { words: ["decode", "/nowhere.pcap"], names: "cannot read /nowhere.pcap", fix: "path" },
  { words: ["commission", "127.28.10.1", "--psk"], names: "--psk needs", fix: "openssl rand" },
  { words: ["commission", "127.28.10.1", "--dtls-timeout", "4000"], names: "from 0 to 3600", fix: "commission --help" },
  { words: ["ca", "revoke"], names: "'serial'", fix: "cipsec ca revoke --help" },
];

describe("wrong usage", () => {
  test.each(wrong)("$words: names what, why and the fix, and exits 2", async ({ words, names, fix }) => {
    const { code, out, err } = await cipsec(words, { data: "/nowhere/data" });
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(names);
    expect(err).toContain(fix);
    if (words.length > 0) expect(err).toMatch(/^error: .+\nfix: {3}.+\n$/);
  });

  test.each(wrong.slice(1))("$words: with --json the document on standard output", async ({ words, names, fix }) => {
    const ran = await cipsec([...words, "--json"], { data: "/nowhere/data" });
    expect(ran.err).toBe("");
    expect(ran.code).toBe(2);
    expect(document(ran)).toEqual({
      error: {
        code: expect.stringMatching(/^usage\//),
        message: expect.stringContaining(names),
        facts: expect.any(Object),
        fix: expect.stringContaining(fix),
      },
    });
  });
});

describe("help", () => {
  const shell = {
    streams: { out: new PassThrough(), err: new PassThrough() },
    environment: {},
    signal: new AbortController().signal,
    exit: () => undefined,
  };
  const commands = makeProgram(shell).commands.flatMap((command) =>
    command.commands.length === 0 ? [command] : [...command.commands],
  );

  test("every command has notes, examples that start with its name, and help no wider than 100 columns", async () => {
    expect(commands.length).toBeGreaterThan(15);
    for (const command of commands) {
      const names = [...(command.parent?.parent ? [command.parent.name()] : []), command.name()];
      const notes = notesOf(command);
      expect(notes, command.name()).toBeDefined();
      for (const [line] of notes?.examples ?? []) expect(line).toMatch(new RegExp(`^cipsec ${names.join(" ")}\\b`));
      const { code, out, err } = await cipsec([...names, "--help"]);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toContain("Common options:");
      expect(out).toContain("Examples:");
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
      // Every argument says what it is.
      for (const argument of command.registeredArguments) expect(argument.description).not.toBe("");
    }
  });

  test("no option takes a secret", () => {
    const flags = commands.flatMap((command) => command.options.map((option) => option.flags));
    expect(
      flags.filter((flag) => /password|secret|--psk |--psk-key|passphrase/.test(flag) && !flag.includes("file")),
    ).toEqual([]);
  });

  test("the version", async () => {
    const { code, out } = await cipsec(["--version"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test("the reference names every command and every exit code", () => {
    const text = commandReference();
    for (const command of commands) expect(text).toContain(command.name());
    for (const code of [0, 1, 2, 3, 4, 70, 130]) expect(text).toMatch(new RegExp(`^\\| ${code} +\\| `, "m"));
  });
});

describe("errors", () => {
  test.each([
    [new UsageError("usage/argument", "m"), 2],
    [new StateError("state/corrupt", "m"), 2],
    [new UsageError("usage/interrupted", "m"), 130],
    [new WireError("wire/length", "m"), 3],
    [new PeerError("cip/status", "m"), 3],
    [new PeerError("encap/status", "m"), 3],
    [new PeerError("tls/alert", "m", { facts: { alert: "handshake_failure" } }), 3],
    [new PeerError("tls/alert", "m", { facts: { alert: "unknown_ca" } }), 4],
    [new PeerError("tls/handshake", "m", { facts: { reason: "closed" } }), 3],
    [new PeerError("tls/handshake", "m", { facts: { reason: "keys-differ" } }), 4],
    [new TransportError("transport/timeout", "m"), 3],
    [new TrustError("trust/refused", "m"), 4],
    [new BugError("bug/unreachable", "m"), 70],
    [Object.assign(new Error("m"), { code: "odd/code", facts: {}, fix: "" }), 70],
    [new TypeError("m"), 70],
    ["m", 70],
  ])("%s exits with %i", (error, code) => {
    expect(exitCodeOf(error)).toBe(code);
    expect(told(error).message).toBe("m");
  });

  test("what nobody throws on purpose is told as a fault of cipsec, with its stack when asked", async () => {
    const ran = await thrown(new TypeError("x is not a function"));
    expect(ran.code).toBe(70);
    expect(ran.err).toContain("error: x is not a function");
    expect(ran.err).toContain("report it");
    expect(ran.err).toContain("usage.test.ts");
  });

  async function thrown(error: Error): Promise<{ code: number; err: string }> {
    let err = "";
    let code = -1;
    const streams = { out: new PassThrough(), err: new PassThrough() };
    streams.err.on("data", (text: Buffer) => (err += text.toString()));
    const shell = {
      streams,
      environment: {},
      signal: new AbortController().signal,
      exit: (at: number) => void (code = at),
    };
    const program = makeProgram(shell);
    addCommand(program, shell, "fail", "fails", async () => {
      throw error;
    });
    await program.parseAsync(["fail", "--verbose"], { from: "user" });
    return { code, err };
  }
});

describe("tables", () => {
  test("columns align and nothing trails", () => {
    expect(
      formatTable(
        ["a", "long head"],
        [
          ["longer cell", ""],
          ["x", "y"],
        ],
        false,
      ),
    ).toBe(["a            long head", "-----------  ---------", "longer cell", "x            y"].join("\n"));
  });

  test("text of a device cannot move the cursor, colour the screen or break a line", () => {
    expect(printable("a\u001b[31mb\u001b]0;title\u0007c\r\nd\u009b2Je")).not.toMatch(/\p{Cc}/u);
    expect(formatTable(["h"], [["a\nb"]], true).split("\n")).toHaveLength(3);
  });
});
