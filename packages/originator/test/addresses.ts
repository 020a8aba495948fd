/** Loopback addresses of this test process: runs beside each other do not meet, as devices listen on standard ports. */
export const net = `127.24.${process.pid % 256}`;
