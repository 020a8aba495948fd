import { PullModelStatus } from "@cipsec/objects";
import type { ChannelFacts, Clock, TlsPolicy } from "@cipsec/transport";
import { Status, UsageError, cipherSuite, type Facts } from "@cipsec/wire";
import type { AccessDecision } from "../access.ts";
import type { RequestContext } from "../context.ts";
import { hostCertificateManagement } from "../objects/certificate-management.ts";
import { hostCipSecurity } from "../objects/cip-security.ts";
import { hostEtherNetIpSecurity } from "../objects/ethernet-ip-security.ts";
import { hostFile } from "../objects/file.ts";
import type { MulticastAttributes } from "../objects/multicast-settings.ts";
import { hostTcpIpInterface } from "../objects/tcp-ip-interface.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";
import type { SessionRules } from "../session-guard.ts";
import type { Store } from "../store.ts";
import { channelId, mayChange, securityAccess } from "./access.ts";
import { withoutOrphans, type Configuration, type OpenPorts } from "./configuration.ts";
import { ConfigurationCycle } from "./cycle.ts";
import { loadDefaultCertificate, type DefaultCertificateSource } from "./default-certificate.ts";
import { Inventory } from "./inventory.ts";
import { evidenceOf, tlsPolicyOf, type PolicyOptions } from "./policy.ts";
import type { PullTrust } from "./pull-enrol.ts";
import { findEst, type PullSearch } from "./pull-find.ts";
import { PullModel, pullSection } from "./pull.ts";
import { factoryPorts, openPorts, portList, withPorts, type DevicePorts } from "./ports.ts";
import type { DeviceFacts, SecurityServices, SecuritySettingsOfDevice } from "./services.ts";
import { Transfers } from "./transfers.ts";
import { openWallClock } from "./wall-clock.ts";

/** What the device does when its security objects ask for it; always after the reply to the request. */
export interface SecurityHooks {
  /** The ports that shall be open from now on. */
  readonly portsChanged: (open: OpenPorts) => void;
  /** Ends all EtherNet/IP connections and sessions, secure and plain, after this delay. */
  readonly closeConnections: (afterMs: number) => void;
  readonly activeTcpConnections: () => number;
  /** Another configuration may be in force; asked by what open sessions are judged, {@link Security.sessionRules} says. */
  readonly configurationChanged?: () => void;
  /** Told of what an operator may want to know; never a secret. */
  readonly event?: (name: string, facts: Facts) => void;
}

/** Settings of a device's security that have a sensible value. */
type Defaulted =
  | "configTimerMs"
  | "maxPsks"
  | "minPskOctets"
  | "csrKeyType"
  | "maxCertificates"
  | "maxFiles"
  | "maxFileOctets"
  | "maxAllFilesOctets";

/** What a device's description says of its security; limits and timers have defaults. */
export interface SecuritySettingsInput
  extends Omit<SecuritySettingsOfDevice, Defaulted>, Partial<Pick<SecuritySettingsOfDevice, Defaulted>> {
  readonly defaultCertificate: DefaultCertificateSource;
  readonly ports: DevicePorts;
  /** Where and by what the device fetches its certificate; nothing: it has no pull model. */
  readonly pull?: PullSearch & PullTrust & { readonly closePlaintext?: boolean };
  /** Content of File instance 200, where the device carries its EDS. */
  readonly eds?: Uint8Array;
}

/** Options of {@link createSecurity}. */
export interface SecurityOptions {
  readonly router: Router;
  readonly store: Store;
  readonly clock: Clock;
  /** For what takes hours to years: the pull model. Default: the same clock. */
  readonly calendar?: Clock;
  readonly device: DeviceFacts;
  readonly settings: SecuritySettingsInput;
  /** TCP/IP Interface attributes 8 and 9, on a device that has them. */
  readonly multicast?: MulticastAttributes;
  readonly hooks: SecurityHooks;
}

