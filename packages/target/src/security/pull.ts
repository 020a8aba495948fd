import type { KeyObject } from "node:crypto";
import { makeKeyPair, parseCertificates, toPem, type Certificate, type KeyKind } from "@cipsec/pki";
import type { Cancel, Clock } from "@cipsec/transport";
import { CertificateStatus, EtherNetIpSecurityState, isStackError, Status, type Facts } from "@cipsec/wire";
import { refuse } from "../refusal.ts";
import type { Store } from "../store.ts";
import { checkBeforeApply } from "./apply-check.ts";
import { usesPulled, type Configuration } from "./configuration.ts";
import type { ConfigurationCycle } from "./cycle.ts";
import type { Inventory } from "./inventory.ts";
import { withPulled } from "./pull-apply.ts";
import { enrolAt, type EnrolOutcome, type PullTrust } from "./pull-enrol.ts";
import type { FindEst } from "./pull-find.ts";
import { PullMachine, type PullAction, type PullFacts, type PullInput } from "./pull-machine.ts";
import type { DeviceFacts } from "./services.ts";
import { verifyDevice } from "./verify-certificate.ts";

/** What the pull model of a device works with. */
export interface PullOptions {
  readonly cycle: ConfigurationCycle;
  readonly inventory: Inventory;
  readonly store: Store;
  readonly clock: Clock;
  readonly device: DeviceFacts;
  readonly trust: PullTrust;
  readonly find: FindEst;
  /** The key to make where the server has no wish. */
  readonly keyKind: KeyKind;
  readonly maxFiles: number;
  /** Whether the plaintext ports close with the first certificate. */
  readonly closePlaintext: boolean;
  /** Milliseconds for one connection or answer. */
  readonly timeoutMs: number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** The time, on a device that trusts its clock. */
  readonly now: () => Date | undefined;
  readonly event: (name: string, facts: Facts) => void;
  /** What was fetched is in force. */
  readonly applied: () => void;
}

/** Section of the store that a factory reset empties: the key of a request that is under way, and the authorities that it was sent to. */
export const pullSection = "pull";

/** A request that is under way; it lasts over a power cycle, as a person may be asked about this key. */
interface Request {
  readonly key: KeyObject;
  readonly name: string;
  readonly anchors: readonly Certificate[];
}

/**
 * Runs the pull model: {@link PullMachine} decides, this looks, asks and saves. What is fetched becomes the configuration by one
 * write of the store, so that a crash leaves the device as it was or enrolled.
 *
 * @see reference cip-security.md 5
 */
export class PullModel {
  readonly #options: PullOptions;
  readonly #machine: PullMachine;
  #request: Request | undefined;
  #wake: Cancel = () => undefined;
  /** Of the action that is under way. */
  #work: AbortController | undefined;
  #isClosed = false;
  /** State of 0x5E when last looked at. */
  #state: number;

