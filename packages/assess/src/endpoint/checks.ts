import type { Check } from "../check.ts";
import { backup } from "./checks/backup.ts";
import { channelSeparation } from "./checks/channel-separation.ts";
import { concurrentSessions } from "./checks/concurrent-sessions.ts";
import { confidentiality } from "./checks/confidentiality.ts";
import { connectionFlood } from "./checks/connection-flood.ts";
import { cryptography } from "./checks/cryptography.ts";
import { enrolment } from "./checks/enrolment.ts";
import { faultState } from "./checks/fault-state.ts";
import { inactivityTimeout } from "./checks/inactivity.ts";
import { inventory } from "./checks/inventory.ts";
import { loadedContent } from "./checks/loaded-content.ts";
import { malformedMessages } from "./checks/malformed-frames.ts";
import { mutualAuthentication } from "./checks/mutual-authentication.ts";
import { openPorts } from "./checks/open-ports.ts";
import { ownLoad } from "./checks/own-load.ts";
import { ownerRoot } from "./checks/owner-root.ts";
import { pinning } from "./checks/pinning.ts";
import { portControl } from "./checks/port-control.ts";
import { publicKeyStrength } from "./checks/public-key-strength.ts";
import { recordIntegrity } from "./checks/record-integrity.ts";
import { recovery } from "./checks/recovery.ts";
import { revocation } from "./checks/revocation.ts";
import { securityVerification } from "./checks/security-verification.ts";
import { sessionIntegrity } from "./checks/session-integrity.ts";
import { settingsReport } from "./checks/settings.ts";
import { supplierRoot } from "./checks/supplier-root.ts";
import { symmetricKeys } from "./checks/symmetric-keys.ts";
import { uniqueIdentity } from "./checks/unique-identity.ts";
import type { EndpointSubject } from "./subject.ts";

/** The checks of an endpoint, in the order in which they run: what changes or floods something comes last. */
export const endpointChecks: readonly Check<EndpointSubject>[] = [
  inventory,
  settingsReport,
  openPorts,
  mutualAuthentication,
  uniqueIdentity,
  publicKeyStrength,
  symmetricKeys,
  recordIntegrity,
  channelSeparation,
  sessionIntegrity,
  confidentiality,
  cryptography,
  malformedMessages,
  ownLoad,
  backup,
  supplierRoot,
  enrolment,
  loadedContent,
  ownerRoot,
  revocation,
  pinning,
  securityVerification,
  portControl,
  faultState,
  concurrentSessions,
  connectionFlood,
  inactivityTimeout,
  recovery,
];
