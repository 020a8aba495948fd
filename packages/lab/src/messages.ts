import type { DeviceDescription } from "@cipsec/target";

/** What a plant tells a device process. */
export type ToDevice =
  | {
      readonly type: "start";
      readonly devices: readonly { readonly description: DeviceDescription; readonly stateDir: string }[];
    }
  | { readonly type: "stop" };

/** What a device process tells its plant. */
export type FromDevice =
  | { readonly type: "listening" }
  | { readonly type: "failed"; readonly code: string; readonly message: string };
