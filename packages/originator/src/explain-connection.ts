/** Why a request was refused, and what a person can do about it. */
export interface Advice {
  readonly cause: string;
  readonly fix: string;
  /** Part of a Forward_Open that the refusal is about. */
  readonly field?: RefusedField;
}

/** Parts of a Forward_Open, by the names that `cipsec io` and an EDS use for them. */
export type RefusedField =
  | "connection serial"
  | "transport class and trigger"
  | "timeout multiplier"
  | "O→T RPI"
  | "T→O RPI"
  | "RPI"
  | "O→T size"
  | "T→O size"
  | "size"
  | "O→T parameters"
  | "T→O parameters"
  | "parameters"
  | "electronic key"
  | "configuration path"
  | "O→T path"
  | "T→O path"
  | "path"
  | "configuration data"
  | "production inhibit time"
  | "route";

/** Advice for an extended status of general status 0x01 of the Connection Manager; nothing for one that is not known. */
export function connectionAdvice(extended: number): Advice | undefined {
  return advice.get(extended);
}

/** Extended statuses with advice, for tables and tests. */
export function advisedStatuses(): readonly number[] {
  return [...advice.keys()];
}

type Row = readonly [code: number, cause: string, fix: string, field?: RefusedField];

const eds = "Take the value from the device's EDS (cipsec io --eds FILE).";
const safety = "Read the safety configuration of both sides from the same project, and download it again.";
const schedule = "Schedule the network again with its configuration tool; EtherNet/IP itself has no schedules.";
const join = "Ask for what the running connection has, or close that one first.";

