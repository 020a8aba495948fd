import { CertificateManagement, EtherNetIpSecurity, FileObject, PullModelStatus } from "@cipsec/objects";
import {
  ApplyFlag,
  CrlPathOld,
  EtherNetIpSecurityState,
  PskListOld,
  Status,
  noOctets,
  type PreSharedKey,
  type Segment,
} from "@cipsec/wire";
import type { InstanceHandlers } from "../hosting.ts";
import type { Router } from "../router.ts";
import { refuse } from "../refusal.ts";
import { askerOf } from "../security/access.ts";
import { checkBeforeApply, isIntegrityOnly } from "../security/apply-check.ts";
import { pathOf, referenceOf, withSettings, type Reference, type SecuritySettings } from "../security/configuration.ts";
import type { SecurityServices } from "../security/services.ts";

/** Certificates that can be active at the same time: one for each key type, and room to change them. */
const maxActiveCertificates = 4;

/** The class as early editions have it: pre-shared keys without usage, one revocation list. */
const earlyEtherNetIpSecurity = {
  ...EtherNetIpSecurity,
  revision: 7,
  attributes: {
    ...EtherNetIpSecurity.attributes,
    preSharedKeys: { ...EtherNetIpSecurity.attributes.preSharedKeys, type: PskListOld },
    certificateRevocationList: { ...EtherNetIpSecurity.attributes.certificateRevocationList, type: CrlPathOld },
  },
  all: EtherNetIpSecurity.all.filter((name) => name !== "checkSubjectAlternativeName"),
};

/** Hosts EtherNet/IP Security (0x5E): what TLS offers, presents and trusts. @see reference cip-security.md 3.2 */
export function hostEtherNetIpSecurity(router: Router, services: SecurityServices): void {
  const { cycle, settings: device } = services;
  const values = (): SecuritySettings => cycle.working.settings;
  const set = (changed: Partial<SecuritySettings>): void =>
    cycle.changeSettings((working) => withSettings(working, changed));
  const certificateOnly = [CertificateManagement.classId];
  const fileOnly = [FileObject.classId];
  const either = [CertificateManagement.classId, FileObject.classId];
  const references = (paths: readonly (readonly Segment[])[], classes: readonly number[]): readonly Reference[] =>
    paths.map((path) => checkedReference(path, classes, services));

  router.host(device.earlyLayouts === true ? earlyEtherNetIpSecurity : EtherNetIpSecurity, 1, {
    state: { get: () => cycle.ethernetIpState },
    capabilityFlags: { get: () => 0 },
    availableCipherSuites: { get: () => device.availableSuites },
    allowedCipherSuites: {
      get: () => values().allowedCipherSuites,
      set: (suites) => set({ allowedCipherSuites: checkedSuites(suites, device.availableSuites) }),
    },
    preSharedKeys: {
      // The key goes in and never comes out.
      get: () => values().preSharedKeys.map((psk) => ({ ...psk, key: noOctets })),
      set: (keys) => set({ preSharedKeys: checkedKeys(keys, device.maxPsks, device.minPskOctets) }),
    },
    activeDeviceCertificates: {
      get: () => values().activeDeviceCertificates.map(pathOf),
      set: (paths) => {
        if (paths.length > maxActiveCertificates) throw badValue(`more than ${maxActiveCertificates} certificates`);
        set({ activeDeviceCertificates: references(paths, certificateOnly) });
      },
    },
    trustedAuthorities: {
      get: () => values().trustedAuthorities.map(pathOf),
      set: (paths) => set({ trustedAuthorities: references(paths, either) }),
    },
    certificateRevocationList: {
      get: () => values().certificateRevocationList.map(pathOf),
      set: (paths) => set({ certificateRevocationList: references(paths, fileOnly) }),
    },
    verifyClientCertificate: {
      get: () => values().verifyClientCertificate,
      set: (verifyClientCertificate) => set({ verifyClientCertificate }),
    },
    sendCertificateChain: {
      get: () => values().sendCertificateChain,
      set: (sendCertificateChain) => set({ sendCertificateChain }),
    },
    checkExpiration: {
      get: () => values().checkExpiration,
      set: (checkExpiration) => {
        if (checkExpiration && !device.hasClock) throw badValue("the device has no clock that it trusts");
        set({ checkExpiration });
      },
    },
    trustedIdentities: {
      get: () => values().trustedIdentities.map(pathOf),
      set: (paths) => set({ trustedIdentities: references(paths, either) }),
    },
    pullModelEnable: { get: () => cycle.applied.ethernetIpState !== EtherNetIpSecurityState.pullDisabled },
    pullModelStatus: {
      get: () =>
        cycle.applied.ethernetIpState === EtherNetIpSecurityState.pullDisabled
          ? PullModelStatus.disabled
          : services.pullStatus(),
    },
    dtlsTimeout: {
      get: () => values().dtlsTimeout,
      set: (dtlsTimeout) => {
        if (dtlsTimeout > 3600) throw badValue("more than 3600 s");
        set({ dtlsTimeout });
      },
    },
    udpOnlyPolicy: {
      get: () => values().udpOnlyPolicy,
      set: (udpOnlyPolicy) => set({ udpOnlyPolicy: onlyZero(udpOnlyPolicy) }),
    },
    ...(device.earlyLayouts === true ? {} : laterAttributes(values, set)),
    reset: async (pullModel, context) => {
      await cycle.resetEthernetIp(pullModel ?? true, askerOf(context));
      services.portsApplied(context);
    },
    beginConfig: (_, context) => cycle.beginEthernetIp(askerOf(context)),
    kickTimer: () => cycle.kickEthernetIp(),
    applyConfig: async (request, context) => {
      const flags = request?.flags ?? 0;
      await cycle.apply(
        (pending) => checkBeforeApply(pending, services.inventory),
        isIntegrityOnly,
        (flags & ApplyFlag.objectCleanup) !== 0,
      );
      services.portsApplied(context);
      if ((flags & ApplyFlag.closeConnections) !== 0) services.connectionsClosed(context, request?.closeDelayMs ?? 0);
    },
    abortConfig: () => cycle.abort(),
  });
  router.hostClass(EtherNetIpSecurity, {
    numberOfPsksSupported: { get: () => device.maxPsks },
    // Bit n stands for usage n: server, client, any.
    pskUsagesSupported: { get: () => 0b101 },
  });
}

