import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { isIP, isIPv6 } from "node:net";
import type { Association } from "./association.ts";
import type { Credentials } from "./credentials.ts";
import type { DatagramPort } from "./datagram-port.ts";
import type { ConnectOptions, EndpointOptions, LiveOptions } from "./endpoint-options.ts";
import { DtlsError } from "./errors.ts";
import type { Remote } from "./peers.ts";
import type { Statistics } from "./statistics.ts";
import { Switchboard } from "./switchboard.ts";
import type { Admission } from "./switchboard.ts";

/** Options of an endpoint that may share a socket, or be given one. */
export interface SocketEndpointOptions extends EndpointOptions {
  /**
   * A bound socket that is shared with another protocol, in place of `address` and `port`. What is no DTLS goes to `onForeign`; when
   * the endpoint closes, the socket stays open and has to be closed after it.
   */
  readonly socket?: Socket;
  /**
   * A way to send and hear that the caller has, in place of `address`, `port` and `socket`; for one that marks what it sends, or has
   * a faster way than `dgram`. It is closed with the endpoint.
   */
  readonly datagrams?: DatagramPort;
}

/** One UDP socket with many associations, of both roles. */
export interface DtlsEndpoint {
  /** Where it listens, with the port that the system chose. */
  readonly local: Remote;
  /**
   * Opens an association as client.
   *
   * @throws {DtlsError} `dtls/timeout`, `dtls/alert`, `dtls/verify`, `dtls/handshake` when the handshake fails;
   * `dtls/limit`; `usage/state` where one with this address is there; `usage/argument` for a host name, or a port that is none.
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
  const address = options.address ?? "0.0.0.0";
  checkAddress(address);
  const port =
    options.datagrams ??
    (options.socket && portOn(options.socket, () => undefined)) ??
    (await openPort(address, options.port ?? 0));
  try {
    return serve(port, options);
  } catch (error) {
    await port.close();
    throw error;
  }
}

/** A socket holds some thousands of datagrams, of which each turn reads 32. */
const mostTurns = 100;

function serve(datagrams: DatagramPort, options: SocketEndpointOptions): DtlsEndpoint {
  let heard = 0;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let armedFor = Infinity;

  const transmit = (bytes: Uint8Array, remote: Remote, dscp?: number): void => {
    if (!closed) datagrams.send(bytes, remote, dscp);
  };
  const rearm = (): void => {
    const { wakeAt } = board;
    if (wakeAt === undefined || closed || wakeAt >= armedFor) return;
    clearTimeout(timer);
    armedFor = wakeAt;
    timer = setTimeout(judge, Math.max(0, wakeAt - performance.now()), 0, -1, wakeAt);
  };
  // Timers come before sockets in a turn of the event loop: a process that was held up reads what has arrived meanwhile, lest
  // it take peers for silent that were not. What counts is the time before the turn in which nothing came: it may be held up after that.
  const judge = (turn: number, heardBefore: number, at: number): void => {
    if (heard !== heardBefore && turn < mostTurns) setImmediate(judge, turn + 1, heard, performance.now());
    else wake(at);
  };
  const wake = (at: number): void => {
    armedFor = Infinity;
    if (!closed) board.wake(at);
  };
  const board = new Switchboard(options, { send: transmit, now: () => performance.now(), rearm });
  datagrams.listen((bytes, remote) => {
    heard++;
    board.receive(bytes, remote);
  });

  let closing: Promise<void> | undefined;
  const shut = async (): Promise<void> => {
    board.close();
    closed = true;
    clearTimeout(timer);
    await datagrams.close();
  };
  const close = (): Promise<void> => (closing ??= shut());

  return {
    local: datagrams.local,
    async connect(target) {
      checkAddress(target.address);
      checkPort(target.port);
      if (closed) throw new DtlsError("dtls/closed", "the endpoint is closed");
      return board.connect(target);
    },
    setCredentials: (credentials) => board.configure({ credentials }),
    configure: (live) => board.configure(live),
    associations: () => board.associations(),
    get statistics() {
      const { open, handshakes, statistics } = board;
      return { ...board.admission, open, handshakes, sendErrors: datagrams.sendErrors, associations: statistics };
    },
    sendPlain: transmit,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Bursts of a thousand I/O connections fit in; the system may grant less. */
const socketBufferOctets = 1 << 20;

async function openPort(address: string, port: number): Promise<DatagramPort> {
  const [type, family] = isIPv6(address) ? (["udp6", 6] as const) : (["udp4", 4] as const);
  const socket = createSocket({
    type,
    // `dgram` looks numeric addresses up too, a tick later: sends would lose their order and a tick each.
    lookup: (host, _options, done) => done(null, host, family),
    recvBufferSize: socketBufferOctets,
    sendBufferSize: socketBufferOctets,
  });
  await bind(socket, address, port);
  return portOn(socket, () => new Promise((resolve) => socket.close(() => resolve())));
}

/** A port on a socket that is bound, whoever it belongs to. It marks nothing. */
function portOn(socket: Socket, release: () => Promise<void> | void): DatagramPort {
  let sendErrors = 0;
  let inFlight = 0;
  let drained: (() => void) | undefined;
  let stop: () => void = () => undefined;
  const sent = (error: unknown): void => {
    if (error !== null) sendErrors++;
    inFlight--;
    if (inFlight === 0) drained?.();
  };
  const { address, port } = socket.address();
  // The system reports some errors of single datagrams here; the next one may go through.
  const failed = (): void => {
    sendErrors++;
  };
  socket.on("error", failed);
  return {
    local: { address, port },
    get sendErrors() {
      return sendErrors;
    },
    send(bytes, remote) {
      inFlight++;
      try {
        socket.send(bytes, remote.port, remote.address, sent);
      } catch (error) {
        sent(error);
      }
    },
    listen(receive) {
      const arrived = (bytes: Buffer, from: Remote): void => receive(bytes, { address: from.address, port: from.port });
      socket.on("message", arrived);
      stop = () => socket.off("message", arrived);
    },
    async close() {
      if (inFlight > 0) await new Promise<void>((resolve) => (drained = resolve));
      stop();
      await release();
      socket.off("error", failed);
    },
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

function checkPort(port: number): void {
  if (Number.isInteger(port) && port > 0 && port < 65_536) return;
  throw new DtlsError("usage/argument", `port is ${port}, allowed are 1 to 65535`, { facts: { port } });
}

function checkAddress(address: string): void {
  if (isIP(address) !== 0) return;
  throw new DtlsError("usage/argument", `'${address}' is not a numeric address`, {
    fix: "Look the name up first: names are not resolved here, because the certificate's name and the address differ.",
    facts: { address },
  });
}