/** The security of a device: what the rest of the target asks of it. */
export interface Security {
  /** How the next handshake is done; the same object while the applied configuration is the same. */
  tlsPolicy(): TlsPolicy;
  /** By what open sessions are judged. */
  sessionRules(): SessionRules;
  /** Milliseconds since 1970, on a device that trusts its clock: that late or later. */
  wallNow(): number | undefined;
  /** What the discovery reply tells (item 0x0086), ports apart. */
  facts(): {
    readonly profiles: number;
    readonly profilesConfigured: number;
    readonly cipState: number;
    readonly ethernetIpState: number;
  };
  /** The ports that shall be open. */
  ports(): OpenPorts;
  /** Whether a request may reach the security objects; requests to other objects are let through. */
  readonly access: AccessDecision;
  /** Silence after which a TCP connection is closed, seconds; 0 is never. */
  inactivityTimeoutS(): number;
  /** Silence after which a DTLS session is dropped, seconds; 0 is never. */
  dtlsTimeoutS(): number;
  /** Status that refuses an Identity Reset of this type over this channel; `undefined` allows it. */
  resetRefusal(type: number, channel: ChannelFacts): number | undefined;
  /**
   * Identity Reset: type 1 returns all security objects to factory default; other types keep them.
   *
   * @throws {StateError} `state/write` when it cannot be saved: then nothing has changed; or when the generation before, with its
   * secrets, cannot be overwritten.
   */
  reset(type: number): Promise<void>;
  /** A channel has ended: file transfers that it began end, unless their peer has proven who it is and may come back. */
  channelEnded(channel: ChannelFacts): void;
  /** Stops timers and transfers. */
  close(): void;
}

const defaults: Pick<SecuritySettingsOfDevice, Defaulted> = {
  configTimerMs: 10_000,
  maxPsks: 8,
  minPskOctets: 16,
  csrKeyType: "ecdsa-p256",
  maxCertificates: 16,
  maxFiles: 64,
  // A revocation list of 20,000 entries; four of them.
  maxFileOctets: 1024 * 1024,
  maxAllFilesOctets: 4 * 1024 * 1024,
};

/** For one connection to an EST server, or one answer of it. */
const pullTimeoutMs = 15_000;

/** Identity Reset: to factory default. */
const factoryReset = 1;

/**
 * Hosts the five security objects on a router, with the state that the store holds.
 *
 * @throws {StateError} `state/corrupt` when saved state cannot be used; {@link UsageError} `usage/argument` for settings that no device
 * may have; `usage/file` for vendor files that do not fit together.
 */
export async function createSecurity(options: SecurityOptions): Promise<Security> {
  const { router, store, clock, device, hooks } = options;
  const settings = { ...defaults, ...options.settings };
  checkSettings(settings);
  const event = hooks.event ?? (() => undefined);
  const cycle = await ConfigurationCycle.open({
    store,
    clock,
    timerMs: settings.configTimerMs,
    defaults: {
      allowedSuites: settings.defaultAllowedSuites,
      profiles: settings.profiles,
      ports: factoryPorts(settings.ports),
    },
    event,
  });
  const wall = await openWallClock({ folder: store.folder, clock, hasClock: settings.hasClock, event });
  const source = settings.defaultCertificate;
  const defaultCertificate = await loadDefaultCertificate(source, store, device, wall.wallNow());
  const inventory = new Inventory(defaultCertificate, cycle.keys, settings.eds);
  const transfers = new Transfers(clock);
  cycle.onDropped(() => transfers.cancelStale((id) => inventory.file(cycle.working, id) !== undefined));

  const ports = (): OpenPorts => openPorts(settings.ports, cycle.applied);
  let toldPorts = JSON.stringify(ports());
  const tellPorts = (when: (tell: () => void) => void): void => {
    const open = ports();
    if (JSON.stringify(open) === toldPorts) return;
    toldPorts = JSON.stringify(open);
    when(() => hooks.portsChanged(open));
  };
  const portsApplied = (context: RequestContext): void => tellPorts((tell) => context.afterReply(tell));
  let pull: PullModel | undefined;
  const now = (): Date | undefined => {
    const ms = wall.wallNow();
    return ms === undefined ? undefined : new Date(ms);
  };
  const services: SecurityServices = {
    cycle,
    inventory,
    transfers,
    settings,
    device,
    cleanUp: () => cleanUp(cycle, transfers),
    portsApplied,
    connectionsClosed: (context, delayMs) => context.afterReply(() => hooks.closeConnections(delayMs)),
    now,
    pullStatus: () => pull?.status ?? PullModelStatus.ok,
    hasPull: settings.pull !== undefined,
    event,
  };
  hostCipSecurity(router, services);
  hostEtherNetIpSecurity(router, services);
  hostCertificateManagement(router, services);
  hostFile(router, services);
  hostTcpIpInterface(router, {
    address: device.address,
    hostName: device.hostName,
    ...(settings.pull?.domain === undefined ? {} : { domainName: settings.pull.domain }),
    inactivityTimeoutS: () => cycle.working.inactivityTimeoutS,
    setInactivityTimeout: (inactivityTimeoutS) => cycle.changeOrSave((c) => ({ ...c, inactivityTimeoutS })),
    activeTcpConnections: hooks.activeTcpConnections,
    ...(options.multicast === undefined ? {} : { multicast: options.multicast }),
    ports: {
      list: () => portList(settings.ports, cycle.working),
      isPending: () => JSON.stringify(openPorts(settings.ports, cycle.working)) !== JSON.stringify(ports()),
      set: async (wishes, context) => {
        await cycle.changeOrSave((working) => withPorts(working, settings.ports, wishes));
        portsApplied(context);
      },
    },
  });

  const policies = keptPolicies(
    () => cycle.applied,
    { ...settings, inventory, wall },
    (applied) => wall.believe(evidenceOf(applied, inventory)),
  );
  policies();
  cycle.onChanged(() => {
    policies();
    hooks.configurationChanged?.();
  });
  if (settings.pull !== undefined)
    pull = await PullModel.start({
      cycle,
      inventory,
      store,
      clock: options.calendar ?? clock,
      device,
      trust: settings.pull,
      find: findEst(settings.pull, device.address),
      keyKind: settings.csrKeyType,
      maxFiles: settings.maxFiles,
      closePlaintext: settings.pull.closePlaintext ?? false,
      timeoutMs: pullTimeoutMs,
      random: Math.random,
      now,
      event,
      applied: () => tellPorts((tell) => tell()),
    });
  return {
    tlsPolicy: () => policies().policy,
    sessionRules: () => ({
      ...policies(),
      checksDays: settings.hasClock && cycle.applied.settings.checkExpiration,
      configuringMs: ({ facts }) => cycle.configuringMs(channelId(facts)),
    }),
    wallNow: () => wall.atLeast(),
    facts: () => ({
      profiles: settings.profiles,
      profilesConfigured: cycle.applied.profilesConfigured,
      cipState: cycle.cipState,
      ethernetIpState: cycle.ethernetIpState,
    }),
    ports,
    access: securityAccess(cycle),
    inactivityTimeoutS: () => cycle.applied.inactivityTimeoutS,
    dtlsTimeoutS: () => cycle.applied.settings.dtlsTimeout,
    resetRefusal: (type, channel) =>
      type === factoryReset && !mayChange(cycle, channel) ? Status.privilegeViolation : undefined,
    async reset(type) {
      if (type !== factoryReset) return;
      pull?.close();
      if (store.read(pullSection) !== undefined) await store.write({ [pullSection]: undefined });
      await cycle.resetAll();
      await wall.forget();
      // The caller restarts the device; a port that is open in factory default must be so before the next tool comes.
      toldPorts = JSON.stringify(ports());
      hooks.portsChanged(ports());
    },
    channelEnded: (channel) => transfers.channelEnded(channelId(channel)),
    close() {
      wall.close();
      pull?.close();
      cycle.close();
      transfers.close();
    },
  };
}

