import { systemClock, type Clock } from "@cipsec/transport";
import { UsageError } from "@cipsec/wire";
import type { CommandRecord, EvidenceKind, EvidenceRef, ExchangeRecord, TimingRecord } from "./evidence.ts";
import { makeRedactor, type Redactor } from "./redaction.ts";
import type { EvidenceStore } from "./store.ts";

/**
 * Writes down what a check does. Secrets are taken out here, before anything is stored: a check says `secret(value)` as soon as it
 * has one.
 */
export interface Recorder {
  readonly clock: Clock;
  /** Makes a value secret: it is taken out of all evidence from now on, in text, hex and Base64. */
  secret(value: string | Uint8Array): void;
  /** A request on the wire and its answer. `name` is unique within the check, such as `stranger-2`. */
  exchange(name: string, record: ExchangeRecord): Promise<EvidenceRef>;
  /** A command with its full output. */
  command(name: string, record: CommandRecord): Promise<EvidenceRef>;
  /** Samples of a measurement. */
  timing(name: string, record: TimingRecord): Promise<EvidenceRef>;
  /** Settings as they were read. */
  settings(name: string, value: unknown): Promise<EvidenceRef>;
  /** A pcapng file. */
  capture(name: string, octets: Uint8Array): Promise<EvidenceRef>;
  /** Any other file, with its extension in the name; text is redacted as text. */
  file(name: string, content: string | Uint8Array): Promise<EvidenceRef>;
  /**
   * Says, on disk, that something is about to be changed, and what `Check.restore` needs to put it back. Call `restored` when it
   * is back; what is not back when the process dies is put back when the run is resumed. Must not hold secrets.
   */
  willChange(saved: unknown): Promise<void>;
  restored(): Promise<void>;
  /** Says in a few words what is done now, for people who wait; no evidence, and never a secret. */
  doing(what: string): void;
}

/** What a recorder works with. */
export interface RecorderOptions {
  readonly store: EvidenceStore;
  /** The check whose evidence it is: the first part of each name. */
  readonly check: string;
  readonly clock?: Clock;
  readonly redactor?: Redactor;
  /** Keeps what `willChange` is told; nothing when it is back. */
  readonly journal?: (saved: { readonly value: unknown } | undefined) => Promise<void>;
  /** Told what is done now, and of each piece of evidence by its name. */
  readonly doing?: (what: string) => void;
}

/** A recorder of one check, and what it has recorded. */
export interface RecordingRecorder extends Recorder {
  /** In the order in which they came. */
  readonly recorded: readonly EvidenceRef[];
}

/** Evidence names are file names on any system. */
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** A recorder that puts evidence into a store. */
export function makeRecorder(options: RecorderOptions): RecordingRecorder {
  const { store, check, clock = systemClock, redactor = makeRedactor(), journal = async () => undefined } = options;
  const { doing = () => undefined } = options;
  const recorded: EvidenceRef[] = [];
  const names = new Set<string>();

  const keep = async (name: string, kind: EvidenceKind, content: string | Uint8Array): Promise<EvidenceRef> => {
    if (!nameForm.test(name)) throw new UsageError("usage/argument", `'${name}' cannot be the name of evidence`);
    if (names.has(name)) throw new UsageError("usage/state", `${check} has recorded '${name}' before`);
    names.add(name);
    const clean = redact(redactor, content);
    const ref: EvidenceRef = {
      name: `${check}/${name}`,
      sha256: await store.put(clean.octets),
      kind,
      octets: clean.octets.length,
      redacted: clean.redacted,
    };
    recorded.push(ref);
    doing(`${name.replace(/\.(json|pcapng)$/, "")} recorded`);
    return ref;
  };
  const document = async (name: string, kind: EvidenceKind, value: object): Promise<EvidenceRef> => {
    const wall = clock.wallNow();
    const at = wall === undefined ? null : new Date(wall).toISOString();
    return await keep(`${name}.json`, kind, `${JSON.stringify({ at, ...value }, undefined, 1)}\n`);
  };

  return {
    clock,
    recorded,
    secret: (value) => redactor.add(value),
    exchange: async (name, { request, reply, ...rest }) =>
      await document(name, "exchange", { ...rest, ...hexOf("requestHex", request), ...hexOf("replyHex", reply) }),
    command: async (name, record) => await document(name, "command", record),
    timing: async (name, record) => await document(name, "timing", record),
    settings: async (name, value) => await document(name, "settings", { value }),
    capture: async (name, octets) => await keep(`${name}.pcapng`, "capture", octets),
    file: async (name, content) => await keep(name, "file", content),
    willChange: async (saved) => await journal({ value: saved }),
    restored: async () => await journal(undefined),
    doing,
  };
}

function redact(redactor: Redactor, content: string | Uint8Array): { octets: Uint8Array; redacted: boolean } {
  if (typeof content !== "string") return redactor.octets(content);
  const { text, redacted } = redactor.text(content);
  return { octets: Buffer.from(text, "utf8"), redacted };
}

function hexOf(name: string, octets: Uint8Array | undefined): Readonly<Record<string, string>> {
  return octets === undefined ? {} : { [name]: Buffer.from(octets).toString("hex") };
}
