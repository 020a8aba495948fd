import type { Check } from "../check.ts";
import { accountManagement } from "./checks/account-management.ts";
import { authenticators } from "./checks/authenticators.ts";
import { floodLimits, hostBackup, hostMonitoring } from "./checks/availability.ts";
import { certificateCases } from "./checks/certificate-cases.ts";
import { erasure } from "./checks/erasure.ts";
import { failedLogins } from "./checks/failed-logins.ts";
import { foreignCode } from "./checks/foreign-code.ts";
import { hardwareKeys } from "./checks/hardware-keys.ts";
import { hostCryptography } from "./checks/host-cryptography.ts";
import { humanUsers } from "./checks/human-users.ts";
import { identifiers } from "./checks/identifiers.ts";
import { loginFeedback } from "./checks/login-feedback.ts";
import { loginNotice } from "./checks/login-notice.ts";
import { hostNetwork } from "./checks/network.ts";
import { passwordStrength } from "./checks/password-strength.ts";
import { publicKeyInfrastructure } from "./checks/public-key-infrastructure.ts";
import { secondFactor } from "./checks/second-factor.ts";
import { sharedKeys } from "./checks/symmetric-keys.ts";
import { confidentialityOfHost } from "./checks/transit-and-rest.ts";
import { uniqueUsers } from "./checks/unique-users.ts";
import { wireless } from "./checks/wireless.ts";
import type { HostSubject } from "./subject.ts";

/** The checks of a host, in the order of the requirements. */
export const hostChecks: readonly Check<HostSubject>[] = [
  humanUsers,
  uniqueUsers,
  secondFactor,
  accountManagement,
  identifiers,
  authenticators,
  wireless,
  passwordStrength,
  publicKeyInfrastructure,
  certificateCases,
  hardwareKeys,
  loginFeedback,
  failedLogins,
  loginNotice,
  sharedKeys,
  confidentialityOfHost,
  erasure,
  hostCryptography,
  hostNetwork,
  foreignCode,
  hostMonitoring,
  floodLimits,
  hostBackup,
];
