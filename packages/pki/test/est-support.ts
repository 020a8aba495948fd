import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";
import { initCa, type CertificateAuthority } from "../src/ca.ts";
import type { Certificate } from "../src/certificate.ts";
import { createCsr } from "../src/csr.ts";
import { localAuthority, type EstAuthority } from "../src/est/authority.ts";
import { estClient, type CsrBuilder, type EstClient, type EstClientOptions } from "../src/est/client.ts";
import type { HttpAnswer, HttpRequest } from "../src/est/http.ts";
import type { EnrolPolicy } from "../src/est/policy.ts";
import { openRegister, type Register } from "../src/est/register.ts";
import { makeEstService, type EstEvent, type EstService, type EstServiceOptions } from "../src/est/service.ts";
import { listenEst, type EstListener, type EstListenOptions } from "../src/est/listen.ts";
import type { TlsIdentity } from "../src/est/session.ts";
import { makeKeyPair, type KeyPair } from "../src/keys.ts";
import type { AlternativeNamesInput, Subject } from "../src/names.ts";
import { authority, make, noon, temporaryFolder, type Authority } from "./support.ts";

const pause = async (ms: number): Promise<void> => await sleep(ms);

/** A clock that tests turn. */
export const clock = { now: noon };
export const now = (): Date => clock.now;

/** A plant with its authority, a vendor with a root, and an EST service over both. */
export interface Bench {
  readonly ca: CertificateAuthority;
  readonly vendor: Authority;
  readonly register: Register;
  readonly service: EstService;
  readonly events: EstEvent[];
  readonly folder: string;
  policy: EnrolPolicy;
}

export const issueToBirth: EnrolPolicy = {
  rules: [{ name: "birth", callers: ["birth"], action: "issue", takeNames: "request" }],
};

export interface BenchOptions extends Partial<Omit<EstServiceOptions, "callers" | "policy" | "authority">> {
  readonly callers?: Partial<EstServiceOptions["callers"]>;
  readonly policy?: EnrolPolicy;
  readonly authority?: (ca: CertificateAuthority) => EstAuthority;
}

export async function bench(options: BenchOptions = {}): Promise<Bench> {
  const folder = temporaryFolder();
  const ca = await initCa(join(folder, "ca"), { name: "Plant", now, pause });
  const vendor = await authority("Vendor Root");
  const register = await openRegister(join(folder, "est"), { now, pause });
  const events: EstEvent[] = [];
  const made = { policy: options.policy ?? issueToBirth };
  const { authority: authorityOf = localAuthority, ...rest } = options;
  const service = makeEstService({
    register,
    now,
    retryAfterS: 60,
    onEvent: (event) => events.push(event),
    ...rest,
    authority: authorityOf(ca),
    policy: () => made.policy,
    callers: { vendorAnchors: [vendor.certificate], realm: "est", ...options.callers },
  });
  return Object.assign(made, { ca, vendor, register, service, events, folder });
}

/** A device from the box: key and birth certificate. */
export async function birth(
  vendor: Authority,
  serialNumber = "00C0FFEE",
  kind: Parameters<typeof makeKeyPair>[0] = "ecdsa-p256",
): Promise<TlsIdentity> {
  const { privateKey, publicKey } = await makeKeyPair(kind);
  const certificate = await make({
    subject: { organization: "Acme", commonName: `Pump ${serialNumber}`, serialNumber },
    san: {},
    publicKey,
    issuerKey: vendor.key,
    issuer: vendor.certificate,
  });
  return { chain: [certificate], key: privateKey };
}

export const pump: Subject = { organization: "Acme", commonName: "Pump 00C0FFEE", serialNumber: "00C0FFEE" };

/** A builder for requests of one key. */
export async function builder(
  subject: Subject = pump,
  san: AlternativeNamesInput = {},
  keys?: KeyPair,
): Promise<{ readonly build: CsrBuilder; readonly keys: KeyPair }> {
  const pair = keys ?? (await makeKeyPair());
  const build: CsrBuilder = ({ challengePassword }) =>
    createCsr({
      subject,
      san,
      privateKey: pair.privateKey,
      ...(challengePassword === undefined ? {} : { challengePassword }),
    });
  return { build, keys: pair };
}

/** A request to a service, without sockets. */
export function request(options: Partial<HttpRequest> & { readonly chain?: readonly Certificate[] }): HttpRequest {
  const { chain = [], ...rest } = options;
  return {
    method: "POST",
    path: "/.well-known/est/simpleenroll",
    headers: { "content-type": "application/pkcs10" },
    body: new Uint8Array(),
    address: "127.37.0.9",
    tls: { chain, binding: "YmluZGluZw==", version: "TLSv1.3" },
    ...rest,
  };
}

export const bodyText = ({ body }: HttpAnswer): string => Buffer.from(body).toString("latin1");

/** Serves over TLS until the file's tests are over. */
export async function serve(
  { ca, service }: Pick<Bench, "ca" | "service">,
  host: string,
  options: Partial<EstListenOptions> = {},
): Promise<EstListener> {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject: { commonName: "est" },
    san: { ip: [host], dns: ["est.plant.example"] },
  });
  const listener = await listenEst(service, { host, port: 0, chain, key: privateKey, ...options });
  afterAll(async () => await listener.close());
  return listener;
}

export function client(
  { host, port }: Pick<EstListener, "host" | "port">,
  options: Partial<EstClientOptions> & Pick<EstClientOptions, "trust">,
): EstClient {
  return estClient({ url: `https://${host}:${port}`, now, randomBytes: (count) => randomBytes(count), ...options });
}
