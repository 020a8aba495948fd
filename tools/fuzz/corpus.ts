import { existsSync, readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KeyLog, readCapture } from "@cipsec/capture";
import { FrameStream, SendData, decode, encode, frame, isStackError, type Codec } from "@cipsec/wire";
import type { Random } from "./random.ts";

/** What mutations start from. */
export interface Corpus {
  /** Octets of the vectors, by the layout that reads them. */
  readonly layouts: ReadonlyMap<string, readonly Uint8Array[]>;
  /** Whole encapsulation messages. */
  readonly frames: readonly Uint8Array[];
  /** Requests and replies inside the frames. */
  readonly messages: readonly Uint8Array[];
  /** The beginnings of capture files. */
  readonly captures: readonly Uint8Array[];
  /** Opens the TLS sessions of the captures. */
  readonly keyLog: KeyLog;
}

const vectors = fileURLToPath(new URL("../../vectors/", import.meta.url));
const captures = fileURLToPath(new URL("../../../shared/captures/", import.meta.url));

/** Kept of one capture: enough for every kind of message it holds. */
const maxPerCapture = 400;

/** Octets of a capture file that are mutated as a file. */
const captureOctets = 6000;

interface Vector {
  readonly layers: readonly { readonly layout: string; readonly hex: string }[];
}

/** Reads vectors, and captures where there are any. The same files give the same corpus. */
export function readCorpus(): Corpus {
  const layouts = new Map<string, Uint8Array[]>();
  for (const name of readdirSync(vectors)
    .filter((file) => file.endsWith(".json"))
    .sort()) {
    const list: readonly Vector[] = JSON.parse(readFileSync(vectors + name, "utf8"));
    for (const { layout, hex } of list.flatMap(({ layers }) => layers))
      layouts.set(layout, [...(layouts.get(layout) ?? []), new Uint8Array(Buffer.from(hex, "hex"))]);
  }
  const files = captured(/\.pcap(ng)?$/u);
  const frames = [...(layouts.get("Encapsulation") ?? []), ...files.flatMap(framesOf)];
  return {
    layouts,
    frames,
    messages: frames.flatMap(messagesOf),
    captures: files.map((bytes) => bytes.slice(0, captureOctets)),
    keyLog: new KeyLog(
      captured(/\.keys$/u)
        .map((bytes) => Buffer.from(bytes).toString("latin1"))
        .join("\n"),
    ),
  };
}

function captured(names: RegExp): readonly Uint8Array[] {
  if (!existsSync(captures)) return [];
  const found = readdirSync(captures).filter((file) => names.test(file));
  return found.sort().map((name) => new Uint8Array(readFileSync(captures + name)));
}

function framesOf(file: Uint8Array): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  const streams = new Map<string, FrameStream>();
  for (const event of readCapture(file)) {
    if (found.length >= maxPerCapture) break;
    if (event.kind !== "data" || event.bytes.length < 24) continue;
    const key = `${event.flow} ${event.src.address} ${event.src.port}`;
    const stream = streams.get(key) ?? new FrameStream();
    streams.set(key, stream);
    try {
      for (const cut of stream.push(event.bytes))
        if (cut.type === "frame") found.push(frame(cut.frame.command, cut.frame));
    } catch (error) {
      if (!isStackError(error)) throw error;
    }
  }
  return found;
}

function messagesOf(bytes: Uint8Array): readonly Uint8Array[] {
  try {
    return decode(SendData, bytes.subarray(24))
      .items.map(({ data }) => data)
      .filter(({ length }) => length > 2);
  } catch (error) {
    if (isStackError(error)) return [];
    throw error;
  }
}

/** Encodings that the codec itself accepts, found by trying octets of few values: the seeds of a codec without a vector. */
export function validEncodings<T>(codec: Codec<T>, random: Random, wanted = 8): readonly Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  const few = [0, 0, 0, 1, 1, 2, 3, 4, 0x20, 0x24, 0x30, 0x41];
  for (let tries = 0; tries < 800 && found.size < wanted; tries += 1) {
    const bytes = Uint8Array.from({ length: tries % 40 }, () => random.pick(few));
    try {
      const encoded = encode(codec, decode(codec, bytes));
      found.set(Buffer.from(encoded).toString("hex"), encoded);
    } catch (error) {
      if (!isStackError(error)) throw error;
    }
  }
  return [...found.values()];
}
