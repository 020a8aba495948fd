import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  beginRollover,
  estPause,
  initCa,
  leftToReissue,
  makeKeyPair,
  switchRollover,
  withdrawRollover,
  type CaOptions,
  type Crl,
} from "@cipsec/pki";
import { BugError } from "@cipsec/wire";
import { Calendar } from "./calendar.ts";
import { Lines } from "./lines.ts";
import { Plant, type Member } from "./plant.ts";
import { deliver, enter, finish, Tool, type Caller } from "./tool.ts";

/** How the ten years run. */
export interface TenYearsOptions {
  /** At least 3. */
  readonly devices: number;
  readonly folder: string;
  /** Three octets of loopback addresses that are free, such as `127.32.1`. */
  readonly network: string;
  /** Least milliseconds of a day, so that I/O has its time too. */
  readonly dayTakesMs: number;
  /** Days between two looks at everything. */
  readonly lookEvery: number;
  /** Days between two deliveries of revocation lists, which are good for {@link listDays}. */
  readonly deliverEvery: number;
  readonly tell: (row: StoryRow) => void;
}

/** Something that happened in the plant. */
export interface StoryRow {
  readonly day: number;
  readonly date: string;
  readonly what: string;
}

/** What came of the ten years. */
export interface TenYears {
  /** What must not be; empty where all went well. */
  readonly faults: readonly string[];
  readonly figures: Readonly<Record<string, number | string>>;
}

/** Days of a revocation list. */
export const listDays = 400;

/** Share of a certificate's life after which sessions that rest on it are opened anew. */
const sessionShare = 0.8;

/** Share of life after which a tool renews its own. */
const toolShare = 2 / 3;

const lastDay = 3650;

/** Takes a plant through ten years, and sees to it that it goes on: what must live lives, and what must not does not. */
export async function tenYears(options: TenYearsOptions): Promise<TenYears> {
  const calendar = new Calendar(new Date("2027-01-01T00:00:00Z"));
  await using plant = await Plant.start(join(options.folder, "plant"), options.network, options.devices, calendar);
  const tool = await Tool.enrol(plant, calendar, "controller");
  const laptop = await Tool.enrol(plant, calendar, "laptop");
  const lists: { now: readonly Crl[] } = { now: [] };
  const stranger = await strangerOf(join(options.folder, "stranger"), calendar);
  await using lines = new Lines("owner", calendar, tool, () => lists.now);
  await using spying = new Lines("watcher", calendar, laptop, () => lists.now);
  return await new Story(options, { calendar, plant, tool, laptop, stranger, lists, lines, spying }).run();
}

interface Cast {
  readonly calendar: Calendar;
  readonly plant: Plant;
  readonly tool: Tool;
  readonly laptop: Tool;
  /** A certificate of somebody else's authority. */
  readonly stranger: Caller;
  readonly lists: { now: readonly Crl[] };
  /** I/O of the plant's controller to every device. */
  readonly lines: Lines;
  /** I/O of the laptop that gets lost. */
  readonly spying: Lines;
}

type Scene = readonly [day: number, play: () => Promise<void>];

class Story {
  readonly #options: TenYearsOptions;
  readonly #cast: Cast;
  readonly #faults: string[] = [];
  readonly #authority: CaOptions;
  readonly #beganMs = performance.now();
  /** Devices that are the plant's. */
  readonly #live = new Set<Member>();
  #isLaptopOut = false;
  /** The device that was revoked, until it is scrapped. */
  #lost: Member | undefined;
  #isReset = false;
  #isScrapped = false;
  #handshakes = 0;
  #deliveries = 0;
  #renewedSessions = 0;
  #powerCuts = 0;
  #losses = 0;

  constructor(options: TenYearsOptions, cast: Cast) {
    this.#options = options;
    this.#cast = cast;
    this.#authority = { now: () => cast.calendar.date(), pause: estPause() };
  }

