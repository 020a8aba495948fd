import { Command, Encapsulation, RegisterSession, cipherSuite, decode, encode } from "@cipsec/wire";
import type { Caller } from "./plant.ts";

/** One try of a foreign TLS client to get into a device. */
export interface Attempt {
  readonly address: string;
  readonly version?: TlsVersion;
  /** The only suite to offer, by IANA number; without it what the client would offer on its own. */
  readonly suite?: number;
  /** Who the client says it is; without it nobody. */
  readonly caller?: Pick<Caller, "certFile" | "keyFile">;
  readonly psk?: { readonly identity: string; readonly keyHex: string };
  /** Authorities that the client trusts; without it the client accepts whoever answers. */
  readonly anchorsFile?: string;
}

/** Versions as people say them. */
export type TlsVersion = "1.0" | "1.1" | "1.2" | "1.3";

/** What came of an attempt. */
export interface Outcome {
  /** The device answered a RegisterSession that went through the client: it let us in. */
  readonly answered: boolean;
  /** What the client says was agreed on. */
  readonly suite?: string;
  readonly version?: string;
  /** Number of the alert that the client received. */
  readonly alert?: number;
  /** The client did not end by itself. */
  readonly signal: NodeJS.Signals | null;
  /** All that the client said. */
  readonly log: string;
}

/** A foreign TLS client. */
export interface TlsClient {
  readonly name: string;
  /** It crashes after a handshake with a pre-shared key that went well, so that no answer can be seen. */
  readonly crashesAfterPsk: boolean;
  connect(attempt: Attempt): Promise<Outcome>;
  /** What it calls a suite in {@link Outcome.suite}. */
  suiteName(suite: number): string;
}

/** Numbers of alerts. @see RFC 5246, 7.2; RFC 8446, 6 */
export const alert = {
  badRecordMac: 20,
  handshakeFailure: 40,
  unsupportedCertificate: 43,
  certificateRevoked: 44,
  certificateExpired: 45,
  unknownCa: 48,
  decryptError: 51,
  protocolVersion: 70,
  unknownPskIdentity: 115,
  certificateRequired: 116,
} as const;

/** A RegisterSession request. */
export const registerSession: Uint8Array = encode(Encapsulation, {
  command: Command.registerSession,
  session: 0,
  status: 0,
  context: new Uint8Array(8),
  options: 0,
  data: encode(RegisterSession, { version: 1, options: 0 }),
});

/** Whether these octets, and nothing else, are a RegisterSession reply that gives a session. */
export function isRegistered(octets: Uint8Array): boolean {
  if (octets.length !== registerSession.length) return false;
  const { command, status, session } = decode(Encapsulation, new Uint8Array(octets));
  return command === Command.registerSession && status === 0 && session !== 0;
}

/** IANA's name of a suite of these tests. */
export function suiteText(id: number): string {
  const suite = cipherSuite(id);
  if (suite === undefined) throw new Error(`suite 0x${id.toString(16)} is not in the table`);
  return suite.name;
}
