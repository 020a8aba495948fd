import { PassThrough } from "node:stream";
import type { Argument, Command, Option } from "commander";
import { commonHeading, notesOf } from "./command.ts";
import { credentialsHeading } from "./credentials.ts";
import { exitCodes } from "./exit-codes.ts";
import { makeProgram } from "./program.ts";

/** The text of `docs/cli.md`: every command as its declaration says it. `npm run derive` writes it. */
export function commandReference(): string {
  const nowhere = new PassThrough();
  const program = makeProgram({
    streams: { out: nowhere, err: nowhere },
    environment: {},
    signal: new AbortController().signal,
    exit: () => undefined,
  });
  const commands = leaves(program).filter((command) => notesOf(command) !== undefined);
  const [first] = commands;
  return [
    ...introduction,
    "## Exit codes",
    "",
    ...table(
      ["code", "means"],
      exitCodes.map(([code, means]) => [`${code}`, means]),
    ),
    "## Options of every command",
    "",
    ...optionTable(first === undefined ? [] : optionsIn(first, commonHeading)),
    "## Options of every command that talks to devices",
    "",
    "Who you are and whom you trust. Without them you are the tool of the data folder, and trust the authority there.",
    "",
    ...optionTable(
      optionsIn(
        commands.find((command) => command.name() === "posture"),
        credentialsHeading,
      ),
    ),
    "## Commands",
    "",
    ...commands.flatMap(section),
  ].join("\n");
}

const introduction = [
  "# The `cipsec` command",
  "",
  "This page is derived from the command's own declarations by `npm run derive`; `cipsec COMMAND --help` says the same.",
  "",
  "- Results go to standard output: tables and sentences for people, or with `--json` exactly one JSON document (streams: one",
  "  a line). Progress, notices and warnings go to standard error.",
  "- A target is `HOST` or `HOST:PORT`; `eip://` before it means plain, `eips://` means TLS, `eipd://` means DTLS, which carries",
  "  I/O too (`eipd://HOST:44818` asks for it with StartDTLS). Without a scheme the channel is TLS where the device offers that.",
  "- Keys and certificates live in the data folder, which only its owner can enter. Secrets come from files, never from",
  "  arguments, and stand in no output.",
  "- An error is a sentence and a fix on standard error. With `--json` it is the document on standard output:",
  '  `{"error": {"code": "trust/expired", "message": "…", "facts": {…}, "fix": "…"}}`. [errors.md](errors.md) lists the codes.',
  "- Ctrl-C ends a command cleanly: a commissioning puts the device back, a plant stops its devices. Again, a second later,",
  "  it ends the command at once.",
  "",
];

function leaves(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function section(command: Command): readonly string[] {
  const notes = notesOf(command);
  const parents = command.parent?.parent === null ? [] : [command.parent?.name() ?? ""];
  const name = ["cipsec", ...parents, command.name()].join(" ");
  const words = command.registeredArguments.map(argumentText);
  const own = optionsIn(command, "");
  return [
    `### ${name}`,
    "",
    `\`${[name, "[options]", ...words].join(" ")}\``,
    "",
    sentence(command.description()),
    "",
    ...argumentTable(command.registeredArguments),
    ...optionTable(own),
    ...(hasCredentials(command) ? ["Takes the options that say who you are and whom you trust.", ""] : []),
    ...(notes === undefined ? [] : ["With `--json`:", "", "```text", notes.json, "```", ""]),
    ...(notes === undefined
      ? []
      : ["```sh", ...notes.examples.flatMap(([line, does]) => [`# ${does}`, line]), "```", ""]),
  ];
}

function hasCredentials(command: Command): boolean {
  return optionsIn(command, credentialsHeading).length > 0;
}

/** Options under a heading; a command's own have none. */
function optionsIn(command: Command | undefined, heading: string): readonly Option[] {
  return (command?.options ?? []).filter(({ helpGroupHeading = "" }) => helpGroupHeading === heading);
}

function optionTable(options: readonly Option[]): readonly string[] {
  if (options.length === 0) return [];
  return table(
    ["option", "means"],
    options.map((option) => [`\`${option.flags}\``, `${option.description}${defaultText(option)}`]),
  );
}

function defaultText({ defaultValue, defaultValueDescription, negate }: Option): string {
  if (defaultValue === undefined || negate) return "";
  return ` (default: ${defaultValueDescription ?? String(defaultValue)})`;
}

function argumentTable(arguments_: readonly Argument[]): readonly string[] {
  if (arguments_.length === 0) return [];
  return table(
    ["argument", "is"],
    arguments_.map((argument) => [`\`${argumentText(argument)}\``, argument.description]),
  );
}

function argumentText(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

/** A table with columns as wide as their widest cell, as the formatter wants it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] ?? "").length)));
  const lines = cells.map(
    (row) => `| ${widths.map((width, column) => (row[column] ?? "").padEnd(width)).join(" | ")} |`,
  );
  const [title = "", ...body] = lines;
  return [title, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...body, ""];
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