/** Attributes that came with later editions. The device opens no EtherNet/IP connection of its own, so it has no suites for one. */
function laterAttributes(
  values: () => SecuritySettings,
  set: (changed: Partial<SecuritySettings>) => void,
): Partial<InstanceHandlers<typeof EtherNetIpSecurity>> {
  return {
    checkSubjectAlternativeName: {
      get: () => values().checkSubjectAlternativeName,
      set: (checkSubjectAlternativeName) => set({ checkSubjectAlternativeName }),
    },
    availableOriginatorCipherSuites: { get: () => [] },
    allowedOriginatorCipherSuites: {
      get: () => values().allowedOriginatorCipherSuites,
      set: (suites) => set({ allowedOriginatorCipherSuites: checkedSuites(suites, []) }),
    },
  };
}

function checkedSuites(suites: readonly number[], available: readonly number[]): readonly number[] {
  if (suites.some((suite) => !available.includes(suite))) throw badValue("a suite that the device does not have");
  if (new Set(suites).size < suites.length) throw badValue("a suite twice");
  return suites;
}

function checkedKeys(keys: readonly PreSharedKey[], max: number, minOctets: number): readonly PreSharedKey[] {
  if (keys.length > max) throw badValue(`more than ${max} pre-shared keys`);
  const identities = new Set(keys.map(({ identity }) => Buffer.from(identity).toString("hex")));
  if (identities.size < keys.length) throw badValue("an identity twice");
  for (const { identity, key, usage } of keys) {
    if (identity.length === 0) throw badValue("an empty identity");
    if (key.length < minOctets) throw badValue(`a key of fewer than ${minOctets} octets`);
    if (usage === 1) throw badValue("a key for the role of a client, which this device never takes");
  }
  return keys;
}

/** @throws {Refusal} 0x09 for a path to an instance that is not there or of a class that does not belong here. */
function checkedReference(
  path: readonly Segment[],
  classes: readonly number[],
  { cycle, inventory }: SecurityServices,
): Reference {
  const reference = referenceOf(path);
  if (reference === undefined || !classes.includes(reference.classId))
    throw badValue("a path to something else than a certificate or file");
  const { classId, instance } = reference;
  const found =
    classId === FileObject.classId
      ? inventory.file(cycle.working, instance)
      : inventory.certificate(cycle.working, instance);
  if (found === undefined) throw badValue("a path to an instance that is not there");
  return reference;
}

/** The values of some policies are not public: only the default is known to mean what it says. */
function onlyZero(value: number): number {
  if (value !== 0) throw badValue("a value whose meaning is not public");
  return value;
}

function badValue(reason: string): Error {
  return refuse(Status.invalidAttributeValue, { reason });
}
