import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  estPause,
  listenEst,
  localAuthority,
  makeEstService,
  makeKeyPair,
  openRegister,
  parseCertificates,
  toPem,
  type CertificateAuthority,
  type EnrolPolicy,
} from "@cipsec/pki";
import { makeAuthority, makeCaller, anchorsOf, type Caller } from "../../packages/lab/src/demo/authority.ts";
import { openFactory } from "../../packages/lab/src/vendor.ts";
import { BugError } from "@cipsec/wire";
import { freshVictim, type Victim } from "./device.ts";

/** A plant whose devices fetch their certificates: its EST server runs in this process, which nobody kills. */
export interface PullPlant extends AsyncDisposable {
  readonly authority: CertificateAuthority;
  readonly tool: Caller;
  /** A device of this plant's vendor from its box, at this address. */
  fresh(folder: string, address: string): Promise<Puller>;
  /** Who is told from now on of what the server hears from this address, and of the certificates that it gives it. */
  listen(address: string, listener: ServerListener): void;
}

/** The server's side of an enrolment. */
export interface ServerListener {
  asked(): void;
  issued(serial: string): void;
}

/** A device that enrols by itself. */
export interface Puller extends Victim {
  /** SHA-256 of the certificate from its box. */
  readonly birth: string;
}

/** Whoever has a certificate of the vendor gets one of the plant; so does who renews. */
const policy: EnrolPolicy = {
  rules: [{ name: "box", callers: ["birth"], takeNames: "request", action: "issue", days: 90 }],
  renewDays: 90,
};

/** Starts a plant with an EST server at this address. */
export async function startPullPlant(folder: string, address: string): Promise<PullPlant> {
  const authority = await makeAuthority(join(folder, "plant"), "Pull Campaign");
  const tool = await makeCaller(authority, "campaign tool");
  const factory = await openFactory(folder, () => new Date());
  const { vendor } = factory;
  const anchors = join(folder, "anchors.pem");
  await writeFile(anchors, toPem(anchorsOf(authority)));
  const listeners = new Map<string, ServerListener>();
  const now = (): Date => new Date();
  const service = makeEstService({
    authority: localAuthority(authority),
    register: await openRegister(join(folder, "est"), { now, pause: estPause() }),
    policy: () => policy,
    now,
    retryAfterS: 60,
    callers: { vendorAnchors: [vendor.root], realm: "campaign" },
    onEvent: ({ address: from, outcome, serial = "" }) => {
      if (outcome === "issued") listeners.get(from)?.issued(serial);
    },
  });
  const { publicKey, privateKey: key } = await makeKeyPair();
  const subject = { commonName: "campaign server" };
  const { chain } = await authority.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject,
    san: { ip: [address] },
  });
  const handle: typeof service.handle = async (request) => {
    listeners.get(request.address)?.asked();
    return await service.handle(request);
  };
  const listener = await listenEst({ ...service, handle }, { host: address, port: 0, chain, key });
  const pull = {
    url: `https://${address}:${listener.port}`,
    service: "_est._tcp",
    domain: "",
    dnsServers: [],
    mdns: false,
    anchors,
    trustOnFirstUse: false,
    closePlaintext: false,
  };
  return {
    authority,
    tool,
    async fresh(place, where) {
      const victim = await freshVictim(place, where, async ({ security, ...description }) => {
        if (security === null) throw new BugError("bug/unreachable", "a modern device has CIP Security");
        const defaultCertificate = await factory.equip(join(place, "box"), description.identity, "genuine");
        // Without a clock a device renews after each start: nobody knows how long it was off.
        return { ...description, clock: false, security: { ...security, defaultCertificate, pull } };
      });
      const [leaf] = parseCertificates(await readFile(join(place, "box", "vendor-certificate.pem")));
      return { ...victim, birth: leaf?.facts.sha256 ?? "" };
    },
    listen: (where, its) => void listeners.set(where, its),
    [Symbol.asyncDispose]: () => listener.close(),
  };
}
