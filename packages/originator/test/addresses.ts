/**
 * Loopback addresses of this test process: those that run beside each other do not meet, as devices listen on standard ports. A
 * run counts its workers, so that within it no two have the same; its own number keeps most runs beside it away.
 */
export const net = `127.24.${(process.ppid % 25) * 10 + (Number(process.env["VITEST_POOL_ID"] ?? 0) % 10)}`;
