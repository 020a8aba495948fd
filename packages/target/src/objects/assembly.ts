import { Assembly } from "@cipsec/objects";
import { Status } from "@cipsec/wire";
import type { AssemblyDescription } from "../description.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";

/** The device's process data: what the application shares with the network. */
export class AssemblyData {
  readonly #data = new Map<number, Uint8Array>();

  constructor(assemblies: readonly AssemblyDescription[]) {
    for (const { instance, size } of assemblies) this.#data.set(instance, new Uint8Array(size));
  }

  /** The data of an assembly; the application may change an input's octets in place. */
  get(instance: number): Uint8Array {
    const data = this.#data.get(instance);
    if (data === undefined) throw refuse(Status.pathDestinationUnknown, { reason: `no assembly ${instance}` });
    return data;
  }

  /** @throws {Refusal} 0x13 or 0x15 when the size differs. */
  set(instance: number, octets: Uint8Array): void {
    const data = this.get(instance);
    if (octets.length < data.length) throw refuse(Status.notEnoughData);
    if (octets.length > data.length) throw refuse(Status.tooMuchData);
    data.set(octets);
  }
}

/** Hosts the assemblies of a device: inputs can be read, outputs and configuration also set. @see CIP Vol 1, 5A-5 */
export function hostAssemblies(router: Router, assemblies: readonly AssemblyDescription[], data: AssemblyData): void {
  for (const { instance, kind } of assemblies) {
    const get = (): Uint8Array => data.get(instance);
    router.host(Assembly, instance, {
      data: kind === "input" ? { get } : { get, set: (octets) => data.set(instance, octets) },
      size: { get: () => get().length },
    });
  }
}