/** Every extended status of reference ethernet-ip.md 6.16. */
const rows: readonly Row[] = [
  [
    0x0100,
    "The device has a connection with the same serial numbers already: the first Forward_Open was taken and its answer was lost, or the last run ended without Forward_Close.",
    "Use a new connection serial number, or wait until the old connection has timed out (multiplier times RPI).",
    "connection serial",
  ],
  [
    0x0103,
    "The device does not offer this transport class with this trigger at this connection point.",
    "Use class 1 with the cyclic trigger, which every I/O device has; others only where the EDS names them.",
    "transport class and trigger",
  ],
  [
    0x0106,
    "Another originator owns these outputs, or a connection of ours that died has not timed out in the device yet.",
    "Wait until the device's watchdog has run out, or find the owner ('cipsec call TARGET ConnectionManager/1 getConnectionOwner'); open input only to look without owning.",
    "O→T path",
  ],
  [
    0x0107,
    "The device does not have this connection: it has timed out there, was closed, or never existed.",
    "Nothing is left to close; open it again if it is needed.",
    "connection serial",
  ],
  [
    0x0108,
    "A bit of the network connection parameters is one that the device does not know.",
    `Leave reserved bits 0. ${eds}`,
    "parameters",
  ],
  [
    0x0109,
    "The size of one direction is not what the device has at that connection point.",
    `Compare both sizes; class 1 counts 2 octets of sequence, and 4 more where the format has the run/idle header. ${eds}`,
    "size",
  ],
  [
    0x0110,
    "The device has no configuration, so it cannot start this connection.",
    "Send configuration data with the connection, or configure the device first.",
    "configuration data",
  ],
  [0x0111, "The device cannot keep this packet interval.", "Ask for a longer RPI; the EDS names the shortest.", "RPI"],
  [
    0x0112,
    "The packet interval of one direction is not acceptable; the device may say which is.",
    "Ask for the interval that the reply names, or a longer RPI.",
    "RPI",
  ],
  [
    0x0113,
    "All connections of the device are in use.",
    "Close connections that nobody needs, in other controllers and tools too; the EDS section [Capacity] says how many there are.",
  ],
  [
    0x0114,
    "The electronic key names another vendor or product.",
    "Check that the address is that of the device meant, and that the EDS is the one of this device.",
    "electronic key",
  ],
  [
    0x0115,
    "The electronic key names another device type.",
    "Check that the address is that of the device meant, and that the EDS is the one of this device.",
    "electronic key",
  ],
  [
    0x0116,
    "The electronic key names a revision that this device does not have.",
    "Use the EDS of the device's firmware, set the key's minor revision to 0, or allow compatible devices.",
    "electronic key",
  ],
  [
    0x0117,
    "A connection point of the path does not exist, or cannot be used in this direction.",
    `Check the assembly numbers of both directions and their order: configuration, O→T, T→O. ${eds}`,
    "path",
  ],
  [
    0x0118,
    "The configuration instance does not exist, or does not belong to these connection points.",
    `Check the configuration assembly's number. ${eds}`,
    "configuration path",
  ],
  [
    0x0119,
    "A listen-only connection needs another that is not, and there is none to this input.",
    "Open an exclusive-owner or input-only connection first, or open input only.",
    "O→T path",
  ],
  [
    0x011a,
    "The assembly has all the connections that it can serve.",
    "Close another connection to it; for inputs, join a multicast connection.",
    "path",
  ],
  [
    0x011b,
    "The production inhibit time of the path is longer than the packet interval.",
    "Make the inhibit time shorter than the RPI, or leave its segment out.",
    "production inhibit time",
  ],
  [
    0x011c,
    "The device does not offer this transport class.",
    "Use class 1 for I/O and class 3 for messages.",
    "transport class and trigger",
  ],
  [
    0x011d,
    "The device does not offer this production trigger.",
    "Use the cyclic trigger; the EDS names others.",
    "transport class and trigger",
  ],
  [
    0x011e,
    "The direction bit of the transport does not suit the device.",
    "Use 0x01 for class 1 cyclic, 0xA3 for class 3.",
    "transport class and trigger",
  ],
  [
    0x011f,
    "O→T must be fixed where variable was asked for, or the other way round.",
    `Change --o-to-t fixed or variable. ${eds}`,
    "O→T parameters",
  ],
  [
    0x0120,
    "T→O must be fixed where variable was asked for, or the other way round.",
    `Change --t-to-o fixed or variable. ${eds}`,
    "T→O parameters",
  ],
  [
    0x0121,
    "The device does not take this priority O→T.",
    "Use scheduled, which most devices have, else low.",
    "O→T parameters",
  ],
  [
    0x0122,
    "The device does not take this priority T→O.",
    "Use scheduled, which most devices have, else low.",
    "T→O parameters",
  ],
  [
    0x0123,
    "The device does not take this connection type O→T.",
    "Use point to point; null only where the path has no O→T point.",
    "O→T parameters",
  ],
  [
    0x0124,
    "The device does not take this connection type T→O.",
    "Use point to point, or multicast where the EDS has only that.",
    "T→O parameters",
  ],
  [0x0125, "The device has no redundant ownership.", "Clear the redundant-owner bit.", "O→T parameters"],
  [
    0x0126,
    "The configuration data has another length than the device's configuration assembly.",
    `Send the length that the reply names. ${eds}`,
    "configuration data",
  ],
  [0x0127, "The O→T size is not what the device takes.", `Ask for the size that the reply names. ${eds}`, "O→T size"],
  [
    0x0128,
    "The T→O size is not what the device produces.",
    `Ask for the size that the reply names. ${eds}`,
    "T→O size",
  ],
  [
    0x0129,
    "The configuration path leads to nothing that can be configured.",
    `Check class and instance of the configuration assembly, and the length of the configuration data. ${eds}`,
    "configuration path",
  ],
  [
    0x012a,
    "The O→T point leads to nothing that can consume.",
    `Check the number of the output assembly; for input only it is the heartbeat point. ${eds}`,
    "O→T path",
  ],
  [
    0x012b,
    "The T→O point leads to nothing that can produce.",
    `Check the number of the input assembly. ${eds}`,
    "T→O path",
  ],
  [
    0x012c,
    "The configuration symbol does not exist in the device.",
    "Check the tag's name and scope: 'cipsec tag TARGET list'.",
    "configuration path",
  ],
  [
    0x012d,
    "The consuming symbol does not exist in the device.",
    "Check the tag's name and scope: 'cipsec tag TARGET list'.",
    "O→T path",
  ],
  [
    0x012e,
    "The producing symbol does not exist in the device.",
    "Check the tag's name, and that the controller produces it: 'cipsec tag TARGET list'.",
    "T→O path",
  ],
  [
    0x012f,
    "The paths do not belong together: points of different objects, or too many or too few for the directions that are used.",
    `Write configuration, O→T, T→O in this order; some devices overlook a configuration that is sent without data (--config-data). ${eds}`,
    "path",
  ],
  [
    0x0130,
    "The device consumes another data format than the tag or assembly that was asked for.",
    "Give both sides the same data type.",
    "O→T path",
  ],
  [
    0x0131,
    "The device produces another data format than was asked for.",
    "Give both sides the same data type.",
    "T→O path",
  ],
  [
    0x0132,
    "The device does not take a Forward_Open without data in both directions.",
    "Open a connection with data, or read an attribute to see whether the device answers.",
    "parameters",
  ],
  [
    0x0133,
    "The device does not take this timeout multiplier.",
    "Use 0 to 7, which stand for 4 to 512 intervals.",
    "timeout multiplier",
  ],
  [0x0134, "The input is multicast already with another size.", join, "T→O size"],
  [
    0x0135,
    "The input is multicast already, fixed where variable was asked for or the other way round.",
    join,
    "T→O parameters",
  ],
  [0x0136, "The input is multicast already with another priority.", join, "T→O parameters"],
  [0x0137, "The input is multicast already with another transport class.", join, "transport class and trigger"],
  [0x0138, "The input is multicast already with another trigger.", join, "transport class and trigger"],
  [0x0139, "The input is multicast already with another production inhibit time.", join, "production inhibit time"],
  [
    0x0203,
    "The connection had no packet within its timeout.",
    "Look for lost packets, a pulled cable, a blocked UDP port 2222; or allow more intervals.",
  ],
  [
    0x0204,
    "A router got no answer from the device behind it in time.",
    "Check that the module at the end of the route runs, and give the request more time.",
    "route",
  ],
  [
    0x0205,
    "A router could not read the request that it was to pass on.",
    "Check the route; this is most likely a fault of the sender.",
    "route",
  ],
  [0x0206, "The message is too long for Unconnected_Send.", "Send less at a time, or open a connection.", "route"],
  [0x0207, "The device acknowledged the message but did not answer it.", "Send it again; look at the device's state."],
  [0x0301, "The device or a router has no buffer left.", "Close connections or ask for smaller ones."],
  [
    0x0302,
    "The network has no bandwidth left for this interval.",
    "Ask for a longer RPI, or move connections to another module.",
    "RPI",
  ],
  [0x0303, "The module has no filter left for another connection id.", "Close connections through this module."],
  [0x0304, "The device is not configured to send scheduled data.", schedule],
  [0x0305, "The schedule of the device is not the one of the controller.", schedule],
  [0x0306, "The device cannot check the schedule.", schedule],
  [
    0x0311,
    "The router has no port of this number.",
    "Check the first number of each pair of the route: 1 is the backplane, 2 most often the EtherNet/IP port.",
    "route",
  ],
  [
    0x0312,
    "There is nothing at this link address of the port: an empty slot, or an address that cannot be.",
    "Check slot number or IP address in the route.",
    "route",
  ],
  [
    0x0315,
    "A segment of the path is malformed, or of a kind that the device does not know.",
    "Check the path's segments and pads. Devices without backplane take no route.",
    "path",
  ],
  [
    0x0316,
    "The path of Forward_Close is not the one that the connection was opened with.",
    "Close with the path that it was opened with.",
    "path",
  ],
  [0x0317, "The connection is scheduled, but no schedule was given.", schedule],
  [0x0318, "The route leads from the device back to itself.", "Leave the last hop out of the route.", "route"],
  [0x0319, "The redundant partner has no resources for the connection.", "Check the secondary chassis."],
  [0x031a, "A rack connection to this slot is open already.", "Use either the rack connection or the module's own."],
  [0x031b, "A module connection to this slot is open already.", "Use either the rack connection or the module's own."],
  [
    0x031c,
    "The device gives no closer reason.",
    "Look at its own diagnostics, and compare every parameter with its EDS.",
  ],
  [
    0x031d,
    "The parameters are not those of the redundant connection that is open.",
    "Give both owners the same parameters.",
    "parameters",
  ],
  [
    0x031e,
    "The producer cannot serve another consumer.",
    "Raise the number of consumers of the produced tag in the controller's project.",
  ],
  [
    0x031f,
    "The producer has no consumer configured.",
    "Set the number of consumers of the produced tag in the controller's project.",
  ],
  [
    0x0800,
    "The network behind the device is not connected.",
    "Check cable and power of the network behind it.",
    "route",
  ],
  [0x0801, "A safety connection by multicast runs with another interval.", "Give all consumers the same RPI.", "RPI"],
  [0x0802, "The size does not suit a safety connection.", safety, "size"],
  [0x0803, "The safety format does not suit the device.", safety],
  [0x0804, "The time correction parameters do not suit the device.", safety],
  [0x0805, "The ping interval multiplier does not suit the device.", safety],
  [0x0806, "The minimum multiplier of time coordination messages does not suit the device.", safety],
  [0x0807, "The network time expectation multiplier does not suit the device.", safety],
  [0x0808, "The safety timeout multiplier does not suit the device.", safety, "timeout multiplier"],
  [0x0809, "The safety connection asks for more consumers than the producer serves.", safety],
  [0x080a, "The check sum of the safety connection's parameters is wrong.", safety],
  [0x080b, "The connection id of the time correction connection is not valid.", safety],
  [0x080c, "The safety configuration of the device is not the one expected.", safety],
  [0x080d, "The safety device has no network number yet.", "Set its safety network number."],
  [
    0x080e,
    "The safety network number of the device is another one.",
    "Check the address; set the safety network number again if the device was replaced.",
  ],
  [
    0x080f,
    "The safety device does not allow being configured now.",
    "Unlock it, or end the connection that owns its configuration.",
  ],
  [0x0810, "The device has no data to produce yet.", "Start the application of the device, then open again."],
  [0x0811, "The originator's application has no data yet.", "Start the application of the originator."],
  [0x0812, "The device's address has changed since the network was scheduled.", schedule],
  [
    0x0813,
    "T→O is multicast across a router, and the device sends multicast on its own subnet only.",
    "Ask for T→O point to point, or raise the multicast TTL in the TCP/IP Interface object.",
    "T→O parameters",
  ],
  [0x0814, "The data format does not suit the safety connection.", safety],
  [
    0x0916,
    "A rule of the originating device denies the connection (CIP Security).",
    "Change the egress rules of the originator.",
  ],
  [
    0x0917,
    "A rule of the originating device asks for another cipher suite.",
    "Allow a suite that the rule has, on both sides.",
  ],
  [
    0x0918,
    "No rule of the device lets this connection in (CIP Security).",
    "Add an ingress rule for this originator, or connect as one that has a rule.",
  ],
  [
    0x0919,
    "A rule of the device denies this connection.",
    "Change the ingress rules, if this originator is meant to connect.",
  ],
  [0x091a, "The device lets only secured connections in.", "Connect by eips://, or by eipd:// to carry I/O too."],
  [0x091b, "No rule of the originating device lets this connection out.", "Add an egress rule for this target."],
];

const advice: ReadonlyMap<number, Advice> = new Map(
  rows.map(([code, cause, fix, field]) => [code, { cause, fix, ...(field === undefined ? {} : { field }) }]),
);
