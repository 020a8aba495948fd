import { flawedSigner, type Certificate, type FlawedSigner } from "@cipsec/pki";
import type { EdsCapacity } from "@cipsec/objects";
import {
  connect,
  identify,
  isPortOpen,
  readPosture,
  type ConnectOptions,
  type IdentityReport,
  type IoRequest,
  type Posture,
  type SecurityOptions,
  type Session,
  type TargetAddress,
} from "@cipsec/originator";
import { systemClock, type Clock } from "@cipsec/transport";
import { isStackError, TransportError } from "@cipsec/wire";
import type { Subject } from "../check.ts";
import { sha256Of } from "../evidence/store.ts";
import type { Need } from "../need.ts";
import { componentKey, type SubjectFacts } from "../run/plan.ts";
import { sessionOptions } from "./way.ts";

/** How an endpoint is assessed. */
export interface EndpointOptions {
  readonly target: TargetAddress;
  /** Who the device lets in, and whom we trust; without it only what needs no rights is found out. */
  readonly security?: SecurityOptions;
  /** Folder of the authority that the device trusts: good and bad certificates are made with it. */
  readonly authority?: string;
  /** A second unit of the same product. */
  readonly second?: TargetAddress;
  /** Roots of the product's supplier, as published. */
  readonly supplierRoots?: readonly Certificate[];
  /** Session handles that are collected to judge whether they can be foretold; each takes a handshake. Default 1000, or 200 in production. */
  readonly handles?: number;
  /** An I/O connection with outputs that may be moved, and lost. */
  readonly io?: IoRequest;
  /** The device's other I/O connections without outputs: opened beside that one, up to their limit. */
  readonly ioBeside?: readonly IoRequest[];
  /** What the device's EDS says that it can carry. */
  readonly capacity?: Partial<EdsCapacity>;
  readonly disruptive: boolean;
  readonly timeoutMs: number;
  /** TCP ports to look at beside those of EtherNet/IP. */
  readonly ports?: readonly number[];
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** A device under assessment, as it was when the assessment began. */
export interface EndpointSubject extends Subject, EndpointOptions {
  readonly host: string;
  /** Secure and plain TCP port. */
  readonly eips: number;
  readonly eip: number;
  readonly clock: Clock;
  /** What the device says of itself; nothing when it could not be read. */
  readonly posture: Posture | undefined;
  readonly identity: IdentityReport | undefined;
  /** Whether it is spoken to by a secure channel: its own, or one that something in front of it offers. */
  readonly isSecured: boolean | undefined;
  readonly signer: FlawedSigner | undefined;
  readonly facts: SubjectFacts;
  /**
   * Opens a session as the trusted caller; plain on a device without CIP Security. It ends with its channel, as what a device closes is
   * what is judged, unless `reconnect` says how it is opened again.
   */
  open(more?: Pick<ConnectOptions, "keyLog" | "reconnect">): Promise<Session>;
}

/**
 * Reaches a device and reads what it says of itself, by the best channel there is.
 *
 * @throws {TransportError} `transport/…` when nothing at all answers at the address.
 */
export async function openEndpoint(options: EndpointOptions): Promise<EndpointSubject> {
  const { target, signal, clock = systemClock } = options;
  const { host } = target;
  const eips = target.scheme === "eip" ? 2221 : (target.port ?? 2221);
  const eip = target.scheme === "eip" ? (target.port ?? 44_818) : 44_818;
  const open: EndpointSubject["open"] = async (more = {}) =>
    await connect(
      { host, ...(isSecured === false ? { scheme: "eip", port: eip } : { scheme: "eips", port: eips }) },
      {
        ...(options.security === undefined ? {} : { security: options.security }),
        ...sessionOptions(options),
        ...more,
      },
    );
  let isSecured: boolean | undefined;
  let failure: unknown;
  let posture: Posture | undefined;
  // The secure channel first; a device without one is read over the plain channel, and by nobody else.
  for (const secured of [true, false]) {
    if (posture !== undefined || (secured && options.security === undefined)) continue;
    isSecured = secured;
    try {
      await using session = await open();
      posture = await readPosture(session);
    } catch (error) {
      signal.throwIfAborted();
      if (!isStackError(error)) throw error;
      failure ??= error;
    }
  }
  const announced = posture === undefined ? await identify(host, { timeoutMs: 1000, signal }) : undefined;
  if (posture === undefined) isSecured = undefined;
  const answers =
    posture !== undefined ||
    announced !== undefined ||
    !isUnreachable(failure) ||
    // What completes a handshake and then says nothing is there, and no device.
    (await isPortOpen(host, eips, Math.min(options.timeoutMs, 1000), signal));
  if (!answers && failure instanceof TransportError) throw failure;
  const identity = posture?.identity;
  const signer = options.authority === undefined ? undefined : await flawedSigner(options.authority);
  const words = failure === undefined || !isStackError(failure) ? "" : failure.message;
  return {
    ...options,
    host,
    eips,
    eip,
    clock,
    posture,
    identity,
    isSecured,
    signer,
    facts: factsOf(host, posture),
    open,
    lacks: (need) => lack(need, options, posture, signer, words),
  };
}

function isUnreachable(error: unknown): boolean {
  return (
    isStackError(error) &&
    ["transport/refused", "transport/unreachable", "transport/timeout", "transport/address"].includes(error.code)
  );
}

function lack(
  need: Need,
  options: EndpointOptions,
  posture: Posture | undefined,
  signer: FlawedSigner | undefined,
  failure: string,
): string | undefined {
  switch (need) {
    case "disruptive":
      return options.disruptive ? undefined : "";
    case "credentials":
    case "administrator":
      return posture === undefined ? failure : undefined;
    case "trusted-authority":
      return signer === undefined ? "" : undefined;
    case "pre-shared-key":
      return options.security?.psk === undefined ? "" : undefined;
    case "second-unit":
      return options.second === undefined ? "" : undefined;
    case "io-connection":
      return options.io === undefined ? "" : undefined;
    case "users":
    case "root":
    case "probe-object":
      return "";
  }
}

/** What identifies a device in a run: the settings by their hash, so that a change shows. */
function factsOf(host: string, posture: Posture | undefined): SubjectFacts {
  if (posture === undefined) return { address: host, component: `unknown device at ${host}`, facts: {} };
  const { identity } = posture;
  return {
    address: host,
    component: componentKey(`${identity.vendorId}/${identity.productCode}`, identity.name, identity.revision),
    facts: {
      vendorId: String(identity.vendorId),
      productCode: String(identity.productCode),
      product: identity.name,
      revision: identity.revision,
      serial: identity.serial,
      cipSecurity: posture.security?.cipState ?? "none",
      settingsSha256: settingsHash(posture),
      readOver:
        posture.channel.suite === null ? "plain TCP" : `${posture.channel.version ?? ""} ${posture.channel.suite}`,
    },
  };
}

/** SHA-256 over all settings, without the channel that they were read by. */
export function settingsHash({ channel: _channel, findings: _findings, ...settings }: Posture): string {
  return sha256Of(JSON.stringify(settings));
}
