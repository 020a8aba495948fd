import {
  Service,
  TagService,
  connectionStatusText,
  encapsulationStatusText,
  extendedStatusText,
  statusText,
} from "@cipsec/wire";
import { connectionAdvice, type Advice } from "./explain-connection.ts";

/** What is known of a refusal. */
export interface Refusal {
  readonly status: number;
  readonly extended?: readonly number[];
  /** Class that was asked; nothing for a path of symbols. */
  readonly classId?: number;
  /** Whether `classId` is missing because it is not known, or because the path has none. Default false: not known. */
  readonly onSymbols?: boolean;
  readonly service?: number;
}

/** A refusal in words. */
export interface Explanation extends Advice {
  /** The status by its name and number, with what the extended status adds. */
  readonly status: string;
}

const connectionManager = 0x06;

/**
 * Cause and fix of a refusal, as closely as service, class and extended status tell.
 *
 * @see reference ethernet-ip.md 3.2, 6.16, 7.6, 8.7; cip-security.md 3.6
 */
export function explainStatus(refusal: Refusal): Explanation {
  const { status, extended = [], classId, onSymbols = false, service = 0 } = refusal;
  const [first] = extended;
  const isConnections = classId === connectionManager || (classId === undefined && !onSymbols);
  const name = statusText(status);
  if (status === 0x01 && first !== undefined && isConnections) {
    const known = connectionAdvice(first);
    const text = extendedStatusText(connectionManager, service, status, extended) ?? connectionStatusText(first);
    return { status: `${name}: ${text}`, ...(known ?? unknownExtended(first)) };
  }
  const asked = onSymbols ? undefined : (classId ?? noClass);
  const text = extendedStatusText(asked, service, status, extended);
  const special = specialAdvice(refusal, first);
  const general = generalAdvice(status);
  return { status: text === undefined ? name : `${name}: ${text}`, ...(special ?? general) };
}

/** No object class: keeps a refusal of an unknown class apart from one on symbols. */
const noClass = -1;

/** Cause and fix of an encapsulation status. @see reference ethernet-ip.md 1.3 */
export function explainEncapsulation(status: number): Explanation {
  const row = encapsulation[status] ?? (["The standard gives this status no meaning.", "Report the device."] as const);
  return { status: encapsulationStatusText(status), cause: row[0], fix: row[1] };
}

/** Advice for a general status. */
export function generalAdvice(status: number): Advice {
  const row = general[status];
  if (row !== undefined) return { cause: row[0], fix: row[1] };
  return status >= 0xd0
    ? {
        cause: "The object class has its own meaning for this status.",
        fix: "Say class and service (--class, --service), or look into the device's manual.",
      }
    : { cause: "The standard gives this status no meaning.", fix: "Report the device; look into its manual." };
}

/** Advice that one class or service has for a status. */
function specialAdvice(
  { status, classId, onSymbols = false, service }: Refusal,
  first: number | undefined,
): Advice | undefined {
  if (classId === 0x5e && service === 0x4d && first !== undefined) return advised(applyConfig[first]);
  if (classId === 0x5d && service === 0x4e && status === 0xd0) return advised(cleanup);
  if (classId === 0x5f && service === 0x4c && status === 0xd0) return advised(verify);
  if (classId === 0x37) return advised(fileAdvice(status, service, first));
  if (classId === connectionManager) return advised(manager[status]);
  if (onSymbols || classId === 0x6b) return advised(tagAdvice[`${status}`] ?? tagAdvice[`${status} ${first}`]);
  return undefined;
}

type Row = readonly [cause: string, fix: string];

function advised(row: Row | undefined): Advice | undefined {
  return row === undefined ? undefined : { cause: row[0], fix: row[1] };
}

