/*
 * The few calls of the C library that the runtime lacks, through the optional package `koffi`: a mark on each datagram, and many
 * datagrams in one call. Where the package is not installed, or the machine is another than this was tried on, there are none
 * and ports do without. Why: docs/decisions/009-io.md.
 */

/** Calls of the C library. Memory is given by its address; whoever gives it keeps it alive and in place. */
export interface NativeSockets {
  /** A UDP socket that does not block, bound; `undefined` where it cannot be, for whatever reason. The caller closes it. */
  open(address: string, port: number, reuse: boolean): number | undefined;
  /** Address of the first octet of memory that the collector does not move. */
  addressOf(memory: Uint8Array | Uint32Array): number;
  /** @returns Messages that went out, or -1: {@link lastError} says why the first did not. */
  sendMany(fd: number, headers: number, count: number): number;
  /** @returns Messages that came; -1 where none waits. */
  receiveMany(fd: number, headers: number, count: number): number;
  lastError(): number;
}

/** Error numbers that ask for something else than giving the datagram up; the same on all Linux machines. */
export const nativeErrors = { interrupted: 4, wouldBlock: 11, noBuffers: 105 } as const;

/** `socket(2)`: IPv4, datagrams, not blocking, closed on exec. */
const inet = 2;
const datagrams = 2 | 0o4000 | 0o2_000_000;

/** `setsockopt(2)`: level and name of address reuse. */
const solSocket = 1;
const soReuseAddress = 2;

/** Flags of `sendmmsg(2)` and `recvmmsg(2)`. */
const dontWait = 0x40;

/** The calls, where they can be had; looked for once. */
export function nativeSockets(): Promise<NativeSockets | undefined> {
  return (loading ??= load());
}

let loading: Promise<NativeSockets | undefined> | undefined;

async function load(): Promise<NativeSockets | undefined> {
  // The layouts of `datagram-batch.ts` are those of 64-bit Linux, little-endian.
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) return undefined;
  try {
    const { default: koffi } = await import("koffi");
    const library = koffi.load(null);
    const socket: (family: number, type: number, protocol: number) => number = library.func(
      "int socket(int family, int type, int protocol)",
    );
    const setOption: (fd: number, level: number, name: number, value: Uint8Array, size: number) => number =
      library.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t size)");
    const bind: (fd: number, address: Uint8Array, size: number) => number = library.func(
      "int bind(int fd, const void *address, uint32_t size)",
    );
    const close: (fd: number) => number = library.func("int close(int fd)");
    const send: (fd: number, headers: number, count: number, flags: number) => number = library.func(
      "int sendmmsg(int fd, uintptr_t headers, uint32_t count, int flags)",
    );
    const receive: (fd: number, headers: number, count: number, flags: number, timeout: number) => number =
      library.func("int recvmmsg(int fd, uintptr_t headers, uint32_t count, int flags, uintptr_t timeout)");
    return {
      open(address, port, reuse) {
        const fd = socket(inet, datagrams, 0);
        if (fd < 0) return undefined;
        const isSet = !reuse || setOption(fd, solSocket, soReuseAddress, Uint8Array.of(1, 0, 0, 0), 4) === 0;
        if (isSet && bind(fd, new Uint8Array(socketAddress(address, port).buffer), 16) === 0) return fd;
        close(fd);
        return undefined;
      },
      addressOf: (memory) => Number(koffi.address(memory)),
      sendMany: (fd, headers, count) => send(fd, headers, count, dontWait),
      receiveMany: (fd, headers, count) => receive(fd, headers, count, dontWait, 0),
      lastError: () => koffi.errno(),
    };
  } catch {
    return undefined;
  }
}

/** `struct sockaddr_in` of a numeric IPv4 address, as words. */
export function socketAddress(address: string, port: number): Uint32Array<ArrayBuffer> {
  const octets = new Uint8Array(16);
  octets[0] = inet;
  octets[2] = port >> 8;
  octets[3] = port & 0xff;
  octets.set(address.split(".").map(Number), 4);
  return new Uint32Array(octets.buffer);
}
