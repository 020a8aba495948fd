import { FileEncoding, FileObject } from "@cipsec/objects";
import type { Clock } from "@cipsec/transport";
import {
  PacketType,
  PeerError,
  TransportError,
  UsageError,
  fileChecksum,
  isStackError,
  type STRINGI,
  type Value,
  type TransferPacket,
} from "@cipsec/wire";
import { beginTransfer, transferAnew } from "./file-restart.ts";
import type { Requester } from "./replies.ts";
import { classAccess, objectAccess, type ObjectAccess } from "./typed.ts";
import { throwIfAborted } from "./waiting.ts";

/** How a transfer behaves. */
export interface TransferOptions {
  /** Called as octets arrive or leave. */
  readonly progress?: (done: number, total: number) => void;
  /** Times that one packet is tried when its reply is lost; default 3. */
  readonly attempts?: number;
  readonly signal?: AbortSignal;
  /** Milliseconds that one packet may take; default the session's. */
  readonly timeoutMs?: number;
  /** Octets that a packet may carry, at most 255. */
  readonly maxTransferSize?: number;
  /** Times that a transfer which the device has lost, as with the connection it came by, is begun anew; default 2. */
  readonly restarts?: number;
  /** For waits; default the machine's. */
  readonly clock?: Clock;
}

/** Options of {@link readFile}. */
export interface ReadFileOptions extends TransferOptions {
  /** Refuses a file that is larger; default 1 MiB. */
  readonly maxOctets?: number;
}

/** Options of {@link writeFile}. */
export interface WriteFileOptions extends TransferOptions {
  /** File name that the device keeps with it; default `data`. */
  readonly name?: string;
  readonly formatVersion?: number;
  readonly revision?: { readonly major: number; readonly minor: number };
}

/** One line of the device's file directory. */
export interface FileEntry {
  readonly instance: number;
  readonly instanceName: string;
  readonly fileName: string;
}

/** Certificates, requests and lists are a few KiB, an EDS with icon some hundred. */
const defaultMaxOctets = 1024 * 1024;

/** A UCMM message of 504 octets carries it with room for its header. */
const defaultTransferSize = 255;

const defaultAttempts = 3;

type File = ObjectAccess<typeof FileObject>;

/**
 * Uploads a file from the device and checks its size and checksum. After an interruption it goes on where the device lets it, and
 * begins anew where not.
 *
 * @throws {PeerError} `cip/status`; `cip/mismatch` when number, size or checksum do not fit.
 * @throws {UsageError} `usage/argument` when the file is larger than `maxOctets`.
 * @see CIP Vol 1, 5A-42; reference cip-security.md 3.4
 */
export async function readFile(
  requester: Requester,
  instance: number,
  options: ReadFileOptions = {},
): Promise<Uint8Array> {
  const file = objectAccess(requester, FileObject, instance);
  return transferAnew(options, () => upload(file, instance, options));
}

async function upload(file: File, instance: number, options: ReadFileOptions): Promise<Uint8Array> {
  const { maxTransferSize = defaultTransferSize, maxOctets = defaultMaxOctets } = options;
  const { fileSize, transferSize } = await beginTransfer(file, options, () =>
    file.call("initiateUpload", { maxTransferSize }, { ...packetOptions(options), idempotent: true }),
  );
  if (fileSize > maxOctets)
    throw new UsageError(
      "usage/argument",
      `file ${instance}: its ${fileSize} octets are above the ${maxOctets} allowed`,
      {
        facts: { instance, fileSize, maxOctets },
      },
    );
  const bytes = new Uint8Array(fileSize);
  let at = 0;
  for (let number = 0; ; number = (number + 1) & 0xff) {
    throwIfAborted(options.signal);
    const packet = await uploadPacket(file, instance, number, options);
    const { packetType, data } = packet;
    const isFirst = at === 0 && number === 0;
    const opens = packetType === PacketType.first || packetType === PacketType.only;
    if (packetType === PacketType.abort) throw broken(instance, "the device has aborted the upload");
    if (opens !== isFirst) throw broken(instance, `packet type ${packetType} does not fit its place`);
    if (data.length > transferSize || at + data.length > fileSize)
      throw broken(instance, `the device sends more than the ${fileSize} octets that it announced`);
    bytes.set(data, at);
    at += data.length;
    options.progress?.(at, fileSize);
    if (packet.checksum !== undefined) {
      if (at !== fileSize) throw broken(instance, `${at} octets came of ${fileSize} announced`);
      if (packet.checksum !== fileChecksum(bytes)) throw broken(instance, "the checksum does not fit the octets");
      return bytes;
    }
    // A packet without octets that does not end the transfer would let a device keep us here for ever.
    if (data.length === 0) throw broken(instance, "the device sends a packet without octets");
  }
}

/**
 * Downloads a file into an instance that exists. After an interruption it goes on where the device lets it, and begins anew where
 * not. When it fails half-way, the device is told to drop what it got.
 *
 * @throws {PeerError} `cip/status`; 0xD0 when the device computes another checksum.
 */
