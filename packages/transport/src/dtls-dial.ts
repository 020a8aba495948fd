import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { createDtlsEndpoint } from "@cipsec/dtls";
import type { Acceleration, Remote } from "@cipsec/dtls";
import type { StackErrorShape } from "@cipsec/wire";
import type { Channel } from "./channel.ts";
import { systemClock } from "./clock.ts";
import { DtlsChannel } from "./dtls-channel.ts";
import { dtlsError } from "./dtls-errors.ts";
import { openDtlsPort } from "./dtls-port.ts";
import { dtlsSettings, dtlsVerdict } from "./dtls-settings.ts";
import { endpointText } from "./endpoint.ts";
import { networkError } from "./network-errors.ts";
import type { Tap } from "./socket-channel.ts";
import { startDtls } from "./start-dtls.ts";
import type { TlsPolicy } from "./tls-policy.ts";

/** Whom to open an association with, and how. */
interface DtlsDialOptions {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly tls: TlsPolicy;
  readonly startDtls?: boolean;
  readonly localAddress?: string;
  readonly dscp?: number;
  readonly acceleration?: Acceleration;
  readonly keyLog?: (line: string) => void;
  readonly tap?: Tap;
}

/** Opens an association from a socket of its own, which closes with it. Errors are those of {@link dial}. */
export async function dialDtls(options: DtlsDialOptions): Promise<Channel> {
  const { host, port, timeoutMs, signal, tls: policy, keyLog, dscp, acceleration } = options;
  const where = endpointText({ address: host, port });
  const { suites, credentials } = dtlsSettings(policy, "client");
  const remote = { address: await addressOf(host, where), port };
  const address = options.localAddress ?? (isIP(remote.address) === 6 ? "::" : "0.0.0.0");
  let refused: StackErrorShape | undefined;
  let foreign: (bytes: Uint8Array, from: Remote) => void = () => undefined;
  const native = acceleration !== "off";
  const datagrams = await openDtlsPort({ address, port: 0 }, "dial", { native, ...(dscp !== undefined && { dscp }) });
  const endpoint = await createDtlsEndpoint({
    address,
    datagrams,
    connectionIdLength: 0,
    addressChange: "never",
    onForeign: (bytes, from) => foreign(bytes, from),
    ...(acceleration !== undefined && { acceleration }),
    ...(keyLog !== undefined && { keyLog: true, onKeyLog: keyLog }),
  }).catch((error: unknown) => {
    throw dtlsError(error, endpointText({ address, port: 0 }));
  });
  try {
    let leftMs = timeoutMs;
    if (options.startDtls === true) {
      const startedMs = systemClock.now();
      const listen = (receive: typeof foreign): void => {
        foreign = receive;
      };
      await startDtls({ endpoint, remote, where, timeoutMs, listen, ...(signal !== undefined && { signal }) });
      leftMs = Math.ceil(timeoutMs - (systemClock.now() - startedMs));
    }
    const association = await endpoint.connect({
      ...remote,
      suites,
      credentials,
      handshakeTimeoutMs: Math.min(Math.max(leftMs, 100), 600_000),
      ...(signal !== undefined && { signal }),
      ...(isIP(host) === 0 && { serverName: host }),
      verify: (request) =>
        dtlsVerdict(policy, request, { remote, host }, (error) => {
          refused = error;
        }),
    });
    return new DtlsChannel(association, endpoint.local, {
      role: "server",
      host,
      marks: datagrams.marks,
      tap: options.tap,
      released: () => endpoint.close(),
    });
  } catch (error) {
    await endpoint.close();
    signal?.throwIfAborted();
    throw refused ?? dtlsError(error, where);
  }
}

async function addressOf(host: string, where: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw networkError(error, where);
  }
}
