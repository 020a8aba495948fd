import { MessageRouter } from "@cipsec/objects";
import type { Router } from "../router.ts";

/** Hosts the Message Router Object; the router itself serves Multiple_Service_Packet. @see CIP Vol 1, 5A-3 */
export function hostMessageRouter(router: Router, maxConnections: number, active: () => number): void {
  router.host(MessageRouter, 1, {
    objectList: { get: () => router.classIds() },
    numberAvailable: { get: () => maxConnections },
    numberActive: { get: active },
  });
}
