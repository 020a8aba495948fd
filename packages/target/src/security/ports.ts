import { Status } from "@cipsec/wire";
import { IpProtocol, type AdministeredPort, type PortWish } from "../objects/tcp-ip-interface.ts";
import { refuse, stateConflict } from "../refusal.ts";
import type { Configuration, OpenPorts, PortName } from "./configuration.ts";

/** A port that a device has. */
export interface DevicePort {
  readonly port: number;
  /** Whether it is open in factory default. */
  readonly open: boolean;
  /** Whether Set_Port_Admin_State may open and close it. */
  readonly configurable: boolean;
}

/** The ports that a device has; one that is missing can never be open. */
export type DevicePorts = Readonly<Partial<Record<PortName, DevicePort>>>;

const order: readonly PortName[] = ["eip", "eipUdp", "io", "eips", "eipd"];

const labels: Readonly<Record<PortName, { readonly name: string; readonly protocol: number }>> = {
  eip: { name: "EtherNet/IP", protocol: IpProtocol.tcp },
  eipUdp: { name: "EtherNet/IP discovery", protocol: IpProtocol.udp },
  io: { name: "EtherNet/IP I/O", protocol: IpProtocol.udp },
  eips: { name: "EtherNet/IP over TLS", protocol: IpProtocol.tcp },
  eipd: { name: "EtherNet/IP over DTLS", protocol: IpProtocol.udp },
};

/** Ports that explicit messages come in by: with all of them closed, nobody could ever open one again. */
const messaging: readonly PortName[] = ["eip", "eips", "eipd"];

/** Which ports are open in factory default. */
export function factoryPorts(ports: DevicePorts): OpenPorts {
  return fromEach((name) => ports[name]?.open ?? false);
}

/** The ports that shall be open, as far as the device has them. */
export function openPorts(ports: DevicePorts, { ports: wanted }: Configuration): OpenPorts {
  return fromEach((name) => ports[name] !== undefined && wanted[name]);
}

/** Attribute 14 of the TCP/IP Interface. */
export function portList(ports: DevicePorts, { ports: wanted }: Configuration): readonly AdministeredPort[] {
  return order.flatMap((name) => {
    const port = ports[name];
    if (port === undefined) return [];
    return [{ ...labels[name], port: port.port, open: wanted[name], configurable: port.configurable }];
  });
}

/**
 * Set_Port_Admin_State: all of it or nothing.
 *
 * @throws {Refusal} 0x20 for a port that the device does not have; 0x0C for one that cannot be changed, and for closing the last port
 * that explicit messages come in by.
 */
export function withPorts(
  configuration: Configuration,
  ports: DevicePorts,
  wishes: readonly PortWish[],
): Configuration {
  const wanted = new Map<PortName, boolean>(order.map((name) => [name, configuration.ports[name]]));
  for (const { port, protocol, open } of wishes) {
    const name = order.find((n) => ports[n]?.port === port && labels[n].protocol === protocol);
    if (name === undefined)
      throw refuse(Status.invalidParameter, { reason: `no port ${port} of protocol ${protocol}` });
    if (wanted.get(name) !== open && ports[name]?.configurable !== true)
      throw stateConflict(`port ${port} cannot be opened or closed`);
    wanted.set(name, open);
  }
  const next = { ...configuration, ports: fromEach((name) => wanted.get(name) ?? false) };
  const open = openPorts(ports, next);
  if (!messaging.some((name) => open[name])) throw stateConflict("no port for explicit messages would be left open");
  return next;
}

function fromEach(value: (name: PortName) => boolean): OpenPorts {
  return {
    eip: value("eip"),
    eipUdp: value("eipUdp"),
    io: value("io"),
    eips: value("eips"),
    eipd: value("eipd"),
  };
}