  async run(): Promise<TenYears> {
    const every = (days: number, play: () => Promise<void>): readonly Scene[] =>
      Array.from({ length: Math.floor(lastDay / days) }, (_, i) => [(i + 1) * days, play] as const);
    const scenes: readonly Scene[] = [
      [1, () => this.#begins()],
      [400, () => this.#laptopIsLost()],
      [486, () => this.#serverGoes()],
      [494, () => this.#serverComes()],
      [900, () => this.#changeBegins("issuing")],
      [930, () => this.#changeSwitches("issuing")],
      [1100, () => this.#changeEnds("issuing")],
      [1600, () => this.#deviceIsLost()],
      [1900, () => this.#changeBegins("root")],
      [2100, () => this.#changeSwitches("root")],
      [2600, () => this.#changeEnds("root")],
      ...every(this.#options.deliverEvery, () => this.#deliver()),
      ...every(this.#options.lookEvery, () => this.#look()),
      ...every(365, () => this.#powerIsCut()),
      [lastDay, () => this.#ends()],
    ];
    for (const [day, play] of [...scenes].sort(([a], [b]) => a - b)) {
      await this.#turnTo(day);
      await play();
    }
    return { faults: this.#faults, figures: this.#figures() };
  }

  async #turnTo(day: number): Promise<void> {
    const { calendar, plant, tool, lines } = this.#cast;
    while (calendar.day < day) {
      const began = performance.now();
      await calendar.turnTo(Math.min(day, Math.floor(calendar.day) + 1), plant.settled);
      if (tool.age > toolShare) {
        await tool.renew();
        lines.renewTrust();
        this.#tell("the controller renews its certificate");
      }
      this.#renewedSessions += await lines.renew(sessionShare);
      await this.#lostDeviceAsks();
      await sleep(Math.max(0, this.#options.dayTakesMs - (performance.now() - began)));
    }
  }

  async #begins(): Promise<void> {
    const { plant, tool, lists, lines, spying } = this.#cast;
    for (const member of plant.members) this.#live.add(member);
    this.#must(plant.told.enrolled === plant.members.length, `${plant.told.enrolled} devices enrolled by themselves`);
    for (const member of plant.members)
      await finish(
        member,
        tool.security(() => lists.now),
      );
    await this.#deliver();
    for (const member of plant.members) await lines.open(member);
    for (const member of plant.members.slice(0, 2)) await spying.open(member);
    this.#tell(`${plant.members.length} devices have enrolled by themselves; I/O runs to each over DTLS`);
  }

  async #laptopIsLost(): Promise<void> {
    const { plant, laptop, spying, calendar } = this.#cast;
    this.#must((await spying.silent()).length === 0, "the laptop has I/O until it is revoked");
    await plant.ca.revoke(laptop.serialHex, "keyCompromise");
    await this.#deliver();
    await this.#turnTo(Math.ceil(calendar.day) + 1);
    const alive = await spying.ended();
    this.#must(alive.length === 0, `the laptop's I/O ends where the list has come: not with ${alive.join(", ")}`);
    this.#isLaptopOut = true;
    this.#tell("first revocation: a laptop; its I/O is closed by the devices, and it gets in nowhere");
    await this.#look();
  }

  async #serverGoes(): Promise<void> {
    await this.#cast.plant.closeEst();
    this.#tell("the EST server is gone for eight days, in which all renewals are due");
  }

  async #serverComes(): Promise<void> {
    const { plant } = this.#cast;
    const failed = plant.told.failed.get("noServer") ?? 0;
    this.#must(failed > 0, "devices looked for the server while it was gone");
    await plant.openEst();
    this.#tell(`the EST server is back; devices tried ${failed} times in vain`);
  }

  async #changeBegins(kind: "issuing" | "root"): Promise<void> {
    const { ca } = this.#cast.plant;
    await beginRollover(ca.folder, kind, this.#authority);
    await ca.refresh();
    // Before anybody shows a certificate of the new authority, devices need its list.
    await this.#deliver();
    this.#tell(`${words[kind]}: the new one is made and published; the old one goes on issuing`);
  }

  async #changeSwitches(kind: "issuing" | "root"): Promise<void> {
    const { plant, tool } = this.#cast;
    await switchRollover(plant.ca.folder, this.#authority);
    await plant.ca.refresh();
    await plant.closeEst();
    await plant.openEst();
    await tool.renew();
    await this.#look();
    this.#tell(`${words[kind]}: the new one issues; controller and EST server have certificates of it`);
  }

  async #changeEnds(kind: "issuing" | "root"): Promise<void> {
    const { plant, lines } = this.#cast;
    const left = await leftToReissue(plant.ca.folder, this.#authority);
    this.#must(
      left.length === 0,
      `nobody is left with the old ${kind}: ${left.map(({ subject }) => subject).join("; ")}`,
    );
    // Sessions that rest on certificates of the old authority end here, by plan.
    this.#renewedSessions += await lines.renew(0);
    await withdrawRollover(plant.ca.folder, { ...this.#authority, force: true });
    await plant.ca.refresh();
    await this.#deliver();
    await this.#look();
    this.#tell(`${words[kind]}: the old one is withdrawn`);
  }

  async #deviceIsLost(): Promise<void> {
    const { plant, lines } = this.#cast;
    const lost = plant.members.at(-1);
    if (lost === undefined) throw new BugError("bug/unreachable", "there is no device");
    await plant.ca.revoke(plant.lastSerial(lost), "keyCompromise");
    this.#live.delete(lost);
    this.#lost = lost;
    lines.expectEnd(lost);
    await this.#deliver();
    this.#must(await lines.hasEnded(lost), `the controller ends its I/O with ${lost.name}, and with no other device`);
    this.#tell(`second revocation: ${lost.name}; the controller, which has the list, ends its I/O`);
    await this.#look();
  }

  /** Everyone gets the lists of now, the controller first. */
  async #deliver(): Promise<void> {
    const { plant, tool, lists, lines } = this.#cast;
    lists.now = await plant.ca.crls(listDays);
    lines.renewTrust();
    for (const member of this.#live) {
      await deliver(
        member,
        tool.security(() => lists.now),
        lists.now,
      );
      this.#deliveries += 1;
    }
  }

  async #powerIsCut(): Promise<void> {
    const { plant, lines } = this.#cast;
    const members = [...this.#live];
    const member = members[this.#powerCuts % members.length];
    if (member === undefined) return;
    await lines.through(member, async () => await plant.powerCycle(member));
    this.#powerCuts += 1;
  }

  /** Who must get in gets in, who must not does not, and what runs moves data. */
  async #look(): Promise<void> {
    const { tool, laptop, stranger, lists, lines, spying, calendar } = this.#cast;
    const at = `day ${Math.floor(calendar.day)}`;
    const trusted = tool.security(() => lists.now);
    for (const member of this.#live) {
      const outcome = await enter(member, trusted);
      this.#handshakes += 1;
      this.#must(outcome === "in", `${at}: the controller gets into ${member.name}, and not ${outcome}`);
    }
    const [first] = this.#live;
    if (first !== undefined) {
      const { certificate: _, ...nobody } = trusted;
      for (const [who, security] of [
        ["a stranger", { ...trusted, certificate: stranger }],
        ["somebody without a certificate", nobody],
        ...(this.#isLaptopOut ? [["the revoked laptop", laptop.security(() => lists.now)] as const] : []),
      ] as const) {
        const outcome = await enter(first, security);
        this.#handshakes += 1;
        this.#must(refusals.includes(outcome), `${at}: ${who} is refused by ${first.name}, and not ${outcome}`);
      }
    }
    if (this.#lost !== undefined) {
      const outcome = await enter(this.#lost, trusted);
      this.#handshakes += 1;
      this.#must(
        [...strangers, ...refusals].includes(outcome),
        `${at}: the revoked ${this.#lost.name} is refused, and not ${outcome}`,
      );
    }
    const silent = await lines.silent();
    this.#must(silent.length === 0, `${at}: I/O moves, and not with ${silent.join(", ")} silent`);
    this.#must(
      lines.running === this.#live.size,
      `${at}: ${this.#live.size} I/O connections run, and not ${lines.running}`,
    );
    this.#must(!this.#isLaptopOut || spying.running === 0, `${at}: the revoked laptop has no I/O`);
    for (const { device, day, why } of lines.losses.splice(0)) {
      this.#losses += 1;
      this.#must(false, `day ${day}: lost I/O with ${device}: ${why}`);
    }
  }

  /** The revoked device wants its renewal, and is refused; reset and back in its box, it has to wait for a person; then it is scrapped. */
  async #lostDeviceAsks(): Promise<void> {
    const { plant } = this.#cast;
    const lost = this.#lost;
    if (lost === undefined || plant.refusals === 0) return;
    if (!this.#isReset) {
      this.#isReset = true;
      await plant.unbox(lost);
      this.#tell(`${lost.name} is refused its renewal; somebody resets it, and it asks with its maker's certificate`);
      return;
    }
    if (!(await plant.isHeld(lost))) return;
    await this.#cast.lines.drop(lost);
    await plant.scrap(lost);
    this.#lost = undefined;
    this.#isScrapped = true;
    this.#tell(`${lost.name} gets nothing unless a person lets it, and is scrapped`);
  }

  async #ends(): Promise<void> {
    const { plant, calendar } = this.#cast;
    await this.#look();
    for (const member of this.#live) {
      const { notAfter } = (await plant.ca.certificate(plant.lastSerial(member))).facts;
      this.#must(notAfter.getTime() > calendar.wallNow(), `${member.name} has a certificate that is good at the end`);
    }
    this.#must(this.#isScrapped, "the revoked device has asked for another certificate, and has to wait for a person");
    this.#tell("ten years are over");
  }

  #figures(): TenYears["figures"] {
    const { plant, lines } = this.#cast;
    const { enrolled, renewed, failed, closed } = plant.told;
    const { sent, received, lost } = lines.totals();
    const words = (counts: ReadonlyMap<string, number>): string =>
      [...counts].map(([what, number]) => `${what} ${number}`).join(", ") || "none";
    return {
      devices: plant.members.length,
      enrolments: enrolled,
      "of these renewals": renewed,
      "attempts that failed": words(failed),
      "requests that were refused": plant.refusals,
      "deliveries of revocation lists": this.#deliveries,
      "handshakes that were checked": this.#handshakes,
      "sessions ended by devices": words(closed),
      "I/O opened anew, by plan": this.#renewedSessions,
      "power cuts": this.#powerCuts,
      "longest planned gap of I/O, ms": Math.round(Math.max(0, ...lines.gapsMs)),
      "I/O packets sent, received, lost": `${sent}, ${received}, ${lost}`,
      "I/O connections lost without reason": this.#losses,
      seconds: Math.round((performance.now() - this.#beganMs) / 1000),
    };
  }

  #tell(what: string): void {
    const { calendar } = this.#cast;
    const date = calendar.date().toISOString().slice(0, 10);
    this.#options.tell({ day: Math.floor(calendar.day), date, what });
  }

  #must(holds: boolean, what: string): void {
    if (!holds) this.#faults.push(what);
  }
}

const words = { issuing: "issuing authority", root: "root" } as const;

/** What those hear who are not let in. */
const refusals: readonly string[] = ["tls/alert", "tls/handshake", "trust/refused", "transport/closed"];

/** What we say to a device that is not the plant's any more. */
const strangers: readonly string[] = ["trust/revoked", "trust/expired", "trust/unknown-authority"];

async function strangerOf(folder: string, calendar: Calendar): Promise<Caller> {
  const ca = await initCa(folder, { name: "Somebody Else", now: () => calendar.date(), pause: estPause() });
  const { publicKey, privateKey } = await makeKeyPair();
  const { chain } = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "stranger" }, days: lastDay });
  return { chain, key: privateKey };
}
