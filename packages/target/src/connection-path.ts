import { productionInhibitMicros, type Key, type Segment } from "@cipsec/wire";
import { Extended } from "./extended.ts";

/** Backplane port and slot under which the device itself is reached by routed requests. */
const ownPort = 1;
const ownSlot = 0;

const assemblyClass = 0x04;

/** Attribute 3 of an assembly is its data; naming it says nothing more. */
const dataAttribute = 3;

/** A connection path behind its hop: the key, and what names the application. */
export interface RoutedPath {
  readonly key?: Key;
  readonly application: readonly Segment[];
}

/** The hop to the device itself, where a client routes to it as to a controller behind a backplane, and a key if need be. */
export function routedPath([first, ...rest]: readonly Segment[]): RoutedPath | number {
  if (first === undefined) return { application: [] };
  if (first.kind !== "port") return keyed([first, ...rest]);
  return hopRefusal(first) ?? keyed(rest);
}

/** One hop leads somewhere only where it leads back here. */
export function hopRefusal({ port, link }: Extract<Segment, { kind: "port" }>): number | undefined {
  if (port !== ownPort) return Extended.portNotAvailable;
  return link.length === 1 && link[0] === ownSlot ? undefined : Extended.linkAddressInvalid;
}

/** What the path of a class 0 or 1 connection says. */
export interface IoPath {
  readonly configuration?: number;
  /** O→T connection point. */
  readonly consume: number;
  /** T→O connection point. */
  readonly produce: number;
  readonly inhibitMicros?: number;
  /** Data segments, one after another. */
  readonly data?: Uint8Array;
}

/**
 * Reads the application part of an I/O connection path: network segments, points of the Assembly class, data. One point stands
 * for both directions, of three the first is the configuration.
 *
 * @returns The extended status that refuses it, where it does not make sense.
 * @see reference ethernet-ip.md 3.9
 */
export function ioPath(application: readonly Segment[]): IoPath | number {
  const points: number[] = [];
  const words: Uint8Array[] = [];
  let inhibitMicros: number | undefined;
  let hasClass = false;
  for (const segment of application) {
    if (words.length > 0 && segment.kind !== "data") return Extended.invalidSegment;
    switch (segment.kind) {
      case "network": {
        const micros = productionInhibitMicros(segment);
        if (micros === undefined || hasClass || inhibitMicros !== undefined) return Extended.invalidSegment;
        inhibitMicros = micros;
        break;
      }
      case "class":
        if (segment.value !== assemblyClass) return Extended.invalidPath;
        hasClass = true;
        break;
      case "instance":
      case "connectionPoint":
        if (!hasClass) return Extended.invalidPath;
        points.push(segment.value);
        break;
      case "attribute":
        if (segment.value !== dataAttribute || points.length === 0) return Extended.invalidPath;
        break;
      case "data":
        words.push(segment.words);
        break;
      default:
        return Extended.invalidSegment;
    }
  }
  if (points.length > 3) return Extended.pathCombination;
  const [consume, produce] = points.slice(points.length === 3 ? 1 : 0);
  if (consume === undefined) return Extended.invalidPath;
  const [configuration] = points.length === 3 ? points : [];
  return {
    consume,
    produce: produce ?? consume,
    ...(configuration === undefined ? {} : { configuration }),
    ...(inhibitMicros === undefined ? {} : { inhibitMicros }),
    ...(words.length === 0 ? {} : { data: joined(words) }),
  };
}

function keyed([first, ...rest]: readonly Segment[]): RoutedPath {
  if (first === undefined) return { application: [] };
  return first.kind === "key" ? { key: first.key, application: rest } : { application: [first, ...rest] };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
