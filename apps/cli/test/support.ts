import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { run } from "../src/program.ts";

/** What became of a command. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in this process, as a script would: no terminal. */
export async function cipsec(words: readonly string[], { data, signal, onProgress }: RunOptions = {}): Promise<Ran> {
  const out = new Captured();
  const err = new Captured(onProgress);
  const codes: number[] = [];
  await run(words, {
    streams: { out, err },
    environment: data === undefined ? {} : { CIPSEC_DATA: data },
    signal: signal ?? new AbortController().signal,
    exit: (code) => void codes.push(code),
  });
  const [code, ...more] = codes;
  if (code === undefined || more.length > 0)
    throw new RangeError(`the command told its exit code ${codes.length} times`);
  return { code, out: out.text, err: err.text };
}

export interface RunOptions {
  readonly data?: string;
  readonly signal?: AbortSignal;
  /** Called with what is told to standard error, as it is told. */
  readonly onProgress?: (text: string) => void;
}

/** The one JSON document on standard output; anything else there is an error. */
export function document({ out }: Ran): unknown {
  const lines = out.split("\n");
  if (lines.length !== 2 || lines[1] !== "") throw new RangeError(`not one document: ${JSON.stringify(out)}`);
  return JSON.parse(lines[0] ?? "");
}

class Captured extends Writable {
  text = "";
  readonly #seen: ((text: string) => void) | undefined;

  constructor(seen?: (text: string) => void) {
    super();
    this.#seen = seen;
  }

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    this.#seen?.(chunk.toString());
    done();
  }
}

/** A folder that the returned function deletes. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "cipsec-cli-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Description of a device at an address, with the standard ports. */
export function descriptionOf(name: string, address: string, kind: "modern" | "cbc-psk" | "legacy"): object {
  return {
    name,
    identity: {
      vendorId: 0xffff,
      productCode: 7,
      revision: { major: 2, minor: 1 },
      serialNumber: 0x00c0_ffee,
      productName: `Test ${name}`,
    },
    address,
    security: kind === "legacy" ? null : { generation: kind },
    assemblies: [{ instance: 100, kind: "input", size: 4, name: "in" }],
  };
}

/** Starts a device in this process. */
export function startDevice(
  folder: string,
  name: string,
  address: string,
  kind: "modern" | "cbc-psk" | "legacy" = "modern",
): Promise<Target> {
  return startTarget({
    description: readDescription(descriptionOf(name, address, kind)),
    stateDir: join(folder, name),
  });
}

/** A TCP server that does with each connection what it is told to. */
export async function startServer(
  address: string,
  port: number,
  serve: (socket: net.Socket) => void,
): Promise<AsyncDisposable> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((listening) => void server.listen(port, address, listening));
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((closed) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => closed());
      }),
  };
}
