import { connectionRequest, type ConnectionRequest, type Eds } from "@cipsec/objects";
import {
  ConnectionType,
  productionInhibitMicros,
  timeoutFactor,
  type ForwardOpen,
  type NetworkParameters,
  type Segment,
} from "@cipsec/wire";
import { connectionAdvice, type RefusedField } from "./explain-connection.ts";
import { hexWord } from "./replies.ts";

/** A field of a Forward_Open that is, or may be, why it was refused. */
export interface FieldFinding {
  readonly field: RefusedField;
  /** What the request says. */
  readonly asked: string;
  /** What the device or its EDS wants, where that is known. */
  readonly expected?: string;
  /** What the difference most likely comes from. */
  readonly why?: string;
}

/** The Forward_Open that a refusal answers. */
export interface RefusedOpen {
  readonly open: ForwardOpen;
  /** Extended status words of the reply. */
  readonly extended: readonly number[];
  /** The device's own description. */
  readonly eds?: Eds;
}

/**
 * The fields of a Forward_Open that a refusal is about, with what was asked and what is wanted: by the reply's own words, and by
 * the EDS where there is one.
 *
 * @see reference ethernet-ip.md 6.2 to 6.5, 6.11, 6.16
 */
export function refusedFields({ open, extended, eds }: RefusedOpen): readonly FieldFinding[] {
  const [code = 0, ...words] = extended;
  const { field } = connectionAdvice(code) ?? {};
  const byReply = field === undefined ? [] : fieldFindings(field, code, words, open);
  if (eds === undefined) return byReply;
  const byEds = edsDifferences(open, eds);
  // What the EDS knows of the same field says more than a guess; what it knows of others may be the next refusal.
  const isTold = (finding: FieldFinding): boolean =>
    byReply.some((told) => told.field === finding.field && told.expected !== undefined);
  // A field that the EDS finds no fault with is not it, where it does with another.
  const isOpen = (finding: FieldFinding): boolean => finding.expected !== undefined || byEds.length === 0;
  return [...byReply.filter(isOpen), ...byEds.filter((finding) => !isTold(finding))];
}

function fieldFindings(
  field: RefusedField,
  code: number,
  words: readonly number[],
  open: ForwardOpen,
): readonly FieldFinding[] {
  switch (field) {
    case "O→T size":
      return [sizeFinding(field, open.oToT.size, words[0])];
    case "T→O size":
      return [sizeFinding(field, open.tToO.size, words[0])];
    case "size":
      return [sizeFinding("O→T size", open.oToT.size, undefined), sizeFinding("T→O size", open.tToO.size, undefined)];
    case "RPI":
    case "O→T RPI":
    case "T→O RPI":
      return rpiFindings(code, words, open);
    case "O→T parameters":
      return [{ field, asked: parametersText(open.oToT) }];
    case "T→O parameters":
      return [{ field, asked: parametersText(open.tToO) }];
    case "parameters":
      return [
        { field: "O→T parameters", asked: parametersText(open.oToT) },
        { field: "T→O parameters", asked: parametersText(open.tToO) },
      ];
    case "transport class and trigger":
      return [{ field, asked: transportText(open.transport) }];
    case "timeout multiplier":
      return [{ field, asked: multiplierText(open.timeoutMultiplier), expected: "0 to 7" }];
    case "connection serial":
      return [{ field, asked: triadText(open) }];
    case "electronic key":
      return [{ field, asked: keyText(open.path) }];
    case "configuration data":
      return [configurationFinding(open.path, words[0])];
    case "production inhibit time":
      return [inhibitFinding(open)];
    case "route":
      return [{ field, asked: routeText(open.path) }];
    case "configuration path":
    case "O→T path":
    case "T→O path":
    case "path":
      return [{ field, asked: pointsText(open.path) }];
  }
}

/** Octets that a size counts beside the data, by how far it is off. */
const sizeDifferences: Readonly<Record<number, string>> = {
  2: "the device counts the 2 octets of the class 1 sequence count",
  4: "the device counts the 4 octets of the run/idle header: the real-time format is the 32-bit header",
  6: "the device counts sequence count (2 octets) and run/idle header (4 octets)",
  [-2]: "the device counts no sequence count: it is class 0 there, or the size was counted twice",
  [-4]: "the device has no run/idle header in this direction: the real-time format is modeless",
  [-6]: "the device counts neither sequence count nor run/idle header",
};

