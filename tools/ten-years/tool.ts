import { connect, deliverTrust, parseTarget, type ConnectOptions, type SecurityOptions } from "@cipsec/originator";
import { CipSecurity, EtherNetIpSecurity, Identity } from "@cipsec/objects";
import { makeKeyPair, type Certificate, type Crl } from "@cipsec/pki";
import { systemClock } from "@cipsec/transport";
import { isStackError } from "@cipsec/wire";
import type { Calendar } from "./calendar.ts";
import { leafDays, type Member, type Plant } from "./plant.ts";

/** Milliseconds for a connection or answer: far above what it takes, on a machine that is held up too. */
const patienceMs = 30_000;

/** A certificate with its chain, and its key. */
export type Caller = NonNullable<SecurityOptions["certificate"]>;

/** A program with a certificate of the plant, which it has renewed in time. */
export class Tool {
  readonly #plant: Plant;
  readonly #calendar: Calendar;
  readonly #name: string;
  #certificate: Caller;

  static async enrol(plant: Plant, calendar: Calendar, name: string): Promise<Tool> {
    return new Tool(plant, calendar, name, await issue(plant, name));
  }

  private constructor(plant: Plant, calendar: Calendar, name: string, certificate: Caller) {
    this.#plant = plant;
    this.#calendar = calendar;
    this.#name = name;
    this.#certificate = certificate;
  }

  /** Gets another certificate, of the authority that issues now. */
  async renew(): Promise<void> {
    this.#certificate = await issue(this.#plant, this.#name);
  }

  get serialHex(): string {
    return this.leaf?.facts.serialHex ?? "";
  }

  get leaf(): Certificate | undefined {
    return this.#certificate.chain[0];
  }

  /** Share of its certificate's life that is over. */
  get age(): number {
    return ageOf(this.leaf, this.#calendar);
  }

  /** Who it is now; authorities and lists are those of the moment of each handshake. @param lists Read for each. */
  security(lists: () => readonly Crl[]): SecurityOptions {
    const [plant, calendar] = [this.#plant, this.#calendar];
    return {
      certificate: this.#certificate,
      get anchors() {
        return plant.ca.anchors;
      },
      get crls() {
        return lists();
      },
      clock: { ...systemClock, wallNow: () => calendar.wallNow() },
    };
  }
}

/** Share of a certificate's life that is over; 0 without one. */
export function ageOf(certificate: Certificate | undefined, calendar: Calendar): number {
  if (certificate === undefined) return 0;
  const { notBefore, notAfter } = certificate.facts;
  return (calendar.wallNow() - notBefore.getTime()) / (notAfter.getTime() - notBefore.getTime());
}

/** Opens a session, with every check, and reads who is there. @returns `in`, or the code of what stood against it. */
export async function enter({ address, serial }: Member, security: SecurityOptions): Promise<string> {
  try {
    await using session = await connect(parseTarget(`eips://${address}`), options(security));
    return (await session.object(Identity, 1).get("serialNumber")) === serial ? "in" : "another device";
  } catch (error) {
    if (!isStackError(error)) throw error;
    return error.code;
  }
}

/** Ends what the pull model began: the device is configured, and judges the days of certificates from then on. */
export async function finish({ address }: Member, security: SecurityOptions): Promise<void> {
  await using session = await connect(parseTarget(`eips://${address}`), options(security));
  const cip = session.object(CipSecurity, 1);
  const object = session.object(EtherNetIpSecurity, 1);
  await cip.call("beginConfig");
  await object.call("beginConfig");
  await object.set("checkExpiration", true);
  await object.call("applyConfig", { flags: 0, closeDelayMs: 0 });
  await cip.call("endConfig");
}

/** Brings revocation lists to a device. */
export async function deliver({ address }: Member, security: SecurityOptions, crls: readonly Crl[]): Promise<void> {
  await using session = await connect(parseTarget(`eips://${address}`), options(security));
  await deliverTrust(session, { crls }, { label: "lists" });
}

function options(security: SecurityOptions): ConnectOptions {
  return { security, reconnect: false, connectTimeoutMs: patienceMs, requestTimeoutMs: patienceMs };
}

async function issue({ ca }: Plant, commonName: string): Promise<Caller> {
  const { publicKey, privateKey } = await makeKeyPair();
  const subject = { organization: ca.name, commonName };
  const { chain } = await ca.issue({ profile: "tool", publicKey, subject, days: leafDays });
  return { chain, key: privateKey };
}
