export { startLab } from "./lab.ts";
export type { Lab, LabDevice, LabOptions } from "./lab.ts";
export { deviceAddress, maxDevices, mixedPlant } from "./plant.ts";
export type { DeviceKind, PlannedDevice } from "./plant.ts";
export { runDemo } from "./demo/demo.ts";
export type { DemoDevice, DemoOptions, DemoResult, DemoTelling } from "./demo/demo.ts";
export type { Proof } from "./demo/proofs.ts";