export async function writeFile(
  requester: Requester,
  instance: number,
  bytes: Uint8Array,
  options: WriteFileOptions = {},
): Promise<void> {
  if (bytes.length === 0) throw new UsageError("usage/argument", `file ${instance}: there is nothing to download`);
  const file = objectAccess(requester, FileObject, instance);
  const { name = "data", formatVersion = 0, revision = { major: 1, minor: 0 } } = options;
  const plan = { fileSize: bytes.length, formatVersion, revision, fileName: english(name) };
  await transferAnew(options, async () => {
    const opened = await beginTransfer(file, options, () =>
      file.call("initiateDownload", plan, { ...packetOptions(options), idempotent: true }),
    );
    const size = Math.min(opened.transferSize, options.maxTransferSize ?? defaultTransferSize);
    if (size === 0) throw broken(instance, "the device takes packets of 0 octets");
    try {
      await sendPackets(file, instance, bytes, size, opened.burnTimeS, options);
    } catch (error) {
      await abort(file);
      throw error;
    }
  });
}

/**
 * Makes a file instance and downloads into it. A download that fails deletes the instance.
 *
 * @returns The number of the instance.
 */
export async function putFile(
  requester: Requester,
  instanceName: string,
  encoding: number,
  bytes: Uint8Array,
  options: WriteFileOptions = {},
): Promise<number> {
  const instance = await createFile(requester, instanceName, encoding);
  try {
    await writeFile(requester, instance, bytes, { name: instanceName, ...options });
    return instance;
  } catch (error) {
    await objectAccess(requester, FileObject, instance)
      .call("delete")
      .catch((failure: unknown) => ignoreRefusal(failure));
    throw error;
  }
}

/** Makes an empty file instance. @param encoding One of `FileEncoding`. @returns Its number. */
export async function createFile(
  requester: Requester,
  instanceName: string,
  encoding: number = FileEncoding.binary,
): Promise<number> {
  const reply = await classAccess(requester, FileObject).call("create", {
    instanceName: english(instanceName),
    encoding,
  });
  return reply.instance;
}

/** Every file instance of the device by name. */
export async function listFiles(requester: Requester): Promise<readonly FileEntry[]> {
  const directory = await classAccess(requester, FileObject).get("directory");
  return directory.map(({ instance, instanceName, fileName }) => ({
    instance,
    instanceName: instanceName[0]?.text ?? "",
    fileName: fileName[0]?.text ?? "",
  }));
}

/** One packet of an upload; a lost reply is asked for again under the same number, which the device repeats. */
async function uploadPacket(file: File, instance: number, number: number, options: TransferOptions) {
  const packet: TransferPacketValue = await again(options, () =>
    file.call("uploadTransfer", number, { ...packetOptions(options), idempotent: true }),
  );
  if (packet.transferNumber !== number)
    throw broken(instance, `transfer number ${packet.transferNumber} came for ${number}`);
  return packet;
}

type TransferPacketValue = Value<typeof TransferPacket>;

async function sendPackets(
  file: File,
  instance: number,
  bytes: Uint8Array,
  size: number,
  burnTimeS: number,
  options: TransferOptions,
): Promise<void> {
  for (let at = 0, number = 0; at < bytes.length; number = (number + 1) & 0xff) {
    throwIfAborted(options.signal);
    const data = bytes.subarray(at, at + size);
    const isLast = at + data.length === bytes.length;
    const packetType = isLast
      ? at === 0
        ? PacketType.only
        : PacketType.last
      : at === 0
        ? PacketType.first
        : PacketType.middle;
    const packet = { transferNumber: number, packetType, data, ...(isLast ? { checksum: fileChecksum(bytes) } : {}) };
    const base = packetOptions(options);
    // After the last packet the device stores, for as long as it said.
    const slow = isLast && burnTimeS > 0 ? { timeoutMs: (base.timeoutMs ?? 5000) + burnTimeS * 1000 } : {};
    const echoed = await again(options, () =>
      file.call("downloadTransfer", packet, { ...base, ...slow, idempotent: true }),
    );
    if (echoed !== number) throw broken(instance, `the device confirms packet ${echoed}, not ${number}`);
    at += data.length;
    options.progress?.(at, bytes.length);
  }
}

/** Tells the device to drop a download that failed; when this fails too, its transfer timeout does the same. */
async function abort(file: File): Promise<void> {
  const packet = { transferNumber: 0, packetType: PacketType.abort, data: new Uint8Array(0) };
  await file.call("downloadTransfer", packet, { timeoutMs: 1000 }).catch((error: unknown) => ignoreRefusal(error));
}

/** Runs one packet again when its reply is lost; the transfer number keeps the device from counting it twice. */
async function again<T>({ attempts = defaultAttempts, signal }: TransferOptions, run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof TransportError) || attempt >= attempts || signal?.aborted === true) throw error;
    }
  }
}

function packetOptions({ timeoutMs, signal }: TransferOptions): { timeoutMs?: number; signal?: AbortSignal } {
  return { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal === undefined ? {} : { signal }) };
}

function english(text: string): Value<typeof STRINGI> {
  return [{ language: "eng", stringType: 0xd0, characterSet: 4, text }];
}

function broken(instance: number, why: string): PeerError {
  return new PeerError("cip/mismatch", `file ${instance}: ${why}`, { facts: { instance } });
}

function ignoreRefusal(error: unknown): void {
  if (!isStackError(error)) throw error;
}
