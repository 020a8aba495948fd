let read = 0;

/** Datagrams that the I/O ports of this process have read: it tells whether a turn of the event loop found any. */
export function datagramsRead(): number {
  return read;
}

export function countDatagram(): void {
  read += 1;
}
