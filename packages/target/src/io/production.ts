import type { Cancel, DatagramPath, Repeat, TimerWheel } from "@cipsec/transport";
import type { IoWriter } from "@cipsec/wire";

/** When data are sent. @see reference ethernet-ip.md 6.4 */
export const Trigger = { cyclic: 0, changeOfState: 1, application: 2 } as const;

/** What a production sends, when and where. */
export interface ProductionOptions {
  readonly wheel: TimerWheel;
  /** Microseconds on the wheel's clock. */
  readonly nowMicros: () => number;
  readonly writer: IoWriter;
  readonly path: DatagramPath;
  readonly trigger: number;
  /** The interval granted: that of cyclic packets, and the longest silence of the others. */
  readonly periodMicros: number;
  /** The shortest time between packets that a change causes. */
  readonly inhibitMicros: number;
  /** The data as they are now. */
  readonly data: () => Uint8Array;
}

/** One stream of packets, to one consumer or to a group. */
export class Production {
  readonly options: ProductionOptions;
  sent = 0;
  #repeat: Repeat | undefined;
  #inhibited: Cancel | undefined;
  #lastMicros = -Infinity;
  readonly #send = (): void => {
    const { writer, path, data } = this.options;
    const now = data();
    if (!isSame(writer.data, now)) writer.setData(now);
    path.send(writer.next());
    this.sent += 1;
    // Only a change asks for the time, and reading a clock costs as much as filling the packet.
    if (this.options.trigger !== Trigger.cyclic) this.#lastMicros = this.options.nowMicros();
  };

  constructor(options: ProductionOptions) {
    this.options = options;
  }

  /** Sends the first packet, and goes on until {@link stop}. Starting twice does nothing. */
  start(): void {
    const { wheel, periodMicros } = this.options;
    this.#repeat ??= wheel.every(periodMicros, this.#send, 0);
  }

  stop(): void {
    this.#repeat?.cancel();
    this.#inhibited?.();
    this.#repeat = undefined;
    this.#inhibited = undefined;
  }

  /** The application has set the data; a production that is triggered by that sends, not before the inhibit time is over. */
  changed(isNew: boolean): void {
    const { trigger, nowMicros, inhibitMicros, wheel } = this.options;
    const asks = trigger === Trigger.application || (trigger === Trigger.changeOfState && isNew);
    if (this.#repeat === undefined || !asks || this.#inhibited !== undefined) return;
    const wait = this.#lastMicros + inhibitMicros - nowMicros();
    if (wait <= 0) return this.#sendNow();
    this.#inhibited = wheel.after(wait, () => {
      this.#inhibited = undefined;
      this.#sendNow();
    });
  }

  /** Out of turn: the background packets then come a period after this one. */
  #sendNow(): void {
    const { wheel, periodMicros } = this.options;
    this.#repeat?.cancel();
    this.#repeat = wheel.every(periodMicros, this.#send);
    this.#send();
  }
}

/** Octets of process data are few: a loop costs less than a call into the runtime. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}
