let read = 0;

/** Datagrams that the ports of I/O and DTLS in this process have read: it tells whether a turn of the event loop found any. */
export function datagramsRead(): number {
  return read;
}

export function countDatagram(): void {
  read += 1;
}
