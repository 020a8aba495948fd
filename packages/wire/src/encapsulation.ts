import type { Codec } from "./codec.ts";
import { encode, struct } from "./codec.ts";
import { Reader, type Writer } from "./cursor.ts";
import { Cpf, type CpfItem } from "./cpf.ts";
import { WireError } from "./errors.ts";
import { UINT } from "./types.ts";

/** Encapsulation commands. @see CIP Vol 2, 2-3.2 */
export const Command = {
  nop: 0x0000,
  listServices: 0x0004,
  listIdentity: 0x0063,
  listInterfaces: 0x0064,
  registerSession: 0x0065,
  unRegisterSession: 0x0066,
  sendRRData: 0x006f,
  sendUnitData: 0x0070,
  startDtls: 0x00c8,
} as const;

/** Encapsulation status. @see CIP Vol 2, 2-3.5; reference ethernet-ip.md 1.3 */
export const EncapsulationStatus = {
  success: 0x0000,
  unsupportedCommand: 0x0001,
  insufficientMemory: 0x0002,
  incorrectData: 0x0003,
  invalidSessionHandle: 0x0064,
  invalidLength: 0x0065,
  unsupportedProtocolRevision: 0x0069,
  serviceNotAllowedOnPort: 0x006a,
} as const;

/** Octets of the encapsulation header. */
export const headerSize = 24;

/** Octets that may follow the header, so that a frame fits 65,535 octets. @see CIP Vol 2, 2-3.3 */
export const maxFrameData = 65_511;

/** The version of the encapsulation protocol that there is. */
export const protocolVersion = 1;

/** One encapsulation message: header fields and the data behind it. */
export interface Frame {
  readonly command: number;
  readonly session: number;
  readonly status: number;
  /** Eight octets that the reply echoes. */
  readonly context: Uint8Array;
  readonly options: number;
  readonly data: Uint8Array;
}

/** The header without its data, as a stream sees it first. */
export interface FrameHeader extends Omit<Frame, "data"> {
  readonly length: number;
}

/** The 24-octet header. @throws {WireError} `wire/length` when the length is above {@link maxFrameData}. */
export const FrameHeader: Codec<FrameHeader> = {
  type: "encapsulation header",
  read(r) {
    const command = r.u16("command");
    const length = r.u16("encapsulation length", maxFrameData);
    const session = r.u32("session handle");
    const status = r.u32("encapsulation status");
    const context = r.octets(8, "sender context");
    return { command, length, session, status, context, options: r.u32("options") };
  },
  write: (w, header) => writeHeader(w, header, header.length),
};

/**
 * A whole encapsulation message, as one UDP datagram carries it.
 *
 * @throws {WireError} `wire/truncated` or `wire/trailing` when the length field and the octets disagree.
 * @see CIP Vol 2, 2-3
 */
export const Encapsulation: Codec<Frame> = {
  type: "encapsulation message",
  read(r) {
    const { command, length, session, status, context, options } = FrameHeader.read(r);
    return { command, session, status, context, options, data: r.octets(length, "encapsulation data") };
  },
  write(w, frame) {
    if (frame.data.length > maxFrameData) {
      throw new WireError(
        "wire/length",
        `encapsulation data: ${frame.data.length} octets are above the bound of ${maxFrameData}`,
        { facts: { length: frame.data.length, max: maxFrameData } },
      );
    }
    writeHeader(w, frame, frame.data.length);
    w.octets(frame.data);
  },
};

/** Data of RegisterSession, both ways. @see CIP Vol 2, 2-4.4 */
export const RegisterSession = struct("RegisterSession", { version: UINT, options: UINT });

/** Data of SendRRData and SendUnitData. */
export interface SendData {
  /** 0 is CIP. */
  readonly interfaceHandle: number;
  readonly timeoutS: number;
  readonly items: readonly CpfItem[];
}

/** Interface handle, timeout in seconds, then CPF. @see CIP Vol 2, 2-4.7 */
export const SendData: Codec<SendData> = {
  type: "SendRRData",
  read(r) {
    return { interfaceHandle: r.u32("interface handle"), timeoutS: r.u16("timeout"), items: Cpf.read(r) };
  },
  write(w, { interfaceHandle, timeoutS, items }) {
    w.u32(interfaceHandle);
    w.u16(timeoutS);
    Cpf.write(w, items);
  },
};

/** No octets. */
export const noOctets = new Uint8Array(0);

/** A sender context of zeros. */
export const zeroContext = new Uint8Array(8);

/** Encodes a frame from the fields that differ from their usual zero. */
export function frame(command: number, fields: Partial<Omit<Frame, "command">> = {}): Uint8Array {
  const { session = 0, status = 0, context = zeroContext, options = 0, data = noOctets } = fields;
  return encode(Encapsulation, { command, session, status, context, options, data });
}

/** Largest random delay in milliseconds that a broadcast ListIdentity request allows: octets 0 and 1 of its context, with the standard's bounds. */
export function maxResponseDelayMs(request: Frame): number {
  const asked = new Reader(request.context).u16("maximum response delay");
  return asked === 0 ? 2000 : Math.max(asked, 500);
}

function writeHeader(w: Writer, header: Omit<FrameHeader, "length">, length: number): void {
  w.u16(header.command);
  w.u16(length);
  w.u32(header.session);
  w.u32(header.status);
  if (header.context.length !== 8)
    throw new WireError("wire/length", "sender context: exactly 8 octets needed", {
      facts: { given: header.context.length },
    });
  w.octets(header.context);
  w.u32(header.options);
}
