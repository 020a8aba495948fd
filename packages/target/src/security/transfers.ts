import { FileState, PacketType, Status, fileChecksum, noOctets, type TransferPacket } from "@cipsec/wire";
import type { Cancel, Clock } from "@cipsec/transport";
import { refuse } from "../refusal.ts";
import type { Configuration, FileEntry } from "./configuration.ts";

/** Extended status of refused File services. @see reference cip-security.md 3.4 */
export const FileError = {
  tooLarge: 0x0004,
  outOfSequence: 0x0006,
  transferFailure: 0x0007,
  zeroSize: 0x0008,
  nameEmpty: 0x000a,
  nameDuplicate: 0x000b,
  nameTooLong: 0x0001,
  tooManyLanguages: 0x0002,
} as const;

/** Who a transfer belongs to: a channel, and where its other end has proven who it is, that peer over any channel. */
export interface TransferOwner {
  readonly channel: string;
  readonly peer?: string;
}

/** What a download announces. */
export interface DownloadPlan {
  readonly size: number;
  readonly owner: TransferOwner;
  /** Called with the whole file when its checksum was right; a throw refuses the last packet. */
  readonly store: (content: Uint8Array) => void;
}

interface Common {
  owner: TransferOwner;
  /** The owner's channel has ended: its peer may go on over another one, and anybody may begin anew. */
  isLeft: boolean;
  readonly transferSize: number;
  readonly timeoutMs: number;
  cancelTimer: Cancel;
  /** Number of the packet before, which may be asked for or given again. */
  last?: number;
  isDone: boolean;
}

interface Upload extends Common {
  readonly kind: "upload";
  readonly content: Uint8Array;
  position: number;
  lastPacket?: TransferPacket;
}

interface Download extends Common {
  readonly kind: "download";
  readonly size: number;
  readonly store: (content: Uint8Array) => void;
  /** As large as announced: packets of one octet must not take more memory than those of the largest size. */
  content: Uint8Array;
  received: number;
}

/** Octets of a packet; with path, service and headers it fits the smallest unconnected message (504 octets). */
const preferredTransferSize = 240;

/**
 * File transfers by instance: at most one each, owned by the channel that began it. A peer that has proven who it is may go on over
 * another channel, where the packets stopped; of anybody else a transfer ends with its channel. Silence ends a transfer too. Either
 * way the file is left as it was before.
 *
 * @see CIP Vol 1, 5A-42; reference cip-security.md 3.4
 */
export class Transfers {
  readonly #clock: Clock;
  readonly #active = new Map<number, Upload | Download>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** State of a File instance. */
  state(id: number, file: FileEntry): number {
    const transfer = this.#active.get(id);
    if (transfer === undefined || transfer.isDone)
      return file.content === undefined ? FileState.empty : FileState.loaded;
    const hasBegun = transfer.last !== undefined;
    if (transfer.kind === "upload") return hasBegun ? FileState.uploadInProgress : FileState.uploadInitiated;
    return hasBegun ? FileState.downloadInProgress : FileState.downloadInitiated;
  }

  /** Whether a transfer of this file is under way. */
  isActive(id: number): boolean {
    const transfer = this.#active.get(id);
    return transfer !== undefined && !transfer.isDone && !transfer.isLeft;
  }

