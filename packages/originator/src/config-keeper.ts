import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import type { Cancel } from "@cipsec/transport";
import type { Session } from "./session.ts";

/** A device ends a configuration session after about ten seconds of silence; three kicks may get lost. */
const kickIntervalMs = 2500;

/** A device that makes a key answers late; a kick sent again over a new connection does no harm. */
const kick = { timeoutMs: 8000, idempotent: true } as const;

/**
 * Keeps the configuration sessions of CIP Security and EtherNet/IP Security open, also while files are on their way. When a
 * kick fails, `signal` fires with the reason: what is under way is lost and must stop.
 */
export class ConfigKeeper {
  readonly #controller = new AbortController();
  #session: Session;
  #keepsEthernetIp = true;
  #cancel: Cancel = () => undefined;
  #isStopped = false;

  /** @param onAbort Ends it from outside, with the caller's reason. */
  constructor(session: Session, onAbort?: AbortSignal) {
    this.#session = session;
    onAbort?.addEventListener("abort", () => this.#controller.abort(onAbort.reason), { once: true });
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** After Apply_Config only CIP Security has a session left, and a missed kick shows at End_Config. */
  applied(): void {
    this.#keepsEthernetIp = false;
  }

  /** Goes on over another session. */
  moveTo(session: Session): void {
    this.#session = session;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#cancel = this.#session.clock.after(kickIntervalMs, () => {
      void this.#kick().then(() => this.#arm());
    });
  }

  async #kick(): Promise<void> {
    const session = this.#session;
    try {
      await Promise.all([
        session.object(CipSecurity, 1).call("kickTimer", undefined, kick),
        ...(this.#keepsEthernetIp ? [session.object(EtherNetIpSecurity, 1).call("kickTimer", undefined, kick)] : []),
      ]);
    } catch (error) {
      // The last moments of a session that Apply_Config closes are no failure.
      if (!this.#isStopped && this.#keepsEthernetIp) this.#controller.abort(error);
    }
  }
}
