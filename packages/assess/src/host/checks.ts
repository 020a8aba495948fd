import type { Check } from "../check.ts";
import { accountManagement } from "./checks/account-management.ts";
import { authenticators } from "./checks/authenticators.ts";
import { failedLogins } from "./checks/failed-logins.ts";
import { humanUsers } from "./checks/human-users.ts";
import { identifiers } from "./checks/identifiers.ts";
import { passwordStrength } from "./checks/password-strength.ts";
import { secondFactor } from "./checks/second-factor.ts";
import { uniqueUsers } from "./checks/unique-users.ts";
import type { HostSubject } from "./subject.ts";

/** The checks of a host, in the order of the requirements. */
export const hostChecks: readonly Check<HostSubject>[] = [
  humanUsers,
  uniqueUsers,
  secondFactor,
  accountManagement,
  identifiers,
  authenticators,
  passwordStrength,
  failedLogins,
];
