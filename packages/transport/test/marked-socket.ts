import koffi from "koffi";
import { expect } from "vitest";
import { socketAddress } from "../src/native-sockets.ts";

/*
 * Marks as they are on the wire: the receiver asks the system for the TOS octet of each datagram, which the runtime cannot.
 */

const library = koffi.load(null);
const socket: (family: number, type: number, protocol: number) => number = library.func("int socket(int, int, int)");
const bind: (fd: number, address: Uint8Array, size: number) => number = library.func(
  "int bind(int, const void *, uint32_t)",
);
const setOption: (fd: number, level: number, name: number, value: Uint8Array, size: number) => number = library.func(
  "int setsockopt(int, int, int, const void *, uint32_t)",
);
const receiveMessage: (fd: number, header: number, flags: number) => number = library.func(
  "int64_t recvmsg(int, uintptr_t, int)",
);
const sendTo: (fd: number, data: Uint8Array, length: number, flags: number, to: Uint8Array, size: number) => number =
  library.func("int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)");
const close: (fd: number) => number = library.func("int close(int)");

const ipReceiveTos = 13;
const dontWait = 0x40;

/** A datagram as it came; `from` is a `struct sockaddr_in`. */
export interface Marked {
  readonly octets: Uint8Array;
  readonly tos: number;
  readonly from: Uint8Array;
}

/** A bound socket that tells octets, TOS and sender of each datagram. */
export function markedSocket(address: string, port: number) {
  const fd = socket(2, 2, 0);
  expect(setOption(fd, 0, ipReceiveTos, Uint8Array.of(1, 0, 0, 0), 4)).toBe(0);
  expect(bind(fd, new Uint8Array(socketAddress(address, port).buffer), 16)).toBe(0);
  const data = Buffer.allocUnsafeSlow(2048);
  const name = Buffer.allocUnsafeSlow(16);
  const control = Buffer.allocUnsafeSlow(64);
  const part = Buffer.allocUnsafeSlow(16);
  const header = Buffer.allocUnsafeSlow(56).fill(0);
  part.writeBigUInt64LE(koffi.address(data), 0);
  header.writeBigUInt64LE(koffi.address(name), 0);
  header.writeBigUInt64LE(koffi.address(part), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(koffi.address(control), 32);
  return {
    next(): Marked | undefined {
      header.writeUInt32LE(16, 8);
      header.writeBigUInt64LE(64n, 40);
      // Every buffer is used here, or the collector would take away what only the header's addresses lead to.
      part.writeBigUInt64LE(BigInt(data.length), 8);
      const length = receiveMessage(fd, Number(koffi.address(header)), dontWait);
      if (length < 0) return undefined;
      // One control message: length, level, type, then the octet.
      const octets = new Uint8Array(data.subarray(0, length));
      return { octets, tos: control.readUInt8(16), from: new Uint8Array(name) };
    },
    send: (octets: Uint8Array, to: Uint8Array) => void sendTo(fd, octets, octets.length, dontWait, to, 16),
    close: () => void close(fd),
  };
}