  /** Octets that downloads of other files than this one have announced. */
  announced(except: number): number {
    let octets = 0;
    for (const [id, transfer] of this.#active)
      if (id !== except && transfer.kind === "download" && !transfer.isDone) octets += transfer.size;
    return octets;
  }

  /** A channel has ended: what it began waits for its peer to come back until it times out, or ends where that cannot be known. */
  channelEnded(channel: string): void {
    for (const [id, transfer] of this.#active) {
      if (transfer.owner.channel !== channel) continue;
      if (transfer.owner.peer === undefined) this.cancel(id);
      else transfer.isLeft = true;
    }
  }

  /**
   * Initiate_Upload.
   *
   * @param room Octets that a reply may have.
   * @returns Octets of a packet.
   * @throws {Refusal} 0x0C with the state unless the file is loaded; 0x20 for a size of 0.
   */
  beginUpload(id: number, file: FileEntry, maxTransferSize: number, owner: TransferOwner, room: number): number {
    const { content } = file;
    if (content === undefined || this.isActive(id)) throw this.#wrongState(id, file);
    // Number, packet type and checksum come on top.
    const transferSize = Math.min(maxTransferSize, room - 4);
    if (transferSize < 1) throw refuse(Status.invalidParameter, { extended: [FileError.transferFailure] });
    this.#begin(id, { kind: "upload", content, position: 0, ...common(file, owner, transferSize) });
    return transferSize;
  }

  /** Upload_Transfer. @throws {Refusal} 0x0C with the state when no upload of this owner is under way; 0x20/0x0006 out of sequence. */
  upload(id: number, file: FileEntry, number: number, owner: TransferOwner): TransferPacket {
    const transfer = this.#active.get(id);
    if (transfer?.kind !== "upload" || !isOwner(transfer, owner)) throw this.#wrongState(id, file);
    if (transfer.lastPacket !== undefined && number === transfer.last) {
      this.#goOn(id, transfer, owner);
      return transfer.lastPacket;
    }
    if (transfer.isDone) throw this.#wrongState(id, file);
    if (number !== following(transfer)) throw outOfSequence();
    const { content, position, transferSize } = transfer;
    const data = content.subarray(position, position + transferSize);
    const isLast = position + data.length === content.length;
    const packetType = isLast
      ? position === 0
        ? PacketType.only
        : PacketType.last
      : position === 0
        ? PacketType.first
        : PacketType.middle;
    const packet = { transferNumber: number, packetType, data, ...(isLast ? { checksum: fileChecksum(content) } : {}) };
    transfer.position += data.length;
    transfer.last = number;
    transfer.lastPacket = packet;
    transfer.isDone = isLast;
    this.#goOn(id, transfer, owner);
    return packet;
  }

  /**
   * Initiate_Download; sizes are the caller's to check.
   *
   * @returns Octets of a packet.
   * @throws {Refusal} 0x0C with the state while another transfer is under way.
   */
  beginDownload(id: number, file: FileEntry, { size, owner, store }: DownloadPlan): number {
    if (this.isActive(id)) throw this.#wrongState(id, file);
    this.#begin(id, {
      kind: "download",
      size,
      store,
      content: new Uint8Array(size),
      received: 0,
      ...common(file, owner, preferredTransferSize),
    });
    return preferredTransferSize;
  }

  /**
   * Download_Transfer. What breaks the rules ends the transfer, except a wrong number: the right one may still come.
   *
   * @returns The number of the packet.
   * @throws {Refusal} 0x0C with the state when no download of this owner is under way; 0x20/0x0006 out of sequence; 0x20/0x0007 for
   * a packet that does not fit here; 0xD0 for a wrong checksum; and what storing throws.
   */
  download(id: number, file: FileEntry, packet: TransferPacket, owner: TransferOwner): number {
    const transfer = this.#active.get(id);
    if (transfer?.kind !== "download" || !isOwner(transfer, owner)) throw this.#wrongState(id, file);
    const { transferNumber: number, packetType } = packet;
    if (packetType === PacketType.abort && !transfer.isDone) {
      this.cancel(id);
      return number;
    }
    if (number === transfer.last) {
      this.#goOn(id, transfer, owner);
      return number;
    }
    if (transfer.isDone) throw this.#wrongState(id, file);
    if (number !== following(transfer)) throw outOfSequence();
    this.#take(id, transfer, packet);
    this.#goOn(id, transfer, owner);
    return number;
  }

  /** Ends a transfer; the file stays as it was before. */
  cancel(id: number): void {
    this.#active.get(id)?.cancelTimer();
    this.#active.delete(id);
  }

  /** Ends every download, and uploads of files that `exists` no longer knows. */
  cancelStale(exists: (id: number) => boolean): void {
    for (const [id, { kind }] of this.#active) if (kind === "download" || !exists(id)) this.cancel(id);
  }

  /** Ends everything. */
  close(): void {
    for (const id of this.#active.keys()) this.cancel(id);
  }

  #take(id: number, transfer: Download, packet: TransferPacket): void {
    const { packetType, data } = packet;
    const isFirst = transfer.received === 0;
    const isLast = packetType === PacketType.last || packetType === PacketType.only;
    const opens = packetType === PacketType.first || packetType === PacketType.only;
    const total = transfer.received + data.length;
    const fits = data.length > 0 && data.length <= transfer.transferSize && total <= transfer.size;
    if (!fits || opens !== isFirst || packetType === PacketType.abort || (isLast && total !== transfer.size)) {
      this.cancel(id);
      throw refuse(Status.invalidParameter, { extended: [FileError.transferFailure] });
    }
    transfer.content.set(data, transfer.received);
    transfer.received = total;
    if (isLast) this.#finish(id, transfer, packet.checksum ?? 0);
    transfer.last = packet.transferNumber;
  }

  #finish(id: number, transfer: Download, checksum: number): void {
    const { content } = transfer;
    // Not kept twice: from here on the transfer only remembers its last number.
    transfer.content = noOctets;
    try {
      if (fileChecksum(content) !== checksum) throw refuse(Status.objectSpecific, { reason: "wrong checksum" });
      transfer.store(content);
    } catch (error) {
      this.cancel(id);
      throw error;
    }
    transfer.isDone = true;
  }

  #begin(id: number, transfer: Upload | Download): void {
    this.cancel(id);
    this.#active.set(id, transfer);
    this.#rearm(id, transfer);
  }

  /** A packet has come: the channel that it came by is the owner's from here on. */
  #goOn(id: number, transfer: Upload | Download, owner: TransferOwner): void {
    transfer.owner = owner;
    transfer.isLeft = false;
    this.#rearm(id, transfer);
  }

  #rearm(id: number, transfer: Upload | Download): void {
    transfer.cancelTimer();
    transfer.cancelTimer = this.#clock.after(transfer.timeoutMs, () => this.#active.delete(id));
  }

  #wrongState(id: number, file: FileEntry): Error {
    return refuse(Status.objectStateConflict, { extended: [this.state(id, file)] });
  }
}

