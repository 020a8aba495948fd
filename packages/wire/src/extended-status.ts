import { connectionStatusText } from "./connection-status.ts";
import { fileStateText } from "./security-states.ts";
import { Service } from "./services.ts";
import { Status } from "./status.ts";

/**
 * Words for what a class says beyond its general status, so that a person reads a true sentence.
 *
 * @param classId Class the request went to; `undefined` for a path of symbols.
 * @param extended Extended status words as they came; some object-specific statuses mean something without any.
 * @returns `undefined` when there is nothing to add to the general status.
 * @see reference ethernet-ip.md 6.16, 7.6, 8.7; cip-security.md 3.1 to 3.6
 */
export function extendedStatusText(
  classId: number | undefined,
  service: number,
  status: number,
  extended: readonly number[],
): string | undefined {
  const known = knownText(classId, service, status, extended);
  if (known !== undefined || extended.length === 0) return known;
  return `extended status ${extended.map(hex).join(" ")}`;
}

const connectionManager = 0x06;
const file = 0x37;
const cipSecurity = 0x5d;
const etherNetIpSecurity = 0x5e;
const certificateManagement = 0x5f;
const symbol = 0x6b;

const objectCleanup = 0x4e;
const applyConfig = 0x4d;
const verifyCertificate = 0x4c;

function knownText(
  classId: number | undefined,
  service: number,
  status: number,
  extended: readonly number[],
): string | undefined {
  switch (classId) {
    case connectionManager:
      return connectionText(status, extended);
    case file:
      return fileText(service, status, extended[0]);
    case cipSecurity:
      return service === objectCleanup && status === Status.objectSpecific ? "no orphan objects were found" : undefined;
    case etherNetIpSecurity:
      return service === applyConfig ? numbered(applyConfigWords, extended[0]) : undefined;
    case certificateManagement:
      return service === verifyCertificate && status === Status.objectSpecific
        ? "the certificate failed verification"
        : undefined;
    case symbol:
    case undefined:
      return numbered(tagWords[status], extended[0]);
    default:
      return undefined;
  }
}

function connectionText(status: number, extended: readonly number[]): string | undefined {
  const [first, second] = extended;
  if (first === undefined) return undefined;
  if (status === Status.pathSegmentError || status === Status.pathDestinationUnknown)
    return `at word ${first} of the connection path`;
  if (status === Status.invalidAttributeValue) return `at octet ${first} of the configuration data`;
  if (status !== Status.connectionFailure) return undefined;
  const text = connectionStatusText(first);
  if (first === 0x0112 && extended.length >= 6) return `${text}: ${rpiText(extended)}`;
  if (first >= 0x0126 && first <= 0x0128 && second !== undefined) return `${text}: the target takes ${second}`;
  return text;
}

/** Two octets of error types, O→T first, then both intervals as UDINTs. */
function rpiText(extended: readonly number[]): string {
  const [, types = 0, o0 = 0, o1 = 0, t0 = 0, t1 = 0] = extended;
  return `O→T ${interval(types & 0xff, o0 + o1 * 0x1_0000)}, T→O ${interval(types >> 8, t0 + t1 * 0x1_0000)}`;
}

function interval(type: number, micros: number): string {
  const words = ["acceptable", "not acceptable", "too small, at least", "too large, at most", "must be"][type];
  if (words === undefined) return `refused for reason ${type}`;
  return type < 2 ? words : `${words} ${micros} µs`;
}

function fileText(service: number, status: number, first: number | undefined): string | undefined {
  if (status === Status.objectSpecific) return "the checksum does not match the octets";
  if (first === undefined) return undefined;
  if (status === Status.objectStateConflict) return `the file is in state '${fileStateText(first)}'`;
  return numbered(fileServiceWords[service]?.[status], first) ?? numbered(fileWords[status], first);
}

function numbered(words: Words | undefined, extended: number | undefined): string | undefined {
  if (words === undefined || extended === undefined) return undefined;
  const text = words[extended];
  return text === undefined ? undefined : `${text} (${hex(extended)})`;
}

function hex(word: number): string {
  return `0x${word.toString(16).toUpperCase().padStart(4, "0")}`;
}

type Words = Readonly<Record<number, string>>;

const applyConfigWords: Words = {
  0x0001: "only PSK cipher suites are allowed, but no pre-shared key is configured",
  0x0002: "only certificate cipher suites are allowed, but no certificate is configured",
  0x0003: "no certificate cipher suite that is allowed fits the type of the device's private key",
  0x0004: "no cipher suite is allowed",
};

/** By general status. */
const fileWords: Readonly<Record<number, Words>> = {
  [Status.resourceUnavailable]: { 0x00ff: "the file does not exist, or nothing is free to transfer it" },
  [Status.tooMuchData]: { 0x0001: "the file name is too long", 0x0002: "too many languages" },
  [Status.invalidParameter]: {
    0x0001: "the file name is too long",
    0x0002: "too many languages",
    0x0004: "the file is too large",
    0x0005: "the format version is not compatible",
    0x0006: "the packet is out of sequence",
    0x0007: "the transfer failed",
    0x0008: "the file has no octets",
    0x000a: "the name is empty",
    0x000b: "the packet came twice",
  },
};

const partialWords: Readonly<Record<number, Words>> = {
  [Status.invalidParameter]: { 0x0002: "the offset is out of range", 0x0003: "offset and size run past the end" },
};

/** Where a service gives a word another meaning: Create, and partial read and write. */
const fileServiceWords: Readonly<Record<number, Readonly<Record<number, Words>>>> = {
  [Service.create]: { [Status.invalidParameter]: { 0x000b: "the name is taken" } },
  0x4d: partialWords,
  0x4e: partialWords,
};

/** Of Logix controllers, on tags. */
const tagWords: Readonly<Record<number, Words>> = {
  [Status.deviceStateConflict]: {
    0x2101: "the key switch forbids changing the mode",
    0x2802: "the controller is safety locked",
  },
  0xff: {
    0x2104: "the offset is beyond the end of the tag",
    0x2105: "the elements run past the end of the tag",
    0x2107: "the type is not the tag's",
  },
};
