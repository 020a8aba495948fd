import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import type { ConnectOptions } from "@cipsec/originator";
import { FrameStream } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  commandLines,
  differences,
  namesClasses,
  ourLines,
  summarize,
  tshark,
  tsharkSummary,
  type CaptureFile,
  type Summary,
} from "./kit/decoders.ts";
import { makePlant, type Plant } from "./kit/plant.ts";
import { printed, rootRights, start, stop, until, withPeers } from "./kit/programs.ts";

const certificateDevice = "127.27.6.1";
const pskDevice = "127.27.6.2";
const psk = { identity: Buffer.from("tool"), key: Buffer.alloc(32, 0x5a) };

/** Messages that our originator sent and received, counted by command where they are plaintext. */
const counted = new Map<number, number>();

withPeers("a whole commissioning in tshark", ["tshark", "dumpcap", rootRights], () => {
  let plant: Plant;
  let capture: CaptureFile;
  let theirs: Summary;
  let ours: Summary;

  beforeAll(async () => {
    plant = await makePlant("tshark");
    const devices = [await plant.device({ address: certificateDevice }), await plant.device({ address: pskDevice })];
    const [file, keys] = [join(plant.folder, "commissioning.pcapng"), join(plant.folder, "keys.log")];
    capture = { file, keys };
    const secrets: string[] = [];
    const connect = { keyLog: (line: string) => void secrets.push(line), tap: countingTap() };
    const dumpcap = start("dumpcap", ["-q", "-i", "lo", "-f", "net 127.27.6.0/24", "-w", file]);
    try {
      await printed(dumpcap, /File: /u);
      await plant.commission(devices[0]!, { suites: [0xc02b, 0xc02c] }, { connect });
      await plant.commission(devices[1]!, { suites: [0xc037] }, { psk, connect });
      await appendFile(keys, `${secrets.join("\n")}\n`);
      const total = [...counted.values()].reduce((sum, count) => sum + count, 0);
      await until(async () => (await messages(capture)) >= total, `${total} messages in the capture`);
    } finally {
      await stop(dumpcap, "SIGINT");
    }
    theirs = await tsharkSummary(capture);
    ours = summarize(await ourLines(capture));
  });

  afterAll(async () => await plant[Symbol.asyncDispose]());

  test("no packet is malformed, and tshark has no error to report", async () => {
    const found = await tshark(capture, ["-Y", "_ws.malformed || _ws.expert.severity == error"]);
    expect(found).toEqual([]);
  });

  test("every record is opened: as many messages as were sent and received", () => {
    const commands = [...theirs.values()].flatMap((frame) => frame.commands);
    expect(countOf(commands)).toEqual(counted);
    expect(commands.length).toBeGreaterThan(150);
  });

  test("the steps of both commissionings are there", () => {
    const requests = [...theirs.values()].flatMap(({ services, classes }) =>
      services.length === 1 ? [`${(services[0] ?? 0).toString(16)} of ${(classes[0] ?? 0).toString(16)}`] : [],
    );
    // Begin_Config of both objects, Create and Create_CSR, Initiate_Upload, Upload_Transfer, download, Apply_Config, End_Config.
    const steps = [
      "4b of 5d",
      "4b of 5e",
      "8 of 5f",
      "4b of 5f",
      "4b of 37",
      "4f of 37",
      "50 of 37",
      "4d of 5e",
      "4d of 5d",
    ];
    expect(requests).toEqual(expect.arrayContaining(steps));
    expect(requests.filter((request) => request === "4d of 5e")).toHaveLength(2);
  });

  test("frame by frame we read the same commands, services and statuses", () => {
    expect(differences(ours, theirs)).toEqual([]);
    expect([...theirs].filter(([n, frame]) => !namesClasses(ours.get(n)!, frame))).toEqual([]);
  });

  test("cipsec decode prints that too", async () => {
    expect(await commandLines(capture)).toEqual(JSON.parse(JSON.stringify(await ourLines(capture))));
  });

  test("without the key log tshark sees no message: the capture itself is protected", async () => {
    expect(await tshark({ file: capture.file }, ["-Y", "enip || cip"])).toEqual([]);
  });
});

/** Counts encapsulation messages of every channel, each direction a stream of its own. */
function countingTap(): NonNullable<ConnectOptions["tap"]> {
  const streams = new Map<string, FrameStream>();
  return (direction, bytes, { local }) => {
    const key = `${direction} ${local.port}`;
    const stream = streams.get(key) ?? new FrameStream();
    streams.set(key, stream);
    for (const event of stream.push(bytes)) {
      if (event.type === "frame") counted.set(event.frame.command, (counted.get(event.frame.command) ?? 0) + 1);
    }
  };
}

function countOf(values: readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** Encapsulation messages that tshark sees in what has been written so far. */
async function messages(capture: CaptureFile): Promise<number> {
  return [...(await tsharkSummary(capture)).values()].flatMap(({ commands }) => commands).length;
}