function sizeFinding(field: "O→T size" | "T→O size", asked: number, supported: number | undefined): FieldFinding {
  const text = `${asked} octets`;
  if (supported === undefined) return { field, asked: text };
  const off = supported - asked;
  const isWords = supported * 2 === asked;
  const why = isWords
    ? "the device may say it in words of 2 octets, and refuse for another reason"
    : sizeDifferences[off];
  return {
    field,
    asked: text,
    expected: `${supported} octets`,
    ...(why === undefined ? { why: `the assembly has ${Math.abs(off)} octets ${off > 0 ? "more" : "less"}` } : { why }),
  };
}

function rpiFindings(code: number, words: readonly number[], open: ForwardOpen): readonly FieldFinding[] {
  const asked = [
    ["O→T RPI", open.oToTRpiMicros],
    ["T→O RPI", open.tToORpiMicros],
  ] as const;
  const [types = 0, o0 = 0, o1 = 0, t0 = 0, t1 = 0] = words;
  const told = code === 0x0112 && words.length >= 5;
  const answers = [
    [types & 0xff, o0 + o1 * 0x1_0000],
    [types >> 8, t0 + t1 * 0x1_0000],
  ] as const;
  return asked.flatMap(([field, micros], i): FieldFinding[] => {
    const [type = 1, wanted = 0] = answers[i] ?? [];
    if (told && type === 0) return [];
    const bound = told ? { 2: "at least", 3: "at most", 4: "exactly" }[type] : undefined;
    return [{ field, asked: `${micros} µs`, ...(bound === undefined ? {} : { expected: `${bound} ${wanted} µs` }) }];
  });
}

function configurationFinding(path: readonly Segment[], supported: number | undefined): FieldFinding {
  const octets = path.reduce((sum, segment) => sum + (segment.kind === "data" ? segment.words.length : 0), 0);
  return {
    field: "configuration data",
    asked: octets === 0 ? "none" : `${octets} octets`,
    ...(supported === undefined ? {} : { expected: `${supported} (octets, in some devices words)` }),
  };
}

function inhibitFinding({ path, tToORpiMicros }: ForwardOpen): FieldFinding {
  const times = path.flatMap((segment) => {
    const micros = segment.kind === "network" ? productionInhibitMicros(segment) : undefined;
    return micros === undefined ? [] : [`${micros} µs`];
  });
  return {
    field: "production inhibit time",
    asked: times.length === 0 ? "none in the path" : times.join(", "),
    expected: `at most the RPI of ${tToORpiMicros} µs`,
  };
}

/** What the nearest connection of the EDS says otherwise. */
function edsDifferences(open: ForwardOpen, eds: Eds): readonly FieldFinding[] {
  const nearest = nearestConnection(open, eds);
  const findings: FieldFinding[] = [];
  const differ = (field: RefusedField, asked: string, expected: string, name: string): void => {
    if (asked !== expected) findings.push({ field, asked, expected, why: `the EDS has it so for '${name}'` });
  };
  const key = keyOf(open.path);
  const { device } = eds;
  if (key !== undefined && device !== undefined) {
    const other = [
      [key.vendorId, device.vendorId],
      [key.deviceType, device.deviceType],
      [key.productCode, device.productCode],
    ].some(([asked = 0, has]) => asked !== 0 && has !== undefined && asked !== has);
    if (other)
      findings.push({
        field: "electronic key",
        asked: keyText(open.path),
        expected: `vendor ${device.vendorId}, device type ${device.deviceType}, product ${device.productCode}`,
        why: "the EDS is that of another device, or the key is",
      });
  }
  if (nearest === undefined) return findings;
  const { name } = nearest;
  differ("transport class and trigger", transportText(open.transport), transportText(nearest.transport), name);
  differ("O→T size", `${open.oToT.size} octets`, `${nearest.oToT.size} octets`, name);
  differ("T→O size", `${open.tToO.size} octets`, `${nearest.tToO.size} octets`, name);
  differ("O→T parameters", parametersText(open.oToT), parametersText(nearest.oToT), name);
  differ("T→O parameters", parametersText(open.tToO), parametersText(nearest.tToO), name);
  differ("path", pointsText(open.path), pointsText(nearest.path), name);
  return findings;
}

