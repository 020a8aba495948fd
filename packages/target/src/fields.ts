import { UsageError } from "@cipsec/wire";

const printable = /^\P{Cc}*$/u;

/** The characters that CIP strings carry. */
const latin1 = /^[ -~\u00a0-\u00ff]*$/;

type Json = Readonly<Record<string, unknown>>;

/** Reads entries of one JSON object and remembers which: what nobody read is unknown, most often misspelt. */
export class Fields {
  readonly #json: Json;
  readonly #where: string;
  readonly #read = new Set<string>();

  constructor(json: unknown, where: string) {
    if (!isObject(json)) throw wrong(where, "must be an object in braces");
    this.#json = json;
    this.#where = where;
  }

  /** What stands under this name; `undefined` where nothing does. */
  raw(name: string): unknown {
    this.#read.add(name);
    return this.#json[name];
  }

  fields(name: string, absent?: Json): Fields {
    return new Fields(this.or(name, absent), `${this.#where}.${name}`);
  }

  text(name: string, max: number, absent?: string): string {
    return asText(this.or(name, absent), `${this.#where}.${name}`, max, absent === undefined ? 1 : 0);
  }

  number(name: string, min: number, max: number, absent?: number): number {
    const value = this.or(name, absent);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
      throw wrong(`${this.#where}.${name}`, `must be a whole number from ${min} to ${max}`);
    return value;
  }

  port(name: string, absent: number | null): number | null {
    const value = this.or(name, absent);
    return value === null ? null : this.number(name, 0, 65_535, absent ?? undefined);
  }

  /** Where an entry stands, for messages. */
  where(name: string): string {
    return `${this.#where}.${name}`;
  }

  flag(name: string, absent: boolean): boolean {
    const value = this.or(name, absent);
    if (typeof value !== "boolean") throw wrong(`${this.#where}.${name}`, "must be true or false");
    return value;
  }

  choice<const T extends string>(name: string, choices: readonly T[], absent?: T): T {
    const value = this.or(name, absent);
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw wrong(`${this.#where}.${name}`, `must be one of ${choices.join(", ")}`);
    return found;
  }

  items(name: string, max: number, absent: readonly unknown[]): readonly unknown[] {
    const value = this.or(name, absent);
    if (!Array.isArray(value) || value.length > max)
      throw wrong(`${this.#where}.${name}`, `must be a list of at most ${max}`);
    return value;
  }

  /** What stands under this name, or the default; `null` is something that stands there. */
  or(name: string, absent: unknown): unknown {
    const value = this.raw(name);
    return value === undefined ? absent : value;
  }

  /** Refuses entries that nobody read. */
  end(): void {
    const unknown = Object.keys(this.#json).find((name) => !this.#read.has(name));
    if (unknown !== undefined)
      throw wrong(`${this.#where}.${unknown}`, `is not known here; known are ${[...this.#read].join(", ")}`);
  }
}

function isObject(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function asText(value: unknown, where: string, max: number, min: number): string {
  if (typeof value !== "string" || value.length < min || value.length > max || !printable.test(value))
    throw wrong(where, `must be text of ${min} to ${max} characters`);
  return value;
}

/** Text that goes over the wire. @throws {UsageError} `usage/file` */
export function asLatin1(value: string, where: string): string {
  if (!latin1.test(value)) throw wrong(where, "must be of ISO 8859-1 characters: CIP strings carry no others");
  return value;
}

/** The error that names the entry `where` and says what it must be. */
export function wrong(where: string, must: string): UsageError {
  return new UsageError("usage/file", `device description: ${where} ${must}`, {
    facts: { where },
    fix: "Change that entry; docs/device-description.md lists all with their values.",
  });
}