  /** Starts it; nothing is sent for the first five seconds. */
  static async start(options: PullOptions): Promise<PullModel> {
    const pull = new PullModel(options, await savedRequest(options.store));
    options.cycle.showPull(() => pull.#machine.isEnrolling);
    options.cycle.onChanged(() => pull.#changed());
    pull.#take({ type: "look" });
    return pull;
  }

  private constructor(options: PullOptions, request: Request | undefined) {
    this.#options = options;
    this.#request = request;
    this.#state = options.cycle.applied.ethernetIpState;
    this.#machine = new PullMachine(options.clock.now(), options.random);
  }

  /** Pull Model Status while the pull model is not disabled. */
  get status(): number {
    return this.#machine.status;
  }

  /** Ends what is under way; nothing is saved any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
    this.#work?.abort();
  }

  #changed(): void {
    const { ethernetIpState } = this.#options.cycle.applied;
    const isReset = ethernetIpState !== this.#state && ethernetIpState !== EtherNetIpSecurityState.configured;
    const isNewLife = isReset && ethernetIpState !== EtherNetIpSecurityState.pullCompleted;
    this.#state = ethernetIpState;
    // What was asked, and whom it trusted, belongs to the life before.
    if (isNewLife && this.#request !== undefined && !this.#isClosed)
      this.#forget().catch(() => this.#event("request-not-forgotten"));
    this.#take({ type: "look" });
  }

  #take(input: PullInput): void {
    if (this.#isClosed) return;
    const { clock } = this.#options;
    const { action, wakeAt } = this.#machine.handle(input, this.#facts(), clock.now());
    this.#wake();
    this.#wake =
      wakeAt === undefined
        ? () => undefined
        : clock.after(Math.max(0, wakeAt - clock.now()), () => this.#take({ type: "look" }));
    if (action !== undefined) this.#act(action);
  }

  #facts(): PullFacts {
    const { cycle, inventory, now } = this.#options;
    const { applied } = cycle;
    const instance = usesPulled(applied);
    const entry = instance === undefined ? undefined : applied.certificates.get(instance);
    const [leaf] = inventory.certificatesIn(applied, entry?.device.file);
    return {
      ethernetIpState: applied.ethernetIpState,
      isToolBusy: cycle.isOpen,
      wallNow: now()?.getTime(),
      ...(leaf === undefined
        ? {}
        : { certificate: { notBefore: leaf.facts.notBefore.getTime(), notAfter: leaf.facts.notAfter.getTime() } }),
    };
  }

  #act(action: PullAction): void {
    this.#work?.abort();
    if (action.type === "stop") {
      this.#work = undefined;
      this.#event("stopped");
      return;
    }
    const work = new AbortController();
    this.#work = work;
    const doing = action.type === "search" ? this.#search(work.signal) : this.#enrol(action, work.signal);
    doing.then(
      (input) => {
        // What was stopped has nothing to say any more.
        if (this.#work === work && !work.signal.aborted) this.#done(input);
      },
      (error: unknown) => {
        if (this.#work !== work || work.signal.aborted) return;
        // What is left is the store: nothing was applied.
        this.#event("failed", { code: isStackError(error) ? error.code : "bug/unreachable" });
        this.#done({ type: "failed", reason: "badCertificate" });
      },
    );
  }

  #done(input: PullInput): void {
    this.#work = undefined;
    this.#take(input);
    if (input.type === "issued") this.#take({ type: "look" });
  }

  async #search(signal: AbortSignal): Promise<PullInput> {
    this.#event("search");
    const servers = await this.#options.find(signal);
    this.#event("found", { servers: servers.map(({ url, source }) => `${source} ${url}`).join(" ") });
    return { type: "found", servers };
  }

  async #enrol({ server, renews }: Extract<PullAction, { type: "enrol" }>, signal: AbortSignal): Promise<PullInput> {
    const { cycle, inventory, trust, device, now, timeoutMs } = this.#options;
    const { applied } = cycle;
    const pulled = usesPulled(applied);
    const current = renews && pulled !== undefined ? inventory.own(applied, pulled) : undefined;
    const known =
      pulled === undefined ? [] : inventory.certificatesIn(applied, applied.certificates.get(pulled)?.authority.file);
    this.#event("enrol", { url: server.url, renews });
    const outcome = await enrolAt({
      server,
      trust,
      known: known.length > 0 ? known : (this.#request?.anchors ?? []),
      identity: current ?? inventory.defaultCertificate,
      renews: current !== undefined,
      device,
      key: (kind) => this.#key(kind, signal),
      now,
      signal,
      timeoutMs,
    });
    signal.throwIfAborted();
    return await this.#settle(outcome, signal);
  }

  async #settle(outcome: EnrolOutcome, signal: AbortSignal): Promise<PullInput> {
    if (outcome.type === "failed") {
      const { reason, code, said } = outcome;
      this.#event("failed", { reason, code, said });
      return { type: "failed", reason };
    }
    if (outcome.type === "pending") {
      await this.#hold(outcome.anchors);
      this.#event("pending", { retryAfterMs: outcome.retryAfterMs });
      return { type: "pending", retryAfterMs: outcome.retryAfterMs };
    }
    const { cycle, inventory, maxFiles, closePlaintext, now } = this.#options;
    const { chain, anchors, key } = outcome;
    const isApplied = await cycle.applyPulled((applied) => {
      // A tool, or the end of the device, came first.
      if (signal.aborted || this.#isClosed) return undefined;
      const pulled = { chain, anchors, key: cycle.keys.add(key), closePlaintext };
      const next = withPulled(applied, pulled, inventory, { maxFiles });
      checkBeforeApply(next, inventory);
      requireUsable(next, inventory, now());
      return next;
    });
    if (isApplied) {
      this.#options.applied();
      // It is in force, whatever becomes of the note about the request.
      if (!this.#isClosed) await this.#forget().catch(() => this.#event("request-not-forgotten"));
      const [leaf] = chain;
      this.#event("enrolled", {
        subject: leaf?.facts.subject ?? "",
        notAfter: leaf?.facts.notAfter.toISOString() ?? "",
      });
    }
    return { type: "issued" };
  }

  /** The key to certify; saved before the server sees it, as it may be held there. */
  async #key(kind: KeyKind | undefined, signal: AbortSignal): Promise<KeyObject> {
    if (this.#request !== undefined) return this.#request.key;
    const { store, keyKind } = this.#options;
    const { privateKey } = await makeKeyPair(kind ?? keyKind);
    signal.throwIfAborted();
    const name = await store.saveKey(privateKey);
    signal.throwIfAborted();
    await store.write({ [pullSection]: { key: name, anchors: "" } });
    this.#request = { key: privateKey, name, anchors: [] };
    return privateKey;
  }

  /** Who held the request is who has to answer it. */
  async #hold(anchors: readonly Certificate[]): Promise<void> {
    if (this.#request === undefined) return;
    if (toPem(anchors) === toPem(this.#request.anchors)) return;
    this.#request = { ...this.#request, anchors };
    await this.#options.store.write({ [pullSection]: { key: this.#request.name, anchors: toPem(anchors) } });
  }

  async #forget(): Promise<void> {
    this.#request = undefined;
    await this.#options.store.write({ [pullSection]: undefined });
  }

  #event(name: string, facts: Facts = {}): void {
    this.#options.event(`pull/${name}`, facts);
  }
}

/**
 * What peers would refuse is not put into force: with the plaintext ports closed nobody could reach the device any more.
 *
 * @throws {Refusal} 0xD0
 */
function requireUsable(next: Configuration, inventory: Inventory, now: Date | undefined): void {
  const instance = usesPulled(next);
  const finding = instance === undefined ? undefined : verifyDevice(next, instance, inventory, now);
  if (finding?.status === CertificateStatus.verified) return;
  throw refuse(Status.objectSpecific, { reason: finding?.reason ?? "the certificate is not in use" });
}

/** A request from before the last power cycle. One that cannot be used is made anew: nothing is lost but a place in a queue. */
async function savedRequest(store: Store): Promise<Request | undefined> {
  const saved = store.read(pullSection);
  if (typeof saved !== "object" || saved === null || !("key" in saved) || !("anchors" in saved)) return undefined;
  const { key: name, anchors } = saved;
  if (typeof name !== "string" || typeof anchors !== "string") return undefined;
  try {
    return { key: await store.loadKey(name), name, anchors: anchors === "" ? [] : parseCertificates(anchors) };
  } catch {
    return undefined;
  }
}
