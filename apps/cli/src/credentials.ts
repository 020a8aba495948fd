import { appendFileSync } from "node:fs";
import { Option, type Command } from "commander";
import { connect, parseTarget, type ConnectOptions, type SecurityOptions, type Session } from "@cipsec/originator";
import { parseCertificates, parseCrls } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { textOption, type Context } from "./command.ts";
import { readIdentity, readInput } from "./data-folder.ts";

/** Heading of the options of every command that talks to devices. */
export const credentialsHeading = "Who you are and whom you trust:";

const credentials = [
  ["--cert <file>", "your certificate chain, PEM, leaf first (default: the tool certificate of the data folder)"],
  ["--key <file>", "your private key, PEM"],
  ["--ca <file>", "authorities whose devices you trust, PEM (default: the authority of the data folder)"],
  ["--crl <file>", "revocation lists, PEM or DER"],
  ["--psk-identity <id>", "identity of a pre-shared key, in place of a certificate"],
  ["--psk-file <file>", "file with the pre-shared key in hexadecimal"],
  ["--pin <sha256...>", "accept only devices whose certificates have these fingerprints"],
  ["--server-name <name>", "name or address that the device's certificate must carry, in place of the one dialled"],
  ["--keylog <file>", "append session secrets for Wireshark, in the form of SSLKEYLOGFILE"],
] as const;

const acceptAny = [
  "--insecure-accept-any",
  "accept whatever certificate the device has; for devices that are not commissioned yet",
] as const;

/** Adds the options that say who the caller is and whom it trusts. */
export function addCredentials(command: Command, acceptsAny = false): Command {
  for (const [flags, text] of acceptsAny ? [...credentials, acceptAny] : credentials)
    command.addOption(new Option(flags, text).helpGroup(credentialsHeading));
  return command;
}

/** Who the caller is and whom it trusts, from the options and the data folder. `undefined`: there is nothing to trust by. */
export async function securityOf(
  context: Context,
  options: Readonly<Record<string, unknown>>,
): Promise<SecurityOptions | undefined> {
  const own = await ownIdentity(context, options);
  const psk = await preSharedKey(options);
  const caFile = textOption(options, "ca");
  const anchors = caFile === undefined ? await context.data.anchors() : parseCertificates(await readInput(caFile));
  const crlFile = textOption(options, "crl");
  const acceptsAny = options["insecureAcceptAny"] === true;
  const isPskOnly = psk !== undefined && caFile === undefined && !acceptsAny;
  const pins = options["pin"];
  const name = textOption(options, "serverName");
  if (anchors.length === 0 && psk === undefined && !acceptsAny) return undefined;
  return {
    ...(own === undefined || isPskOnly ? {} : { certificate: own }),
    ...(psk === undefined ? {} : { psk }),
    ...(isPskOnly ? {} : { anchors }),
    ...(crlFile === undefined ? {} : { crls: parseCrls(await readInput(crlFile)) }),
    ...(Array.isArray(pins) ? { pinned: pins.map(String) } : {}),
    ...(name === undefined ? {} : { checkName: name }),
    ...(acceptsAny ? { acceptAny: true, announce: announcing(context) } : {}),
  };
}

/** Says aloud that a certificate was accepted without being trusted. */
export function announcing(context: Context): NonNullable<SecurityOptions["announce"]> {
  return ({ host, sha256, subject, vouchedBy, refusal }) => {
    const by = vouchedBy === undefined ? "nothing vouches for it" : `vouched for by ${vouchedBy}`;
    context.output.notice(
      `warning: ${host}: certificate accepted without trust (${refusal}; ${by}): ${subject}, SHA-256 ${sha256}`,
    );
  };
}

/** Connection options from the command's own. Credentials given on the command line demand a secure channel. */
export async function connectOptions(
  context: Context,
  options: Readonly<Record<string, unknown>>,
): Promise<ConnectOptions> {
  const security = await securityOf(context, options);
  const demanded = ["cert", "pskIdentity", "ca"].some((name) => options[name] !== undefined);
  const keyLog = textOption(options, "keylog");
  return {
    connectTimeoutMs: context.timeoutMs,
    requestTimeoutMs: context.timeoutMs,
    signal: context.signal,
    requireSecure: demanded,
    ...(security === undefined ? {} : { security }),
    ...(keyLog === undefined ? {} : { keyLog: keyLogTo(keyLog) }),
  };
}

/** Opens a session as the options say, and tells which channel it runs on. */
export async function openSession(
  context: Context,
  options: Readonly<Record<string, unknown>>,
  target: string,
): Promise<Session> {
  const session = await connect(parseTarget(target), await connectOptions(context, options));
  if (context.verbose) context.output.notice(channelText(session));
  return session;
}

/** How a session is protected, in words. */
export function channelText({ facts, peer }: Session): string {
  const { security } = facts;
  if (security === undefined) return `${peer}: plain, not protected`;
  const trust = security.peer.kind === "certificate" ? security.peer.subject : security.peer.kind;
  return `${peer}: ${security.version}, ${security.suiteName}${security.encrypts ? "" : " (not encrypted)"}, peer ${trust}`;
}

/** Appends key log lines to a file that only its owner can read. @throws {UsageError} `usage/file` at the first line that cannot be written. */
export function keyLogTo(path: string): (line: string) => void {
  return (line) => {
    try {
      appendFileSync(path, line.endsWith("\n") ? line : `${line}\n`, { mode: 0o600 });
    } catch (error) {
      throw new UsageError("usage/file", `cannot write the key log ${path}`, { cause: error });
    }
  };
}

async function ownIdentity(
  context: Context,
  options: Readonly<Record<string, unknown>>,
): Promise<SecurityOptions["certificate"]> {
  const cert = textOption(options, "cert");
  const key = textOption(options, "key");
  if ((cert === undefined) !== (key === undefined))
    throw new UsageError("usage/argument", "--cert and --key go together", {
      fix: "Give both, or neither to use the data folder's tool certificate.",
    });
  return cert === undefined || key === undefined ? context.data.tool() : readIdentity(cert, key);
}

async function preSharedKey(options: Readonly<Record<string, unknown>>): Promise<SecurityOptions["psk"]> {
  const identity = textOption(options, "pskIdentity");
  const file = textOption(options, "pskFile");
  if ((identity === undefined) !== (file === undefined))
    throw new UsageError("usage/argument", "--psk-identity and --psk-file go together", { fix: "Give both." });
  if (identity === undefined || file === undefined) return undefined;
  return { identity: Buffer.from(identity, "latin1"), key: await readPsk(file) };
}

/** Reads a key of 16 to 64 octets in hexadecimal. The key is in no error. */
export async function readPsk(file: string): Promise<Uint8Array> {
  const text = Buffer.from(await readInput(file))
    .toString("latin1")
    .trim();
  if (!/^([\da-f]{2}){16,64}$/i.test(text))
    throw new UsageError("usage/file", `${file}: a pre-shared key is 32 to 128 hexadecimal digits`, {
      fix: "Make one with: openssl rand -hex 32",
    });
  return Buffer.from(text, "hex");
}