/** Limits that {@link freeFileInstance} minds. */
export interface FileLimits {
  readonly maxFiles: number;
}

/** Highest instance that Create uses: 1 to 199 are the product's own. */
const lastDynamicFile = 199;

/** The lowest File instance that is free. @throws {Refusal} 0x02 when there is none. */
export function freeFileInstance({ files }: Configuration, { maxFiles }: FileLimits): number {
  for (let id = 1; id <= lastDynamicFile && files.size < maxFiles; id += 1) if (!files.has(id)) return id;
  throw refuse(Status.resourceUnavailable, { reason: "no File instance is left" });
}

function common({ transferTimeoutS }: FileEntry, owner: TransferOwner, transferSize: number): Common {
  const timeoutMs = transferTimeoutS * 1000;
  return { owner, transferSize, timeoutMs, cancelTimer: () => undefined, isDone: false, isLeft: false };
}

function isOwner({ owner: { channel, peer } }: Common, asker: TransferOwner): boolean {
  return channel === asker.channel || (peer !== undefined && peer === asker.peer);
}

function following({ last }: Common): number {
  return last === undefined ? 0 : (last + 1) & 0xff;
}

function outOfSequence(): Error {
  return refuse(Status.invalidParameter, { extended: [FileError.outOfSequence] });
}
