/** What a line of a PAM service is for. */
export type PamKind = "auth" | "account" | "password" | "session";

/** One module in the order in which it is called. */
export interface PamLine {
  readonly kind: PamKind;
  /** `required`, or what stands in brackets. */
  readonly control: string;
  /** Name without folder and ending: `pam_unix`. */
  readonly module: string;
  readonly args: readonly string[];
}

/** Includes nest; a ring of them must end. */
const maxDepth = 8;

/**
 * The modules that a service really calls, with its includes put in. A leading dash (a module that may be missing) is taken off,
 * and lines that end with a backslash are joined.
 *
 * @param files Text of each file of `pam.d`, by name.
 */
export function pamStack(
  files: ReadonlyMap<string, string>,
  service: string,
  kind: PamKind,
  depth: number = 0,
): readonly PamLine[] {
  if (depth > maxDepth) return [];
  const text = files.get(service) ?? (depth === 0 ? files.get("other") : undefined) ?? "";
  return text
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .flatMap((line): readonly PamLine[] => {
      const plain = line.replace(/#.*$/, "").trim();
      const include = /^@include\s+([\w.-]+)$/.exec(plain)?.[1];
      if (include !== undefined) return pamStack(files, include, kind, depth + 1);
      const [, is, control = "", rest = ""] =
        /^-?(auth|account|password|session)\s+(\[[^\]]*\]|\S+)\s+(.+)$/i.exec(plain) ?? [];
      if (is?.toLowerCase() !== kind) return [];
      const [path = "", ...args] = rest.match(/\[[^\]]*\]|\S+/g) ?? [];
      if (control === "include" || control === "substack") return pamStack(files, path, kind, depth + 1);
      const module = path.split("/").at(-1)?.replace(/\.so$/, "") ?? path;
      return [{ kind, control, module, args: args.map((arg) => arg.replace(/^\[(.*)\]$/, "$1")) }];
    });
}

/** The value of `name=value` among a module's arguments. */
export function pamValue(line: PamLine | undefined, name: string): string | undefined {
  return line?.args.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** A module's line in a stack. */
export function moduleOf(stack: readonly PamLine[], ...names: readonly string[]): PamLine | undefined {
  return stack.find(({ module }) => names.includes(module));
}
