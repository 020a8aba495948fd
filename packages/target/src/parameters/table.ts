import { BOOL, UsageError, encode } from "@cipsec/wire";
import type { AssemblyData } from "../objects/assembly.ts";
import { stateConflict } from "../refusal.ts";
import type { Store } from "../store.ts";
import { readBit, writeBit, writeValue } from "../tags/values.ts";
import {
  numberOf,
  type ParameterDescription,
  type ParameterSource,
  type ParametersDescription,
} from "./description.ts";

/** A parameter's value for the application: `bigint` for types of 64 bits, a boolean for BOOL. */
export type ParameterValue = number | bigint | boolean;

/** The parameters of a device, for its application. Those bound to an object's attribute are not among them: they are the object's. */
export interface Parameters {
  readonly names: readonly string[];
  /** @throws {UsageError} `usage/argument` for a name that no parameter has. */
  get(name: string): ParameterValue;
  /**
   * Sets a value, whatever the network may; a setting is saved.
   *
   * @throws {UsageError} `usage/argument` for a value out of the type or the bounds; {@link StateError} `state/write`.
   */
  set(name: string, value: ParameterValue): Promise<void>;
  /** Calls `listener` with a parameter's name after the network has set it. It must not throw. @returns ends that. */
  onWrite(listener: (name: string) => void): () => void;
}

/** The parameters of a device, as the application and the Parameter Object share them. */
export class ParameterTable implements Parameters {
  readonly parameters: readonly ParameterDescription[];
  readonly detail: ParametersDescription["detail"];
  readonly #assemblies: AssemblyData;
  readonly #settings = new Map<string, Uint8Array>();
  readonly #listeners = new Set<(name: string) => void>();
  #store: Store | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ parameters, detail }: ParametersDescription, assemblies: AssemblyData) {
    this.parameters = parameters;
    this.detail = detail;
    this.#assemblies = assemblies;
  }

  /** Takes what the device has saved, and defaults for the rest; configuration assemblies begin with their defaults. */
  load(store: Store, isConfiguration: (instance: number) => boolean): void {
    this.#store = store;
    const saved = store.read("parameters");
    const stored: Readonly<Record<string, unknown>> = typeof saved === "object" && saved !== null ? { ...saved } : {};
    for (const parameter of this.parameters) {
      const { name, source } = parameter;
      const initial = octetsOf(parameter, parameter.default);
      if (source.kind === "setting")
        this.#settings.set(
          name,
          savedOctets(parameter, Object.hasOwn(stored, name) ? stored[name] : undefined) ?? initial,
        );
      else if (source.kind === "assembly" && isConfiguration(source.instance))
        this.#assemblies.begin(source.instance, this.#with(source, initial));
    }
  }

  get names(): readonly string[] {
    return this.parameters.flatMap(({ name, source }) => (source.kind === "object" ? [] : [name]));
  }

  get(name: string): ParameterValue {
    const parameter = this.#find(name);
    const value = numberOf(parameter.type, this.octets(parameter));
    return parameter.type.name === "BOOL" ? value !== 0 : value;
  }

  async set(name: string, value: ParameterValue): Promise<void> {
    const parameter = this.#find(name);
    const octets = new Uint8Array(parameter.type.size);
    writeValue({ type: parameter.type, dimensions: [], isBits: false }, value, octets, name);
    if (!isAllowed(parameter, octets))
      throw new UsageError("usage/argument", `parameter '${name}' does not take ${value}`, {
        facts: { parameter: name },
        fix: `Give a value from ${parameter.minimum} to ${parameter.maximum}, one with a name where they have names.`,
      });
    await this.write(parameter, octets);
  }

  onWrite(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The value as it travels. Not for parameters that are an object's. */
  octets({ name, type, source }: ParameterDescription): Uint8Array {
    if (source.kind !== "assembly") return this.#settings.get(name) ?? new Uint8Array(type.size);
    const data = this.#assemblies.get(source.instance);
    if (source.bit !== undefined) return encode(BOOL, readBit(data.subarray(source.offset), source.bit));
    return data.slice(source.offset, source.offset + type.size);
  }

  /** Sets and, of a setting, saves the value that these octets are. */
  async write(parameter: ParameterDescription, octets: Uint8Array): Promise<void> {
    const { source } = parameter;
    if (source.kind === "assembly") return this.#assemblies.change(source.instance, this.#with(source, octets));
    // One after another: two at a time would each save what the other has not seen yet.
    const mine = this.#turn.then(() => this.#save(parameter.name, octets));
    this.#turn = mine.catch(() => undefined);
    await mine;
  }

  /** Tells the application that the network has set a parameter. */
  written(name: string): void {
    for (const listener of this.#listeners) listener(name);
  }

  async #save(name: string, octets: Uint8Array): Promise<void> {
    if (this.#store === undefined) throw stateConflict("the device has not started yet");
    const next = new Map([...this.#settings, [name, octets]]);
    const json = [...next].map(([key, value]) => [key, Buffer.from(value).toString("hex")] as const);
    await this.#store.write({ parameters: Object.fromEntries(json) });
    this.#settings.set(name, octets);
  }

  /** An assembly's data with this parameter's part changed. */
  #with(source: AssemblySource, octets: Uint8Array): Uint8Array {
    const next = this.#assemblies.get(source.instance).slice();
    if (source.bit === undefined) next.set(octets, source.offset);
    else writeBit(next.subarray(source.offset), source.bit, octets[0] !== 0);
    return next;
  }

  #find(name: string): ParameterDescription {
    const found = this.parameters.find((parameter) => parameter.name === name && parameter.source.kind !== "object");
    if (found !== undefined) return found;
    throw new UsageError("usage/argument", `there is no parameter '${name}'`, {
      facts: { parameter: name },
      fix: `Use one of: ${this.names.join(", ")}.`,
    });
  }
}

type AssemblySource = Extract<ParameterSource, { readonly kind: "assembly" }>;

/** A number as the octets of a parameter. */
export function octetsOf({ type, name }: ParameterDescription, value: number | bigint): Uint8Array {
  const octets = new Uint8Array(type.size);
  writeValue({ type, dimensions: [], isBits: false }, value, octets, name);
  return octets;
}

/** Whether octets of the right length are within the bounds, and have a name where values have names. */
export function isAllowed({ type, minimum, maximum, choices }: ParameterDescription, octets: Uint8Array): boolean {
  const value = numberOf(type, octets);
  const isNamed = choices.length === 0 || choices.some((choice) => choice.value === Number(value));
  return value >= minimum && value <= maximum && isNamed;
}

/** Saved octets, where they are sound: the description may have changed since. */
function savedOctets(parameter: ParameterDescription, saved: unknown): Uint8Array | undefined {
  if (typeof saved !== "string" || !/^(?:[0-9a-f]{2})+$/.test(saved)) return undefined;
  const octets = Uint8Array.from(Buffer.from(saved, "hex"));
  return octets.length === parameter.type.size && isAllowed(parameter, octets) ? octets : undefined;
}
