import { allClasses } from "../classes.ts";
import type { EdsPosition } from "./model.ts";
import type { EdsPath } from "./path.ts";
import { quoted } from "./report.ts";
import { entryReader, fieldReader, numbered, type Sheet, type SheetSection } from "./sheet.ts";

/** [Capacity]: what the device can carry at once; undefined where it does not say. */
export interface EdsCapacity {
  readonly cipConnections: number | undefined;
  readonly ioConnections: number | undefined;
  readonly messageConnections: number | undefined;
  readonly ioProducers: number | undefined;
  readonly ioConsumers: number | undefined;
  readonly ioProduceConsume: number | undefined;
  readonly ioMulticastProducers: number | undefined;
  readonly ioMulticastConsumers: number | undefined;
  readonly consumersPerMulticast: number | undefined;
  readonly traffic: readonly EdsTraffic[];
}

/** TSpecN. */
export interface EdsTraffic {
  readonly direction: "Tx" | "Rx" | "TxRx";
  /** Octets. */
  readonly size: number;
  readonly packetsPerSecond: number;
}

/** PortN. */
export interface EdsPort {
  /** The entry's number. */
  readonly entry: number;
  /** `TCP` for EtherNet/IP. */
  readonly type: string;
  readonly name: string;
  /** The object of the port's link. */
  readonly path: EdsPath | undefined;
  /** Number of the port in paths. */
  readonly number: number;
}

/** A section that declares an object class, with its instances, attributes and services as far as it says. */
export interface EdsClass extends EdsPosition {
  readonly section: string;
  readonly classId: number;
  readonly name: string;
  readonly revision: number | undefined;
  readonly maxInstance: number | undefined;
  readonly staticInstances: number | undefined;
  readonly dynamicInstances: number | undefined;
  readonly classAttributes: readonly number[];
  readonly instanceAttributes: readonly number[];
  readonly classServices: readonly number[];
  readonly instanceServices: readonly number[];
}

/** Keys of [Capacity] by what they are called here. */
export const capacityKeys = {
  cipConnections: "MaxCIPConnections",
  ioConnections: "MaxIOConnections",
  messageConnections: "MaxMsgConnections",
  ioProducers: "MaxIOProducers",
  ioConsumers: "MaxIOConsumers",
  ioProduceConsume: "MaxIOProduceConsume",
  ioMulticastProducers: "MaxIOMcastProducers",
  ioMulticastConsumers: "MaxIOMcastConsumers",
  consumersPerMulticast: "MaxConsumersPerMcast",
} as const;

/** Sections of classes by class, in the order in which they are written. @see reference cip-security.md 8, ethernet-ip.md 9 */
export const classSections: ReadonlyMap<number, string> = new Map([
  [0x01, "Identity Class"],
  [0x02, "Message Router Class"],
  [0x04, "Assembly"],
  [0x06, "Connection Manager"],
  [0x0f, "ParamClass"],
  [0x37, "File Class"],
  [0x47, "DLR Class"],
  [0x48, "QoS Class"],
  [0x5d, "CIP Security Class"],
  [0x5e, "EtherNet/IP Security Class"],
  [0x5f, "Certificate Management Class"],
  [0x60, "Authority Class"],
  [0x61, "Password Authenticator Class"],
  [0x62, "Certificate Authenticator Class"],
  [0x63, "Ingress Egress Class"],
  [0xf3, "Connection Configuration"],
  [0xf4, "Port"],
  [0xf5, "TCP/IP Interface Class"],
  [0xf6, "Ethernet Link Class"],
  [0x109, "LLDP Management Class"],
]);

const sectionClasses: ReadonlyMap<string, number> = new Map(
  [...classSections].map(([classId, name]) => [name.toLowerCase(), classId]),
);

