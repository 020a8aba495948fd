import type { KeyKind } from "@cipsec/pki";
import type { Facts } from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import type { ConfigurationCycle } from "./cycle.ts";
import type { Inventory } from "./inventory.ts";
import type { Transfers } from "./transfers.ts";

/** What a device is from the factory, as its description says. */
export interface SecuritySettingsOfDevice {
  /** Security Profiles: bits of `SecurityProfile`. */
  readonly profiles: number;
  /** IANA numbers of the suites that can be allowed (0x5E attribute 3). */
  readonly availableSuites: readonly number[];
  /** Suites allowed in factory default: encrypting, and no PSK suites. */
  readonly defaultAllowedSuites: readonly number[];
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
  /** Whether the device trusts its clock: without one it cannot judge expiry. */
  readonly hasClock: boolean;
  /** Silence after which a configuration session ends, milliseconds; default 10 s. */
  readonly configTimerMs: number;
  /** Pre-shared keys that can be set (class attribute 8). */
  readonly maxPsks: number;
  /** Octets that a pre-shared key must have. */
  readonly minPskOctets: number;
  /** Whether attributes of 0x5E have the layouts of early editions, and what came later is not there. */
  readonly earlyLayouts?: boolean;
  /** The key that Create_CSR makes, unless only the other type of key fits the suites that a tool has allowed before it. */
  readonly csrKeyType: KeyKind;
  /** Certificate Management instances that Create can make. */
  readonly maxCertificates: number;
  /** File instances that Create can make. */
  readonly maxFiles: number;
  /** Octets of one file. */
  readonly maxFileOctets: number;
  /** Octets of all files together. */
  readonly maxAllFilesOctets: number;
}

/** What the requests of an instance may say about the device. */
export interface DeviceFacts {
  readonly productName: string;
  readonly serialNumber: number;
  readonly address: string;
  readonly hostName: string;
}

/** What the security objects share. */
export interface SecurityServices {
  readonly cycle: ConfigurationCycle;
  readonly inventory: Inventory;
  readonly transfers: Transfers;
  readonly settings: SecuritySettingsOfDevice;
  readonly device: DeviceFacts;
  /** Object_Cleanup. @throws {Refusal} 0xD0 when there is nothing to delete, 0x0C while an orphan is being transferred. */
  readonly cleanUp: () => Promise<void>;
  /** Opens and closes ports once the reply is out, where the applied configuration has other ones open than are. */
  readonly portsApplied: (context: RequestContext) => void;
  /** Ends connections once the reply is out and the delay has passed. */
  readonly connectionsClosed: (context: RequestContext, delayMs: number) => void;
  /** Pull Model Status while the pull model is not disabled. */
  readonly pullStatus: () => number;
  /** Whether the device has the pull model. */
  readonly hasPull: boolean;
  /** The time, on a device that trusts its clock. */
  readonly now: () => Date | undefined;
  readonly event: (name: string, facts: Facts) => void;
}
