import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { isIP, isIPv6 } from "node:net";
import type { Association } from "./association.ts";
import type { Credentials } from "./credentials.ts";
import type { ConnectOptions, EndpointOptions, LiveOptions } from "./endpoint-options.ts";
import { DtlsError } from "./errors.ts";
import type { Remote } from "./peers.ts";
import type { Statistics } from "./statistics.ts";
import { Switchboard } from "./switchboard.ts";
import type { Admission } from "./switchboard.ts";

/** Options of an endpoint that may share a socket. */
export interface SocketEndpointOptions extends EndpointOptions {
  /**
   * A bound socket that is shared with another protocol, in place of `address` and `port`. What is no DTLS goes to `onForeign`; when
   * the endpoint closes, the socket stays open and has to be closed after it.
   */
  readonly socket?: Socket;
}

/** One UDP socket with many associations, of both roles. */
export interface DtlsEndpoint {
  /** Where it listens, with the port that the system chose. */
  readonly local: Remote;
  /**
   * Opens an association as client.
   *
   * @throws {DtlsError} `dtls/timeout`, `dtls/alert`, `dtls/verify`, `dtls/handshake` when the handshake fails;
   * `dtls/limit`; `usage/state` where one with this address is there; `usage/argument` for a host name.
   */
  connect(options: ConnectOptions): Promise<Association>;
  /** Changes credentials for handshakes that begin later. Sessions of before cannot be taken up again. */
  setCredentials(credentials: Credentials): void;
  /** Changes anything that may be changed while it runs: suites, trust, whether clients are asked for certificates. */
  configure(options: LiveOptions): void;
  /** Those that are open now. */
  associations(): Iterable<Association>;
  readonly statistics: EndpointStatistics;
  /** Sends a datagram as it is, for a port that is shared with another protocol. */
  sendPlain(datagram: Uint8Array, remote: Remote): void;
  /** Says goodbye to all peers and closes the socket. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What an endpoint has counted. */
export interface EndpointStatistics extends Admission {
  readonly open: number;
  readonly handshakes: number;
  /** Datagrams that the system refused to send. */
  readonly sendErrors: number;
  /** Counters of all associations, past ones too. */
  readonly associations: Statistics;
}

/**
 * Opens a UDP socket, or shares one that is there. With `onAssociation` it is a server; `connect` makes clients on the same socket.
 *
 * @throws {DtlsError} `dtls/socket` when address or port cannot be had; `usage/argument` for options out of range.
 */
export async function createDtlsEndpoint(options: SocketEndpointOptions = {}): Promise<DtlsEndpoint> {
  if (options.socket !== undefined) return serve(options.socket, options);
  const address = options.address ?? "0.0.0.0";
  checkAddress(address);
  const [type, family] = isIPv6(address) ? (["udp6", 6] as const) : (["udp4", 4] as const);
  const socket = createSocket({
    type,
    // `dgram` looks numeric addresses up too, a tick later: sends would lose their order and a tick each.
    lookup: (host, _options, done) => done(null, host, family),
    recvBufferSize: socketBufferOctets,
    sendBufferSize: socketBufferOctets,
  });
  await bind(socket, address, options.port ?? 0);
  return serve(socket, options);
}

/** Bursts of a thousand I/O connections fit in; the system may grant less. */
const socketBufferOctets = 1 << 20;

/** A socket holds some thousands of datagrams, of which each turn reads 32. */
const mostTurns = 100;

function serve(socket: Socket, options: SocketEndpointOptions): DtlsEndpoint {
  let sendErrors = 0;
  let inFlight = 0;
  let heard = 0;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let armedFor = Infinity;
  let drained: (() => void) | undefined;

  const sent = (error: Error | null): void => {
    if (error !== null) sendErrors++;
    inFlight--;
    if (inFlight === 0) drained?.();
  };
  const transmit = (bytes: Uint8Array, remote: Remote): void => {
    if (closed) return;
    inFlight++;
    socket.send(bytes, remote.port, remote.address, sent);
  };
  const rearm = (): void => {
    const { wakeAt } = board;
    if (wakeAt === undefined || closed || wakeAt >= armedFor) return;
    clearTimeout(timer);
    armedFor = wakeAt;
    timer = setTimeout(judge, Math.max(0, wakeAt - performance.now()), 0, -1);
  };
  // Timers come before sockets in a turn of the event loop: a process that was held up reads what has arrived meanwhile, lest
  // it take peers for silent that were not.
  const judge = (turn: number, heardBefore: number): void => {
    if (heard !== heardBefore && turn < mostTurns) setImmediate(judge, turn + 1, heard);
    else wake();
  };
  const wake = (): void => {
    armedFor = Infinity;
    if (!closed) board.wake();
  };
  const board = new Switchboard(options, { send: transmit, now: () => performance.now(), rearm });
  const arrived = (bytes: Buffer, { address, port }: Remote): void => {
    heard++;
    board.receive(bytes, { address, port });
  };
  // The system reports some errors of single datagrams here; the next one may go through.
  const failed = (): void => {
    sendErrors++;
  };
  socket.on("message", arrived);
  socket.on("error", failed);
  const { address, port } = socket.address();

  const close = async (): Promise<void> => {
    if (closed) return;
    board.close();
    if (inFlight > 0) await new Promise<void>((resolve) => (drained = resolve));
    closed = true;
    clearTimeout(timer);
    if (options.socket === undefined) await new Promise<void>((resolve) => socket.close(() => resolve()));
    else socket.off("message", arrived).off("error", failed);
  };

  return {
    local: { address, port },
    async connect(target) {
      checkAddress(target.address);
      if (closed) throw new DtlsError("dtls/closed", "the endpoint is closed");
      return board.connect(target);
    },
    setCredentials: (credentials) => board.configure({ credentials }),
    configure: (live) => board.configure(live),
    associations: () => board.associations(),
    get statistics() {
      const { open, handshakes, statistics } = board;
      return { ...board.admission, open, handshakes, sendErrors, associations: statistics };
    },
    sendPlain: transmit,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", (cause) => {
      socket.close();
      reject(
        new DtlsError("dtls/socket", `cannot listen on ${address} port ${port}: ${cause.message}`, {
          cause,
          facts: { address, port },
        }),
      );
    });
    socket.bind(port, address, () => {
      socket.removeAllListeners("error");
      resolve();
    });
  });
}

function checkAddress(address: string): void {
  if (isIP(address) !== 0) return;
  throw new DtlsError("usage/argument", `'${address}' is not a numeric address`, {
    fix: "Look the name up first: names are not resolved here, because the certificate's name and the address differ.",
    facts: { address },
  });
}
