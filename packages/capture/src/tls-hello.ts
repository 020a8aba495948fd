/** What a decoder needs of a ClientHello. */
export interface ClientHello {
  readonly random: Uint8Array;
  /** Suites offered, best first, by IANA number. */
  readonly suites: readonly number[];
  readonly serverName: string | undefined;
  /** The client sends 0-RTT data right behind its hello. */
  readonly offersEarlyData: boolean;
}

/** What a decoder needs of a ServerHello. */
export interface ServerHello {
  readonly random: Uint8Array;
  readonly suite: number;
  /** 0x0303 is TLS 1.2, 0x0304 TLS 1.3 (from the supported_versions extension). */
  readonly version: number;
  readonly encryptThenMac: boolean;
  /** The compression method; 0 is none. */
  readonly compression: number;
  /** All that the server answered beside, by the number of the extension. */
  readonly extensions: ReadonlyMap<number, Uint8Array>;
  /** A HelloRetryRequest: the real ServerHello follows a second ClientHello. */
  readonly retry: boolean;
}

const extensionTypes = { serverName: 0, encryptThenMac: 22, earlyData: 42, supportedVersions: 43 } as const;

/** Bounds the list that is kept; the registry has fewer suites. */
const maxSuites = 1024;

/** Longest DNS name. */
const maxNameLength = 255;

/**
 * Reads the body of a ClientHello.
 *
 * @returns `undefined` when it is malformed.
 * @see RFC 5246, 7.4.1.2; RFC 8446, 4.1.2
 */
export function readClientHello(body: Uint8Array): ClientHello | undefined {
  const random = slice(body, 2, 32);
  const session = vector(body, 34, 1);
  const suites = session && vector(body, session.end, 2);
  const compression = suites && vector(body, suites.end, 1);
  if (random === undefined || suites === undefined || compression === undefined) return undefined;
  const extensions = readExtensions(body, compression.end);
  if (extensions === undefined || suites.data.length % 2 !== 0 || suites.data.length / 2 > maxSuites) return undefined;
  return {
    random,
    suites: Array.from({ length: suites.data.length / 2 }, (_, index) => number(suites.data, index * 2, 2) ?? 0),
    serverName: readServerName(extensions.get(extensionTypes.serverName)),
    offersEarlyData: extensions.has(extensionTypes.earlyData),
  };
}

/**
 * Reads the body of a ServerHello.
 *
 * @returns `undefined` when it is malformed.
 * @see RFC 5246, 7.4.1.3; RFC 8446, 4.1.3
 */
export function readServerHello(body: Uint8Array): ServerHello | undefined {
  const legacyVersion = number(body, 0, 2);
  const random = slice(body, 2, 32);
  const session = vector(body, 34, 1);
  const suite = session && number(body, session.end, 2);
  const compression = session && number(body, session.end + 2, 1);
  if (legacyVersion === undefined || random === undefined || session === undefined) return undefined;
  if (suite === undefined || compression === undefined) return undefined;
  const extensions = readExtensions(body, session.end + 3);
  if (extensions === undefined) return undefined;
  const chosen = extensions.get(extensionTypes.supportedVersions);
  return {
    random,
    suite,
    version: (chosen && number(chosen, 0, 2)) ?? legacyVersion,
    encryptThenMac: extensions.has(extensionTypes.encryptThenMac),
    compression,
    extensions,
    retry: random.every((octet, index) => octet === retryRandom[index]),
  };
}

/** SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3). */
const retryRandom = Uint8Array.of(
  0xcf,
  0x21,
  0xad,
  0x74,
  0xe5,
  0x9a,
  0x61,
  0x11,
  0xbe,
  0x1d,
  0x8c,
  0x02,
  0x1e,
  0x65,
  0xb8,
  0x91,
  0xc2,
  0xa2,
  0x11,
  0x16,
  0x7a,
  0xbb,
  0x8c,
  0x5e,
  0x07,
  0x9e,
  0x09,
  0xe2,
  0xc8,
  0xa8,
  0x33,
  0x9c,
);

function readExtensions(body: Uint8Array, at: number): ReadonlyMap<number, Uint8Array> | undefined {
  const found = new Map<number, Uint8Array>();
  if (at === body.length) return found;
  const list = vector(body, at, 2);
  if (list === undefined || list.end !== body.length) return undefined;
  for (let from = 0; from < list.data.length;) {
    const type = number(list.data, from, 2);
    const value = vector(list.data, from + 2, 2);
    if (type === undefined || value === undefined) return undefined;
    if (!found.has(type)) found.set(type, value.data);
    from = value.end;
  }
  return found;
}

/** The name as printable ASCII; anything else is not shown. */
function readServerName(extension: Uint8Array | undefined): string | undefined {
  if (extension === undefined || number(extension, 2, 1) !== 0) return undefined;
  const name = vector(extension, 3, 2)?.data;
  if (name === undefined || name.length === 0 || name.length > maxNameLength) return undefined;
  return name.every((octet) => octet > 0x20 && octet < 0x7f) ? String.fromCharCode(...name) : undefined;
}

/** A length of `width` octets, then that many octets; `end` is the offset behind them. */
function vector(
  bytes: Uint8Array,
  at: number,
  width: 1 | 2,
): { readonly data: Uint8Array; readonly end: number } | undefined {
  const length = number(bytes, at, width);
  if (length === undefined) return undefined;
  const data = slice(bytes, at + width, length);
  return data && { data, end: at + width + length };
}

function slice(bytes: Uint8Array, at: number, octets: number): Uint8Array | undefined {
  return at + octets <= bytes.length ? bytes.subarray(at, at + octets) : undefined;
}

function number(bytes: Uint8Array, at: number, width: 1 | 2): number | undefined {
  const [first, second] = [bytes[at], bytes[at + 1]];
  if (first === undefined || width === 1) return first;
  return second === undefined ? undefined : (first << 8) | second;
}
