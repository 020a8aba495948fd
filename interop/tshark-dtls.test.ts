import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { Identity } from "@cipsec/objects";
import { assemblyPath, connect, openIo, type IoRequest } from "@cipsec/originator";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandLines, ourLines, tshark, type CaptureFile } from "./kit/decoders.ts";
import { makePlant, type Plant } from "./kit/plant.ts";
import { printed, rootRights, start, stop, until, withPeers } from "./kit/programs.ts";

/** `hides`: without the key log nothing can be read. */
const sessions = [
  { address: "127.34.4.1", port: 2221, suite: 0xc02b, hides: true },
  { address: "127.34.4.2", port: 2221, suite: 0xc023, hides: true },
  { address: "127.34.4.3", port: 2221, suite: 0xc006, hides: false },
] as const;

const request: IoRequest = {
  oToT: { rpiMicros: 20_000, size: 8 },
  tToO: { rpiMicros: 20_000, size: 8 },
  timeoutMultiplier: 7,
  path: assemblyPath({ oToT: 101, tToO: 100 }),
};

/** Packets of I/O to wait for, each way. */
const packets = 10;

withPeers("I/O over DTLS in tshark, by our key log", ["tshark", "dumpcap", rootRights], () => {
  let plant: Plant;
  let capture: CaptureFile;
  let sent = 0;
  let received = 0;

  beforeAll(async () => {
    plant = await makePlant("tshark-dtls");
    const [file, keys] = [join(plant.folder, "io.pcapng"), join(plant.folder, "keys.log")];
    capture = { file, keys };
    const secrets: string[] = [];
    const assemblies = [
      { instance: 100, kind: "input", size: 6 },
      { instance: 101, kind: "output", size: 2 },
    ];
    for (const { address, suite } of sessions)
      await plant.commission(await plant.device({ address, assemblies }), { suites: [suite], closePlaintext: false });
    const dumpcap = start("dumpcap", ["-q", "-i", "lo", "-f", "udp and net 127.34.4.0/24", "-w", file]);
    try {
      await printed(dumpcap, /File: /u);
      for (const { address, port, suite } of sessions) {
        await using session = await connect(
          { scheme: "eipd", host: address, port },
          {
            security: { certificate: plant.tool, anchors: plant.anchors, suites: [suite] },
            keyLog: (line) => secrets.push(line),
          },
        );
        expect(session.facts.security?.suite).toBe(suite);
        await session.object(Identity, 1).get("productName");
        const io = await openIo(session, request, { output: Uint8Array.of(0xca, 0xfe) });
        await until(
          async () => io.statistics().received >= packets && io.statistics().sent >= packets,
          "I/O both ways",
        );
        await io.close();
        sent += io.statistics().sent;
        received += io.statistics().received;
      }
      await appendFile(keys, `${secrets.join("\n")}\n`);
      await until(
        async () => (await count(capture, "dtls.alert_message")) >= sessions.length,
        "the last alert is captured",
      );
    } finally {
      await stop(dumpcap, "SIGINT");
    }
  });

  afterAll(async () => await plant[Symbol.asyncDispose]());

  test("no packet is malformed, and tshark has no error to report", async () => {
    expect(await tshark(capture, ["-Y", "_ws.malformed || _ws.expert.severity == error"])).toEqual([]);
  });

  test("tshark reads Forward_Open, Forward_Close and the I/O of every session, and we read as many", async () => {
    const lines = await ourLines(capture);
    expect(lines.filter(({ error }) => error !== null)).toEqual([]);
    expect(lines.every(({ transport }) => transport === "dtls")).toBe(true);
    const io = lines.filter(({ items }) => items[0]?.sequence !== undefined);
    expect(io.length).toBeGreaterThanOrEqual(sent + received);
    expect(await count(capture, "enip.cpf.sai.seq")).toBe(io.length);
    const services = (service: number, response: boolean): number =>
      lines.flatMap(({ cip }) => cip).filter((line) => line.service === service && line.response === response).length;
    for (const [service, name] of [
      [0x54, "Forward_Open"],
      [0x4e, "Forward_Close"],
      [0x0e, "Get_Attribute_Single"],
    ] as const) {
      const [asked, answered] = [services(service, false), services(service, true)];
      expect([name, asked >= sessions.length, answered >= sessions.length]).toEqual([name, true, true]);
      expect(await count(capture, `cip.sc == ${service} && cip.rr == 0`)).toBe(asked);
    }
  });

  test("cipsec decode prints that too", async () => {
    expect(await commandLines(capture)).toEqual(JSON.parse(JSON.stringify(await ourLines(capture))));
  });

  test("without the key log nobody reads what is encrypted; integrity only stays readable", async () => {
    const closed: CaptureFile = { file: capture.file };
    for (const { address, hides } of sessions) {
      const lines = (await ourLines(closed)).filter(({ src, dst }) => `${src} ${dst}`.includes(`${address}:2221`));
      expect(lines.length).toBeGreaterThan(2 * packets);
      expect(lines.every(({ error }) => (error?.code === "dtls/not-opened") === hides)).toBe(true);
      if (hides) expect(await count(closed, `ip.addr == ${address} && (enip || cip)`)).toBe(0);
    }
  });
});

async function count(capture: CaptureFile, filter: string): Promise<number> {
  return (await tshark(capture, ["-Y", filter])).length;
}
