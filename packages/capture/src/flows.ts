import { WireError } from "@cipsec/wire";
import { Connection, securePort } from "./connection.ts";
import type { Mark } from "./connection.ts";
import { DtlsFlows } from "./dtls-flows.ts";
import { noOctets, nowhere } from "./events.ts";
import type { CaptureEvent, EventDetail } from "./events.ts";
import { FragmentStore } from "./fragments.ts";
import { openIp } from "./ip.ts";
import { KeyLog } from "./key-log.ts";
import type { SecretSource } from "./key-log.ts";
import { isKnownLinkType, unwrapLink } from "./link.ts";
import { pairKey } from "./pair-key.ts";
import { readRecords } from "./pcap.ts";
import type { CapturedFrame } from "./pcap.ts";
import { openSegment } from "./segments.ts";
import type { Endpoint, TcpSegment, UdpSegment } from "./segments.ts";
import type { HeldOctets } from "./tcp-stream.ts";

/** How a capture is read. */
export interface ReadOptions {
  /** Secrets of its TLS and DTLS sessions; key logs embedded in a pcapng file are used as well. */
  readonly keyLog?: KeyLog;
}

/** Connections followed at the same time; the one silent longest is put away first. */
const maxConnections = 4096;

/** Pairs of UDP endpoints that keep their flow number; only the number is lost beyond. */
const maxUdpFlows = 65_536;

/**
 * Reads a capture file into transport payloads and what happened around them, in frame order: TCP put in order, TLS
 * and DTLS opened with the key log, other UDP datagrams as they are. Everything on any port is given; the caller picks.
 *
 * @param bytes The whole file, pcap or pcapng.
 * @throws {WireError} `wire/value`, `wire/truncated` or `wire/length` where the file itself, not what it carries, is
 * damaged; events up to there were given.
 */
export function* readCapture(
  bytes: Uint8Array,
  { keyLog }: ReadOptions = {},
): Generator<CaptureEvent, void, undefined> {
  const embedded = embeddedKeyLog(bytes);
  const secrets: SecretSource = {
    secret: (label, random) => keyLog?.secret(label, random) ?? embedded.secret(label, random),
  };
  const reader = new CaptureReader(secrets);
  if (embedded.problemCount > 0)
    yield reader.notice(`the embedded key log has ${embedded.problemCount} lines that could not be used`);
  for (const record of readRecords(bytes)) {
    if (record.kind === "frame") yield* reader.frame(record);
    else if (record.kind === "notice") yield reader.notice(record.message);
  }
  yield* reader.end();
}

/** Secrets may stand behind the frames that they open, so they are gathered first. */
function embeddedKeyLog(bytes: Uint8Array): KeyLog {
  const found = new KeyLog();
  if (bytes[0] !== 0x0a) return found;
  try {
    for (const record of readRecords(bytes)) if (record.kind === "secrets") found.add(record.keyLog);
  } catch (error) {
    // Damage shows again, to the caller, when the frames are read.
    if (!(error instanceof WireError)) throw error;
  }
  return found;
}

/** What is remembered from frame to frame. */
class CaptureReader {
  readonly #secrets: SecretSource;
  readonly #fragments = new FragmentStore();
  readonly #held: HeldOctets = { held: 0 };
  /** In the order of their last segment. */
  readonly #connections = new Map<string, Connection>();
  readonly #udpFlows = new Map<string, number>();
  readonly #dtls: DtlsFlows;
  readonly #unknownLinkTypes = new Set<number>();
  #flows = 0;
  #last: Mark = { n: 0, time: "0.000000000" };

  constructor(secrets: SecretSource) {
    this.#secrets = secrets;
    this.#dtls = new DtlsFlows(secrets);
  }

  *frame({ n, time, linkType, bytes }: CapturedFrame): Generator<CaptureEvent> {
    this.#last = { n, time };
    if (!isKnownLinkType(linkType)) {
      if (!this.#unknownLinkTypes.has(linkType))
        yield this.notice(`link type ${linkType} is not decoded; its frames are passed over`);
      this.#unknownLinkTypes.add(linkType);
      return;
    }
    const link = unwrapLink(linkType, bytes);
    if (link === undefined) return;
    const packet = "damaged" in link ? link : openIp(link.ip, this.#fragments, Number(time));
    if (packet === undefined) return;
    const segment = "damaged" in packet ? packet : openSegment(packet);
    if (segment === undefined) return;
    if ("damaged" in segment) yield this.notice(segment.damaged);
    else if (segment.protocol === "udp") yield* this.#udp(segment);
    else yield* this.#tcp(segment);
  }

  *end(): Generator<CaptureEvent> {
    for (const connection of this.#connections.values()) yield* connection.finish(this.#last);
    const { incomplete } = this.#fragments;
    if (incomplete > 0) yield this.notice(`${incomplete} fragmented packets are not complete in the capture`);
  }

  /** An event about the file or the frame at hand. */
  notice(message: string): CaptureEvent {
    return {
      ...this.#last,
      src: nowhere,
      dst: nowhere,
      transport: "none",
      flow: 0,
      bytes: noOctets,
      kind: "notice",
      message,
    };
  }

  *#tcp(segment: TcpSegment): Generator<CaptureEvent> {
    const key = pairKey(segment.src, segment.dst);
    let connection = this.#connections.get(key);
    if (connection?.isReplacedBy(segment) === true) {
      yield* connection.finish(this.#last);
      connection = undefined;
    }
    connection ??= new Connection(++this.#flows, [segment.src, segment.dst], this.#held, this.#secrets);
    // Taken out and put in again, so that the map's order is that of the last use.
    this.#connections.delete(key);
    this.#connections.set(key, connection);
    yield* connection.take(segment, this.#last);
    if (this.#connections.size > maxConnections) yield* this.#putAway();
  }

  *#putAway(): Generator<CaptureEvent> {
    for (const [key, connection] of this.#connections) {
      this.#connections.delete(key);
      yield* connection.finish(this.#last);
      yield this.notice(
        `more than ${maxConnections} connections at a time: connection ${connection.flow} is followed no further`,
      );
      return;
    }
  }

  *#udp({ src, dst, payload, missing }: UdpSegment): Generator<CaptureEvent> {
    const read = this.#dtls.take(src, dst, payload);
    const isDtls = read !== undefined || src.port === securePort || dst.port === securePort;
    const transport = isDtls ? "dtls" : "udp";
    const base = { ...this.#last, src, dst, transport, flow: this.#udpFlow(src, dst), bytes: noOctets } as const;
    if (missing > 0) {
      const detail: EventDetail = {
        kind: "notice",
        message: `UDP: the last ${missing} octets of the datagram were not captured`,
      };
      yield { ...base, ...detail };
    }
    if (!isDtls) yield { ...base, kind: "data", bytes: payload };
    else if (read === undefined) yield { ...base, kind: "sealed", reason: "not-opened", bytes: payload };
    else for (const { bytes = noOctets, ...detail } of read) yield { ...base, ...detail, bytes };
  }

  #udpFlow(src: Endpoint, dst: Endpoint): number {
    const key = pairKey(src, dst);
    const known = this.#udpFlows.get(key);
    if (known !== undefined) return known;
    if (this.#udpFlows.size >= maxUdpFlows) this.#udpFlows.clear();
    this.#udpFlows.set(key, ++this.#flows);
    return this.#flows;
  }
}