/** The connection of the EDS with the same points, else the first that is I/O. Wishes are those of the request. */
function nearestConnection(open: ForwardOpen, eds: Eds): ConnectionRequest | undefined {
  const requests = eds.connections.flatMap(({ number }): ConnectionRequest[] => {
    try {
      return [
        connectionRequest(eds, number, {
          oToT: { rpiMicros: open.oToTRpiMicros },
          tToO: { rpiMicros: open.tToORpiMicros },
        }),
      ];
    } catch {
      // One that needs a parameter or a slot cannot be compared.
      return [];
    }
  });
  const points = pointsText(open.path);
  return (
    requests.find(({ path }) => pointsText(path) === points) ??
    requests.find(({ transport }) => (transport & 0x0f) <= 1)
  );
}

const typeNames = ["null", "multicast", "point to point", "reserved type"];
const priorityNames = ["low", "high", "scheduled", "urgent"];

function parametersText({ type, priority, variable, redundantOwner, reservedBits = 0 }: NetworkParameters): string {
  const parts = [typeNames[type] ?? "", `priority ${priorityNames[priority] ?? ""}`, variable ? "variable" : "fixed"];
  if (redundantOwner) parts.push("redundant owner");
  if (reservedBits !== 0) parts.push(`reserved bits 0x${reservedBits.toString(16)}`);
  return type === ConnectionType.null ? "null" : parts.join(", ");
}

function transportText(transport: number): string {
  const trigger =
    ["cyclic", "change of state", "application"][(transport >> 4) & 7] ?? `trigger ${(transport >> 4) & 7}`;
  return `class ${transport & 0x0f}, ${trigger}${(transport & 0x80) === 0 ? "" : ", server"}`;
}

function multiplierText(multiplier: number): string {
  const factor = timeoutFactor(multiplier);
  return factor === undefined ? String(multiplier) : `${multiplier} (${factor} intervals)`;
}

function triadText({ connectionSerial, originatorVendor, originatorSerial }: ForwardOpen): string {
  return `connection ${hexWord(connectionSerial)} of vendor ${hexWord(originatorVendor)}, serial ${originatorSerial.toString(16).padStart(8, "0")}`;
}

function keyOf(path: readonly Segment[]): Extract<Segment, { kind: "key" }>["key"] | undefined {
  for (const segment of path) if (segment.kind === "key") return segment.key;
  return undefined;
}

function keyText(path: readonly Segment[]): string {
  const key = keyOf(path);
  if (key === undefined) return "no key";
  const any = (value: number): string => (value === 0 ? "any" : String(value));
  const revision = `${any(key.majorRevision)}.${any(key.minorRevision)}${key.compatibility ? " or compatible" : ""}`;
  return `vendor ${any(key.vendorId)}, device type ${any(key.deviceType)}, product ${any(key.productCode)}, revision ${revision}`;
}

/** Points of the path in words: `class 4, configuration 151, points 150, 100`. */
function pointsText(path: readonly Segment[]): string {
  const parts: string[] = [];
  for (const segment of path) {
    if (segment.kind === "class") parts.push(`class ${segment.value}`);
    else if (segment.kind === "instance") parts.push(`instance ${segment.value}`);
    else if (segment.kind === "connectionPoint") parts.push(`point ${segment.value}`);
    else if (segment.kind === "symbol") parts.push(`'${segment.name}'`);
  }
  return parts.length === 0 ? "no application path" : parts.join(", ");
}

function routeText(path: readonly Segment[]): string {
  const hops = path.flatMap((segment) =>
    segment.kind === "port" ? [`port ${segment.port} link ${linkText(segment.link)}`] : [],
  );
  return hops.length === 0 ? "no route" : hops.join(", then ");
}

function linkText(link: Uint8Array): string {
  return link.length === 1 ? String(link[0]) : String.fromCharCode(...link);
}
