/** What a piece of evidence is. */
export type EvidenceKind = "exchange" | "command" | "capture" | "timing" | "file" | "settings";

/** A piece of evidence as results name it; its content lies in the run's store under its hash. */
export interface EvidenceRef {
  /** Path-like and unique in the run, such as `B-1.2/stranger-2.json`. */
  readonly name: string;
  readonly sha256: string;
  readonly kind: EvidenceKind;
  readonly octets: number;
  /** Whether something secret was taken out before it was stored. */
  readonly redacted: boolean;
}

/** One request and what came of it. */
export interface ExchangeRecord {
  /** What was sent, in words: what it is and how it was altered. */
  readonly sent: string;
  readonly request?: Uint8Array;
  readonly reply?: Uint8Array;
  /** What the other side said: an alert, a status, an error code, in words. */
  readonly answer: string;
  /** The exchange decoded, or inputs such as fingerprints of certificates and names of accounts; never a key. */
  readonly decoded?: unknown;
}

/** One command and everything it gave. */
export interface CommandRecord {
  readonly argv: readonly string[];
  /** Exit code, or the signal that ended it. */
  readonly exit: number | string;
  readonly stdout: string;
  readonly stderr: string;
  /** Version of the package that the command comes from, where known. */
  readonly package?: string;
}

/** Times of one kind of event, in milliseconds on a monotonic clock. */
export interface TimingRecord {
  readonly what: string;
  readonly unit: "ms" | "us";
  /** Samples by class, such as `wrong password`. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
}