export function readCapacity(sheet: Sheet): EdsCapacity | undefined {
  const section = sheet.sections.get("capacity");
  if (section === undefined) return undefined;
  const number = (key: keyof typeof capacityKeys): number | undefined =>
    entryReader(sheet, section, capacityKeys[key], false)?.integer(0, "number", { max: 0xffff });
  return {
    cipConnections: number("cipConnections"),
    ioConnections: number("ioConnections"),
    messageConnections: number("messageConnections"),
    ioProducers: number("ioProducers"),
    ioConsumers: number("ioConsumers"),
    ioProduceConsume: number("ioProduceConsume"),
    ioMulticastProducers: number("ioMulticastProducers"),
    ioMulticastConsumers: number("ioMulticastConsumers"),
    consumersPerMulticast: number("consumersPerMulticast"),
    traffic: numbered(section, "TSpec").flatMap(([, entry]) => {
      const reader = fieldReader(section.name, entry, sheet.report);
      reader.atMost(3);
      const direction = (["Tx", "Rx", "TxRx"] as const).find(
        (name) => name.toLowerCase() === reader.text(0, "direction").toLowerCase(),
      );
      if (direction === undefined)
        sheet.report.error(entry, `${reader.label} is for neither Tx, Rx nor TxRx.`, "Write one of them first.");
      const isWhole = [reader.need(1, "size"), reader.need(2, "packets per second")].every(Boolean);
      const size = reader.integer(1, "size", { max: 0xffff });
      const packetsPerSecond = reader.integer(2, "packets per second");
      const isRead = isWhole && direction !== undefined && size !== undefined && packetsPerSecond !== undefined;
      return isRead ? [{ direction, size, packetsPerSecond }] : [];
    }),
  };
}

export function readPorts(sheet: Sheet): readonly EdsPort[] {
  return numbered(sheet.sections.get("port"), "Port").flatMap(([entryNumber, entry]) => {
    const reader = fieldReader("Port", entry, sheet.report);
    reader.need(0, "type");
    const number = reader.need(3, "port number") ? reader.integer(3, "port number", { max: 0xffff }) : undefined;
    const [type, name, path] = [reader.text(0, "type"), reader.text(1, "name"), reader.path(2, "link path")];
    return number === undefined ? [] : [{ entry: entryNumber, type, name, path, number }];
  });
}

/** Sections that name a class by Object_Class_Code, or whose own name is that of a class. */
export function readClasses(sheet: Sheet): readonly EdsClass[] {
  return [...sheet.sections.values()].flatMap((section) => {
    const known = sectionClasses.get(section.name.toLowerCase());
    const stated = entryReader(sheet, section, "Object_Class_Code", false)?.integer(0, "class");
    const classId = stated ?? known;
    if (classId === undefined) return [];
    if (known !== undefined && known !== classId) {
      const message = `[${section.name}] is class ${known}, but says ${classId} in Object_Class_Code.`;
      sheet.report.warn(section, message, `Write Object_Class_Code = 0x${known.toString(16)};`);
    }
    return [readClass(sheet, section, classId)];
  });
}

function readClass(sheet: Sheet, section: SheetSection, classId: number): EdsClass {
  const number = (key: string): number | undefined =>
    entryReader(sheet, section, key, false)?.integer(0, "number", { max: 0xffff });
  const list = (key: string): readonly number[] => {
    const entry = section.entries.get(key.toLowerCase());
    if (entry === undefined) return [];
    const reader = fieldReader(section.name, entry, sheet.report);
    const seen = new Set<number>();
    for (const i of entry.fields.keys()) {
      const value = reader.need(i, `field ${i + 1}`) ? reader.integer(i, `field ${i + 1}`, { max: 0xffff }) : undefined;
      if (value !== undefined && seen.has(value))
        sheet.report.warn(entry, `${reader.label} lists ${quoted(String(value))} twice.`, "Remove one.");
      if (value !== undefined) seen.add(value);
    }
    return [...seen];
  };
  return {
    section: section.name,
    classId,
    name:
      entryReader(sheet, section, "Object_Name", false)?.text(0, "name") ??
      allClasses.find((one) => one.classId === classId)?.name ??
      section.name,
    revision: number("Revision"),
    maxInstance: number("MaxInst"),
    staticInstances: number("Number_Of_Static_Instances"),
    dynamicInstances: number("Max_Number_Of_Dynamic_Instances"),
    classAttributes: list("Class_Attributes"),
    instanceAttributes: list("Instance_Attributes"),
    classServices: list("Class_Services"),
    instanceServices: list("Instance_Services"),
    line: section.line,
    column: section.column,
  };
}
