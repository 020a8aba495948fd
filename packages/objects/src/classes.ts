import { Assembly } from "./assembly.ts";
import { CertificateManagement } from "./certificate-management.ts";
import { CipSecurity } from "./cip-security.ts";
import { ConnectionManager } from "./connection-manager.ts";
import type { ObjectClass } from "./declare.ts";
import { EtherNetIpSecurity } from "./ethernet-ip-security.ts";
import { EthernetLink } from "./ethernet-link.ts";
import { FileObject } from "./file.ts";
import { Identity } from "./identity.ts";
import { LldpManagement } from "./lldp-management.ts";
import { SymbolObject, TemplateObject } from "./logix.ts";
import { MessageRouter } from "./message-router.ts";
import { Parameter } from "./parameter.ts";
import { PortObject } from "./port.ts";
import { Qos } from "./qos.ts";
import { TcpIpInterface } from "./tcp-ip-interface.ts";

/** Every class declared here, by its code. */
export const allClasses: readonly ObjectClass[] = [
  Identity,
  MessageRouter,
  Assembly,
  ConnectionManager,
  Parameter,
  FileObject,
  Qos,
  CipSecurity,
  EtherNetIpSecurity,
  CertificateManagement,
  SymbolObject,
  TemplateObject,
  PortObject,
  TcpIpInterface,
  EthernetLink,
  LldpManagement,
];

/** The class of this code among `classes`. */
export function classById(classId: number, classes: readonly ObjectClass[] = allClasses): ObjectClass | undefined {
  return classes.find((declaration) => declaration.classId === classId);
}

/**
 * The class of this name among `classes`. Case, blanks, signs and a final "Object" do not count: `EtherNet/IP Security`,
 * `EtherNetIpSecurity` and `ethernet-ip-security` are the same.
 */
export function classByName(name: string, classes: readonly ObjectClass[] = allClasses): ObjectClass | undefined {
  const wanted = plainClassName(name);
  return classes.find((declaration) => plainClassName(declaration.name) === wanted);
}

/** A class's name as an identifier, as paths of the command line write it: `EtherNetIpSecurity`. */
export function classIdentifier(declaration: ObjectClass): string {
  const parts = declaration.name.split(/[^A-Za-z0-9]+/);
  return parts.map((part) => (/^[A-Z]+$/.test(part) ? part.charAt(0) + part.slice(1).toLowerCase() : part)).join("");
}

/** A name without case, blanks and signs. */
export function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

function plainClassName(name: string): string {
  return plainName(name).replace(/object$/, "");
}
