import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseCertificate } from "@cipsec/pki";
import { connect, parseTarget, type SecurityOptions } from "@cipsec/originator";
import { BugError, PeerError, TransportError, isStackError } from "@cipsec/wire";
import type { Random } from "../fuzz/random.ts";
import { announcedStates, killWhileStarting } from "./device.ts";
import type { Puller, PullPlant } from "./pull-plant.ts";
import type { Round } from "./round.ts";
import { trustOf } from "./commissioning.ts";

/** Milliseconds from a device's first word to the server to its new certificate being in force, undisturbed. */
export interface PullPace {
  readonly enrolMs: number;
  readonly renewMs: number;
}

/** A device searches five seconds after its start; where a server took too long to answer it asks again after half a minute, then a whole. */
const patienceMs = 300_000;

/** Measures an undisturbed enrolment and renewal; the campaign cannot begin where that does not work. */
export async function measurePull(folder: string, address: string, plant: PullPlant): Promise<PullPace> {
  await using device = await plant.fresh(folder, address);
  const measured = async (): Promise<number> => {
    const watch = watchServer(plant, address);
    await watch.asked;
    const began = performance.now();
    const serial = await watch.issued;
    if ((await presented(device, plant, [serial])).serial === undefined)
      throw new BugError("bug/unreachable", "a device does not enrol undisturbed");
    return performance.now() - began;
  };
  const enrolMs = await measured();
  const renewal = measured();
  await device.device.kill();
  await device.device.restart();
  return { enrolMs, renewMs: await renewal };
}

/**
 * Cuts the power of a device at a random moment of its first enrolment, and of the renewal after that, each time from its first
 * word to the server on, one time in four again while it starts. What it comes back with has to be whole: as before or with a
 * new certificate, whose key it has. Then it has to get to its end by itself.
 */
export async function killPulling(
  folder: string,
  address: string,
  plant: PullPlant,
  { enrolMs, renewMs }: PullPace,
  random: Random,
): Promise<Round & { readonly pace: PullPace }> {
  await using device = await plant.fresh(folder, address);
  const faults: string[] = [];
  const first = await killOnce(device, folder, plant, random, enrolMs, undefined);
  faults.push(...first.faults.map((fault) => `enrolment, ${first.what}: ${fault}`));
  // Enrolled by now, it renews after its next start.
  const renewing = killOnce(device, folder, plant, random, renewMs, first.presented);
  await device.device.kill();
  await device.device.restart();
  const second = await renewing;
  faults.push(...second.faults.map((fault) => `renewal, ${second.what}: ${fault}`));
  return {
    what: `killed ${first.what} of the enrolment, ${second.what} of the renewal`,
    found: `${first.found}; ${second.found}`,
    faults,
    pace: { enrolMs: first.tookMs ?? enrolMs, renewMs: second.tookMs ?? renewMs },
  };
}

interface Kill {
  readonly what: string;
  readonly found: string;
  readonly faults: readonly string[];
  /** Serial number of the certificate that it presents in the end. */
  readonly presented: string;
  /** Milliseconds of the attempt that nobody disturbed. */
  readonly tookMs: number | undefined;
}

