import { ExtendedDeviceStatus, Identity, IdentityState, IdentityStatus, ResetType } from "@cipsec/objects";
import type { ChannelFacts } from "@cipsec/transport";
import { Status } from "@cipsec/wire";
import { keyMismatch, type DeviceIdentity } from "../identity.ts";
import type { IoEngine } from "../io/engine.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";
import type { Store } from "../store.ts";
import { identityTexts } from "./identity-texts.ts";

/** What the Identity Object tells that changes while the device runs, and what its Reset does. */
export interface IdentityBehaviour {
  readonly identity: DeviceIdentity;
  /** Whether anybody has configured the device: bit 2 of the status. */
  isConfigured(): boolean;
  /** Status bits that I/O connections and faults make. */
  ioStatus(): number;
  /** Where the device saves; without it texts that users give it, and the consistency value, are absent. */
  readonly store?: Store;
  /** The general status that refuses a reset over the channel that asks, or `undefined`. */
  resetRefusal(type: number, channel: ChannelFacts): number | undefined;
  /** Restarts the device. Called once the reply is on its way. */
  reset(type: number): void;
}

/** Status word of the Identity Object: configured or not, and what I/O connections make of it; none where left out. */
export function identityStatus(isConfigured: boolean, io = noConnection): number {
  return (isConfigured ? IdentityStatus.configured : 0) | io;
}

const noConnection = ExtendedDeviceStatus.noConnection << 4;

/**
 * Owned, and the extended status; a minor recoverable fault too where what was saved last is damaged and the device runs by what was
 * saved before. Any other write mends that.
 *
 * @see reference ethernet-ip.md 6.11, 7.1.1
 */
export function ioStatus(
  { connections, hasFaulted }: Pick<IoEngine, "connections" | "hasFaulted">,
  generation: Store["generation"] = "current",
): number {
  const isBad = generation === "previous";
  const isOwned = connections.some(({ point }) => point.type === "exclusive-owner");
  const isRun = connections.some(({ point, consumed }) => point.type === "exclusive-owner" && consumed.isRun === true);
  const extended =
    isBad && connections.length === 0
      ? ExtendedDeviceStatus.badConfiguration
      : extendedStatus(connections.length, isRun, hasFaulted);
  return (isOwned ? IdentityStatus.owned : 0) | (isBad ? IdentityStatus.minorRecoverableFault : 0) | (extended << 4);
}

function extendedStatus(connections: number, isRun: boolean, hasFaulted: boolean): number {
  if (hasFaulted) return ExtendedDeviceStatus.faultedConnection;
  if (connections === 0) return ExtendedDeviceStatus.noConnection;
  return isRun ? ExtendedDeviceStatus.connectionInRun : ExtendedDeviceStatus.connectionsIdle;
}

/** Codes of SHORT_STRING and of ISO 8859-1 in a STRINGI. */
const shortString = 0xda;
const latin1 = 4;

/** Hosts the Identity Object, and has the router refuse electronic keys of other devices. @see CIP Vol 1, 5A-2; reference ethernet-ip.md 7.1 */
export function hostIdentity(router: Router, behaviour: IdentityBehaviour): void {
  const { identity } = behaviour;
  router.checkKeys((key) => keyMismatch(key, identity) === undefined);
  router.host(Identity, 1, {
    vendorId: { get: () => identity.vendorId },
    deviceType: { get: () => identity.deviceType },
    productCode: { get: () => identity.productCode },
    revision: { get: () => identity.revision },
    status: { get: () => identityStatus(behaviour.isConfigured(), behaviour.ioStatus()) },
    serialNumber: { get: () => identity.serialNumber },
    productName: { get: () => identity.productName },
    state: { get: () => IdentityState.operational },
    internationalProductName: {
      get: () => [{ language: "eng", stringType: shortString, characterSet: latin1, text: identity.productName }],
    },
    ...(behaviour.store === undefined
      ? {}
      : {
          configurationConsistency: { get: () => behaviour.store?.changes ?? 0 },
          ...identityTexts(behaviour.store),
        }),
    reset: (type, context) => {
      const asked = type ?? ResetType.cycle;
      if (asked > ResetType.factoryKeepingLink)
        throw refuse(Status.invalidParameter, { reason: `reset type ${asked} is not 0, 1 or 2` });
      const refusal = behaviour.resetRefusal(asked, context.channel);
      if (refusal !== undefined) throw refuse(refusal, { reason: "a reset to factory default needs a secure channel" });
      context.afterReply(() => behaviour.reset(asked));
    },
  });
}
