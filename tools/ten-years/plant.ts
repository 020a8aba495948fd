import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { mixedPlant, openFactory, startLabEst, type Factory, type LabEst } from "@cipsec/lab";
import { estPause, initCa, type CertificateAuthority, type EnrolPolicy, type EstEvent } from "@cipsec/pki";
import { readDescription, startTarget, type DeviceDescription, type Target, type TargetEvent } from "@cipsec/target";
import { systemClock, type Clock } from "@cipsec/transport";
import { BugError, TransportError } from "@cipsec/wire";
import type { Calendar } from "./calendar.ts";

/** Days that certificates of devices and tools live. */
export const leafDays = 730;

/** A device of the plant. */
export interface Member {
  readonly name: string;
  readonly address: string;
  readonly serial: number;
  readonly description: DeviceDescription;
  readonly stateDir: string;
  target: Target;
}

/** What the devices and the EST server have told. */
export interface Told {
  enrolled: number;
  renewed: number;
  /** Attempts that failed, by reason. */
  readonly failed: Map<string, number>;
  /** Sessions that a device has ended by its policy, by why. */
  readonly closed: Map<string, number>;
}

/** Real targets with the pull model, their vendor, the plant's authority and its EST server: days by a calendar, all else as it is. */
export class Plant implements AsyncDisposable {
  readonly ca: CertificateAuthority;
  readonly members: Member[] = [];
  readonly told: Told = { enrolled: 0, renewed: 0, failed: new Map(), closed: new Map() };
  readonly #calendar: Calendar;
  readonly #folder: string;
  readonly #factory: Factory;
  readonly #estAddress: string;
  /** Devices that look for a server or ask one. */
  readonly #busy = new Set<string>();
  #est: LabEst | undefined;
  #refusals = 0;

  static async start(folder: string, network: string, count: number, calendar: Calendar): Promise<Plant> {
    const now = (): Date => calendar.date();
    const ca = await initCa(join(folder, "ca"), { name: "Plant", now, pause: estPause() });
    const factory = await openFactory(folder, now);
    const plant = new Plant(folder, ca, factory, `${network}.200`, calendar);
    await plant.openEst();
    for (let i = 1; i <= count; i += 1) await plant.#add(i, `${network}.${i}`);
    return plant;
  }

  private constructor(
    folder: string,
    ca: CertificateAuthority,
    factory: Factory,
    estAddress: string,
    calendar: Calendar,
  ) {
    this.#folder = folder;
    this.ca = ca;
    this.#factory = factory;
    this.#estAddress = estAddress;
    this.#calendar = calendar;
  }

  /** Waits until no device is at work with the EST server. */
  readonly settled = async (): Promise<void> => {
    await nextTurn();
    for (let waited = 0; this.#busy.size > 0; waited += 5) {
      if (waited > 60_000)
        throw new TransportError("transport/timeout", `still enrolling after a minute: ${[...this.#busy].join(", ")}`);
      await sleep(5);
    }
    await nextTurn();
  };

  /** What the EST server remembers of a device: the serial number of its last certificate. */
  lastSerial({ address }: Member): string {
    const found = this.#est?.register.enrolled().find(({ san }) => san.ip.includes(address));
    if (found === undefined) throw new BugError("bug/unreachable", `${address} has never enrolled`);
    return found.serial;
  }

  /** Requests that the EST server has refused. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Whether a person is to say if this device gets a certificate. */
  async isHeld({ address }: Member): Promise<boolean> {
    const held = (await this.#est?.register.list()) ?? [];
    return held.some(({ state, san }) => state === "waiting" && san.ip.includes(address));
  }

  async openEst(): Promise<void> {
    const fromBox = { callers: ["birth"], takeNames: "request", days: leafDays } as const;
    const policy = (): EnrolPolicy => ({
      rules: [{ ...fromBox, name: "from the box", action: "issue" }],
      renewDays: leafDays,
    });
    this.#est = await startLabEst({
      folder: join(this.#folder, "est"),
      ca: this.ca,
      vendorAnchors: [this.#factory.vendor.root, this.#factory.vendor.issuing],
      policy,
      address: this.#estAddress,
      port: estPort,
      retryAfterS: 3600,
      now: () => this.#calendar.date(),
      onEvent: (event) => this.#served(event),
    });
  }

  /** Takes the EST server away: nobody answers there. */
  async closeEst(): Promise<void> {
    await this.#est?.[Symbol.asyncDispose]();
    this.#est = undefined;
  }

  /** Cuts the power of a device and starts it from what it had saved. */
  async powerCycle(member: Member): Promise<void> {
    await member.target.stop();
    this.#busy.delete(member.name);
    member.target = await this.#start(member);
  }

  /** Brings a device back to how it left its maker. */
  async unbox(member: Member): Promise<void> {
    await member.target.stop();
    this.#busy.delete(member.name);
    await rm(member.stateDir, { recursive: true });
    member.target = await this.#start(member);
  }

  async scrap(member: Member): Promise<void> {
    await member.target.stop();
    this.#busy.delete(member.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ target }) => target.stop()));
    await this.closeEst();
  }

  async #add(number: number, address: string): Promise<void> {
    const [template] = mixedPlant(1);
    if (template === undefined) throw new BugError("bug/unreachable", "no device was planned");
    const name = `device-${number}`;
    const identity = {
      ...template.description.identity,
      serialNumber: 0x20_0000 + number,
      productName: `Drive ${number}`,
    };
    const defaultCertificate = await this.#factory.equip(join(this.#folder, name), identity, "genuine");
    const url = `https://${this.#estAddress}:${estPort}`;
    const pull = { url, fingerprint: this.ca.root.facts.sha256, mdns: false, closePlaintext: true };
    const description = readDescription({
      ...template.description,
      name,
      identity,
      address,
      hostName: name,
      security: { ...template.description.security, defaultCertificate, pull },
    });
    const stateDir = join(this.#folder, name, "state");
    const member = { name, address, serial: identity.serialNumber, description, stateDir };
    this.members.push({ ...member, target: await this.#start(member) });
  }

  #start({ name, description, stateDir }: Omit<Member, "target">): Promise<Target> {
    const clock: Clock = { ...systemClock, wallNow: () => this.#calendar.wallNow() };
    return startTarget({
      description,
      stateDir,
      clock,
      calendar: this.#calendar,
      onEvent: (event) => this.#heard(name, event),
    });
  }

  #heard(device: string, { name, facts }: TargetEvent): void {
    switch (name) {
      case "pull/search":
      case "pull/enrol":
        this.#busy.add(device);
        break;
      case "pull/enrolled":
        this.told.enrolled += 1;
        this.#busy.delete(device);
        break;
      case "pull/failed":
        count(this.told.failed, String(facts["reason"]));
        this.#busy.delete(device);
        break;
      case "pull/found":
        if (facts["servers"] === "") this.#busy.delete(device);
        break;
      case "pull/pending":
      case "pull/stopped":
        this.#busy.delete(device);
        break;
      case "session-closed":
        count(this.told.closed, String(facts["why"]));
        break;
      default:
    }
  }

  #served({ operation, outcome }: EstEvent): void {
    if (outcome === "issued" && operation === "simplereenroll") this.told.renewed += 1;
    if (outcome === "refused") this.#refusals += 1;
  }
}

const estPort = 8443;

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}