function unknownExtended(code: number): Advice {
  if (code === 0)
    return {
      cause: "The device gives no reason.",
      fix: "Look at its own log; a device that is a program may not get UDP port 2222, which another program of its host has.",
    };
  return {
    cause: `Extended status 0x${code.toString(16).padStart(4, "0")} has no public meaning.`,
    fix: "Look into the device's manual; vendors use values of their own.",
  };
}

/** Extended statuses of Apply_Config, and of the File Object, for tables and tests. */
export const advisedApplyConfig: Readonly<Record<number, Row>> = {
  0x0001: [
    "Only suites with a pre-shared key are allowed, and the device has none.",
    "Set a pre-shared key, or allow a certificate suite.",
  ],
  0x0002: [
    "Only suites with certificates are allowed, and the device has none active.",
    "Enrol a certificate first, or allow a pre-shared key suite.",
  ],
  0x0003: [
    "No allowed suite suits the type of the device's private key.",
    "Allow ECDHE-ECDSA suites for an EC key, ECDHE-RSA suites for an RSA key.",
  ],
  0x0004: ["No cipher suite is allowed.", "Allow at least one suite."],
};
const applyConfig = advisedApplyConfig;

const cleanup: Row = ["There were no objects that nothing refers to.", "Nothing is to be done."];
const verify: Row = [
  "The certificate does not verify: expired, of an authority that the device does not trust, or not for its key.",
  "Check dates and the device's clock, install the authority's certificate, and issue for the device's own request.",
];

/** File Object: `status first`, or `status` for any. @see reference ethernet-ip.md 7.6 */
export const advisedFile: Readonly<Record<string, Row>> = {
  "2 255": [
    "The file does not exist, or the device has no transfer free.",
    "'cipsec file TARGET list' shows the files; end the other transfer first.",
  ],
  "12": [
    "The file is in a state that forbids this: a transfer of somebody else runs, or it is empty.",
    "Wait for the transfer timeout, then try again.",
  ],
  "21 1": ["The file name is too long.", "Use a shorter name."],
  "21 2": ["The name has too many languages.", "Send one language."],
  "25": ["The device could not save the file.", "Check its free memory; it may be worn out."],
  "32 1": ["The file name is too long.", "Use a shorter name."],
  "32 2": ["The name has too many languages.", "Send one language."],
  "32 4": ["The file is longer than the device takes.", "Send a shorter file: a chain without its root, for example."],
  "32 5": ["The device does not know this format version.", "Use the version that attribute 3 has."],
  "32 6": [
    "A packet is missing or came out of order.",
    "Start the transfer again; look for a proxy that repeats messages.",
  ],
  "32 7": ["The transfer failed.", "Start it again."],
  "32 8": ["The file has no octets.", "Send a file that has content."],
  "32 10": ["The name is empty.", "Give the file a name."],
  "32 11": ["The same packet came twice.", "Start the transfer again; look for a proxy that repeats messages."],
  "208": [
    "The check sum of the transfer does not match its octets.",
    "Start the transfer again; if it happens again, report the device.",
  ],
};

/** Where a service of the File Object gives a word another meaning. */
const fileServices: Readonly<Record<string, Row>> = {
  [`${Service.create} 32 11`]: ["A file of this name exists.", "Use another name, or delete the old file."],
  "77 32 2": ["The offset lies outside the file.", "Read the size first."],
  "77 32 3": ["Offset and size run past the end of the file.", "Read the size first."],
  "78 32 2": ["The offset lies outside the file.", "Read the size first."],
  "78 32 3": ["Offset and size run past the end of the file.", "Read the size first."],
};

function fileAdvice(status: number, service: number | undefined, first: number | undefined): Row | undefined {
  return fileServices[`${service} ${status} ${first}`] ?? advisedFile[`${status} ${first}`] ?? advisedFile[`${status}`];
}

