import { objectClass } from "@cipsec/objects";
import { STRING } from "@cipsec/wire";
import type { Router } from "../router.ts";

/**
 * What tag clients ask a controller's name of, and refuse to go on without. In the vendors' range of class codes: with another
 * vendor's device the code means something else, so it is declared only here.
 */
const ControllerName = objectClass({
  name: "Controller Name",
  classId: 0x64,
  revision: 1,
  source: "reference ethernet-ip.md 8.2: not published by the vendor",
  attributes: { name: { id: 1, type: STRING, access: "get", doc: "Name of the controller's project." } },
  services: {},
  all: ["name"],
});

/** Hosts the name under which tag clients list the controller. */
export function hostControllerName(router: Router, name: string): void {
  router.host(ControllerName, 1, { name: { get: () => name } });
}
