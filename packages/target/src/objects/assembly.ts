import { Assembly, Parameter, type AttributeValue } from "@cipsec/objects";
import { Status, objectPath } from "@cipsec/wire";
import type { AssemblyDescription } from "../description.ts";
import type { InstanceHandlers } from "../hosting.ts";
import type { OutputAction } from "../io/description.ts";
import { membersOf, type ParameterDescription } from "../parameters/description.ts";
import { refuse, stateConflict } from "../refusal.ts";
import type { Router } from "../router.ts";

/**
 * What an output's data stand for: its owner runs, is idle, was lost (timeout) or has closed the connection (closed); or somebody
 * set it by an explicit message while nobody owned it (set). Only in `run` and `set` do the data come from outside: otherwise the
 * device's description says what they are.
 */
export type OutputState = "run" | "idle" | "timeout" | "closed" | "set";

/** Told of new output data and of each change of state. `data` is the assembly's own: copy what is to be kept. */
export type OutputHandler = (data: Uint8Array, state: OutputState) => void;

/** Told that the application has set an input: whether any octet differs. */
type InputListener = (instance: number, isNew: boolean) => void;

/** The device's process data: what the application shares with the network. */
export class AssemblyData {
  readonly #data = new Map<number, Uint8Array>();
  readonly #descriptions = new Map<number, AssemblyDescription>();
  readonly #handlers = new Map<number, OutputHandler[]>();
  readonly #isSet = new Set<number>();
  #inputListener: InputListener = () => undefined;

  constructor(assemblies: readonly AssemblyDescription[]) {
    for (const assembly of assemblies) {
      this.#descriptions.set(assembly.instance, assembly);
      this.#data.set(assembly.instance, new Uint8Array(assembly.size));
    }
  }

  /** The data of an assembly. An input's octets may be changed in place, and go out with the next cyclic packet. */
  get(instance: number): Uint8Array {
    const data = this.#data.get(instance);
    if (data === undefined) throw refuse(Status.pathDestinationUnknown, { reason: `no assembly ${instance}` });
    return data;
  }

  /** Data as when the device starts: zero, but an output is what its fault state gives it. */
  reset(): void {
    this.#isSet.clear();
    for (const data of this.#data.values()) data.fill(0);
    for (const [instance, { faultState }] of this.#descriptions) this.#act(instance, faultState ?? "zero");
  }

  /** Sets data as an explicit message does. @throws {Refusal} 0x13 or 0x15 when the size differs. */
  set(instance: number, octets: Uint8Array): void {
    this.#replace(instance, octets);
    this.#isSet.add(instance);
    this.#tell(instance, "set");
  }

  /**
   * Sets an input. Connections that are triggered by change of state send it if it differs, those triggered by the application
   * send it in any case.
   *
   * @throws {Refusal} 0x13 or 0x15 when the size differs.
   */
  setInput(instance: number, octets: Uint8Array): void {
    const isNew = !isSame(this.get(instance), octets);
    this.#replace(instance, octets);
    this.#inputListener(instance, isNew);
  }

  /** Tells `handler` of new data of an output and of each change of its state; it lasts over restarts of the device. */
  onOutput(instance: number, handler: OutputHandler): void {
    this.get(instance);
    this.#handlers.set(instance, [...(this.#handlers.get(instance) ?? []), handler]);
  }

  /** Whether {@link set} has been called for this assembly since the device started. */
  isSet(instance: number): boolean {
    return this.#isSet.has(instance);
  }

  /** Gives data that the device starts with; nobody is told. */
  begin(instance: number, octets: Uint8Array): void {
    this.#replace(instance, octets);
  }

  /**
   * Sets data in part: an output as an explicit message does, an input as {@link setInput} does. Without anybody told where nothing
   * differs.
   */
  change(instance: number, octets: Uint8Array): void {
    if (isSame(this.get(instance), octets)) return;
    if (this.#descriptions.get(instance)?.kind === "input") this.setInput(instance, octets);
    else this.set(instance, octets);
  }

  /** Whom {@link setInput} tells: the I/O engine of the device that runs. */
  listen(listener: InputListener): void {
    this.#inputListener = listener;
  }

  /** Outputs that came over the connection that owns them. */
  produceOutput(instance: number, octets: Uint8Array): void {
    this.#replace(instance, octets);
    this.#tell(instance, "run");
  }

  /** Puts outputs into the state that the description has for it. */
  release(instance: number, state: "idle" | "timeout" | "closed"): void {
    const { faultState, idleState } = this.#descriptions.get(instance) ?? {};
    this.#act(instance, (state === "idle" ? idleState : faultState) ?? "zero");
    this.#tell(instance, state);
  }

  #act(instance: number, action: OutputAction): void {
    if (action === "hold") return;
    const data = this.get(instance);
    if (action === "zero") data.fill(0);
    else data.set(Buffer.from(action.hex, "hex"));
  }

  #replace(instance: number, octets: Uint8Array): void {
    const data = this.get(instance);
    if (octets.length < data.length) throw refuse(Status.notEnoughData);
    if (octets.length > data.length) throw refuse(Status.tooMuchData);
    data.set(octets);
  }

  #tell(instance: number, state: OutputState): void {
    const handlers = this.#handlers.get(instance);
    if (handlers === undefined) return;
    const data = this.get(instance);
    for (const handler of handlers) handler(data, state);
  }
}

/**
 * Hosts the assemblies of a device: inputs can be read, outputs and configuration also set, but not while a connection owns them.
 *
 * @see CIP Vol 1, 5A-5; reference ethernet-ip.md 7.3
 */
export function hostAssemblies(
  router: Router,
  assemblies: readonly AssemblyDescription[],
  data: AssemblyData,
  isOwned: (instance: number) => boolean = () => false,
  parameters: readonly ParameterDescription[] = [],
): void {
  for (const { instance, kind } of assemblies) {
    const get = (): Uint8Array => data.get(instance);
    const set = (octets: Uint8Array): void => {
      if (isOwned(instance)) throw stateConflict(`assembly ${instance} is owned by an I/O connection`);
      data.set(instance, octets);
    };
    router.host(Assembly, instance, {
      data: kind === "input" ? { get } : { get, set },
      size: { get: () => get().length },
      ...memberHandlers(memberList(parameters, instance, data.get(instance).length)),
    });
  }
}

type Members = AttributeValue<typeof Assembly, "memberList">;

/** An assembly that parameters are bound to tells its members: their values, and what is between them without a path. */
function memberList(parameters: readonly ParameterDescription[], instance: number, size: number): Members {
  const places = membersOf(parameters, instance);
  if (places.length === 0) return [];
  const members: Members[number][] = [];
  let at = 0;
  const pad = (to: number): void => {
    for (; at < to; at += Math.min(to - at, maxPadding))
      members.push({ bits: Math.min(to - at, maxPadding), path: [] });
  };
  for (const { index, from, bits } of places) {
    pad(from);
    members.push({ bits, path: objectPath(Parameter.classId, index + 1, Parameter.attributes.value.id) });
    at = from + bits;
  }
  pad(8 * size);
  return members;
}

/** A member's bits have 16 bits; whole octets are kept together. */
const maxPadding = 0xfff8;

function memberHandlers(members: Members): Pick<InstanceHandlers<typeof Assembly>, "memberList" | "numberOfMembers"> {
  if (members.length === 0) return {};
  return { memberList: { get: () => members }, numberOfMembers: { get: () => members.length } };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}
