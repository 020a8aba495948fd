import { CipSecurity } from "@cipsec/objects";
import type { RequestContext } from "../context.ts";
import type { Router } from "../router.ts";
import { askerOf } from "../security/access.ts";
import { checkBeforeApply } from "../security/apply-check.ts";
import type { SecurityServices } from "../security/services.ts";

/** Hosts CIP Security (0x5D): the coordinator of a configuration session. @see reference cip-security.md 3.1 */
export function hostCipSecurity(
  router: Router,
  { cycle, inventory, settings, cleanUp, portsApplied }: SecurityServices,
): void {
  const objectCleanup = async (_: void, context: RequestContext): Promise<void> => {
    await cleanUp();
    portsApplied(context);
  };
  router.host(CipSecurity, 1, {
    state: { get: () => cycle.cipState },
    securityProfiles: { get: () => settings.profiles },
    securityProfilesConfigured: { get: () => cycle.applied.profilesConfigured },
    objectAuthorization: { get: () => [] },
    reset: async (_, context) => {
      await cycle.resetCip(askerOf(context));
      portsApplied(context);
    },
    beginConfig: (_, context) => cycle.beginCip(askerOf(context)),
    kickTimer: () => cycle.kickCip(),
    endConfig: async (_, context) => {
      // Where 0x5E was never configured, nothing rests on what was brought.
      await cycle.endCip((own) => cycle.isConfigured && checkBeforeApply(own, inventory));
      portsApplied(context);
    },
    objectCleanup,
  });
  router.hostClass(CipSecurity, { objectCleanup });
}
