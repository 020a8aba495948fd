import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dial } from "@cipsec/transport";
import { MessageRouterRequest, encode, type Reply, type Request } from "@cipsec/wire";
import { vi } from "vitest";
import { readDescription } from "../../src/description.ts";
import { startTarget, type Target } from "../../src/target.ts";
import { identity, registerSession, rrReply, sendRRData } from "./device.ts";
import { receiver } from "./loopback.ts";

/** A session with a device that runs, over a real socket. */
export interface TargetSession extends AsyncDisposable {
  request(request: Request): Promise<Reply>;
}

export async function targetSession(address: string, localAddress?: string): Promise<TargetSession> {
  const from = localAddress === undefined ? {} : { localAddress };
  const channel = await dial({ protocol: "tcp", host: address, port: 44_818, timeoutMs: 20_000, ...from });
  const frames = receiver(channel);
  channel.send(registerSession());
  const { session } = await frames.next();
  return {
    async request(request) {
      channel.send(sendRRData(session, encode(MessageRouterRequest, request)));
      return rrReply(await frames.next());
    },
    async [Symbol.asyncDispose]() {
      await channel.close();
    },
  };
}

/** A whole device without CIP Security at an address of its own; entries of its description can be replaced. */
export interface RunningDevice extends AsyncDisposable {
  readonly target: Target;
  readonly events: readonly string[];
  /** A session; it ends with the device. Waits where the device is about to start again. */
  session(localAddress?: string): Promise<TargetSession>;
}

export async function runDevice(address: string, more: Readonly<Record<string, unknown>> = {}): Promise<RunningDevice> {
  const stateDir = await mkdtemp(join(tmpdir(), "cipsec-target-"));
  const description = readDescription({ name: "device", identity, address, security: null, ...more });
  const events: string[] = [];
  const target = await startTarget({ description, stateDir, onEvent: ({ name }) => events.push(name) });
  const sessions: TargetSession[] = [];
  return {
    target,
    events,
    async session(localAddress) {
      const session = await vi.waitFor(() => targetSession(address, localAddress), { timeout: 20_000 });
      sessions.push(session);
      return session;
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) await session[Symbol.asyncDispose]();
      await target.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}
