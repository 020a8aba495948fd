/** Longest line that is looked at; longer ones are no settings. */
const maxLine = 4096;

/** Lines of the form `NAME=value` or `name value`, comments and quotes taken off. Later lines win, as most programs have it. */
export function parseSettings(text: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line.length > maxLine) continue;
    const found = /^\s*([A-Za-z][\w.-]*)(?:\s*=\s*|\s+)(.*?)\s*$/.exec(line.replace(/(^|\s)#.*$/, ""));
    const [, name, value] = found ?? [];
    if (name !== undefined && value !== undefined) settings.set(name, value.replace(/^(["'])(.*)\1$/, "$2"));
    else {
      const bare = /^\s*([A-Za-z][\w.-]*)\s*$/.exec(line.replace(/#.*$/, ""))?.[1];
      if (bare !== undefined) settings.set(bare, "");
    }
  }
  return settings;
}

/**
 * What `sshd -T` says it would do: each keyword in lower case. A keyword that comes several times (`port`, `hostkey`) keeps all
 * values.
 */
export function parseSshd(text: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^([a-z][a-z0-9]*)\s+(.*?)\s*$/.exec(line.slice(0, maxLine)) ?? [];
    if (name !== undefined && value !== undefined) settings.set(name, [...(settings.get(name) ?? []), value]);
  }
  return settings;
}

/** A setting that is a whole number; nothing when it is not there or is something else. */
export function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d{1,9}$/.test(text) ? Number(text) : undefined;
}
