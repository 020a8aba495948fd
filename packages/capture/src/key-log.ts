/** Labels of a key log that open recorded traffic; others (exporters, early data) are known and passed over. */
export type SecretLabel =
  | "CLIENT_RANDOM"
  | "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
  | "SERVER_HANDSHAKE_TRAFFIC_SECRET"
  | "CLIENT_TRAFFIC_SECRET_0"
  | "SERVER_TRAFFIC_SECRET_0";

/** Whatever can answer for a session's secret: one key log, or several. */
export interface SecretSource {
  /**
   * The secret of a session.
   *
   * @param clientRandom The 32 octets of the session's ClientHello.
   */
  secret(label: SecretLabel, clientRandom: Uint8Array): Uint8Array | undefined;
}

/** A line that could not be used. The reason never holds any part of the line. */
export interface KeyLogProblem {
  /** Line number from 1. */
  readonly line: number;
  readonly reason: string;
}

const secretOctets: Readonly<Record<SecretLabel, readonly number[]>> = {
  // The master secret of TLS 1.2; the traffic secrets of TLS 1.3 are as long as their hash.
  CLIENT_RANDOM: [48],
  CLIENT_HANDSHAKE_TRAFFIC_SECRET: [32, 48],
  SERVER_HANDSHAKE_TRAFFIC_SECRET: [32, 48],
  CLIENT_TRAFFIC_SECRET_0: [32, 48],
  SERVER_TRAFFIC_SECRET_0: [32, 48],
};

const ignoredLabels: ReadonlySet<string> = new Set([
  "EXPORTER_SECRET",
  "EARLY_EXPORTER_SECRET",
  "CLIENT_EARLY_TRAFFIC_SECRET",
  "RSA",
  "ECH_SECRET",
  "ECH_CONFIG",
]);

/** Longer than any line of the format: label, 64 and 96 hexadecimal digits. */
const maxLineLength = 512;

/** A day of a busy plant's handshakes; bounds what a hostile file can make us hold. */
const maxSecrets = 1_000_000;

/** Problems kept for messages; the rest is only counted. */
const maxProblems = 20;

/**
 * Secrets of TLS and DTLS sessions, as programs write them in the SSLKEYLOGFILE format. The secrets are private to this
 * object: they show in no message, no JSON and no inspection.
 *
 * @see RFC 9850
 */
export class KeyLog implements SecretSource {
  readonly #secrets = new Map<string, Uint8Array>();
  readonly #problems: KeyLogProblem[] = [];
  #problemCount = 0;

  constructor(text?: string | Uint8Array) {
    if (text !== undefined) this.add(text);
  }

  /** Usable secrets. */
  get size(): number {
    return this.#secrets.size;
  }

  /** The first problems found; {@link problemCount} counts all. */
  get problems(): readonly KeyLogProblem[] {
    return this.#problems;
  }

  /** Lines that could not be used. */
  get problemCount(): number {
    return this.#problemCount;
  }

  /** Adds the lines of a key log. A bad line becomes a {@link KeyLogProblem}, the others count. */
  add(text: string | Uint8Array): void {
    const lines = (typeof text === "string" ? text : new TextDecoder("latin1").decode(text)).split(/\r\n|\n|\r/u);
    for (const [index, line] of lines.entries()) {
      const reason = this.#addLine(line);
      if (reason === undefined) continue;
      this.#problemCount++;
      if (this.#problems.length < maxProblems) this.#problems.push({ line: index + 1, reason });
    }
  }

  secret(label: SecretLabel, clientRandom: Uint8Array): Uint8Array | undefined {
    return this.#secrets.get(`${label} ${hexText(clientRandom)}`);
  }

  #addLine(line: string): string | undefined {
    if (line.length > maxLineLength) return `the line is longer than ${maxLineLength} characters`;
    const words = line.trim().split(/\s+/u);
    const [label = "", random = "", secret = ""] = words;
    if (label === "" || label.startsWith("#")) return undefined;
    if (ignoredLabels.has(label)) return undefined;
    if (!isSecretLabel(label)) return "the label is not known";
    if (words.length !== 3) return `a label and two values are needed, ${words.length - 1} values are there`;
    if (!/^[0-9a-f]{64}$/iu.test(random)) return "the client random is not 64 hexadecimal digits";
    const lengths = secretOctets[label];
    if (!/^[0-9a-f]+$/iu.test(secret) || !lengths.some((octets) => octets * 2 === secret.length)) {
      return `the secret is not ${lengths.map((octets) => octets * 2).join(" or ")} hexadecimal digits`;
    }
    if (this.#secrets.size >= maxSecrets) return `more than ${maxSecrets} secrets`;
    const key = `${label} ${random.toLowerCase()}`;
    if (!this.#secrets.has(key)) this.#secrets.set(key, octetsOf(secret));
    return undefined;
  }
}

function isSecretLabel(label: string): label is SecretLabel {
  return Object.hasOwn(secretOctets, label);
}

function octetsOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  );
}

function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
}
