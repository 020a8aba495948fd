import type { Check } from "../check.ts";
import { channelSeparation } from "./checks/channel-separation.ts";
import { confidentiality } from "./checks/confidentiality.ts";
import { connectionFlood } from "./checks/connection-flood.ts";
import { cryptography } from "./checks/cryptography.ts";
import { enrolment } from "./checks/enrolment.ts";
import { inactivityTimeout } from "./checks/inactivity.ts";
import { inventory } from "./checks/inventory.ts";
import { malformedFrames } from "./checks/malformed-frames.ts";
import { mutualAuthentication } from "./checks/mutual-authentication.ts";
import { openPorts } from "./checks/open-ports.ts";
import { publicKeyStrength } from "./checks/public-key-strength.ts";
import { recordIntegrity } from "./checks/record-integrity.ts";
import { revocation } from "./checks/revocation.ts";
import { sessionIntegrity } from "./checks/session-integrity.ts";
import { settingsReport } from "./checks/settings.ts";
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
  malformedFrames,
  enrolment,
  revocation,
  connectionFlood,
  inactivityTimeout,
];