/** General statuses that the Connection Manager uses in its own way; the extended word is a place. */
const manager: Readonly<Record<number, Row>> = {
  0x02: ["The device has no room for another connection.", "Close connections that nobody needs."],
  0x03: ["There is no connection of this number.", "Numbers run up to the device's entry list (attribute 9)."],
  0x04: [
    "A segment of the connection path is not understood; the extended status counts the words before it.",
    "Check the segment at that word.",
  ],
  0x05: [
    "The connection path leads to nothing; the extended status counts the words before what is unknown.",
    "Check class, instance and connection points of the path.",
  ],
  0x08: [
    "The device does not know this way of opening a connection.",
    "Fall back from Large_Forward_Open to Forward_Open with at most 511 octets.",
  ],
  0x09: [
    "A value of the configuration data is wrong; the extended status is its offset in octets.",
    "Correct the configuration data at that octet; the EDS describes its parameters.",
  ],
  0x0c: ["The device's state forbids connections now.", "Look at its Identity state; clear its faults."],
  0x0f: [
    "The connection belongs to another originator, or this user may not open it.",
    "Close it from where it was opened, or connect with the rights to do it.",
  ],
  0x10: ["The device's state forbids this now.", "Look at its Identity state; clear its faults."],
};

/** On tags: `status`, or `status first`. @see reference ethernet-ip.md 8.7 */
const tagAdvice: Readonly<Record<string, Row>> = {
  // So Logix answers for a name that it does not have; 0x05 comes from others.
  "4": [
    "There is no tag of this name, or the name is malformed.",
    "'cipsec tag TARGET list' shows the names; check brackets, dots and lengths of the name.",
  ],
  "5": [
    "There is no tag of this name, or no element of this index.",
    "'cipsec tag TARGET list' shows the names; program tags are written Program:Name.Tag.",
  ],
  "15": [
    "The tag's external access does not allow this.",
    "Change External Access of the tag in the controller's project.",
  ],
  "16 8449": ["The key switch forbids changing the mode.", "Turn the key switch to REM."],
  "16 10242": ["The controller is safety locked.", "Unlock its safety application."],
  "255 8452": ["The offset is beyond the end of the tag.", "Read or write fewer octets."],
  "255 8453": ["More elements were asked for than there are behind the index.", "Ask for fewer elements."],
  "255 8455": [
    "The type that was sent is not the tag's.",
    `Read the tag first (service 0x${TagService.readTag.toString(16)}), and write the type that it answers.`,
  ],
};

const encapsulation: Readonly<Record<number, Row>> = {
  0x0000: ["The command was done.", "Nothing is to be done."],
  0x0001: [
    "The device does not know the command, or the TCP connection has a session already.",
    "Register one session for each TCP connection.",
  ],
  0x0002: [
    "The device has no session free.",
    "Close sessions of other tools, or wait for their inactivity timeout (120 s where it was not changed).",
  ],
  0x0003: ["The data of the command is malformed.", "Check item count, item types and lengths."],
  0x0064: [
    "The session handle is not one of this TCP connection: it has timed out, or belongs to another.",
    "Register again.",
  ],
  0x0065: ["The length does not suit the command.", "Check the length field of the header."],
  0x0069: [
    "The device speaks another version of the encapsulation protocol.",
    "Register with version 1 and options 0.",
  ],
  0x006a: ["The device takes this service on its secure port only.", "Connect with eips:// (TLS, port 2221)."],
};

