import { Device, type DtlsCounts, type IoCounts, type PortNumbers, type TargetOptions } from "./device.ts";
import type { DeviceDescription } from "./description.ts";
import { failed } from "./events.ts";
import { AssemblyData } from "./objects/assembly.ts";
import { ParameterTable, type Parameters } from "./parameters/table.ts";
import { TagTable, type Tags } from "./tags/table.ts";

/** A running device. */
export interface Target extends AsyncDisposable {
  readonly description: DeviceDescription;
  /** Numbers of the ports that are open now. */
  readonly ports: PortNumbers;
  /** Process data, for the application; handlers last over a restart of the device, data start over. */
  readonly assemblies: AssemblyData;
  /** Class 0 and 1 connections that are open, and what came to the I/O port and was dropped. */
  readonly io: IoCounts;
  /** DTLS associations that are open, and datagrams that came to their port and were none's: altered, replayed or a stranger's. */
  readonly dtls: DtlsCounts;
  /** Parameters, for the application; settings among them are saved. Missing where the description has none. */
  readonly parameters?: Parameters;
  /** Tags, for the application; they keep their values over a restart. Missing where the description has none. */
  readonly tags?: Tags;
  /** Stops the device: listeners, sessions, timers. */
  stop(): Promise<void>;
}

/**
 * Starts a device as its description says, with what it has saved.
 *
 * @throws {UsageError} `usage/file` for certificate files that cannot be used; {@link StateError} `state/corrupt`;
 *   {@link TransportError} `transport/address` when a port cannot be opened.
 */
export async function startTarget(options: TargetOptions): Promise<Target> {
  const event = options.onEvent ?? (() => undefined);
  const tags = options.description.tags === undefined ? undefined : new TagTable(options.description.tags);
  const assemblies = new AssemblyData(options.description.assemblies);
  const parameters = options.description.parameters && new ParameterTable(options.description.parameters, assemblies);
  const shared = { assemblies, tags, parameters };
  let device = await Device.boot(options, shared, restart);
  let isStopped = false;
  let turn: Promise<void> = Promise.resolve();

  function restart(): void {
    turn = turn.then(async () => {
      if (isStopped) return;
      event({ name: "restart", facts: { device: options.description.name } });
      await device.stop();
      device = await Device.boot(options, shared, restart);
    });
    turn = turn.catch((error: unknown) => event(failed("restart", error)));
  }

  const stop = async (): Promise<void> => {
    isStopped = true;
    await turn;
    await device.stop();
  };
  return {
    description: options.description,
    get ports() {
      return device.ports;
    },
    assemblies,
    get io() {
      return device.io;
    },
    get dtls() {
      return device.dtls;
    },
    ...(parameters === undefined ? {} : { parameters }),
    ...(tags === undefined ? {} : { tags }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