/** @param before Serial number of the certificate that it has; nothing in its box. */
async function killOnce(
  device: Puller,
  folder: string,
  plant: PullPlant,
  random: Random,
  wholeMs: number,
  before: string | undefined,
): Promise<Kill> {
  const { address } = device;
  const atMs = random.below(Math.ceil(wholeMs * 1.1));
  const again = random.oneIn(4) ? random.below(1000) : undefined;
  const serials: string[] = [];
  const first = watchServer(plant, address, (serial) => serials.push(serial));
  await first.asked;
  await sleep(atMs);
  await device.device.kill();
  if (again !== undefined) await killWhileStarting(device, again);
  const faults: string[] = [];
  const given: string[] = [];
  const second = watchServer(plant, address, (serial) => given.push(serial));
  await device.device.restart();
  const states = await announcedStates(address);
  const now = states?.ethernetIp ?? "silent";
  const allowed = before === undefined ? ["factory-default", "pull-completed"] : ["pull-completed"];
  if (!allowed.includes(now)) faults.push(`after the restart it says ${now}`);
  const shown = await shownBy(device, plant, now === "pull-completed").catch((error: unknown) => {
    faults.push(`it does not show what it says that it is: ${String(error)}`);
    return "";
  });
  if (now === "factory-default" && shown !== device.birth)
    faults.push("in factory default it shows another certificate");
  if (now === "pull-completed" && shown !== before && ![...serials, ...given].includes(shown))
    faults.push(`it shows a certificate that it was not given: ${shown}`);
  faults.push(...(await keyFaults(join(folder, "lab", "devices", device.name, "state"))));
  const isNew = now === "pull-completed" && shown !== before;
  let began = performance.now();
  second.asked.then(
    () => (began = performance.now()),
    () => undefined,
  );
  // What the server was signing when the power went comes late, for nobody.
  const { serial: last, shown: seen } = await second.issued.then(
    () => presented(device, plant, given),
    () => ({ serial: undefined, shown: "nothing new" }),
  );
  if (last === undefined)
    faults.push(
      `in ${patienceMs} ms it has not got to its end: given ${given.join(", ") || "nothing"}, it shows ${seen}`,
    );
  return {
    what: `at ${atMs} ms${again === undefined ? "" : ` and ${again} ms into its start`}`,
    found:
      before === undefined ? (isNew ? "enrolled" : "as from its box") : isNew ? "renewed" : "with its old certificate",
    faults,
    presented: last ?? "",
    tookMs: last === undefined ? undefined : performance.now() - began,
  };
}

/** The server's view of one attempt: the first request, and the certificate. */
function watchServer(plant: PullPlant, address: string, heard: (serial: string) => void = () => undefined) {
  const asked = Promise.withResolvers<void>();
  const issued = Promise.withResolvers<string>();
  const late = new TransportError("transport/timeout", `${address} has not got a certificate in ${patienceMs} ms`);
  const timer = setTimeout(() => {
    asked.reject(late);
    issued.reject(late);
  }, patienceMs);
  issued.promise.then(
    () => clearTimeout(timer),
    () => undefined,
  );
  plant.listen(address, {
    asked: asked.resolve,
    issued(serial) {
      heard(serial);
      issued.resolve(serial);
    },
  });
  return { asked: asked.promise, issued: issued.promise };
}

/** Serial number of the certificate that it presents once it is one that was `given`; the plant's tool trusts no other. */
async function presented(
  device: Puller,
  plant: PullPlant,
  given: readonly string[],
): Promise<{ readonly serial?: string | undefined; readonly shown: string }> {
  let shown = "nothing";
  for (const until = performance.now() + patienceMs; performance.now() < until; await sleep(50)) {
    try {
      shown = await shownBy(device, plant, true);
      if (given.includes(shown)) return { serial: shown, shown };
    } catch (error) {
      // Not enrolled yet, or amid it.
      if (!isStackError(error)) throw error;
      shown = error.code;
    }
  }
  return { shown };
}

/** Serial number of the plant's certificate that it shows, which it has the key of; in its box, the SHA-256 of what it shows. */
async function shownBy({ address }: Puller, plant: PullPlant, isEnrolled: boolean): Promise<string> {
  const security: SecurityOptions = isEnrolled ? trustOf(plant) : { ...trustOf(plant), acceptAny: true };
  await using session = await connect(parseTarget(`eips://${address}`), { security, reconnect: false });
  const peer = session.facts.security?.peer;
  if (peer?.kind !== "certificate") throw new PeerError("tls/handshake", `${address} shows no certificate`);
  return isEnrolled ? parseCertificate(peer.der).facts.serialHex : peer.sha256;
}

/** Every key on disk is named by the saved state, and every key that it names is there. */
async function keyFaults(folder: string): Promise<readonly string[]> {
  const files = await readdir(join(folder, "keys"));
  const documents = (await readdir(folder)).filter((file) => file.startsWith("state"));
  const texts = await Promise.all(documents.map((file) => readFile(join(folder, file), "utf8")));
  const orphans = files.filter((file) => !texts.some((text) => text.includes(file.replace(".pem", ""))));
  // A device that has nothing to keep yet has written nothing.
  const text = await readFile(join(folder, "state"), "utf8").catch(() => "");
  const named = new Set(text.match(/"key":"[0-9a-f]{32}"/g));
  const missing = [...named].filter((name) => !files.some((file) => name.includes(file.replace(".pem", ""))));
  return [...orphans.map((file) => `nothing names the key ${file}`), ...missing.map((name) => `there is no ${name}`)];
}