/** The policies of the applied configuration, the same objects while nothing that they rest on has changed. */
function keptPolicies(
  applied: () => Configuration,
  options: PolicyOptions,
  changed: (applied: Configuration) => void,
): () => Pick<SessionRules, "policy" | "timeless"> {
  let kept: (Pick<SessionRules, "policy" | "timeless"> & { readonly of: Configuration }) | undefined;
  return () => {
    const now = applied();
    const { of } = kept ?? {};
    if (
      kept !== undefined &&
      of?.settings === now.settings &&
      of.files === now.files &&
      of.certificates === now.certificates
    )
      return kept;
    kept = {
      of: now,
      policy: tlsPolicyOf(now, options),
      timeless: tlsPolicyOf(now, { ...options, wall: undefined }),
    };
    changed(now);
    return kept;
  };
}

/** Object_Cleanup: in an open session part of it, else saved at once. */
async function cleanUp(cycle: ConfigurationCycle, transfers: Transfers): Promise<void> {
  const orphansGone = withoutOrphans(cycle.working);
  if (orphansGone === undefined) throw refuse(Status.objectSpecific, { reason: "there are no orphan objects" });
  for (const id of cycle.working.files.keys()) {
    if (!orphansGone.files.has(id) && transfers.isActive(id))
      throw refuse(Status.objectStateConflict, { reason: "an orphan file is being transferred" });
  }
  await cycle.changeOrSave((working) => withoutOrphans(working) ?? working);
}

function checkSettings({ availableSuites, defaultAllowedSuites, ports }: SecuritySettingsInput): void {
  for (const id of defaultAllowedSuites) {
    const suite = cipherSuite(id);
    const isFit = availableSuites.includes(id) && suite !== undefined && suite.encrypts && suite.auth !== "psk";
    if (!isFit)
      throw new UsageError("usage/argument", `suite 0x${id.toString(16)} cannot be allowed in factory default`, {
        facts: { suite: id },
        fix: "Allow suites that the device has, that encrypt, and that need no pre-shared key.",
      });
  }
  if (!Object.values(ports).some(({ open }) => open))
    throw new UsageError("usage/argument", "a device without an open port cannot be reached");
}