/** Every general status. @see reference ethernet-ip.md 3.2 */
const general: Readonly<Record<number, Row>> = {
  0x00: ["The request was done.", "Nothing is to be done."],
  0x01: [
    "The Connection Manager could not make or use a connection; the extended status says why.",
    "Read the extended status.",
  ],
  0x02: [
    "The device has no room, buffer or slot left for this.",
    "End other transfers or connections, then try again.",
  ],
  0x03: ["A value of the request is not valid (older devices say so this way).", "Check the values of the request."],
  0x04: ["The device does not understand a segment of the path.", "Check the path's segments and pads."],
  0x05: [
    "The device has no such class, instance or element.",
    "Check the numbers; 'cipsec posture' and the EDS say what the device has.",
  ],
  0x06: [
    "The answer is longer than one message; this is its beginning.",
    "Ask for the rest: cipsec does so by itself where the service allows it.",
  ],
  0x07: ["The connection that carried the message is gone.", "Open it again."],
  0x08: [
    "This class of the device does not have the service.",
    "Check class and service number; optional services differ between devices.",
  ],
  0x09: ["The device does not take this value for the attribute.", "Check its range, and what the value refers to."],
  0x0a: ["Some attributes of the list failed; the reply says which.", "Look at the status of each."],
  0x0b: ["The object is in the wanted state already.", "Nothing is to be done."],
  0x0c: ["The object's state forbids this now.", "Read its state, and end what is in progress first."],
  0x0d: ["An object of this number or name exists already.", "Use another, or delete the old one."],
  0x0e: [
    "The attribute is read only, at least now.",
    "Leave it out; some can be written only before the configuration is applied.",
  ],
  0x0f: [
    "The user or channel does not have the right to do this.",
    "Connect over TLS with an identity that the device trusts, and as a user with the role for it.",
  ],
  0x10: [
    "The device's state forbids this, for example while I/O runs.",
    "Close I/O connections or stop the device first.",
  ],
  0x11: ["The answer does not fit the message or connection.", "Ask for less, or open a larger connection."],
  0x12: ["The answer would cut a value in two.", "Ask for fewer elements."],
  0x13: [
    "The request is shorter than the service needs.",
    "Check its layout: a field is missing, or a type is too short.",
  ],
  0x14: [
    "The object does not have this attribute.",
    "Check the attribute number; optional ones differ between devices.",
  ],
  0x15: ["The request is longer than the service takes.", "Check its layout: a field too many, or a type too long."],
  0x16: ["There is no object of this number.", "Check class and instance."],
  0x17: ["A part of a transfer came that nobody had begun.", "Begin the transfer again."],
  0x18: ["Nothing is saved for this object.", "Save it first."],
  0x19: ["The device could not save.", "Check its free memory; it may be worn out."],
  0x1a: ["The request is too long for a network on the way.", "Send less at a time."],
  0x1b: ["The answer is too long for a network on the way.", "Ask for less at a time."],
  0x1c: ["An attribute of the list came without its value.", "Check the layout of the list."],
  0x1d: ["The list of attributes is not valid.", "Check ids, count and values."],
  0x1e: ["A request inside the packet failed; its own reply says why.", "Look at the status of each."],
  0x1f: [
    "The vendor has a meaning of its own for this; the extended status tells it.",
    "Look into the device's manual.",
  ],
  0x20: ["A parameter of the request is not valid for this object.", "Check the values of the request."],
  0x21: ["The value can be written once, and was.", "Nothing can be done, other than another device."],
  0x22: ["A device between got an answer that it could not read.", "Check the device at the end of the route."],
  0x23: ["The message is longer than the device's buffer.", "Send less at a time."],
  0x24: ["The message is malformed.", "Check its layout."],
  0x25: ["The electronic key in the path is not this device's.", "Check address and key."],
  0x26: ["The path size does not suit the path.", "Count 16-bit words, pads included."],
  0x27: ["The list holds an attribute that does not belong there.", "Leave it out."],
  0x28: ["There is no member of this number.", "Check the member or element number."],
  0x29: ["The member is read only.", "Leave it out."],
  0x2a: ["A DeviceNet device behind the router failed.", "Look at that device."],
  0x2b: ["A Modbus device behind the router answered with an error.", "Look at that device."],
  0x2c: ["The attribute cannot be read: it is write only, such as a key.", "Leave it out."],
  0x2d: ["The instance belongs to the device and cannot be deleted.", "Delete only what was created."],
  0x2e: [
    "The service exists, but not for this path.",
    "Check class, instance and attribute: class services go to instance 0.",
  ],
};
