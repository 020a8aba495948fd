import { monitorEventLoopDelay } from "node:perf_hooks";

/** Octets of data each way, as many as a small remote station has. */
export const dataOctets = 32;

/** The devices of a run: as many as the connections need. */
export interface Devices {
  /** Addresses are NETWORK.1 to 250, then those of the next network. */
  readonly network: readonly [a: number, b: number, c: number];
  readonly count: number;
  readonly connectionsEach: number;
}

/** First message of the process that is all devices. */
export interface DevicesOrder {
  readonly role: "devices";
  readonly devices: Devices;
}

/** First message of the scanner's process. */
export interface ScannerOrder {
  readonly role: "scanner";
  readonly devices: Devices;
  readonly address: string;
  readonly connections: number;
  readonly rpiMicros: number;
  readonly timeoutMultiplier: number;
}

/** First message of the process that disturbs: how often a second it does each. */
export interface LoadOrder {
  readonly role: "load";
  readonly devices: Devices;
  readonly address: string;
  readonly listIdentities: number;
  readonly smallDatagrams: number;
  readonly handshakes: number;
}

export type Order = DevicesOrder | ScannerOrder | LoadOrder;

/** Later messages: `begin` starts the counting, `figures` asks for what was counted since. */
export type Question = { readonly ask: "begin" | "figures" };

/** Of a process, since `begin`. */
export interface ProcessFigures {
  readonly cpuPercent: number;
  readonly residentMib: number;
  /** The longest that its event loop stood still, milliseconds. */
  readonly stalledMs: number;
}

export interface DevicesFigures extends ProcessFigures {
  readonly connections: number;
  readonly associations: number;
  /** Owners whose packets stayed away until their output went into its fault state. */
  readonly timeouts: number;
  /** Datagrams that came to the DTLS ports and were none's. */
  readonly dropped: number;
}

export interface ScannerFigures extends ProcessFigures {
  readonly running: number;
  /** Connections that ended, by whatever cause. */
  readonly ended: number;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  /** Packets that came more than half an interval behind their turn. */
  readonly late: number;
  /** Turns that this side left out, because it was late by a whole interval. */
  readonly leftOut: number;
  /** Median over connections, and the greatest, microseconds. */
  readonly p99Micros: number;
  readonly maxMicros: number;
  /** Why one does not run. */
  readonly reason: string | undefined;
  /** Why connections ended, the first few. */
  readonly endings: readonly string[];
}

export interface LoadFigures extends ProcessFigures {
  readonly listIdentities: { readonly asked: number; readonly answered: number };
  readonly smallDatagrams: number;
  readonly handshakes: { readonly begun: number; readonly done: number };
}

/** Where a device is. */
export function deviceAddress({ network: [a, b, c] }: Devices, device: number): string {
  return `${a}.${b}.${c + Math.floor(device / 250)}.${1 + (device % 250)}`;
}

/** First output assembly of each device; each connection owns one. */
export const firstOutput = 200;
export const inputInstance = 100;

/** Counts from `begin` on. */
export interface Counter<F extends object = object> {
  readonly begin: () => void;
  readonly figures: () => F;
}

/**
 * A process of this tool: starts with its first message, then answers each question. It ends with its parent.
 *
 * @param role Of the orders that it takes.
 * @param start Gives what `begin` does and what is counted since then.
 */
export function answering<R extends Order["role"]>(
  role: R,
  start: (order: Extract<Order, { readonly role: R }>) => Promise<Counter>,
): void {
  process.on("disconnect", () => process.exit(0));
  process.once("message", (order: Extract<Order, { readonly role: R }>) => {
    start(order).then(
      ({ begin, figures }) => {
        const counting = processFigures();
        process.on("message", ({ ask }: Question) => {
          if (ask === "begin") {
            begin();
            counting.begin();
            process.send?.({});
          } else process.send?.({ ...counting.figures(), ...figures() });
        });
        process.send?.({});
      },
      (error: unknown) => {
        process.stderr.write(`${role}: ${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  });
}

function processFigures(): Counter<ProcessFigures> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  let [cpu, began] = [process.cpuUsage(), performance.now()];
  return {
    begin() {
      delay.reset();
      [cpu, began] = [process.cpuUsage(), performance.now()];
    },
    figures() {
      const { user, system } = process.cpuUsage(cpu);
      return {
        cpuPercent: (user + system) / 10 / (performance.now() - began),
        residentMib: process.memoryUsage().rss / 2 ** 20,
        stalledMs: Math.max(0, delay.max / 1e6 - 5),
      };
    },
  };
}
